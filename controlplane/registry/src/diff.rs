//! What changed, in the operator's terms and in a proxy's.

use std::collections::BTreeMap;

use bytes::Bytes;
use vocab::Digest;

use crate::resource::{Ref, Resource, ResourceKind};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Put(Resource),
    Delete(Ref),
}

impl Change {
    #[must_use]
    pub fn reference(&self) -> Ref {
        match self {
            Change::Put(resource) => resource.reference(),
            Change::Delete(reference) => reference.clone(),
        }
    }

    pub(crate) fn place(&self) -> (ResourceKind, &str) {
        match self {
            Change::Put(resource) => (resource.kind(), resource.name()),
            Change::Delete(reference) => (reference.kind, &reference.name),
        }
    }

    pub(crate) fn put(&self) -> Option<&Resource> {
        match self {
            Change::Put(resource) => Some(resource),
            Change::Delete(_) => None,
        }
    }
}

/// What a proxy must be told, sorted by kind and id, and the digest of all it holds afterwards.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Delta {
    pub upserts: Vec<wire::Resource>,
    pub removals: Vec<wire::Ref>,
    pub digest: Digest,
}

impl Delta {
    /// Nothing to tell: names, descriptions and e-mail addresses are no proxy's business.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.upserts.is_empty() && self.removals.is_empty()
    }
}

/// Successive deltas as one: of each row the last word counts. Of no deltas at all it is the delta of an empty house.
#[must_use]
pub fn merge<'d>(deltas: impl IntoIterator<Item = &'d Delta>) -> Delta {
    let mut rows: BTreeMap<(u32, Bytes), Option<&wire::Resource>> = BTreeMap::new();
    let mut digest = Digest::default();
    for delta in deltas {
        digest = delta.digest;
        // A row is in only one of the two lists of a delta.
        rows.extend(delta.removals.iter().map(|removal| ((removal.kind, removal.id.clone()), None)));
        rows.extend(delta.upserts.iter().map(|row| ((row.kind, row.id.clone()), Some(row))));
    }
    let mut merged = Delta { digest, ..Delta::default() };
    for ((kind, id), row) in rows {
        match row {
            Some(row) => merged.upserts.push(row.clone()),
            None => merged.removals.push(wire::Ref { kind, id }),
        }
    }
    merged
}
