//! A fingerprint of a set of limits that both planes can keep up to date one change at a time.
//!
//! Each limit is hashed on its own (XXH3-64 over the client_id, a zero byte, and the bit patterns of the two numbers,
//! little-endian) and the hashes are added with wrap-around. Addition commutes and has an inverse, so order does not
//! matter and a change costs O(1): subtract the old limit, add the new. It detects drift (a lost or doubled update, a
//! database restored from a backup), not malice.

use xxhash_rust::xxh3::xxh3_64;

/// Fingerprint of a set of limits; the empty set is [`Fingerprint::default`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint as it travels in `Hello` and `Update`.
    pub fn value(self) -> u64 {
        self.0
    }

    /// A fingerprint that came over the wire.
    pub fn from_value(value: u64) -> Self {
        Self(value)
    }

    /// Adds a limit that the set does not hold.
    pub fn add(&mut self, client_id: &str, capacity: f64, rate_per_sec: f64) {
        self.0 = self.0.wrapping_add(hash(client_id, capacity, rate_per_sec));
    }

    /// Removes a limit that the set holds with exactly these numbers.
    pub fn remove(&mut self, client_id: &str, capacity: f64, rate_per_sec: f64) {
        self.0 = self.0.wrapping_sub(hash(client_id, capacity, rate_per_sec));
    }
}

fn hash(client_id: &str, capacity: f64, rate_per_sec: f64) -> u64 {
    let mut bytes = Vec::with_capacity(client_id.len() + 17);
    bytes.extend_from_slice(client_id.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(&capacity.to_bits().to_le_bytes());
    bytes.extend_from_slice(&rate_per_sec.to_bits().to_le_bytes());
    xxh3_64(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_matter_and_remove_undoes_add() {
        let mut a = Fingerprint::default();
        a.add("x", 1.0, 2.0);
        a.add("y", 3.0, 0.0);
        let mut b = Fingerprint::default();
        b.add("y", 3.0, 0.0);
        b.add("x", 1.0, 2.0);
        assert_eq!(a, b);
        b.remove("x", 1.0, 2.0);
        b.remove("y", 3.0, 0.0);
        assert_eq!(b, Fingerprint::default());
    }

    #[test]
    fn every_part_counts() {
        let of = |id: &str, capacity, rate| {
            let mut f = Fingerprint::default();
            f.add(id, capacity, rate);
            f
        };
        let base = of("x", 1.0, 2.0);
        assert_ne!(base, of("y", 1.0, 2.0));
        assert_ne!(base, of("x", 1.5, 2.0));
        assert_ne!(base, of("x", 1.0, 2.5));
    }

    #[test]
    fn the_value_is_part_of_the_wire_and_never_changes() {
        let mut f = Fingerprint::default();
        f.add("123.5.6.7:890", 10.0, 1.0);
        assert_eq!(f.value(), 10380193733465404802);
    }
}
