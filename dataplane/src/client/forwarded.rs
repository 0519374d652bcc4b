//! `X-Forwarded-For`: believed as far as proxies we trust wrote it.

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use super::address::Address;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The nearest address that is not a trusted proxy's. Each proxy appends the peer it saw, so the list is read from the
/// right over all fields; what stands left of an untrusted address, or of something that is no address, anybody may
/// have written.
pub(super) fn effective(peer: Address, trusted: &[IpNet], headers: &HeaderMap) -> Address {
    let mut nearest = peer;
    if !is_trusted(nearest, trusted) {
        return nearest;
    }
    for entry in entries_from_the_right(headers) {
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
fn entries_from_the_right(headers: &HeaderMap) -> impl Iterator<Item = Option<Address>> {
    let fields = headers.get_all(X_FORWARDED_FOR).into_iter().rev();
    let entries = fields.flat_map(|field| field.as_bytes().rsplit(|byte| *byte == b','));
    entries.map(<[u8]>::trim_ascii).filter(|entry| !entry.is_empty()).map(parse)
}

fn parse(entry: &[u8]) -> Option<Address> {
    Address::parse(std::str::from_utf8(entry).ok()?)
}
