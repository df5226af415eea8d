//! Documents that come together: read, settled and checked as one, with every fault at once.

use serde_json::Value;
use vocab::{Digest, KeyHash, KeyId, Secret};

use crate::diff::Change;
use crate::draft::Source;
use crate::fault::{Fault, Faults};
use crate::read::{outline, read_counted};
use crate::resource::Resource;
use crate::settle::Sealer;
use crate::state::State;
use crate::validate;

/// What would happen. Nothing has happened yet.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Proposal {
    /// One for each document, in their order.
    pub entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub resource: Resource,
    pub outcome: Outcome,
    /// To be shown once, after the commit.
    pub minted: Option<Secret>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Created,
    Updated,
    Unchanged,
}

impl Outcome {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Created => "created",
            Outcome::Updated => "updated",
            Outcome::Unchanged => "unchanged",
        }
    }
}

impl Proposal {
    /// What the store must write: nothing for what is unchanged.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        let changed = self.entries.iter().filter(|entry| entry.outcome != Outcome::Unchanged);
        changed.map(|entry| Change::Put(entry.resource.clone())).collect()
    }
}

/// Reads, settles and checks documents as one transaction on top of `state`.
pub fn propose(state: &State, documents: &[Value], sealer: &mut dyn Sealer) -> Result<Proposal, Faults> {
    let mut faults = Faults::default();
    let mut faulty = Vec::new();
    let mut entries = Vec::new();
    let mut changes = Vec::new();
    for (number, value) in documents.iter().enumerate() {
        match entry(state, number, value, sealer) {
            Ok(entry) => {
                changes.push((number, Change::Put(entry.resource.clone())));
                entries.push(entry);
            }
            Err(more) => {
                faults.append(more);
                faulty.extend(outline(value).map(|outline| (number, outline)));
            }
        }
    }
    let changes: Vec<_> = changes.iter().map(|(number, change)| (*number, change)).collect();
    faults.append(validate::check(state, &changes, &faulty, Faults::TOLD_MAX));
    if faults.is_empty() {
        return Ok(Proposal { entries });
    }
    Err(faults.sorted())
}

fn entry(state: &State, number: usize, value: &Value, sealer: &mut dyn Sealer) -> Result<Entry, Faults> {
    let (draft, faults) = read_counted(number, value);
    let draft = draft.ok_or(faults)?;
    let existing = state.find(draft.kind(), draft.name()).map(|stored| &stored.resource);
    let settled = draft.settle(existing, sealer).map_err(|fault| Faults::from(vec![fault]))?;
    let outcome = match existing {
        None => Outcome::Created,
        Some(existing) if *existing == settled.resource => Outcome::Unchanged,
        Some(_) => Outcome::Updated,
    };
    Ok(Entry { resource: settled.resource, outcome, minted: settled.minted })
}

/// Everything that can be said without a control plane: the documents themselves, and whether they fit together.
#[must_use]
pub fn validate_documents(documents: &[Value]) -> Vec<Fault> {
    propose(&State::new(), documents, &mut Pretender::default()).err().unwrap_or_default().into_told()
}

/// Seals, hashes and mints nothing that anybody keeps, but tells equal from different.
#[derive(Default)]
struct Pretender {
    ids: u64,
}

impl Sealer for Pretender {
    fn seal(&mut self, _place: &str, _value: &Secret) -> Result<Vec<u8>, String> {
        Ok(vec![0])
    }

    fn same(&self, _place: &str, _sealed: &[u8], _value: &Secret) -> bool {
        false
    }

    fn hash(&self, secret: &Secret) -> KeyHash {
        let halves = [b"left", b"rest"].map(|half| Digest::of(0, half, secret.expose().as_bytes()).to_bytes());
        KeyHash::from_slice(halves.as_flattened()).unwrap_or(KeyHash([0; 32]))
    }

    fn key_id(&mut self) -> Result<KeyId, String> {
        self.ids = self.ids.saturating_add(1);
        Ok(KeyId(
            Digest::of(1, b"pretended", &self.ids.to_be_bytes())
                .to_bytes()
                .iter()
                .fold(0, |id, byte| id.rotate_left(8) ^ u64::from(*byte)),
        ))
    }

    fn mint(&mut self, id: KeyId) -> Result<Secret, String> {
        Ok(Secret::new(format!("minted for {id}")))
    }

    fn outside(&mut self, _source: &Source) -> Result<Secret, String> {
        Ok(Secret::new("elsewhere".to_owned()))
    }
}
