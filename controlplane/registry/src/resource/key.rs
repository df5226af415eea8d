//! A virtual key: what may be remembered of its secret, whom it belongs to, and what it opens.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use vocab::name::{BadPattern, check_pattern};
use vocab::{KeyHash, KeyId, KeyName, TeamName, Timestamp, UserName};

use super::{Metadata, Need, ResourceKind, Site};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Key {
    pub name: KeyName,
    pub id: KeyId,
    #[serde(with = "hex")]
    pub sha256: KeyHash,
    /// The secret before the last rotation, while it is still good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserName>,
    /// None allows nothing.
    pub models: Vec<Glob>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Previous {
    #[serde(with = "hex")]
    pub sha256: KeyHash,
    pub until: Timestamp,
}

impl Key {
    /// The same key with another secret. The one it had is good until then; without an instant it is no longer good.
    #[must_use]
    pub fn rotated(&self, sha256: KeyHash, until: Option<Timestamp>) -> Key {
        let previous = until.filter(|_| sha256 != self.sha256).map(|until| Previous { sha256: self.sha256, until });
        Key { sha256, previous, ..self.clone() }
    }

    /// The hashes this key is known by, the current one first.
    pub(crate) fn hashes(&self) -> impl Iterator<Item = KeyHash> {
        let previous = self.previous.filter(|previous| previous.sha256 != self.sha256);
        [Some(self.sha256), previous.map(|previous| previous.sha256)].into_iter().flatten()
    }

    pub(super) fn needs(&self) -> impl Iterator<Item = Need<'_>> {
        let team = self.team.iter().map(|team| (ResourceKind::Team, team.as_str(), Site::Team));
        let user = self.user.iter().map(|user| (ResourceKind::User, user.as_str(), Site::User));
        team.chain(user).map(|(kind, name, site)| Need { kind, name, site })
    }
}

/// A pattern of model names: `*` is any run of characters, `?` is one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Glob(Box<str>);

impl Glob {
    pub fn new(text: &str) -> Result<Glob, BadPattern> {
        check_pattern(text).map(|()| Glob(Box::from(text)))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl Serialize for Glob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Glob::new(&text).map_err(serde::de::Error::custom)
    }
}

mod hex {
    use super::{Deserialize, Deserializer, KeyHash, Serializer};

    pub(super) fn serialize<S: Serializer>(hash: &KeyHash, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(hash)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<KeyHash, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        KeyHash::from_hex(&text).ok_or_else(|| serde::de::Error::custom("a SHA-256 is 64 hexadecimal digits"))
    }
}
