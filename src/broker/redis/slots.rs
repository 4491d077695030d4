//! Slots of a Redis Cluster: their shards, and the slot of a channel.

use std::collections::BTreeMap;

use redis::Value;
use url::Url;

/// A range of slots and its master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    first: u16,
    last: u16,
    /// The master, with the login of the polled server.
    pub master: Url,
}

impl Range {
    /// Returns the master's host and port, which identify it.
    pub fn address(&self) -> String {
        let host = self.master.host_str().unwrap_or_default();
        format!("{host}:{}", self.master.port().unwrap_or_default())
    }

    /// Reads one element of the reply to `CLUSTER SLOTS` of the server `asked`: first slot, last slot, `[host, port, …]` of the
    /// master, the same of each replica.
    pub fn read(range: &[Value], asked: &Url) -> Option<Self> {
        let [
            Value::Int(first),
            Value::Int(last),
            Value::Array(master),
            ..,
        ] = range
        else {
            return None;
        };
        let [host, Value::Int(port), ..] = master.as_slice() else {
            return None;
        };
        let host = match host {
            Value::BulkString(host) if !host.is_empty() => str::from_utf8(host).ok()?,
            // No host means the host of the polled server.
            _ => asked.host_str()?.trim_matches(['[', ']']),
        };
        Some(Self {
            first: u16::try_from(*first).ok()?,
            last: u16::try_from(*last).ok()?,
            master: at(asked, host, u16::try_from(*port).ok()?)?,
        })
    }
}

/// Returns the same address with another host and port.
fn at(url: &Url, host: &str, port: u16) -> Option<Url> {
    let mut url = url.clone();
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    url.set_host(Some(&host)).ok()?;
    url.set_port(Some(port)).ok()?;
    Some(url)
}

/// The owner of every slot.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Slots {
    /// Keyed by the last slot of a range: the address of its master, or `None` for a gap.
    rows: BTreeMap<u16, Option<String>>,
}

impl Slots {
    /// Builds the map from ranges.
    pub fn of(ranges: &[Range]) -> Self {
        let mut rows = BTreeMap::new();
        for range in ranges {
            if let Some(before) = range.first.checked_sub(1) {
                rows.entry(before).or_insert(None);
            }
            rows.insert(range.last, Some(range.address()));
        }
        Self { rows }
    }

    /// Returns the address of the master of a slot.
    pub fn owner(&self, slot: u16) -> Option<&str> {
        self.rows.range(slot..).next()?.1.as_deref()
    }

    /// Returns whether a master has any slot.
    pub fn has(&self, address: &str) -> bool {
        self.rows
            .values()
            .any(|owner| owner.as_deref() == Some(address))
    }
}

/// Returns the slot of a channel without braces (Redis Cluster specification, "Key distribution model").
pub(super) fn slot(channel: &str) -> u16 {
    crc16(channel.as_bytes()) % 16_384
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc: u16, _| {
            let carry = if crc & 0x8000 == 0 { 0 } else { 0x1021 };
            (crc << 1) ^ carry
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot("foo"), 12_182);
    }

    #[test]
    fn a_slot_is_found_in_its_range_and_a_gap_has_no_owner() {
        let range = |first, last, host| Range {
            first,
            last,
            master: Url::parse(&format!("redis://{host}:7000")).unwrap(),
        };
        let slots = Slots::of(&[range(0, 5, "a"), range(10, 20, "b"), range(6, 8, "a")]);
        for (slot, expected) in [
            (0, Some("a:7000")),
            (5, Some("a:7000")),
            (6, Some("a:7000")),
            (8, Some("a:7000")),
            (9, None),
            (10, Some("b:7000")),
            (20, Some("b:7000")),
            (21, None),
        ] {
            assert_eq!(slots.owner(slot), expected, "{slot}");
        }
        assert!(slots.has("b:7000") && !slots.has("c:7000"));
    }

    #[test]
    fn a_server_that_names_no_host_means_its_own() {
        let asked = Url::parse("rediss://ann:secret@[::1]:7000").unwrap();
        let answer = |host| {
            let master = Value::Array(vec![host, Value::Int(7001)]);
            [Value::Int(0), Value::Int(5), master]
        };
        for host in [Value::Nil, Value::BulkString(Vec::new())] {
            let range = Range::read(&answer(host), &asked).unwrap();
            assert_eq!(range.master.as_str(), "rediss://ann:secret@[::1]:7001");
        }
        let named = Value::BulkString(b"10.0.0.1".to_vec());
        let range = Range::read(&answer(named), &asked).unwrap();
        assert_eq!(range.master.as_str(), "rediss://ann:secret@10.0.0.1:7001");
        assert_eq!(Range::read(&[Value::Int(0)], &asked), None);
    }
}
