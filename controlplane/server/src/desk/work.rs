//! What can be proposed, and what it comes to on top of what is in force.

use std::collections::BTreeMap;

use registry::resource::{Provider, Reach};
use registry::{Change, Entry, Fault, Key, Outcome, Ref, Resource, ResourceKind, Sealer as _, State, Stored};
use registry::{credential_place, export, patch, propose};
use serde_json::{Value, json};
use vocab::{Revision, Secret};

use super::{Refusal, doc_key};
use crate::clock;
use crate::sealer::Vault;
use crate::store::DocKey;

#[derive(Debug)]
pub(crate) enum Work {
    /// All of them or none.
    Documents(Vec<Value>),
    Patch {
        of: Ref,
        patch: Value,
    },
    Delete(Ref),
    /// A new secret, given or minted; the old one stays good for a while.
    Rotate {
        key: String,
        secret: Option<Value>,
        grace_ms: u64,
    },
    Revoke {
        key: String,
    },
}

/// What must be so for a proposal to count.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub(crate) of: Ref,
    pub(crate) must: Must,
}

#[derive(Clone, Debug)]
pub(crate) enum Must {
    Exist,
    NotExist,
    /// As `NotExist`, said by a request that means to create.
    BeNew,
    /// Be at one of these.
    BeAt(Vec<Revision>),
}

/// Valid against one revision, and not yet in force.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) changes: Vec<Change>,
    entries: Vec<Entry>,
    /// Of each entry, as it is in force now.
    revisions: Vec<Option<Revision>>,
}

/// A proposal that is in force.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) revision: Revision,
    pub(crate) written: Vec<Written>,
}

#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) stored: Stored,
    pub(crate) outcome: Outcome,
    /// To be shown once.
    pub(crate) minted: Option<Secret>,
}

impl Prepared {
    fn of(state: &State, entries: Vec<Entry>) -> Prepared {
        let changed = entries.iter().filter(|entry| entry.outcome != Outcome::Unchanged);
        let changes = changed.map(|entry| Change::Put(entry.resource.clone())).collect();
        let revision = |entry: &Entry| state.get(&entry.resource.reference()).map(|stored| stored.revision);
        let revisions = entries.iter().map(revision).collect();
        Prepared { changes, entries, revisions }
    }

    /// `before` is what it was validated against, `after` what the transaction became.
    pub(super) fn done(self, before: Revision, after: Revision) -> Done {
        let revision = if self.changes.is_empty() { before } else { after };
        let written = self.entries.into_iter().zip(self.revisions).map(|(entry, was)| {
            let own = was.filter(|_| entry.outcome == Outcome::Unchanged).unwrap_or(after);
            Written {
                stored: Stored { resource: entry.resource, revision: own },
                outcome: entry.outcome,
                minted: entry.minted,
            }
        });
        Done { revision, written: written.collect() }
    }
}

pub(super) fn prepare(
    state: &State,
    unreadable: &BTreeMap<DocKey, String>,
    work: &Work,
    conditions: &[Condition],
    vault: &mut Vault,
) -> Result<Prepared, Refusal> {
    conditions.iter().try_for_each(|condition| check(state, condition))?;
    let prepared = match work {
        Work::Documents(documents) => documents_as_one(state, documents, vault)?,
        Work::Patch { of, patch: merge } => {
            let held = state.get(of).ok_or_else(|| Refusal::Missing(of.clone()))?;
            let patched = patch(&export(&held.resource), merge);
            documents_as_one(state, &[patched], vault)?
        }
        Work::Delete(of) => delete(state, of)?,
        Work::Rotate { key, secret, grace_ms } => rotate(state, key, secret.as_ref(), *grace_ms, vault)?,
        Work::Revoke { key } => revoke(state, key)?,
    };
    if !unreadable.is_empty() {
        let touched = prepared.changes.iter().map(Change::reference);
        if let Some(reference) = touched.into_iter().find(|reference| unreadable.contains_key(&doc_key(reference))) {
            return Err(Refusal::Unreadable(reference));
        }
    }
    Ok(prepared)
}

fn check(state: &State, condition: &Condition) -> Result<(), Refusal> {
    let now = state.get(&condition.of).map(|stored| stored.revision);
    let is_so = match &condition.must {
        Must::Exist => now.is_some(),
        Must::NotExist => now.is_none(),
        Must::BeNew if now.is_some() => return Err(Refusal::Exists(condition.of.clone())),
        Must::BeNew => true,
        Must::BeAt(revisions) => now.is_some_and(|now| revisions.contains(&now)),
    };
    if is_so { Ok(()) } else { Err(Refusal::Stale { of: condition.of.clone(), now }) }
}

fn documents_as_one(state: &State, documents: &[Value], vault: &mut Vault) -> Result<Prepared, Refusal> {
    let proposal = propose(state, documents, vault).map_err(Refusal::Invalid)?;
    let faults: Vec<Fault> = proposal
        .entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| entry.outcome != Outcome::Unchanged)
        .filter_map(|(document, entry)| unopenable(document, &entry.resource, vault))
        .collect();
    if faults.is_empty() { Ok(Prepared::of(state, proposal.entries)) } else { Err(Refusal::Invalid(faults.into())) }
}

/// What comes sealed must open: a proxy that cannot open it would only find out when it is needed.
fn unopenable(document: usize, resource: &Resource, vault: &Vault) -> Option<Fault> {
    let Resource::Provider(Provider { name, reach: Reach::Http(http), .. }) = resource else { return None };
    let sealed = http.credential.as_ref()?;
    let why = vault.check(&credential_place(name.as_str()), sealed.as_bytes()).err()?;
    Some(Fault { document, path: format!("{}.credential.sealed", resource.reference()), message: why })
}

fn delete(state: &State, of: &Ref) -> Result<Prepared, Refusal> {
    if state.get(of).is_none() {
        return Err(Refusal::Missing(of.clone()));
    }
    let changes = vec![Change::Delete(of.clone())];
    let faults = state.check(&changes);
    if !faults.is_empty() {
        return Err(Refusal::InUse { of: of.clone(), faults: faults.into() });
    }
    Ok(Prepared { changes, entries: Vec::new(), revisions: Vec::new() })
}

/// A rotated key is the old one written down with another secret: whatever holds for keys holds for it.
fn rotate(
    state: &State,
    name: &str,
    secret: Option<&Value>,
    grace_ms: u64,
    vault: &mut Vault,
) -> Result<Prepared, Refusal> {
    let key = held_key(state, name)?;
    let fault = |message: String| {
        let path = format!("{}.secret", Ref::new(ResourceKind::Key, name));
        Refusal::Invalid(vec![Fault { document: 0, path, message }].into())
    };
    let minted = match secret {
        Some(_) => None,
        None => Some(vault.mint(key.id).map_err(fault)?),
    };
    let previous = match grace_ms {
        0 => Value::Null,
        _ => json!({ "sha256": key.sha256.to_string(), "until": clock::now().plus_ms(grace_ms) }),
    };
    let mut document = export(&Resource::Key(key.clone()));
    if let Value::Object(map) = &mut document {
        let given = secret.cloned().or(minted.as_ref().map(|minted| minted.expose().into()));
        map.remove("sha256");
        map.insert("secret".to_owned(), given.unwrap_or_default());
        map.insert("previous".to_owned(), previous);
    }
    let mut prepared = documents_as_one(state, &[document], vault)?;
    if prepared.entries.iter().any(|entry| entry.resource.as_key().is_some_and(|new| new.sha256 == key.sha256)) {
        return Err(fault("is the secret the key has now; leave it out to have one minted".to_owned()));
    }
    prepared.entries.iter_mut().for_each(|entry| entry.minted.clone_from(&minted));
    Ok(prepared)
}

fn held_key<'s>(state: &'s State, name: &str) -> Result<&'s Key, Refusal> {
    let held = state.find(ResourceKind::Key, name).and_then(|stored| stored.resource.as_key());
    held.ok_or_else(|| Refusal::Missing(Ref::new(ResourceKind::Key, name)))
}

fn revoke(state: &State, name: &str) -> Result<Prepared, Refusal> {
    let key = held_key(state, name)?;
    let outcome = if key.disabled { Outcome::Unchanged } else { Outcome::Updated };
    let resource = Resource::Key(Key { disabled: true, ..key.clone() });
    Ok(Prepared::of(state, vec![Entry { resource, outcome, minted: None }]))
}
