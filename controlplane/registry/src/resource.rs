//! What an operator manages: typed, valid by construction, without a plaintext secret in it.

mod key;
mod metadata;
mod model;
mod provider;
mod team;
mod url;
mod user;

use std::fmt;

pub use key::{Glob, Key, Previous};
pub use metadata::Metadata;
pub use model::{Model, Target};
pub use provider::{Demo, Http, Provider, Reach, Sealed, Timeouts};
pub use team::Team;
pub use url::BaseUrl;
pub use user::User;

/// In the order of an export: what is referred to comes before what refers to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceKind {
    Provider,
    Model,
    Team,
    User,
    Key,
}

impl ResourceKind {
    pub const ALL: [ResourceKind; 5] =
        [ResourceKind::Provider, ResourceKind::Model, ResourceKind::Team, ResourceKind::User, ResourceKind::Key];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ResourceKind::Provider => "Provider",
            ResourceKind::Model => "Model",
            ResourceKind::Team => "Team",
            ResourceKind::User => "User",
            ResourceKind::Key => "Key",
        }
    }

    /// The word in the path of the API.
    #[must_use]
    pub fn collection(self) -> &'static str {
        match self {
            ResourceKind::Provider => "providers",
            ResourceKind::Model => "models",
            ResourceKind::Team => "teams",
            ResourceKind::User => "users",
            ResourceKind::Key => "keys",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<ResourceKind> {
        ResourceKind::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    #[must_use]
    pub fn from_collection(text: &str) -> Option<ResourceKind> {
        ResourceKind::ALL.into_iter().find(|kind| kind.collection() == text)
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which resource. Written `Model/gpt-4o-mini`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ref {
    pub kind: ResourceKind,
    pub name: String,
}

impl Ref {
    #[must_use]
    pub fn new(kind: ResourceKind, name: &str) -> Ref {
        Ref { kind, name: name.to_owned() }
    }
}

impl fmt::Display for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    Provider(Provider),
    Model(Model),
    Team(Team),
    User(User),
    Key(Key),
}

impl Resource {
    #[must_use]
    pub fn kind(&self) -> ResourceKind {
        match self {
            Resource::Provider(_) => ResourceKind::Provider,
            Resource::Model(_) => ResourceKind::Model,
            Resource::Team(_) => ResourceKind::Team,
            Resource::User(_) => ResourceKind::User,
            Resource::Key(_) => ResourceKind::Key,
        }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Resource::Provider(provider) => provider.name.as_str(),
            Resource::Model(model) => model.name.as_str(),
            Resource::Team(team) => team.name.as_str(),
            Resource::User(user) => user.name.as_str(),
            Resource::Key(key) => key.name.as_str(),
        }
    }

    #[must_use]
    pub fn reference(&self) -> Ref {
        Ref::new(self.kind(), self.name())
    }

    #[must_use]
    pub fn as_key(&self) -> Option<&Key> {
        match self {
            Resource::Key(key) => Some(key),
            Resource::Provider(_) | Resource::Model(_) | Resource::Team(_) | Resource::User(_) => None,
        }
    }

    /// What this resource needs to exist.
    pub(crate) fn needs(&self) -> Vec<Need<'_>> {
        match self {
            Resource::Provider(_) | Resource::Team(_) => Vec::new(),
            Resource::Model(model) => model.needs().collect(),
            Resource::User(user) => user.needs().collect(),
            Resource::Key(key) => key.needs().collect(),
        }
    }
}

/// One resource named by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Need<'r> {
    pub(crate) kind: ResourceKind,
    pub(crate) name: &'r str,
    pub(crate) site: Site,
}

/// Where in the document the name stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Site {
    Team,
    User,
    Target(usize),
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Site::Team => f.write_str("team"),
            Site::User => f.write_str("user"),
            Site::Target(at) => write!(f, "targets[{at}].provider"),
        }
    }
}
