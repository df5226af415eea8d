//! A person or a program that holds keys.

use serde::{Deserialize, Serialize};
use vocab::{TeamName, UserName};

use super::{Need, ResourceKind, Site};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    pub name: UserName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamName>,
}

impl User {
    pub(super) fn needs(&self) -> impl Iterator<Item = Need<'_>> {
        let team = self.team.iter();
        team.map(|team| Need { kind: ResourceKind::Team, name: team.as_str(), site: Site::Team })
    }
}
