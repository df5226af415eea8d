//! The ways to a resource other than its name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use vocab::{KeyHash, KeyId, PolicyId};

use crate::compile;
use crate::resource::{Key, Resource, ResourceKind};

/// `check` keeps hashes and ids unique. Should two keys share one all the same (a store that was edited by hand), the
/// one with the smaller name has it, whatever the order in which they came: compiling must not depend on the way there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    hashes: BTreeSet<(KeyHash, Arc<str>)>,
    ids: BTreeSet<(KeyId, Arc<str>)>,
    referrers: HashMap<ResourceKind, HashMap<Arc<str>, BTreeSet<Referrer>>>,
    policies: BTreeMap<PolicyId, Interned>,
}

type Referrer = (ResourceKind, Arc<str>);

#[derive(Clone, Debug)]
struct Interned {
    body: Bytes,
    keys: usize,
}

impl Index {
    pub(super) fn insert(&mut self, name: &Arc<str>, resource: &Resource) {
        let referrer = (resource.kind(), Arc::clone(name));
        for need in resource.needs() {
            let named = self.referrers.entry(need.kind).or_default();
            if !named.contains_key(need.name) {
                named.insert(Arc::from(need.name), BTreeSet::new());
            }
            if let Some(referrers) = named.get_mut(need.name) {
                referrers.insert(referrer.clone());
            }
        }
        if let Resource::Key(key) = resource {
            self.insert_key(name, key);
        }
    }

    fn insert_key(&mut self, name: &Arc<str>, key: &Key) {
        self.hashes.extend(key.hashes().map(|hash| (hash, Arc::clone(name))));
        self.ids.insert((key.id, Arc::clone(name)));
        let (id, body) = compile::policy(key);
        let interned = self.policies.entry(id).or_insert(Interned { body, keys: 0 });
        interned.keys = interned.keys.saturating_add(1);
    }

    pub(super) fn remove(&mut self, name: &Arc<str>, resource: &Resource) {
        let referrer = (resource.kind(), Arc::clone(name));
        for need in resource.needs() {
            let Some(named) = self.referrers.get_mut(&need.kind) else { continue };
            let Some(referrers) = named.get_mut(need.name) else { continue };
            referrers.remove(&referrer);
            if referrers.is_empty() {
                named.remove(need.name);
            }
        }
        if let Resource::Key(key) = resource {
            self.remove_key(name, key);
        }
    }

    fn remove_key(&mut self, name: &Arc<str>, key: &Key) {
        for hash in key.hashes() {
            self.hashes.remove(&(hash, Arc::clone(name)));
        }
        self.ids.remove(&(key.id, Arc::clone(name)));
        let (id, _) = compile::policy(key);
        if let Some(interned) = self.policies.get_mut(&id) {
            interned.keys = interned.keys.saturating_sub(1);
            if interned.keys == 0 {
                self.policies.remove(&id);
            }
        }
    }

    /// The first of them has it.
    pub(crate) fn keys_of_hash(&self, hash: &KeyHash) -> impl Iterator<Item = &str> {
        let hash = *hash;
        let from = self.hashes.range((hash, Arc::from(""))..);
        from.take_while(move |(other, _)| *other == hash).map(|(_, name)| &**name)
    }

    pub(crate) fn keys_of_id(&self, id: KeyId) -> impl Iterator<Item = &str> {
        let from = self.ids.range((id, Arc::from(""))..);
        from.take_while(move |(other, _)| *other == id).map(|(_, name)| &**name)
    }

    pub(super) fn key_of_id(&self, id: KeyId) -> Option<&str> {
        self.keys_of_id(id).next()
    }

    pub(crate) fn referrers(&self, kind: ResourceKind, name: &str) -> impl Iterator<Item = &Referrer> {
        let named = self.referrers.get(&kind).and_then(|named| named.get(name));
        named.into_iter().flatten()
    }

    pub(super) fn policies(&self) -> impl Iterator<Item = (PolicyId, &Bytes)> {
        self.policies.iter().map(|(id, interned)| (*id, &interned.body))
    }

    pub(super) fn policy(&self, id: PolicyId) -> Option<&Bytes> {
        self.policies.get(&id).map(|interned| &interned.body)
    }
}
