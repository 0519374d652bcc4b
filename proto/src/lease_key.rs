//! The key by which data planes and the ledger speak of a client's bucket (`LeaseClient.key`).
//!
//! XXH3 (64 bits) of the client_id, or of the address's octets (of an IPv6 address: of its network's), with the lowest bit
//! 1 for a limit of the client's own and 0 for the default limit. It stays the same forever: planes of different versions
//! share buckets during an upgrade.

use std::net::{IpAddr, Ipv6Addr};

use xxhash_rust::xxh3::xxh3_64;

/// The key of a client with a limit of its own.
pub fn of_client(client_id: &str) -> u64 {
    with_own_limit(xxh3_64(client_id.as_bytes()))
}

/// The key of an address under the default limit. IPv4 inside IPv6 counts as IPv4; `ipv6_prefix`: see `ClientRules`.
pub fn of_address(address: IpAddr, ipv6_prefix: u8) -> u64 {
    let hash = match address.to_canonical() {
        IpAddr::V4(address) => xxh3_64(&address.octets()),
        IpAddr::V6(address) => xxh3_64(&network(address, ipv6_prefix).octets()),
    };
    under_default_limit(hash)
}

/// The key of a client with a limit of its own whose client_id has this hash.
pub fn with_own_limit(hash: u64) -> u64 {
    hash | 1
}

/// The key of an address under the default limit whose octets have this hash.
pub fn under_default_limit(hash: u64) -> u64 {
    hash & !1
}

/// The first `prefix` bits of an address, the rest zero.
pub fn network(address: Ipv6Addr, prefix: u8) -> Ipv6Addr {
    let host_bits = 128 - u32::from(prefix.min(128));
    Ipv6Addr::from_bits(address.to_bits() & u128::MAX.checked_shl(host_bits).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str, ipv6_prefix: u8) -> u64 {
        of_address(text.parse().unwrap(), ipv6_prefix)
    }

    #[test]
    fn the_keys_are_part_of_the_wire_and_never_change() {
        assert_eq!(of_client("gold"), 1708625765271280579);
        assert_eq!(address("1.2.3.4", 64), 10992015174800262690);
        assert_eq!(address("2001:db8:1:2:3:4:5:6", 64), 228078145334683042);
    }

    #[test]
    fn a_limit_of_its_own_is_another_bucket() {
        assert_ne!(of_client("1.2.3.4"), address("1.2.3.4", 64));
        let hash = xxh3_64(b"x");
        assert_eq!(with_own_limit(hash), under_default_limit(hash) + 1);
    }

    #[test]
    fn a_network_shares_a_bucket() {
        assert_eq!(address("2001:db8::1", 64), address("2001:db8::ffff", 64));
        assert_ne!(address("2001:db8::1", 128), address("2001:db8::2", 128));
        assert_ne!(address("2001:db8:0:1::", 64), address("2001:db8:0:2::", 64));
        assert_eq!(address("::ffff:1.2.3.4", 64), address("1.2.3.4", 64));
        assert_eq!(network("2001:db8::1".parse().unwrap(), 0), Ipv6Addr::UNSPECIFIED);
    }
}
