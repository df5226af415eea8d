//! How far configuration has come, and whether two sides hold the same.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One committed transaction. Starts at 1; 0 means "nothing yet".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    pub const NONE: Revision = Revision(0);

    #[must_use]
    pub fn next(self) -> Revision {
        Revision(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A hash of a multiset of resources: adding and removing one costs only that one, in any order.
///
/// It finds drift between two honest sides. It is no defence against somebody who can write to the stream:
/// that is what the stream's own authentication is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Digest(pub u128);

impl Digest {
    /// The digest of a set with one resource in it.
    #[must_use]
    pub fn of(kind: u32, id: &[u8], body: &[u8]) -> Digest {
        let mut low = Mixer::new(0x9e37_79b9_7f4a_7c15);
        let mut high = Mixer::new(0xc2b2_ae3d_27d4_eb4f);
        for mixer in [&mut low, &mut high] {
            mixer.word(u64::from(kind));
            mixer.bytes(id);
            mixer.bytes(body);
        }
        Digest(u128::from(low.finish()) | (u128::from(high.finish()) << 64))
    }

    #[must_use]
    pub fn with(self, one: Digest) -> Digest {
        Digest(self.0.wrapping_add(one.0))
    }

    #[must_use]
    pub fn without(self, one: Digest) -> Digest {
        Digest(self.0.wrapping_sub(one.0))
    }

    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Digest> {
        bytes.try_into().ok().map(|bytes| Digest(u128::from_be_bytes(bytes)))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// Folded 64-bit multiplication, eight bytes a step; lengths are mixed in, so that parts cannot run together.
struct Mixer(u64);

impl Mixer {
    fn new(seed: u64) -> Mixer {
        Mixer(seed)
    }

    fn word(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(0xa076_1d64_78bd_642f_u64);
        let [low, high] = halves(product);
        self.0 = (low ^ high).wrapping_add(word.wrapping_mul(0x8ebc_6af0_9c88_c6e3)).rotate_left(29);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            self.word(chunk.try_into().map_or(0, u64::from_le_bytes));
        }
        let mut last = [0u8; 8];
        for (slot, byte) in last.iter_mut().zip(chunks.remainder()) {
            *slot = *byte;
        }
        self.word(u64::from_le_bytes(last));
        self.word(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    }

    fn finish(mut self) -> u64 {
        self.word(0x2545_f491_4f6c_dd1d);
        self.word(0x1656_67b1_9e37_79f9);
        self.0
    }
}

fn halves(product: u128) -> [u64; 2] {
    let bytes = product.to_le_bytes();
    let (low, high) = bytes.split_at(8);
    [low, high].map(|half| half.try_into().map_or(0, u64::from_le_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_one_digest_in_any_order() {
        let [a, b, c] = [b"a", b"b", b"c"].map(|id| Digest::of(1, id, b"body"));
        assert_eq!(Digest::default().with(a).with(b).with(c), Digest::default().with(c).with(a).with(b));
        assert_eq!(Digest::default().with(a).with(b).without(a), Digest::default().with(b));
    }

    #[test]
    fn whatever_differs_gives_another_digest() {
        let one = Digest::of(1, b"name", b"body");
        for other in
            [Digest::of(2, b"name", b"body"), Digest::of(1, b"nam", b"ebody"), Digest::of(1, b"name", b"body\0")]
        {
            assert_ne!(one, other);
        }
        let many: std::collections::HashSet<_> =
            (0..100_000u32).map(|n| Digest::of(4, &n.to_le_bytes(), &[0; 40])).collect();
        assert_eq!(many.len(), 100_000);
        let low: std::collections::HashSet<_> = many.iter().map(|digest| digest.0 & u128::from(u64::MAX)).collect();
        assert_eq!(low.len(), 100_000);
    }
}
