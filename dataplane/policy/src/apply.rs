//! From one snapshot to the next: wholly or not at all, narrowly where something is not understood, and at a cost that
//! follows the change.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use vocab::{Digest, KeyHash, Kind, ModelName, ProviderName, Revision, Secret};

use crate::keys::Key;
use crate::model::Model;
use crate::provider::Provider;
use crate::rejected::{At, Fault, Quarantined, Rejected};
use crate::rights::Policy;
use crate::snapshot::{Held, Snapshot};

/// Opens what was sealed for a place, or says why not. What it says is shown to operators.
pub type Open<'a> = dyn Fn(&str, &[u8]) -> Result<Secret, String> + 'a;

#[derive(Debug)]
pub struct Applied {
    pub snapshot: Snapshot,
    /// What this update brought and was not understood. `Snapshot::rejected` has all there is.
    pub rejected_new: Vec<Rejected>,
}

/// An update that does not go on from what is held. Nothing has been applied: ask for everything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutOfStep {
    #[error("the update is from the store {theirs:?}, held is the store {ours:?}")]
    Store { ours: String, theirs: String },
    #[error("the update goes on from revision {from}, held is revision {held}")]
    Gap { held: Revision, from: Revision },
    #[error("the update leads back to revision {to}, held is revision {held}")]
    Backwards { held: Revision, to: Revision },
    #[error("applied, the update gives the digest {ours}, and should give {theirs}")]
    Digest { ours: Digest, theirs: Digest },
    #[error(transparent)]
    Malformed(#[from] wire::Malformed),
}

impl Snapshot {
    /// Removals go first; then what others refer to; then what refers to it. Within that, the later of two versions of
    /// one resource wins. Otherwise the order within an update does not matter.
    ///
    /// `from` 0 is a full sync: the same, on an empty snapshot. What is held of the same store is then asked for one
    /// thing only, the last good versions of what must be kept: how an update travels is not the operator's affair.
    ///
    /// A policy that is removed while keys refer to it goes on serving those keys.
    pub fn apply(&self, update: &wire::Update, open: &Open<'_>) -> Result<Applied, OutOfStep> {
        let theirs = wire::digest_of(&update.digest)?;
        let mut draft = self.draft(update, open)?;
        draft.next.revision = Revision(update.to);
        for removal in &update.removals {
            draft.remove((removal.kind, &removal.id));
        }
        let (first, second): (Vec<_>, Vec<_>) =
            update.upserts.iter().partition(|resource| is_referred_to(resource.kind));
        for resource in first {
            draft.upsert(resource);
        }
        draft.relink();
        draft.heal();
        for resource in second {
            draft.upsert(resource);
        }
        let ours = draft.next.digest;
        if ours == theirs { Ok(draft.finish()) } else { Err(OutOfStep::Digest { ours, theirs }) }
    }

    fn draft<'a>(&'a self, update: &wire::Update, open: &'a Open<'a>) -> Result<Draft<'a>, OutOfStep> {
        let (from, to) = (Revision(update.from), Revision(update.to));
        let same_store = *self.store == *update.store;
        let (next, earlier) = if from == Revision::NONE {
            let store = Arc::from(update.store.as_str());
            (Snapshot { store, ..Snapshot::empty() }, same_store.then_some(self))
        } else if !same_store {
            return Err(OutOfStep::Store { ours: self.store.to_string(), theirs: update.store.clone() });
        } else if from != self.revision {
            return Err(OutOfStep::Gap { held: self.revision, from });
        } else if to < from {
            return Err(OutOfStep::Backwards { held: self.revision, to });
        } else {
            (self.clone(), None)
        };
        Ok(Draft { next, earlier, open, turned: BTreeSet::new(), policies_came: false, rejected: BTreeSet::new() })
    }
}

fn is_referred_to(kind: u32) -> bool {
    match Kind::from_number(kind) {
        Some(Kind::Provider | Kind::Policy) | None => true,
        Some(Kind::Model | Kind::Key) => false,
    }
}

/// A snapshot in the making.
struct Draft<'a> {
    next: Snapshot,
    /// Where else a last good version may be found.
    earlier: Option<&'a Snapshot>,
    open: &'a Open<'a>,
    /// Providers that came, changed or went: models that refer to them are linked again.
    turned: BTreeSet<ProviderName>,
    policies_came: bool,
    rejected: BTreeSet<(u32, Bytes)>,
}

impl Draft<'_> {
    fn remove(&mut self, at: At<'_>) {
        self.next.digest = self.next.digest.without(self.next.digest_of(at));
        self.next.rejected.take(at);
        self.forget_good(at);
    }

    fn upsert(&mut self, resource: &wire::Resource) {
        let at = (resource.kind, &*resource.id);
        let without = self.next.digest.without(self.next.digest_of(at));
        self.next.digest = without.with(wire::digest_resource(resource));
        self.next.rejected.take(at);
        if let Err(fault) = self.understand(resource) {
            let kept = resource.keep_last_good && self.keep_good(at);
            if !kept {
                self.forget_good(at);
            }
            self.next.rejected.put(Quarantined::new(resource, &fault, kept));
            self.rejected.insert((resource.kind, resource.id.clone()));
        }
    }

    fn understand(&mut self, resource: &wire::Resource) -> Result<(), Fault> {
        match Kind::from_number(resource.kind).ok_or(Fault::Kind(resource.kind))? {
            Kind::Provider => {
                let provider = Provider::read(resource, self.open)?;
                let name = provider.name.clone();
                self.turned.insert(name.clone());
                Arc::make_mut(&mut self.next.providers).insert(name, Held::new(provider, &resource.body));
            }
            Kind::Model => {
                let model = Model::read(resource, &|name| self.next.find_provider(name))?;
                let held = Held::new(model, &resource.body);
                Arc::make_mut(&mut self.next.models).insert(held.what.name.clone(), held);
            }
            Kind::Policy => {
                self.next.policies.put(Held::new(Policy::read(resource)?, &resource.body));
                self.policies_came = true;
            }
            Kind::Key => {
                let hash = KeyHash::from_slice(&resource.id).ok_or(Fault::KeyHash(resource.id.len()))?;
                let key = Key::read(&resource.body, |id| self.next.find_policy(id))?;
                self.next.keys.put(hash, key, &resource.body);
            }
        }
        Ok(())
    }

    /// Whether a last good version goes on serving. Of keys and policies none ever does: what was meant to take rights
    /// away must not leave them because it was not understood.
    fn keep_good(&mut self, (kind, id): At<'_>) -> bool {
        match Kind::from_number(kind) {
            Some(Kind::Provider) => Provider::name_of(id).is_ok_and(|name| self.keep_provider(name)),
            Some(Kind::Model) => Model::name_of(id).is_ok_and(|name| self.keep_model(name)),
            Some(Kind::Policy | Kind::Key) | None => false,
        }
    }

    fn keep_provider(&mut self, name: ProviderName) -> bool {
        if self.next.providers.contains_key(&name) {
            return true;
        }
        let Some(held) = self.earlier.and_then(|earlier| earlier.providers.get(&name)) else { return false };
        Arc::make_mut(&mut self.next.providers).insert(name, held.clone());
        true
    }

    fn keep_model(&mut self, name: ModelName) -> bool {
        if self.next.models.contains_key(&name) {
            return true;
        }
        let Some(held) = self.earlier.and_then(|earlier| earlier.models.get(&name)) else { return false };
        let what = Arc::new(held.what.relinked(&|name| self.next.find_provider(name)));
        let held = Held { what, body: Arc::clone(&held.body) };
        Arc::make_mut(&mut self.next.models).insert(name, held);
        true
    }

    /// Copies a table only if there is something in it to forget.
    fn forget_good(&mut self, (kind, id): At<'_>) {
        match Kind::from_number(kind) {
            Some(Kind::Provider) => {
                let Ok(name) = Provider::name_of(id) else { return };
                if self.next.providers.contains_key(&name) {
                    Arc::make_mut(&mut self.next.providers).remove(&name);
                }
                self.turned.insert(name);
            }
            Some(Kind::Model) => {
                let Ok(name) = Model::name_of(id) else { return };
                if self.next.models.contains_key(&name) {
                    Arc::make_mut(&mut self.next.models).remove(&name);
                }
            }
            Some(Kind::Policy) => {
                let Some(id) = Policy::id_of(id) else { return };
                self.next.policies.take(id);
            }
            Some(Kind::Key) => {
                let Some(hash) = KeyHash::from_slice(id) else { return };
                self.next.keys.take(&hash);
            }
            None => {}
        }
    }

    /// Models that refer to a provider that turned are linked to what it is now; others are not touched.
    fn relink(&mut self) {
        if self.turned.is_empty() {
            return;
        }
        let affected = self.next.models.values().filter(|held| held.what.refers_to(|name| self.turned.contains(name)));
        let relink = |held: &Held<Model>| held.what.relinked(&|name| self.next.find_provider(name));
        let relinked: Vec<Model> = affected.map(relink).collect();
        for model in relinked {
            if let Some(held) = Arc::make_mut(&mut self.next.models).get_mut(&model.name) {
                held.what = Arc::new(model);
            }
        }
    }

    /// Keys that waited for a policy that has come leave their quarantine.
    fn heal(&mut self) {
        if !self.policies_came {
            return;
        }
        let next = &self.next;
        let healed = next.rejected.iter().filter_map(|row| {
            let policy = next.find_policy(row.waits_for()?)?;
            let key = Key::read(row.body(), |_| Some(policy)).ok()?;
            Some((KeyHash::from_slice(&row.rejected().id)?, key, row.clone()))
        });
        let healed: Vec<(KeyHash, Key, Quarantined)> = healed.collect();
        for (hash, key, row) in healed {
            self.next.keys.put(hash, key, row.body());
            self.next.rejected.take((Kind::Key.number(), &hash.0));
        }
    }

    fn finish(self) -> Applied {
        let still = |(kind, id): &(u32, Bytes)| self.next.rejected.get((*kind, id)).map(|row| row.rejected().clone());
        let rejected_new = self.rejected.iter().filter_map(still).collect();
        Applied { snapshot: self.next, rejected_new }
    }
}
