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

impl Usage {
    #[must_use]
    pub fn saturating_add(self, other: Usage) -> Usage {
        let add = |one: Tokens, two: Tokens| Tokens(one.0.saturating_add(two.0));
        Usage {
            input: add(self.input, other.input),
            cached: add(self.cached, other.cached),
            output: add(self.output, other.output),
            reasoning: add(self.reasoning, other.reasoning),
        }
    }
}
