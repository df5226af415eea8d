//! A document that was read without a fault, and may still hold a secret in the plain.

use vocab::{Dialect, KeyHash, KeyId, KeyName, ProviderName, Secret, TeamName, Timestamp, UserName};

use crate::resource::{BaseUrl, Demo, Glob, Metadata, Model, Ref, ResourceKind, Sealed, Team, Timeouts, User};

/// What `read` makes of a document. `settle` makes a `Resource` of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub document: usize,
    pub(crate) body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Provider(ProviderDraft),
    Model(Model),
    Team(Team),
    User(User),
    Key(KeyDraft),
}

impl Draft {
    #[must_use]
    pub fn kind(&self) -> ResourceKind {
        match &self.body {
            Body::Provider(_) => ResourceKind::Provider,
            Body::Model(_) => ResourceKind::Model,
            Body::Team(_) => ResourceKind::Team,
            Body::User(_) => ResourceKind::User,
            Body::Key(_) => ResourceKind::Key,
        }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        match &self.body {
            Body::Provider(provider) => provider.name.as_str(),
            Body::Model(model) => model.name.as_str(),
            Body::Team(team) => team.name.as_str(),
            Body::User(user) => user.name.as_str(),
            Body::Key(key) => key.name.as_str(),
        }
    }

    #[must_use]
    pub fn reference(&self) -> Ref {
        Ref::new(self.kind(), self.name())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProviderDraft {
    pub(crate) name: ProviderName,
    pub(crate) dialect: Dialect,
    pub(crate) reach: ReachDraft,
    pub(crate) keep_last_good: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReachDraft {
    Http(HttpDraft),
    Demo(Demo),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpDraft {
    pub(crate) base_url: BaseUrl,
    pub(crate) credential: Option<CredentialDraft>,
    pub(crate) allow_link_local: bool,
    pub(crate) ca: Option<String>,
    pub(crate) timeouts: Timeouts,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CredentialDraft {
    Value(Secret),
    Outside(Source),
    Sealed(Sealed),
    /// `{sealed: true}`, as a GET answers it: whatever there is stays.
    Unchanged,
}

/// A secret that is not in the document: the shell decides whether it may be fetched, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Env(String),
    File(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyDraft {
    pub(crate) name: KeyName,
    pub(crate) id: Option<KeyId>,
    pub(crate) secret: KeySecretDraft,
    pub(crate) previous: PreviousDraft,
    pub(crate) team: Option<TeamName>,
    pub(crate) user: Option<UserName>,
    pub(crate) models: Vec<Glob>,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) disabled: bool,
    pub(crate) metadata: Metadata,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeySecretDraft {
    Given(Secret),
    Sha256(KeyHash),
    /// Not said: a key that exists keeps its secret, a new one gets one minted.
    KeepOrMint,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PreviousDraft {
    /// Not said: stays as long as the secret stays.
    Keep,
    /// `previous: null`: the secret before the last rotation is no longer good.
    Drop,
    Given(crate::resource::Previous),
}
