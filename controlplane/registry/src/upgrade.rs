//! The shape resources have in a store: strict writes, lenient loads.
//!
//! Every stored document carries `v`, the version of its shape. Shapes only grow: a field that is not known any more, or
//! not yet, is passed over. A change that is more than a new optional field raises `VERSION` and adds a step that lifts
//! the version before.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::resource::{Resource, ResourceKind};

const VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("is no document of ours: it has no `v` and `kind`")]
    Foreign,
    #[error(
        "has version {0} of the stored shape, and this control plane knows up to {VERSION}: it was written by a newer one"
    )]
    Newer(u32),
    #[error("is of kind {0:?}, which this control plane does not know: it was written by a newer one")]
    Kind(String),
    #[error("is damaged: {0}")]
    Damaged(String),
}

#[derive(Serialize)]
struct Written<'r, T> {
    v: u32,
    kind: &'static str,
    #[serde(flatten)]
    spec: &'r T,
}

#[derive(Deserialize)]
struct Head {
    v: u32,
    kind: String,
}

impl Resource {
    /// What a store keeps: one JSON object.
    #[must_use]
    pub fn to_stored(&self) -> Vec<u8> {
        match self {
            Resource::Provider(spec) => write(self.kind(), spec),
            Resource::Model(spec) => write(self.kind(), spec),
            Resource::Team(spec) => write(self.kind(), spec),
            Resource::User(spec) => write(self.kind(), spec),
            Resource::Key(spec) => write(self.kind(), spec),
        }
    }

    pub fn from_stored(bytes: &[u8]) -> Result<Resource, Unreadable> {
        let head: Head =
            serde_json::from_slice(bytes).map_err(|why| match why.is_eof() && bytes.starts_with(b"{\"v\":") {
                true => Unreadable::Damaged("it is cut off".to_owned()),
                false => Unreadable::Foreign,
            })?;
        match head.v {
            0 => return Err(Unreadable::Foreign),
            1..=VERSION => {}
            newer => return Err(Unreadable::Newer(newer)),
        }
        match ResourceKind::parse(&head.kind).ok_or(Unreadable::Kind(head.kind))? {
            ResourceKind::Provider => read(bytes).map(Resource::Provider),
            ResourceKind::Model => read(bytes).map(Resource::Model),
            ResourceKind::Team => read(bytes).map(Resource::Team),
            ResourceKind::User => read(bytes).map(Resource::User),
            ResourceKind::Key => read(bytes).map(Resource::Key),
        }
    }
}

#[expect(clippy::expect_used, reason = "writing into memory fails only for maps whose keys are not text; these are")]
fn write<T: Serialize>(kind: ResourceKind, spec: &T) -> Vec<u8> {
    serde_json::to_vec(&Written { v: VERSION, kind: kind.as_str(), spec }).expect("a resource can be written")
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(bytes).map_err(|why| Unreadable::Damaged(why.to_string()))
}

#[cfg(test)]
mod tests;
