//! Envelope encryption: every value has its own random key, which is wrapped by a key of the ring.
//!
//! AES-256-GCM-SIV both times. The place a value belongs to is authenticated with it, so that a sealed value
//! moved to another row does not open there.
//!
//! ```text
//! version 1 | key id 4 | nonce 12 | wrapped key 32+16 | nonce 12 | value + 16
//! ```

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use vocab::Secret;

use crate::hash::{hash_key, random_bytes};

const VERSION: u8 = 1;
const ID_LENGTH: usize = 4;
const NONCE_LENGTH: usize = 12;
const KEY_LENGTH: usize = 32;
const TAG_LENGTH: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("a seal key is 32 bytes in base64 (44 characters); make one with `openssl rand -base64 32`")]
    NotAKey,
    #[error("the seal key ring is empty")]
    NoKey,
    #[error("sealed with key {0}, which is not on this ring: give every plane the same seal keys")]
    UnknownKey(String),
    #[error("not a sealed value")]
    NotSealed,
    #[error("does not open: it was changed, or moved from another place")]
    Tampered,
    #[error("the operating system gave no random bytes")]
    NoRandomness,
}

/// A value nobody can read without the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Sealed {
        Sealed(bytes.to_vec())
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(&self.0)
    }

    #[must_use]
    pub fn from_base64(text: &str) -> Option<Sealed> {
        STANDARD.decode(text).ok().map(Sealed)
    }
}

struct RingKey {
    id: [u8; ID_LENGTH],
    key: LessSafeKey,
}

/// The first key seals; all of them open. To rotate, put a new key in front and seal everything again.
pub struct Keyring(Vec<RingKey>);

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| hex(key.id))).finish()
    }
}

impl Keyring {
    /// One key a line, base64; empty lines and lines that start with # are skipped.
    pub fn parse(text: &Secret) -> Result<Keyring, Broken> {
        let lines = text.expose().lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys = lines.map(ring_key).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(Broken::NoKey) } else { Ok(Keyring(keys)) }
    }

    /// A line that `parse` reads, from 32 random bytes.
    #[must_use]
    pub fn line(random: [u8; KEY_LENGTH]) -> Secret {
        Secret::new(STANDARD.encode(random))
    }

    /// Which key seals now; says nothing about the key itself.
    #[must_use]
    pub fn current(&self) -> String {
        self.0.first().map(|key| hex(key.id)).unwrap_or_default()
    }

    /// Whether a value is sealed with the key that seals now: when all are, older keys may leave the ring.
    #[must_use]
    pub fn is_current(&self, sealed: &Sealed) -> bool {
        self.0.first().is_some_and(|key| sealed.0.get(1..=ID_LENGTH) == Some(key.id.as_slice()))
    }

    pub fn seal(&self, place: &str, value: &[u8]) -> Result<Sealed, Broken> {
        let ring_key = self.0.first().ok_or(Broken::NoKey)?;
        let value_key: [u8; KEY_LENGTH] = random_bytes().ok_or(Broken::NoRandomness)?;
        let mut out = vec![VERSION];
        out.extend_from_slice(&ring_key.id);
        put(&mut out, &ring_key.key, place, &value_key)?;
        put(&mut out, &aead_key(&value_key)?, place, value)?;
        Ok(Sealed(out))
    }

    pub fn open(&self, place: &str, sealed: &Sealed) -> Result<Vec<u8>, Broken> {
        let rest = sealed.0.strip_prefix(&[VERSION]).ok_or(Broken::NotSealed)?;
        let (id, rest) = rest.split_first_chunk::<ID_LENGTH>().ok_or(Broken::NotSealed)?;
        let (wrapped, value) =
            rest.split_at_checked(NONCE_LENGTH + KEY_LENGTH + TAG_LENGTH).ok_or(Broken::NotSealed)?;
        let ring_key = self.0.iter().find(|key| key.id == *id).ok_or_else(|| Broken::UnknownKey(hex(*id)))?;
        let value_key = take(&ring_key.key, place, wrapped)?;
        take(&aead_key(&value_key)?, place, value)
    }
}

fn ring_key(line: &str) -> Result<RingKey, Broken> {
    let bytes = STANDARD.decode(line).map_err(|_| Broken::NotAKey)?;
    let key = aead_key(&bytes)?;
    // The id is a hash of the key, so that two rings with the same keys agree without being told.
    let hash = hash_key(&format!("seal key {line}"));
    let id = hash.0.first_chunk::<ID_LENGTH>().copied().ok_or(Broken::NotAKey)?;
    Ok(RingKey { id, key })
}

fn aead_key(bytes: &[u8]) -> Result<LessSafeKey, Broken> {
    UnboundKey::new(&AES_256_GCM_SIV, bytes).map(LessSafeKey::new).map_err(|_| Broken::NotAKey)
}

fn put(out: &mut Vec<u8>, key: &LessSafeKey, place: &str, value: &[u8]) -> Result<(), Broken> {
    let nonce: [u8; NONCE_LENGTH] = random_bytes().ok_or(Broken::NoRandomness)?;
    let mut sealed = value.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place.as_bytes()), &mut sealed)
        .map_err(|_| Broken::Tampered)?;
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&sealed);
    Ok(())
}

fn take(key: &LessSafeKey, place: &str, bytes: &[u8]) -> Result<Vec<u8>, Broken> {
    let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LENGTH>().ok_or(Broken::NotSealed)?;
    let mut sealed = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let length =
        key.open_in_place(nonce, Aad::from(place.as_bytes()), &mut sealed).map_err(|_| Broken::Tampered)?.len();
    sealed.truncate(length);
    Ok(sealed)
}

fn hex(id: [u8; ID_LENGTH]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(bytes: &[u8]) -> Keyring {
        let lines: Vec<_> = bytes.iter().map(|byte| Keyring::line([*byte; 32]).expose().to_string()).collect();
        Keyring::parse(&Secret::new(lines.join("\n"))).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_and_nowhere_else() {
        let ring = ring(&[1]);
        let sealed = ring.seal("Provider/a/credential", b"sk-upstream").unwrap();
        assert_eq!(ring.open("Provider/a/credential", &sealed).unwrap(), b"sk-upstream");
        assert_eq!(ring.open("Provider/b/credential", &sealed), Err(Broken::Tampered));
        assert!(!sealed.as_bytes().windows(4).any(|window| window == b"sk-u"));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let ring = ring(&[1]);
        let sealed = ring.seal("here", b"value").unwrap();
        for at in 0..sealed.0.len() {
            let mut changed = sealed.clone();
            changed.0[at] ^= 1;
            assert!(ring.open("here", &changed).is_err(), "at {at}");
            assert!(ring.open("here", &Sealed(sealed.0[..at].to_vec())).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_ring_is_rotated_by_putting_a_new_key_in_front() {
        let old = ring(&[1]).seal("here", b"value").unwrap();
        let both = ring(&[2, 1]);
        assert_eq!(both.open("here", &old).unwrap(), b"value");
        let new = both.seal("here", b"value").unwrap();
        assert!(both.is_current(&new) && !both.is_current(&old));
        assert!(matches!(ring(&[1]).open("here", &new), Err(Broken::UnknownKey(_))));
        assert_eq!(ring(&[2]).open("here", &new).unwrap(), b"value");
    }

    #[test]
    fn what_is_not_a_key_is_refused() {
        for text in ["", "# nothing", "c2hvcnQ=", "not base64"] {
            assert!(Keyring::parse(&Secret::new(text.into())).is_err(), "{text}");
        }
    }
}
