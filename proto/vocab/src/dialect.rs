//! Which language a caller or a provider speaks. The verbs live in the crate of the same name.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    Openai,
}

impl Dialect {
    pub const ALL: [Dialect; 1] = [Dialect::Openai];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Dialect::Openai => "openai",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Dialect> {
        Dialect::ALL.into_iter().find(|dialect| dialect.as_str() == text)
    }
}
