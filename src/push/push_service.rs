//! Push services: which addresses of endpoints are accepted, and whose they are.
//!
//! **Invariant:** an accepted address is https, without user name and password, and does not name a private address.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use strum::{IntoStaticStr, VariantArray};
use url::{Host, Origin, Url};

/// Maximum length of an endpoint's address, in bytes.
const MAX_ADDRESS: usize = 2_000;

/// The operator of a push service; the label `vendor` of metrics and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub(super) enum Vendor {
    Mozilla,
    Google,
    Apple,
    Microsoft,
    Other,
}

impl Vendor {
    /// Returns the label.
    pub fn name(self) -> &'static str {
        self.into()
    }

    fn of(host: &str) -> Self {
        let suffixes = [
            (".push.services.mozilla.com", Self::Mozilla),
            (".googleapis.com", Self::Google),
            (".push.apple.com", Self::Apple),
            (".notify.windows.com", Self::Microsoft),
        ];
        let found = suffixes.iter().find(|(suffix, _)| host.ends_with(suffix));
        found.map_or(Self::Other, |(_, vendor)| *vendor)
    }
}

/// The origin of a test's own push service, to which no rule applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestService(Origin);

impl TestService {
    /// Returns the origin.
    pub fn origin(&self) -> String {
        self.0.ascii_serialization()
    }
}

impl FromStr for TestService {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url =
            Url::parse(text).map_err(|_| "must be an origin, such as http://127.0.0.1:8091")?;
        match url.host() {
            Some(Host::Ipv4(_) | Host::Ipv6(_)) if url.path() == "/" => Ok(Self(url.origin())),
            _ => Err("must be an origin with an IP address, such as http://127.0.0.1:8091"),
        }
    }
}

/// Why the address of an endpoint is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// Not a URL, or too long.
    #[error("must be an https URL of at most {MAX_ADDRESS} bytes")]
    Url,
    /// An address that is not on the internet.
    #[error("must not lead to a private address")]
    Private,
}

/// Checks the address of an endpoint. Its host name is not resolved: that happens when a message is sent.
///
/// # Errors
/// When it is not https, or its host is not on the internet.
pub(super) fn check_address(
    text: &str,
    allowed: Option<&TestService>,
) -> Result<(Url, Vendor), InvalidAddress> {
    if text.len() > MAX_ADDRESS {
        return Err(InvalidAddress::Url);
    }
    let url = Url::parse(text).map_err(|_| InvalidAddress::Url)?;
    if allowed.is_some_and(|allowed| allowed.0 == url.origin()) {
        return Ok((url, Vendor::Other));
    }
    if url.scheme() != "https" || !url.username().is_empty() || url.password().is_some() {
        return Err(InvalidAddress::Url);
    }
    let vendor = match url.host() {
        Some(Host::Domain(host)) if is_local_name(host) => return Err(InvalidAddress::Private),
        Some(Host::Domain(host)) => Vendor::of(host),
        Some(Host::Ipv4(ip)) if is_public(ip.into()) => Vendor::Other,
        Some(Host::Ipv6(ip)) if is_public(ip.into()) => Vendor::Other,
        Some(_) => return Err(InvalidAddress::Private),
        None => return Err(InvalidAddress::Url),
    };
    Ok((url, vendor))
}

fn is_local_name(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let is_under = |name: &str| host == name || host.ends_with(&format!(".{name}"));
    !host.contains('.')
        || ["localhost", "local", "internal", "home.arpa"]
            .iter()
            .any(|name| is_under(name))
}

/// Returns whether an address is on the internet: global unicast by the IANA registries of special-purpose addresses. An
/// IPv6 address that contains an IPv4 address is judged by the latter.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => match embedded_v4(ip) {
            Some(ip) => is_public_v4(ip),
            None => is_public_v6(ip),
        },
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let is_shared = a == 100 && (64..128).contains(&b);
    let is_protocol = a == 192 && b == 0 && c == 0;
    let is_benchmark = a == 198 && (18..20).contains(&b);
    let is_relay = a == 192 && b == 88 && c == 99;
    !(a == 0
        || a >= 240
        || ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || ip.is_multicast()
        || is_shared
        || is_protocol
        || is_benchmark
        || is_relay)
}

/// Returns the IPv4 address in a mapped (`::ffff:0:0/96`), compatible (`::/96`), NAT64 (`64:ff9b::/96`) or 6to4 (`2002::/16`)
/// address.
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = ip.segments();
    let v4_at = |at: usize| {
        let bits = (u32::from(segments[at]) << 16) | u32::from(segments[at + 1]);
        Some(Ipv4Addr::from(bits))
    };
    match segments[..6] {
        [0, 0, 0, 0, 0, 0 | 0xffff] | [0, 0, 0, 0, 0xffff, 0] | [0x64, 0xff9b, 0, 0, 0, 0] => {
            v4_at(6)
        }
        [0x2002, ..] => v4_at(1),
        _ => None,
    }
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    let is_global_unicast = a & 0xe000 == 0x2000;
    // 2001::/23 holds Teredo and other protocol assignments.
    let is_special = a == 0x2001 && (b < 0x200 || b == 0xdb8) || a == 0x3fff;
    is_global_unicast && !is_special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_on_the_internet_are_public() {
        for private in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::1",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "3fff::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in [
            "1.1.1.1",
            "93.184.216.34",
            "100.63.0.1",
            "172.32.0.1",
            "192.1.0.1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2606:4700::1111",
            "2a00:1450::1",
            "2002:101:101::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn an_endpoint_is_https_and_on_the_internet() {
        let check = |text: &str| check_address(text, None).map(|(_, vendor)| vendor);
        for url in [
            "",
            "push.example.org/1",
            "http://push.example.org/1",
            "ftp://push.example.org/1",
            "https://user@push.example.org/1",
            "https://:secret@push.example.org/1",
            &format!("https://push.example.org/{}", "x".repeat(MAX_ADDRESS)),
        ] {
            assert_eq!(check(url), Err(InvalidAddress::Url), "{url}");
        }
        for url in [
            "https://localhost/1",
            "https://a.localhost/1",
            "https://LOCALHOST./1",
            "https://redis/1",
            "https://printer.local/1",
            "https://metadata.google.internal/1",
            "https://127.0.0.1/1",
            "https://0x7f.1/1",
            "https://2130706433/1",
            "https://[::1]/1",
            "https://[::ffff:10.0.0.1]/1",
        ] {
            assert_eq!(check(url), Err(InvalidAddress::Private), "{url}");
        }
        for (url, vendor) in [
            (
                "https://updates.push.services.mozilla.com/wpush/v2/x",
                Vendor::Mozilla,
            ),
            ("https://fcm.googleapis.com/fcm/send/x", Vendor::Google),
            ("https://web.push.apple.com/x", Vendor::Apple),
            (
                "https://db5p.notify.windows.com/w/?token=x",
                Vendor::Microsoft,
            ),
            ("https://push.example.org/x", Vendor::Other),
            ("https://googleapis.com.example.org/x", Vendor::Other),
        ] {
            assert_eq!(check(url), Ok(vendor), "{url}");
        }
    }

    #[test]
    fn a_test_service_is_exempt_by_its_exact_origin() {
        let allowed: TestService = "http://127.0.0.1:8091".parse().unwrap();
        let check = |text: &str| check_address(text, Some(&allowed)).is_ok();
        assert!(check("http://127.0.0.1:8091/1"));
        assert!(!check("http://127.0.0.1:8092/1") && !check("https://127.0.0.1:8091/1"));
        assert!("http://localhost:8091".parse::<TestService>().is_err());
    }
}
