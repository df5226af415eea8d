//! What was not understood, and why: it is held, counted and named, and nothing is decided by it.

use std::cmp::Ordering;
use std::sync::Arc;

use bytes::Bytes;
use vocab::name::BadName;
use vocab::url::BadUrl;
use vocab::{Kind, PolicyId};

use crate::table::Row;
use vocab::name::BadPattern;

/// A resource in quarantine. What depends on it refuses; the rest goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The number of its kind, which may be one that is not known here.
    pub kind: u32,
    pub id: Bytes,
    pub why: String,
    /// The last version that was understood still serves.
    pub kept: bool,
}

impl Rejected {
    #[must_use]
    pub fn kind_name(&self) -> &'static str {
        Kind::from_number(self.kind).map_or("unknown", Kind::as_str)
    }

    /// The id as people read it: a name as it is, anything else in hexadecimal.
    #[must_use]
    pub fn id_text(&self) -> String {
        match std::str::from_utf8(&self.id) {
            Ok(name) if vocab::name::check_name(name).is_ok() => name.to_string(),
            _ => self.id.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    #[must_use]
    pub fn to_wire(&self) -> wire::Rejected {
        let resource = wire::Ref { kind: self.kind, id: self.id.clone() };
        wire::Rejected { resource: Some(resource), why: self.why.clone(), kept: self.kept }
    }
}

/// Why a resource was not understood. Shown to operators: it names what is wrong and quotes no value that may be secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("this build knows no resources of kind {0}")]
    Kind(u32),
    #[error("its id is not a name: {0}")]
    Id(BadName),
    #[error("its id is not UTF-8")]
    IdText,
    #[error("the id of a policy has 8 bytes, this one has {0}")]
    PolicyId(usize),
    #[error("the id of a key has 32 bytes, this one has {0}")]
    KeyHash(usize),
    #[error("its body cannot be read: {0}")]
    Body(#[from] prost::DecodeError),
    #[error("it holds a bad name: {0}")]
    Name(#[from] BadName),
    #[error("this build does not speak the dialect {0:?}")]
    Dialect(String),
    #[error("it says of no way to reach it that this build knows")]
    Reach,
    #[error("its base URL is wrong: {0}")]
    Url(#[from] BadUrl),
    #[error("its credential does not open: {0}")]
    Sealed(String),
    #[error("its credential is empty or has characters that no header can carry")]
    Credential,
    #[error("its certificate authorities are not PEM certificates")]
    Ca,
    #[error("it wants {0} of 1000 requests to fail")]
    Permille(u32),
    #[error("it has no targets")]
    NoTargets,
    #[error("it holds a bad pattern: {0}")]
    Glob(#[from] BadPattern),
    #[error("its policy {0} is not here, or was not understood")]
    Policy(PolicyId),
}

/// The row of a rejected resource, with what is needed to count it, to save it, and to try it again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Quarantined(Arc<Inner>);

#[derive(Debug, PartialEq)]
struct Inner {
    rejected: Rejected,
    body: Box<[u8]>,
    keep_last_good: bool,
    waits_for: Option<PolicyId>,
}

impl Quarantined {
    pub(crate) fn new(resource: &wire::Resource, fault: &Fault, kept: bool) -> Quarantined {
        let waits_for = if let Fault::Policy(id) = fault { Some(*id) } else { None };
        // Copied, because the bytes of an update are slices of the whole frame it came in.
        let id = Bytes::copy_from_slice(&resource.id);
        let rejected = Rejected { kind: resource.kind, id, why: fault.to_string(), kept };
        let (body, keep_last_good) = (Box::from(&*resource.body), resource.keep_last_good);
        Quarantined(Arc::new(Inner { rejected, body, keep_last_good, waits_for }))
    }

    pub(crate) fn rejected(&self) -> &Rejected {
        &self.0.rejected
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.0.body
    }

    /// The policy that would heal this key.
    pub(crate) fn waits_for(&self) -> Option<PolicyId> {
        self.0.waits_for
    }

    pub(crate) fn to_resource(&self) -> wire::Resource {
        wire::Resource {
            kind: self.0.rejected.kind,
            id: self.0.rejected.id.clone(),
            body: Bytes::copy_from_slice(&self.0.body),
            keep_last_good: self.0.keep_last_good,
        }
    }
}

/// The number of a kind, and the id within it.
pub(crate) type At<'a> = (u32, &'a [u8]);

pub(crate) fn at(kind: Kind, id: &[u8]) -> At<'_> {
    (kind.number(), id)
}

impl Row for Quarantined {
    type Id<'a> = At<'a>;

    fn id(&self) -> At<'_> {
        (self.0.rejected.kind, &self.0.rejected.id)
    }

    fn compare(&self, id: At<'_>) -> Ordering {
        self.id().cmp(&id)
    }

    /// Ids may be anything, so they are spread by FNV-1a.
    fn spread((kind, id): At<'_>) -> u16 {
        let kind = kind.to_be_bytes();
        let hash = kind
            .iter()
            .chain(id)
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
        let [a, b, c, d] = hash.to_be_bytes();
        u16::from_be_bytes([a ^ c, b ^ d])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_of_all_sorts_are_spread() {
        // Of 4,096 runs, 4,096 ids thrown at random would hit about 2,589.
        let runs = |id: &dyn Fn(u32) -> Vec<u8>| {
            let runs: BTreeSet<u16> = (0..4096).map(|n| Quarantined::spread((4, &id(n))) >> 4).collect();
            runs.len()
        };
        for hit in [
            runs(&|n| format!("team/model-{n}").into_bytes()),
            runs(&|n| n.to_be_bytes().to_vec()),
            runs(&|n| vocab::Digest::of(0, &n.to_be_bytes(), &[]).to_bytes().to_vec()),
        ] {
            assert!(hit > 2000, "{hit}");
        }
    }
}
