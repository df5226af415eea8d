//! Numbers that stand for things: short, opaque, printed in lowercase base 32 without look-alikes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Crockford's alphabet: no i, l, o, u.
const ALPHABET: [u8; 32] = *b"0123456789abcdefghjkmnpqrstvwxyz";

/// Thirteen characters hold 64 bits with one to spare.
const LENGTH: usize = 13;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is {LENGTH} characters of 0-9 and a-z without i, l, o and u")]
pub struct NotAnId;

fn draw(value: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut text = [0u8; LENGTH];
    let mut rest = value;
    for slot in text.iter_mut().rev() {
        let digit = usize::try_from(rest & 31).unwrap_or_default();
        *slot = ALPHABET.get(digit).copied().unwrap_or(b'0');
        rest >>= 5;
    }
    f.write_str(std::str::from_utf8(&text).unwrap_or_default())
}

fn read(text: &str) -> Result<u64, NotAnId> {
    if text.len() != LENGTH {
        return Err(NotAnId);
    }
    text.bytes().try_fold(0u64, |value, byte| {
        let digit = ALPHABET.iter().position(|letter| *letter == byte).ok_or(NotAnId)?;
        let digit = u64::try_from(digit).map_err(|_| NotAnId)?;
        value.checked_mul(32).and_then(|value| value.checked_add(digit)).ok_or(NotAnId)
    })
}

macro_rules! ids {
    ($($(#[$doc:meta])* $id:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $id(pub u64);

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                draw(self.0, f)
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($id), "({})"), self)
            }
        }

        impl FromStr for $id {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                read(text).map($id)
            }
        }

        impl Serialize for $id {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// A virtual key as an object: it outlives the secrets that are rotated through it.
    KeyId;
    /// A compiled set of rights that many keys share. The id is a hash of the contents.
    PolicyId;
    /// One run of one proxy process.
    Boot;
    /// One request, as it is named to its caller and in the log.
    RequestId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_survives_being_written_and_read() {
        for value in [0, 1, 31, 32, 1 << 60, u64::MAX] {
            let id = KeyId(value);
            assert_eq!(id.to_string().len(), LENGTH);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for text in ["", "0", "zzzzzzzzzzzzzz", "ffffffffffffi", "FFFFFFFFFFFFF", "zzzzzzzzzzzzz"] {
            assert_eq!(text.parse::<KeyId>(), Err(NotAnId), "{text}");
        }
    }
}
