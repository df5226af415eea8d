//! What was used, in tokens.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tokens(pub u64);

/// `cached` is a part of `input`, `reasoning` a part of `output`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    pub input: Tokens,
    pub cached: Tokens,
    pub output: Tokens,
    pub reasoning: Tokens,
}
