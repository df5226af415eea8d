//! A name callers ask for, and where it leads.

use serde::{Deserialize, Serialize};
use vocab::{ModelName, ProviderName, UpstreamModel};

use super::{Need, ResourceKind, Site};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    pub name: ModelName,
    /// In order: the next is tried when the one before could not be reached.
    pub targets: Vec<Target>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_last_good: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    pub provider: ProviderName,
    pub model: UpstreamModel,
}

impl Model {
    pub(super) fn needs(&self) -> impl Iterator<Item = Need<'_>> {
        self.targets.iter().enumerate().map(|(at, target)| Need {
            kind: ResourceKind::Provider,
            name: target.provider.as_str(),
            site: Site::Target(at),
        })
    }
}
