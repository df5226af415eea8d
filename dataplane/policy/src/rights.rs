//! What many keys have in common: whose they are, and what they may use.

use prost::Message;
use vocab::name::BadName;
use vocab::{ModelName, PolicyId, TeamName, UserName};

use crate::glob::Globs;
use crate::rejected::Fault;

/// Shared by all keys with the same rights. Its id is a hash of its contents, so that it never changes under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub id: PolicyId,
    pub team: Option<TeamName>,
    pub user: Option<UserName>,
    pub models: Globs,
}

impl Policy {
    pub(crate) fn id_of(id: &[u8]) -> Option<PolicyId> {
        id.try_into().ok().map(|bytes| PolicyId(u64::from_be_bytes(bytes)))
    }

    pub(crate) fn read(resource: &wire::Resource) -> Result<Policy, Fault> {
        let id = Policy::id_of(&resource.id).ok_or(Fault::PolicyId(resource.id.len()))?;
        let wire::Policy { team, user, models } = wire::Policy::decode(&*resource.body)?;
        Ok(Policy {
            id,
            team: name_unless_empty(&team, TeamName::new)?,
            user: name_unless_empty(&user, UserName::new)?,
            models: Globs::new(models.iter().map(String::as_str))?,
        })
    }

    #[must_use]
    pub fn may_use(&self, model: &ModelName) -> bool {
        self.models.matches(model)
    }
}

fn name_unless_empty<N>(text: &str, new: fn(&str) -> Result<N, BadName>) -> Result<Option<N>, BadName> {
    if text.is_empty() { Ok(None) } else { new(text).map(Some) }
}
