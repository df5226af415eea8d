//! Everything in force, and what follows from a change to it.

mod index;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use vocab::{Digest, KeyHash, KeyId, PolicyId, Revision};

use crate::compile;
use crate::diff::{Change, Delta};
use crate::resource::{Key, Ref, Resource, ResourceKind};
use index::Index;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub resource: Resource,
    /// Of its last change.
    pub revision: Revision,
}

/// The resources of one revision, with the indexes that make a change cost what it changes.
#[derive(Clone, Debug, Default)]
pub struct State {
    revision: Revision,
    digest: Digest,
    tables: BTreeMap<ResourceKind, Table>,
    index: Index,
}

/// A copy of a state shares its resources.
type Table = BTreeMap<Arc<str>, Arc<Stored>>;

/// A row of a proxy's tables, in the order of kind and id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Address {
    Provider(Arc<str>),
    Model(Arc<str>),
    Policy(PolicyId),
    Key(KeyHash),
}

impl State {
    #[must_use]
    pub fn new() -> State {
        State::default()
    }

    /// What a store holds. Of two resources of one name the later counts.
    #[must_use]
    pub fn load(revision: Revision, resources: impl IntoIterator<Item = Stored>) -> State {
        let mut state = State { revision, ..State::default() };
        for stored in resources {
            let name = state.remove(stored.resource.kind(), stored.resource.name());
            let name = name.unwrap_or_else(|| Arc::from(stored.resource.name()));
            state.insert(name, stored);
        }
        state.digest = state.rows().iter().map(wire::digest_resource).fold(Digest::default(), Digest::with);
        state
    }

    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Of all the rows a proxy holds at this revision.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    #[must_use]
    pub fn get(&self, reference: &Ref) -> Option<&Stored> {
        self.find(reference.kind, &reference.name)
    }

    #[must_use]
    pub fn find(&self, kind: ResourceKind, name: &str) -> Option<&Stored> {
        self.tables.get(&kind)?.get(name).map(Arc::as_ref)
    }

    /// Those of a kind, sorted by name, from the first that comes after `after`.
    pub fn list(&self, kind: ResourceKind, after: Option<&str>) -> impl Iterator<Item = &Stored> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let table = self.tables.get(&kind);
        table
            .into_iter()
            .flat_map(move |table| table.range::<str, _>((from, Bound::Unbounded)))
            .map(|(_, stored)| &**stored)
    }

    /// Everything, in the order of an export: by kind, then by name.
    pub fn iter(&self) -> impl Iterator<Item = &Stored> {
        self.tables.values().flat_map(BTreeMap::values).map(Arc::as_ref)
    }

    #[must_use]
    pub fn count(&self, kind: ResourceKind) -> usize {
        self.tables.get(&kind).map_or(0, BTreeMap::len)
    }

    /// The key as an object, whatever its secret is now.
    #[must_use]
    pub fn key_by_id(&self, id: KeyId) -> Option<&Key> {
        self.key(self.index.key_of_id(id)?)
    }

    /// The key with this secret, or with this one before its last rotation.
    #[must_use]
    pub fn key_by_hash(&self, hash: &KeyHash) -> Option<&Key> {
        self.key(self.index.keys_of_hash(hash).next()?)
    }

    /// What names this resource, sorted by kind and name.
    pub fn referrers(&self, of: &Ref) -> impl Iterator<Item = Ref> {
        self.index.referrers(of.kind, &of.name).map(|(kind, name)| Ref::new(*kind, name))
    }

    /// Puts committed changes into force, and says what a proxy must be told. It does not check: that is over by now.
    pub fn commit(&mut self, revision: Revision, changes: &[Change]) -> Delta {
        let last: BTreeMap<_, _> = changes.iter().map(|change| (change.place(), change.put())).collect();
        let mut touched = BTreeSet::new();
        for ((kind, name), put) in &last {
            let now = self.find(*kind, name).map(|stored| &stored.resource);
            touched.extend(now.into_iter().chain(*put).flat_map(addresses_of));
        }
        let before: Vec<_> = touched.iter().map(|address| self.row(address)).collect();
        for ((kind, name), put) in last {
            let name = self.remove(kind, name).unwrap_or_else(|| Arc::from(name));
            if let Some(resource) = put {
                self.insert(name, Stored { resource: resource.clone(), revision });
            }
        }
        let after: Vec<_> = touched.iter().map(|address| self.row(address)).collect();
        self.revision = revision;
        self.delta(before.into_iter().zip(after))
    }

    /// Everything a proxy holds at this revision, as the delta from nothing.
    #[must_use]
    pub fn full(&self) -> Delta {
        Delta { upserts: self.rows(), removals: Vec::new(), digest: self.digest }
    }

    fn delta(&mut self, rows: impl Iterator<Item = (Option<wire::Resource>, Option<wire::Resource>)>) -> Delta {
        let mut delta = Delta::default();
        for (before, after) in rows.filter(|(before, after)| before != after) {
            if let Some(before) = &before {
                self.digest = self.digest.without(wire::digest_resource(before));
            }
            match (before, after) {
                (_, Some(after)) => {
                    self.digest = self.digest.with(wire::digest_resource(&after));
                    delta.upserts.push(after);
                }
                (Some(before), None) => delta.removals.push(wire::Ref { kind: before.kind, id: before.id }),
                (None, None) => {}
            }
        }
        delta.digest = self.digest;
        delta
    }

    fn insert(&mut self, name: Arc<str>, stored: Stored) {
        self.index.insert(&name, &stored.resource);
        self.tables.entry(stored.resource.kind()).or_default().insert(name, Arc::new(stored));
    }

    /// Gives the name back, so that it is allocated once.
    fn remove(&mut self, kind: ResourceKind, name: &str) -> Option<Arc<str>> {
        let (name, stored) = self.tables.get_mut(&kind)?.remove_entry(name)?;
        self.index.remove(&name, &stored.resource);
        Some(name)
    }

    fn key(&self, name: &str) -> Option<&Key> {
        self.find(ResourceKind::Key, name)?.resource.as_key()
    }

    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    /// Every row, sorted by kind and id.
    fn rows(&self) -> Vec<wire::Resource> {
        let named = |kind| self.list(kind, None).filter_map(|stored| named_row(&stored.resource));
        let policies = self.index.policies().map(|(id, body)| compile::policy_row(id, body.clone()));
        let mut rows: Vec<_> =
            named(ResourceKind::Provider).chain(named(ResourceKind::Model)).chain(policies).collect();
        let keys = self.list(ResourceKind::Key, None).filter_map(|stored| stored.resource.as_key());
        let mut keys: Vec<_> = keys.flat_map(|key| self.key_rows(key)).collect();
        // They come sorted by name. Of two with one hash the first stays, as in the index.
        keys.sort_by(|left, right| left.id.cmp(&right.id));
        keys.dedup_by(|later, first| later.id == first.id);
        rows.append(&mut keys);
        rows
    }

    fn key_rows(&self, key: &Key) -> impl Iterator<Item = wire::Resource> {
        let (policy, _) = compile::policy(key);
        key.hashes().filter_map(move |hash| compile::key_row(key, &hash, policy))
    }

    fn row(&self, address: &Address) -> Option<wire::Resource> {
        match address {
            Address::Provider(name) => {
                self.find(ResourceKind::Provider, name).and_then(|stored| named_row(&stored.resource))
            }
            Address::Model(name) => self.find(ResourceKind::Model, name).and_then(|stored| named_row(&stored.resource)),
            Address::Policy(id) => self.index.policy(*id).map(|body| compile::policy_row(*id, body.clone())),
            Address::Key(hash) => {
                let key = self.key_by_hash(hash)?;
                let (policy, _) = compile::policy(key);
                compile::key_row(key, hash, policy)
            }
        }
    }
}

fn named_row(resource: &Resource) -> Option<wire::Resource> {
    match resource {
        Resource::Provider(provider) => Some(compile::provider(provider)),
        Resource::Model(model) => Some(compile::model(model)),
        Resource::Team(_) | Resource::User(_) | Resource::Key(_) => None,
    }
}

/// The rows that this resource has a part in.
fn addresses_of(resource: &Resource) -> Vec<Address> {
    match resource {
        Resource::Provider(provider) => vec![Address::Provider(Arc::from(provider.name.as_str()))],
        Resource::Model(model) => vec![Address::Model(Arc::from(model.name.as_str()))],
        Resource::Key(key) => {
            let (policy, _) = compile::policy(key);
            key.hashes().map(Address::Key).chain([Address::Policy(policy)]).collect()
        }
        Resource::Team(_) | Resource::User(_) => Vec::new(),
    }
}
