//! The shape of the virtual keys we mint: `sk-tp-<id>-<secret><checksum>`.
//!
//! The checksum lets a mistyped key be refused without a lookup. Keys of other shapes (imported ones)
//! are looked up as they are.

use std::fmt::Write as _;

use crate::id::KeyId;
use crate::secret::Secret;

const PREFIX: &str = "sk-tp-";
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const SECRET_LENGTH: usize = 43;
const CHECKSUM_LENGTH: usize = 6;

/// What can be said of a presented key before any lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One of ours, and the checksum is right.
    Ours(KeyId),
    /// One of ours with a slip of the hand in it.
    Mistyped,
    /// Not minted here; may still be known by its hash.
    Foreign,
}

#[must_use]
pub fn shape(presented: &str) -> Shape {
    let Some(rest) = presented.strip_prefix(PREFIX) else { return Shape::Foreign };
    let whole = presented.len().checked_sub(CHECKSUM_LENGTH).and_then(|at| presented.split_at_checked(at));
    let Some((signed, checksum)) = whole else { return Shape::Mistyped };
    let id = rest.split_once('-').and_then(|(id, secret)| {
        let right_length = secret.len() == SECRET_LENGTH + CHECKSUM_LENGTH;
        id.parse().ok().filter(|_| right_length)
    });
    match id {
        Some(id) if in_base_62(u128::from(crc32(signed.as_bytes())), CHECKSUM_LENGTH) == checksum => Shape::Ours(id),
        _ => Shape::Mistyped,
    }
}

/// Makes a key out of an id and 256 random bits.
#[must_use]
pub fn mint(id: KeyId, random: [u8; 32]) -> Secret {
    let (left, right) = random.split_at(16);
    let [left, right] = [left, right].map(|half| half.try_into().map_or(0, u128::from_be_bytes));
    let mut text = format!("{PREFIX}{id}-");
    // 22 digits hold 128 bits; 21 + 22 = 43 digits keep 253 of the 256 bits, which is plenty.
    text.push_str(&in_base_62(left, SECRET_LENGTH - 22));
    text.push_str(&in_base_62(right, 22));
    let checksum = in_base_62(u128::from(crc32(text.as_bytes())), CHECKSUM_LENGTH);
    text.push_str(&checksum);
    Secret::new(text)
}

/// The lowest `length` digits.
fn in_base_62(mut value: u128, length: usize) -> String {
    let mut digits = vec![b'0'; length];
    for slot in digits.iter_mut().rev() {
        let digit = usize::try_from(value % 62).unwrap_or_default();
        *slot = DIGITS.get(digit).copied().unwrap_or(b'0');
        value /= 62;
    }
    let mut text = String::with_capacity(length);
    for digit in digits {
        // Writing to a String cannot fail.
        _ = text.write_char(char::from(digit));
    }
    text
}

/// CRC-32 as in ISO-HDLC, bit by bit: keys are short.
fn crc32(bytes: &[u8]) -> u32 {
    let remainder = bytes.iter().fold(u32::MAX, |remainder, byte| {
        (0..8).fold(remainder ^ u32::from(*byte), |remainder, _| {
            (remainder >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(remainder & 1))
        })
    });
    !remainder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_common_crc() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_minted_key_is_ours_and_any_slip_is_seen() {
        let id = KeyId(0x0123_4567_89ab_cdef);
        let key = mint(id, [7; 32]);
        let key = key.expose();
        assert_eq!(shape(key), Shape::Ours(id));
        assert_eq!(key.len(), 6 + 13 + 1 + 43 + 6);
        for at in PREFIX.len()..key.len() {
            let mut slipped = key.as_bytes().to_vec();
            slipped[at] = if slipped[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(shape(std::str::from_utf8(&slipped).unwrap()), Shape::Mistyped, "at {at}");
        }
        assert_eq!(shape(&key[..key.len() - 1]), Shape::Mistyped);
        assert_eq!(shape("sk-tp-"), Shape::Mistyped);
        assert_eq!(shape("sk-tp-é"), Shape::Mistyped);
    }

    #[test]
    fn a_key_from_elsewhere_is_foreign() {
        assert_eq!(shape("sk-bench-key"), Shape::Foreign);
        assert_eq!(shape(""), Shape::Foreign);
    }

    #[test]
    fn different_bits_give_different_keys() {
        assert_ne!(mint(KeyId(1), [1; 32]).expose(), mint(KeyId(1), [2; 32]).expose());
    }
}
