//! A hundred thousand keys and more, each found by the SHA-256 of what a caller presents.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use prost::Message;
use vocab::{KeyHash, KeyId, ModelName, PolicyId, Timestamp};

use crate::rejected::Fault;
use crate::rights::Policy;
use crate::table::{Row, Table};

/// A virtual key: an id, its rights, and its own bits. Kept small, because there are so many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub id: KeyId,
    pub policy: Arc<Policy>,
    /// 0 for never, as on the wire: an `Option` would cost eight bytes a key.
    expires_ms: u64,
    pub metadata: Metadata,
    pub disabled: bool,
}

impl Key {
    /// `policy` finds the rights a key refers to.
    pub(crate) fn read(body: &[u8], policy: impl FnOnce(PolicyId) -> Option<Arc<Policy>>) -> Result<Key, Fault> {
        let wire::Key { id, policy: policy_id, expires_ms, disabled, metadata } = wire::Key::decode(body)?;
        let policy_id = PolicyId(policy_id);
        let policy = policy(policy_id).ok_or(Fault::Policy(policy_id))?;
        Ok(Key { id: KeyId(id), policy, expires_ms, metadata: Metadata::new(&metadata), disabled })
    }

    /// The first instant at which it is no longer good.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        (self.expires_ms > 0).then(|| Timestamp::from_ms(self.expires_ms))
    }

    #[must_use]
    pub fn may_use(&self, model: &ModelName) -> bool {
        self.policy.may_use(model)
    }

    fn to_body(&self) -> Vec<u8> {
        let metadata = self.metadata.iter().map(|(name, value)| wire::Pair { name: name.into(), value: value.into() });
        let (id, policy, expires_ms) = (self.id.0, self.policy.id.0, self.expires_ms);
        wire::Key { id, policy, expires_ms, disabled: self.disabled, metadata: metadata.collect() }.encode_to_vec()
    }
}

/// What an operator noted on a key: names and values, in the operator's order.
///
/// One allocation however many there are, none if there are none: each text stands behind its length and a colon.
/// Not shared, because for a short note the counts of an `Arc` would weigh as much as the note.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Metadata(Option<Box<str>>);

impl Metadata {
    fn new(pairs: &[wire::Pair]) -> Metadata {
        let mut joined = String::new();
        for text in pairs.iter().flat_map(|pair| [&pair.name, &pair.value]) {
            // Writing to a String cannot fail.
            _ = write!(joined, "{}:{text}", text.len());
        }
        Metadata((!joined.is_empty()).then(|| joined.into()))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest = self.0.as_deref().unwrap_or_default();
        let mut next = move || {
            let (length, behind) = rest.split_once(':')?;
            let text;
            (text, rest) = behind.split_at_checked(length.parse().ok()?)?;
            Some(text)
        };
        std::iter::from_fn(move || Some((next()?, next()?)))
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(other, _)| *other == name).map(|(_, value)| value)
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// The table of keys. The bytes a key came in can be made again from its row, so they are kept only where they cannot:
/// where a newer control plane said more than this build understands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Keys {
    rows: Table<Hashed<Key>>,
    odd: Table<Hashed<Arc<[u8]>>>,
}

impl Keys {
    pub(crate) fn empty() -> Keys {
        Keys { rows: Table::empty(), odd: Table::empty() }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn get(&self, hash: &KeyHash) -> Option<&Key> {
        self.rows.get(hash).map(|row| &row.value)
    }

    pub(crate) fn put(&mut self, hash: KeyHash, key: Key, body: &[u8]) {
        if key.to_body() == body {
            self.odd.take(&hash);
        } else {
            self.odd.put(Hashed { hash, value: Arc::from(body) });
        }
        self.rows.put(Hashed { hash, value: key });
    }

    pub(crate) fn take(&mut self, hash: &KeyHash) {
        self.odd.take(hash);
        self.rows.take(hash);
    }

    /// The bytes a key came in.
    pub(crate) fn body(&self, hash: &KeyHash) -> Option<Cow<'_, [u8]>> {
        self.get(hash).map(|key| self.body_of(hash, key))
    }

    /// Each with the bytes it came in.
    pub(crate) fn bodies(&self) -> impl Iterator<Item = (&KeyHash, Cow<'_, [u8]>)> {
        self.rows.iter().map(|row| (&row.hash, self.body_of(&row.hash, &row.value)))
    }

    fn body_of(&self, hash: &KeyHash, key: &Key) -> Cow<'_, [u8]> {
        match self.odd.get(hash) {
            Some(odd) => Cow::Borrowed(&*odd.value),
            None => Cow::Owned(key.to_body()),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Hashed<V> {
    hash: KeyHash,
    value: V,
}

impl<V: Clone> Row for Hashed<V> {
    type Id<'a>
        = &'a KeyHash
    where
        V: 'a;

    fn id(&self) -> &KeyHash {
        &self.hash
    }

    fn compare(&self, id: &KeyHash) -> Ordering {
        self.hash.cmp(id)
    }

    /// SHA-256 spreads better than any hash we could put on top of it.
    fn spread(id: &KeyHash) -> u16 {
        let [first, second, ..] = id.0;
        u16::from_be_bytes([first, second])
    }
}

#[cfg(test)]
mod tests;
