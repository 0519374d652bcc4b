//! `X-Forwarded-For`: believed as far as proxies we trust wrote it.

use ipnet::IpNet;

use super::address::Address;
use crate::http1::{Head, Name};

/// The nearest address that is not a trusted proxy's. Each proxy appends the peer it saw, so the list is read from the
/// right over all fields; what stands left of an untrusted address, or of something that is no address, anybody may
/// have written.
pub(super) fn effective(peer: Address, trusted: &[IpNet], head: &Head) -> Address {
    let mut nearest = peer;
    if !is_trusted(nearest, trusted) {
        return nearest;
    }
    for entry in entries_from_the_right(head) {
        let Some(address) = entry else { break };
        nearest = address;
        if !is_trusted(nearest, trusted) {
            break;
        }
    }
    nearest
}

fn is_trusted(address: Address, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&address.ip))
}

/// Each entry, `None` for garbage. Empty ones are no entries: lists may hold them (RFC 9110, 5.6.1).
fn entries_from_the_right(head: &Head) -> impl Iterator<Item = Option<Address>> + use<'_> {
    let values = head.fields().all(Name::XForwardedFor).rev();
    let entries = values.flat_map(|value| value.rsplit(|byte| *byte == b','));
    entries.map(<[u8]>::trim_ascii).filter(|entry| !entry.is_empty()).map(parse)
}

fn parse(entry: &[u8]) -> Option<Address> {
    Address::parse(std::str::from_utf8(entry).ok()?)
}
