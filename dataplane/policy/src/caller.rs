//! Whose key this is, or why it opens nothing.

use vocab::key::{Shape, shape};
use vocab::{KeyHash, Kind, Timestamp};

use crate::keys::Key;
use crate::refusal::Denied;
use crate::snapshot::Snapshot;

/// What can be said of a presented key before it is hashed and looked up.
pub fn spelled(presented: &str) -> Result<(), Denied> {
    match shape(presented) {
        Shape::Foreign if presented.is_empty() => Err(Denied::Missing),
        Shape::Mistyped => Err(Denied::Mistyped),
        Shape::Ours(_) | Shape::Foreign => Ok(()),
    }
}

/// `hash` is the SHA-256 of all that was presented.
///
/// A key that cannot be found by it is compared with nothing else: to learn anything from the time that this takes,
/// one would have to choose hashes.
pub fn caller<'s>(snapshot: &'s Snapshot, hash: &KeyHash, now: Timestamp) -> Result<&'s Key, Denied> {
    let Some(key) = snapshot.key(hash) else {
        let held = snapshot.rejection(Kind::Key, &hash.0).is_some();
        return Err(if held { Denied::Quarantined } else { Denied::Unknown });
    };
    if key.disabled {
        return Err(Denied::Disabled);
    }
    match key.expires() {
        Some(expires) if expires <= now => Err(Denied::Expired),
        Some(_) | None => Ok(key),
    }
}
