//! Everything a proxy knows of the operator's will at one revision: looked at, never edited.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use vocab::{Digest, KeyHash, Kind, ModelName, PolicyId, ProviderName, Revision};

use crate::keys::{Key, Keys};
use crate::model::{Gap, Model};
use crate::provider::Provider;
use crate::rejected::{At, Quarantined, Rejected, at};
use crate::rights::Policy;
use crate::table::{Row, Table};

/// Cheap to clone: tables are shared, and a changed copy shares what did not change.
#[derive(Clone, PartialEq)]
pub struct Snapshot {
    pub(crate) store: Arc<str>,
    pub(crate) revision: Revision,
    pub(crate) digest: Digest,
    pub(crate) providers: Arc<BTreeMap<ProviderName, Held<Provider>>>,
    pub(crate) models: Arc<BTreeMap<ModelName, Held<Model>>>,
    pub(crate) policies: Table<Held<Policy>>,
    pub(crate) keys: Keys,
    pub(crate) rejected: Table<Quarantined>,
}

/// What was understood, and the bytes it came in: they make its part of the digest, and they are what is saved.
#[derive(Debug, PartialEq)]
pub(crate) struct Held<T> {
    pub(crate) what: Arc<T>,
    pub(crate) body: Arc<[u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    pub keys: usize,
    pub models: usize,
    pub providers: usize,
    pub policies: usize,
    /// Quarantined, of whatever kind. One that is kept counts among its kind as well.
    pub rejected: usize,
}

impl Snapshot {
    #[must_use]
    pub fn empty() -> Snapshot {
        Snapshot {
            store: Arc::from(""),
            revision: Revision::NONE,
            digest: Digest::default(),
            providers: Arc::default(),
            models: Arc::default(),
            policies: Table::empty(),
            keys: Keys::empty(),
            rejected: Table::empty(),
        }
    }

    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The identity of the store that the revision counts in.
    #[must_use]
    pub fn store(&self) -> &str {
        &self.store
    }

    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            keys: self.keys.len(),
            models: self.models.len(),
            providers: self.providers.len(),
            policies: self.policies.len(),
            rejected: self.rejected.len(),
        }
    }

    #[must_use]
    pub fn key(&self, hash: &KeyHash) -> Option<&Key> {
        self.keys.get(hash)
    }

    #[must_use]
    pub fn model(&self, name: &str) -> Option<&Arc<Model>> {
        self.models.get(name).map(|held| &held.what)
    }

    /// Sorted by name.
    pub fn models(&self) -> impl Iterator<Item = &Arc<Model>> {
        self.models.values().map(|held| &held.what)
    }

    #[must_use]
    pub fn provider(&self, name: &str) -> Option<&Arc<Provider>> {
        self.providers.get(name).map(|held| &held.what)
    }

    /// Sorted by name.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.providers.values().map(|held| &held.what)
    }

    /// All that is in quarantine now.
    pub fn rejected(&self) -> impl Iterator<Item = &Rejected> {
        self.rejected.iter().map(Quarantined::rejected)
    }

    pub(crate) fn rejection(&self, kind: Kind, id: &[u8]) -> Option<&Rejected> {
        self.rejected.get(at(kind, id)).map(Quarantined::rejected)
    }

    pub(crate) fn find_provider(&self, name: &ProviderName) -> Result<Arc<Provider>, Gap> {
        match self.providers.get(name) {
            Some(held) => Ok(Arc::clone(&held.what)),
            None if self.rejection(Kind::Provider, name.as_str().as_bytes()).is_some() => Err(Gap::Quarantined),
            None => Err(Gap::Missing),
        }
    }

    pub(crate) fn find_policy(&self, id: PolicyId) -> Option<Arc<Policy>> {
        self.policies.get(id).map(|held| Arc::clone(&held.what))
    }

    /// What this resource adds to the digest; nothing if it is not held. Where a bad version is held beside a good
    /// one that is kept, the bad one counts: it is what the control plane has.
    pub(crate) fn digest_of(&self, (kind, id): At<'_>) -> Digest {
        let body = match self.rejected.get((kind, id)) {
            Some(bad) => Some(Cow::Borrowed(bad.body())),
            None => self.good_body((kind, id)),
        };
        body.map_or(Digest::default(), |body| Digest::of(kind, id, &body))
    }

    fn good_body(&self, (kind, id): At<'_>) -> Option<Cow<'_, [u8]>> {
        let text = std::str::from_utf8(id).ok();
        match Kind::from_number(kind)? {
            Kind::Provider => self.providers.get(text?).map(|held| Cow::Borrowed(&*held.body)),
            Kind::Model => self.models.get(text?).map(|held| Cow::Borrowed(&*held.body)),
            Kind::Policy => self.policies.get(Policy::id_of(id)?).map(|held| Cow::Borrowed(&*held.body)),
            Kind::Key => self.keys.body(&KeyHash::from_slice(id)?),
        }
    }

    /// A full sync that makes an empty snapshot into this one: what is saved for a start without a control plane.
    ///
    /// Where a good version is kept beside a bad one, both are in it, the good one first.
    #[must_use]
    pub fn to_update(&self) -> wire::Update {
        let providers =
            self.providers.iter().map(|(name, held)| held.to_resource(Kind::Provider, name.as_str().as_bytes()));
        let models = self.models.iter().map(|(name, held)| held.to_resource(Kind::Model, name.as_str().as_bytes()));
        let policies = self.policies.iter().map(|held| held.to_resource(Kind::Policy, &held.what.id.0.to_be_bytes()));
        let keys = self.keys.bodies().map(|(hash, body)| good(Kind::Key, &hash.0, body.into_owned().into()));
        let rejected = self.rejected.iter().map(Quarantined::to_resource);
        wire::Update {
            store: self.store.to_string(),
            from: Revision::NONE.0,
            to: self.revision.0,
            upserts: providers.chain(models).chain(policies).chain(keys).chain(rejected).collect(),
            removals: Vec::new(),
            digest: Bytes::copy_from_slice(&self.digest.to_bytes()),
            more: false,
        }
    }
}

/// Says how much there is, and none of it.
impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("store", &self.store)
            .field("revision", &self.revision)
            .field("digest", &self.digest)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

impl<T> Held<T> {
    /// The bytes are copied, because those of an update are slices of the whole frame it came in.
    pub(crate) fn new(what: T, body: &[u8]) -> Held<T> {
        Held { what: Arc::new(what), body: Arc::from(body) }
    }

    fn to_resource(&self, kind: Kind, id: &[u8]) -> wire::Resource {
        good(kind, id, Bytes::copy_from_slice(&self.body))
    }
}

/// Of a version that is understood, `keep_last_good` says nothing.
fn good(kind: Kind, id: &[u8], body: Bytes) -> wire::Resource {
    wire::Resource { kind: kind.number(), id: Bytes::copy_from_slice(id), body, keep_last_good: false }
}

impl<T> Clone for Held<T> {
    fn clone(&self) -> Self {
        Held { what: Arc::clone(&self.what), body: Arc::clone(&self.body) }
    }
}

/// Policies are few where keys share them, and as many as keys where each key has a user of its own.
impl Row for Held<Policy> {
    type Id<'a> = PolicyId;

    fn id(&self) -> PolicyId {
        self.what.id
    }

    fn compare(&self, id: PolicyId) -> std::cmp::Ordering {
        self.what.id.cmp(&id)
    }

    /// The id is a hash.
    fn spread(id: PolicyId) -> u16 {
        let [first, second, ..] = id.0.to_be_bytes();
        u16::from_be_bytes([first, second])
    }
}
