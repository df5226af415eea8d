//! Which addresses a provider may have. Both planes ask: one when an address is written down, one when it is dialled.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where clouds keep credentials for whoever asks from inside, besides the link-local range.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(168, 63, 129, 16)];
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254);

/// Why an address is not dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    #[error("{0} is no address of a host")]
    NoHost(IpAddr),
    #[error("{0} is a link-local or metadata address, which only `allowLinkLocal: true` permits")]
    LinkLocal(IpAddr),
}

/// A provider's address is the operator's word and may be private or loopback. Link-local and metadata addresses are
/// refused unless the operator's document allows them; what is no address of a host never is dialled.
pub fn check_address(address: IpAddr, allow_link_local: bool) -> Result<(), Forbidden> {
    let plain = plain(address);
    if plain.is_unspecified() || plain.is_multicast() || plain == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return Err(Forbidden::NoHost(address));
    }
    if !allow_link_local && is_link_local_or_metadata(plain) {
        return Err(Forbidden::LinkLocal(address));
    }
    Ok(())
}

fn is_link_local_or_metadata(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local() || METADATA_V4.contains(&v4),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6 == METADATA_V6,
    }
}

/// An IPv4 address in one of its IPv6 disguises (mapped, compatible, translated, NAT64, 6to4) is that IPv4 address.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let embedded = |high: u16, low: u16| {
        let ([p, q], [r, s]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(p, q, r, s))
    };
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] | [0, 0, 0, 0, 0xffff, 0] | [0x64, 0xff9b, 0, 0, 0, 0] => embedded(g, h),
        [0, 0, 0, 0, 0, 0] if g != 0 => embedded(g, h),
        [0x2002, high, low, ..] => embedded(high, low),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, by_default: bool, when_allowed: bool) {
        let ip = address.parse().unwrap();
        assert_eq!(check_address(ip, false).is_ok(), by_default, "{address}");
        assert_eq!(check_address(ip, true).is_ok(), when_allowed, "{address} when allowed");
    }

    #[test]
    fn self_hosted_and_public_addresses_may_be_dialled() {
        for address in
            ["127.0.0.1", "10.1.2.3", "192.168.1.1", "1.1.1.1", "::1", "fd12::1", "2606:4700::1", "::ffff:10.0.0.1"]
        {
            check(address, true, true);
        }
    }

    #[test]
    fn metadata_and_link_local_addresses_need_the_operators_word() {
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "168.63.129.16",
            "::ffff:0:a9fe:a9fe",
            "192.0.0.192",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::169.254.169.254",
            "2002:a9fe:a9fe::1",
        ] {
            check(address, false, true);
        }
    }

    #[test]
    fn what_is_no_host_is_never_dialled() {
        for address in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "::ffff:0.0.0.0"] {
            check(address, false, false);
        }
    }
}
