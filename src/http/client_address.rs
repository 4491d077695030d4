//! The address that stands for a client, where clients have limits by address.

use std::net::{IpAddr, Ipv6Addr};

/// The address that stands for a client: of IPv6 the first half, since a host has all of the second to choose from.
pub(super) fn client_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_one_host_are_one_client_address() {
        let of = |address: &str| client_address(address.parse().unwrap());
        assert_eq!(of("2001:db8:0:7:1:2:3:4"), of("2001:db8:0:7::9"));
        assert_ne!(of("2001:db8:0:7::1"), of("2001:db8:0:8::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }
}
