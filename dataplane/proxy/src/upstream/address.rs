//! Which addresses may be dialled, decided on the resolved address and not on a name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where clouds keep credentials for whoever asks from inside, besides the link-local range.
const METADATA_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254);

/// A provider's address is the operator's word and may be private or loopback. Link-local and metadata addresses are
/// refused unless the operator's document allows them; what is no address of a host never is.
pub(crate) fn may_dial(address: IpAddr, allow_link_local: bool) -> bool {
    let address = plain(address);
    let nowhere = address.is_unspecified() || address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST);
    !nowhere && (allow_link_local || !is_link_local_or_metadata(address))
}

fn is_link_local_or_metadata(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local() || METADATA_V4.contains(&v4),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6 == METADATA_V6,
    }
}

/// An IPv4 address in one of its IPv6 disguises is that IPv4 address.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let [a, b, .., g, h] = v6.segments();
    let nat64 = (a, b) == (0x64, 0xff9b);
    let compatible = v6.segments().iter().take(6).all(|segment| *segment == 0) && g != 0;
    let embedded = || {
        let [g, h] = [g, h].map(u16::to_be_bytes);
        let ([p, q], [r, s]) = (g, h);
        Ipv4Addr::new(p, q, r, s)
    };
    match v6.to_ipv4_mapped() {
        Some(v4) => IpAddr::V4(v4),
        None if nat64 || compatible => IpAddr::V4(embedded()),
        None if a == 0x2002 => {
            let [_, b, c, ..] = v6.segments();
            let ([p, q], [r, s]) = (b.to_be_bytes(), c.to_be_bytes());
            IpAddr::V4(Ipv4Addr::new(p, q, r, s))
        }
        None => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, by_default: bool, when_allowed: bool) {
        let ip = address.parse().unwrap();
        assert_eq!(may_dial(ip, false), by_default, "{address}");
        assert_eq!(may_dial(ip, true), when_allowed, "{address} when allowed");
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
