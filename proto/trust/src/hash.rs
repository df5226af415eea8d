//! From a presented key to the hash it is known by; comparing tokens; random bytes for minting.

use aws_lc_rs::{constant_time, digest, rand};
use vocab::{KeyHash, Secret};

#[must_use]
pub fn hash_key(presented: &str) -> KeyHash {
    let mut hash = [0u8; 32];
    let sum = digest::digest(&digest::SHA256, presented.as_bytes());
    for (slot, byte) in hash.iter_mut().zip(sum.as_ref()) {
        *slot = *byte;
    }
    KeyHash(hash)
}

/// Compares without telling by its duration how much agreed. Both sides are hashed first, so that length does not tell either.
#[must_use]
pub fn equal(known: &Secret, presented: &str) -> bool {
    constant_time::verify_slices_are_equal(&hash_key(known.expose()).0, &hash_key(presented).0).is_ok()
}

/// `None` when the operating system has no randomness to give.
#[must_use]
pub fn random_bytes<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0u8; N];
    rand::fill(&mut bytes).ok().map(|()| bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_sha_256_of_the_whole_string() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash_key("abc").to_string(), abc);
    }

    #[test]
    fn only_the_same_token_is_equal() {
        let token = Secret::new("token".into());
        assert!(equal(&token, "token"));
        assert!(!equal(&token, "toke") && !equal(&token, "tokeN") && !equal(&token, ""));
    }
}
