//! Push services: which addresses of endpoints are accepted, and whose they are.
//!
//! **Invariant:** an accepted address is https, without user name and password, and does not name a private address.
//! **Invariant:** two spellings of one URL become the same address, so an endpoint has one row.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use strum::{IntoStaticStr, VariantArray};
use url::{Host, Origin, Url};

/// Maximum length of an endpoint's address, in bytes.
const MAX_ADDRESS: usize = 2_000;

/// The operator of a push service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub(super) enum Vendor {
    Mozilla,
    Google,
    Apple,
    Microsoft,
}

/// The label of push services whose operator is unknown.
const OTHER: &str = "other";

/// Returns the label `vendor` of metrics and logs. Hosts that users choose are one label.
pub(super) fn label_of(service: &str) -> &'static str {
    let mut names = Vendor::VARIANTS.iter().map(|vendor| vendor.name());
    names.find(|name| *name == service).unwrap_or(OTHER)
}

/// Returns whether the operator of a service is known.
pub(super) fn is_known(service: &str) -> bool {
    label_of(service) != OTHER
}

impl Vendor {
    /// Returns the label.
    pub fn name(self) -> &'static str {
        self.into()
    }

    fn find(host: &str) -> Option<Self> {
        let suffixes = [
            (".push.services.mozilla.com", Self::Mozilla),
            (".googleapis.com", Self::Google),
            (".push.apple.com", Self::Apple),
            (".notify.windows.com", Self::Microsoft),
        ];
        let found = suffixes.iter().find(|(suffix, _)| host.ends_with(suffix));
        found.map(|(_, vendor)| *vendor)
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
        let invalid = "must be an http or https origin with an IP address and without user name, path and query, \
            such as http://127.0.0.1:8091";
        let url = Url::parse(text).map_err(|_| invalid)?;
        let has_address = matches!(url.host(), Some(Host::Ipv4(_) | Host::Ipv6(_)));
        let is_http = matches!(url.scheme(), "http" | "https");
        // The serialization of an origin has no other parts.
        let origin = url.origin().ascii_serialization();
        let is_origin = url.as_str().strip_suffix('/') == Some(&*origin) && !text.contains('@');
        if is_http && has_address && is_origin && url.port() != Some(0) {
            Ok(Self(url.origin()))
        } else {
            Err(invalid)
        }
    }
}

/// Why the address of an endpoint is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// Not a URL, or too long.
    #[error(
        "must be an https URL of at most {MAX_ADDRESS} bytes, without user name, fragment and white space"
    )]
    Url,
    /// An address that is not on the internet.
    #[error("must not lead to a private address")]
    Private,
}

/// Parses the address of an endpoint into its normal form. Refuses what no browser returns.
///
/// # Errors
/// When it is not a URL, or has parts that an endpoint does not have.
pub fn parse_address(text: &str) -> Result<Url, InvalidAddress> {
    // The parser ignores some white space, and encodes the rest.
    let is_blank = |c: char| c.is_whitespace() || c.is_control();
    if text.len() > MAX_ADDRESS || text.contains(is_blank) {
        return Err(InvalidAddress::Url);
    }
    let url = Url::parse(text).map_err(|_| InvalidAddress::Url)?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    let is_endpoint = !has_user
        && url.fragment().is_none()
        && url.port() != Some(0)
        && url.host_str().is_some_and(|host| !host.ends_with('.'))
        && url.as_str().len() <= MAX_ADDRESS;
    is_endpoint.then_some(url).ok_or(InvalidAddress::Url)
}

/// Checks the address of an endpoint. Returns it in its normal form, and its push service: the name of the operator, or
/// the host if the operator is unknown. The host name is not resolved: that happens when a message is sent.
///
/// # Errors
/// When it is not https, or its host is not on the internet.
pub(super) fn check_address(
    text: &str,
    allowed: Option<&TestService>,
) -> Result<(Url, String), InvalidAddress> {
    let url = parse_address(text)?;
    let is_exempt = allowed.is_some_and(|allowed| allowed.0 == url.origin());
    if url.scheme() != "https" && !is_exempt {
        return Err(InvalidAddress::Url);
    }
    let is_public_host = match url.host() {
        Some(Host::Domain(host)) => !is_local_name(host),
        Some(Host::Ipv4(ip)) => is_public(ip.into()),
        Some(Host::Ipv6(ip)) => is_public(ip.into()),
        None => return Err(InvalidAddress::Url),
    };
    if !is_public_host && !is_exempt {
        return Err(InvalidAddress::Private);
    }
    let host = url.host_str().unwrap_or_default();
    let operator = Vendor::find(host).map(Vendor::name);
    let service = operator.unwrap_or(host).to_owned();
    Ok((url, service))
}

fn is_local_name(host: &str) -> bool {
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
        let check = |text: &str| check_address(text, None).map(|(_, service)| service);
        for url in [
            "",
            "push.example.org/1",
            "http://push.example.org/1",
            "ftp://push.example.org/1",
            "https://user@push.example.org/1",
            "https://:secret@push.example.org/1",
            "https://push.example.org/1#",
            "https://push.example.org/1#part",
            "https://push.example.org:0/1",
            "https://push.example.org./1",
            "https://localhost./1",
            " https://push.example.org/1",
            "https://push.example.org/1 ",
            "https://push.example.org/1 2",
            "https://push.exam\tple.org/1",
            "https://push.example.org/1\n",
            "https://push.example.org/\u{a0}",
            "https://push.example.org/\0",
            // 3 bytes become 9.
            &format!("https://push.example.org/{}", "\u{20ac}".repeat(600)),
            &format!("https://push.example.org/{}", "x".repeat(MAX_ADDRESS)),
        ] {
            assert_eq!(check(url), Err(InvalidAddress::Url), "{url}");
        }
        for url in [
            "https://localhost/1",
            "https://a.localhost/1",
            "https://LOCALHOST/1",
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
        for (url, service, label) in [
            (
                "https://updates.push.services.mozilla.com/wpush/v2/x",
                "mozilla",
                "mozilla",
            ),
            ("https://fcm.googleapis.com/fcm/send/x", "google", "google"),
            ("https://web.push.apple.com/x", "apple", "apple"),
            (
                "https://db5p.notify.windows.com/w/?token=x",
                "microsoft",
                "microsoft",
            ),
            ("https://push.example.org/x", "push.example.org", OTHER),
            (
                "https://googleapis.com.example.org:8443/x",
                "googleapis.com.example.org",
                OTHER,
            ),
            ("https://[2606:4700::1111]/x", "[2606:4700::1111]", OTHER),
        ] {
            assert_eq!(check(url).as_deref(), Ok(service), "{url}");
            assert_eq!(label_of(service), label);
        }
    }

    #[test]
    fn two_spellings_of_an_address_are_one_address() {
        let address = |text: &str| parse_address(text).unwrap().to_string();
        let normal = "https://push.example.org/a/b?c=D";
        for spelling in [
            normal,
            "HTTPS://PUSH.Example.ORG/a/b?c=D",
            "https://push.example.org:443/a/b?c=D",
            "https://push.example.org:/a/b?c=D",
            "https://push.example.org:0443/a/b?c=D",
            "https://push.example.org/./a/x/../b?c=D",
            "https://push.example.org/%2e/a/b?c=D",
            "https://push%2eexample.org/a/b?c=D",
            "https:push.example.org/a/b?c=D",
            "https:\\\\push.example.org\\a\\b?c=D",
            "https://@push.example.org/a/b?c=D",
        ] {
            assert_eq!(address(spelling), normal, "{spelling}");
        }
        for other in ["/a/b?c=d", "/A/b?c=D", "/a/b/?c=D", "/a/b?c=D&"] {
            assert_ne!(address(&format!("https://push.example.org{other}")), normal);
        }
        assert_eq!(
            address("https://push.example.org"),
            "https://push.example.org/"
        );
    }

    #[test]
    fn a_test_service_is_exempt_by_its_exact_origin() {
        let allowed: TestService = "http://127.0.0.1:8091".parse().unwrap();
        let check = |text: &str| check_address(text, Some(&allowed)).is_ok();
        assert!(check("http://127.0.0.1:8091/1"));
        assert!(!check("http://127.0.0.1:8092/1") && !check("https://127.0.0.1:8091/1"));
        for part in ["#x", "?x#"] {
            assert!(!check(&format!("http://127.0.0.1:8091/1{part}")), "{part}");
        }
        assert!(!check("http://me@127.0.0.1:8091/1"));
    }

    #[test]
    fn a_test_service_is_an_origin_and_nothing_else() {
        for origin in [
            "http://127.0.0.1:8091",
            "http://127.0.0.1:8091/",
            "HTTP://127.0.0.1:80",
            "https://[::1]:8091",
        ] {
            assert!(origin.parse::<TestService>().is_ok(), "{origin}");
        }
        for other in [
            "",
            "127.0.0.1:8091",
            "http://localhost:8091",
            "ftp://127.0.0.1:8091",
            "ws://127.0.0.1:8091",
            "http://me@127.0.0.1:8091",
            "http://:secret@127.0.0.1:8091",
            "http://@127.0.0.1:8091",
            "http://127.0.0.1:8091/push",
            "http://127.0.0.1:8091/?a",
            "http://127.0.0.1:8091/#a",
            "http://127.0.0.1:8091?",
            "http://127.0.0.1:0",
        ] {
            assert!(other.parse::<TestService>().is_err(), "{other}");
        }
    }
}
