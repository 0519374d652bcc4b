//! A client_id with its limit.

use std::sync::Arc;

use crate::limit::Limit;

/// `ip:port` of IPv4 fits in, and so do most keys.
const MAX_INLINE_BYTES: usize = 22;

/// An entry of the map.
#[derive(Clone)]
pub(super) struct Named {
    pub(super) limit: Limit,
    id: Id,
}

/// A short id stands beside its limit: one allocation and one cache miss fewer.
#[derive(Clone)]
enum Id {
    Inline { len: u8, bytes: [u8; MAX_INLINE_BYTES] },
    Shared(Arc<str>),
}

impl Named {
    pub(super) fn new(id: &str, limit: Limit) -> Self {
        Self { limit, id: Id::new(id) }
    }

    pub(super) fn id(&self) -> &str {
        match &self.id {
            // Copied from a `str`, so this is never the default.
            Id::Inline { len, bytes } => str::from_utf8(&bytes[..usize::from(*len)]).unwrap_or_default(),
            Id::Shared(id) => id,
        }
    }

    pub(super) fn is(&self, id: &str) -> bool {
        match &self.id {
            Id::Inline { len, bytes } => bytes[..usize::from(*len)] == *id.as_bytes(),
            Id::Shared(own) => **own == *id,
        }
    }
}

impl Id {
    fn new(id: &str) -> Self {
        let mut bytes = [0; MAX_INLINE_BYTES];
        match bytes.get_mut(..id.len()) {
            Some(place) => {
                place.copy_from_slice(id.as_bytes());
                Self::Inline { len: id.len() as u8, bytes }
            }
            None => Self::Shared(id.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_any_length_are_kept() {
        for len in [0, 1, 21, 22, 23, 256] {
            let id = "x".repeat(len);
            let named = Named::new(&id, Limit::new(1.0, 0.0).unwrap());
            assert_eq!(named.id(), id);
            assert!(named.is(&id) && !named.is(&format!("{id}x")) && !named.is(&"y".repeat(len.max(1))));
        }
        assert_eq!(size_of::<Named>(), 40);
    }
}
