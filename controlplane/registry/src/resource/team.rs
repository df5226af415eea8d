//! Who shares rights and a bill.

use serde::{Deserialize, Serialize};
use vocab::TeamName;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Team {
    pub name: TeamName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}
