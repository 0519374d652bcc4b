//! A client_id with its limit, behind one pointer.

use std::{
    borrow::Borrow,
    hash::{Hash, Hasher},
    sync::Arc,
};

use crate::limit::Limit;

/// `ip:port` fits in, and so do most keys.
const MAX_INLINE_BYTES: usize = 22;

/// An entry of the map, known by its id alone. One pointer, because the map's nodes have room to spare, and what stands
/// in them is copied when they change.
#[derive(Clone)]
pub(super) struct Named(Arc<(Limit, Id)>);

/// A short id stands beside its limit: one allocation and one cache miss fewer.
enum Id {
    Inline { len: u8, bytes: [u8; MAX_INLINE_BYTES] },
    Boxed(Box<str>),
}

impl Named {
    pub(super) fn new(id: &str, limit: Limit) -> Self {
        Self(Arc::new((limit, Id::new(id))))
    }

    pub(super) fn limit(&self) -> Limit {
        self.0.0
    }

    pub(super) fn id(&self) -> &str {
        match &self.0.1 {
            // Copied from a `str`, so this is never the default.
            Id::Inline { len, bytes } => str::from_utf8(&bytes[..usize::from(*len)]).unwrap_or_default(),
            Id::Boxed(id) => id,
        }
    }

    fn bytes(&self) -> &[u8] {
        match &self.0.1 {
            Id::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Id::Boxed(id) => id.as_bytes(),
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
            None => Self::Boxed(id.into()),
        }
    }
}

impl Borrow<[u8]> for Named {
    fn borrow(&self) -> &[u8] {
        self.bytes()
    }
}

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Named {}

impl Hash for Named {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_any_length_are_kept() {
        for len in [0, 1, 21, 22, 23, 256] {
            let id = "x".repeat(len);
            assert_eq!(Named::new(&id, Limit::new(1.0, 0.0).unwrap()).id(), id);
        }
        assert_eq!(size_of::<(Limit, Id)>(), 40);
    }
}
