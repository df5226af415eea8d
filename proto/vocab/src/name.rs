//! Names of things, one type for each kind of thing, so that they cannot be swapped.
//!
//! `ModelName` is what a caller asks for; `UpstreamModel` is what a provider is told.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub const NAME_BYTES_MAX: usize = 200;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    #[error("a name must not be empty")]
    Empty,
    #[error("a name has at most {NAME_BYTES_MAX} bytes")]
    TooLong,
    #[error(
        "a name starts with a letter or digit and goes on with letters, digits and ._:/@+- ; {0:?} is not among them"
    )]
    Character(char),
}

/// The rule for the names of resources.
pub fn check_name(text: &str) -> Result<(), BadName> {
    let first = text.chars().next().ok_or(BadName::Empty)?;
    if text.len() > NAME_BYTES_MAX {
        return Err(BadName::TooLong);
    }
    if !first.is_ascii_alphanumeric() {
        return Err(BadName::Character(first));
    }
    match text.chars().find(|c| !c.is_ascii_alphanumeric() && !"._:/@+-".contains(*c)) {
        Some(character) => Err(BadName::Character(character)),
        None => Ok(()),
    }
}

/// The rule for patterns of names, in which `*` is any run of characters and `?` is one. Both planes hold to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    #[error("a pattern must not be empty; `*` allows every model")]
    Empty,
    #[error("a pattern has at most {NAME_BYTES_MAX} bytes")]
    TooLong,
    #[error("a pattern is made of the characters of model names, `*` and `?`; {0:?} is not among them")]
    Character(char),
}

pub fn check_pattern(text: &str) -> Result<(), BadPattern> {
    if text.is_empty() {
        return Err(BadPattern::Empty);
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(BadPattern::TooLong);
    }
    match text.chars().find(|c| !c.is_ascii_alphanumeric() && !"._:/@+-*?".contains(*c)) {
        Some(character) => Err(BadPattern::Character(character)),
        None => Ok(()),
    }
}

/// A provider's own names follow the provider's rules; ours is only that they are printable and bounded.
fn check_upstream(text: &str) -> Result<(), BadName> {
    if text.is_empty() {
        return Err(BadName::Empty);
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(BadName::TooLong);
    }
    match text.chars().find(|c| c.is_control()) {
        Some(character) => Err(BadName::Character(character)),
        None => Ok(()),
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident by $check:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn new(text: &str) -> Result<Self, BadName> {
                $check(text)?;
                Ok($name(Arc::from(text)))
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                $name::new(&text).map_err(serde::de::Error::custom)
            }
        }
    )*};
}

names! {
    /// What a caller asks for.
    ModelName by check_name;
    /// What a provider is told.
    UpstreamModel by check_upstream;
    ProviderName by check_name;
    TeamName by check_name;
    UserName by check_name;
    KeyName by check_name;
    /// What a proxy calls itself; unique among the proxies of a fleet.
    ProxyName by check_name;
}

/// The kinds of resources a control plane compiles and a proxy holds.
/// The numbers travel: they are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Provider = 1,
    Model = 2,
    Policy = 3,
    Key = 4,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Provider, Kind::Model, Kind::Policy, Kind::Key];

    #[must_use]
    pub fn number(self) -> u32 {
        self as u32
    }

    #[must_use]
    pub fn from_number(number: u32) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.number() == number)
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Provider => "Provider",
            Kind::Model => "Model",
            Kind::Policy => "Policy",
            Kind::Key => "Key",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_clients_use_are_names() {
        for text in ["gpt-4o-mini", "openai/gpt-4o:free", "a", "claude-3.5@20241022", "0x+1_b"] {
            assert!(ModelName::new(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_a_name_is_refused_with_a_reason() {
        assert_eq!(ModelName::new(""), Err(BadName::Empty));
        assert_eq!(ModelName::new("/etc"), Err(BadName::Character('/')));
        assert_eq!(ModelName::new("a b"), Err(BadName::Character(' ')));
        assert_eq!(ModelName::new("a\u{202e}b"), Err(BadName::Character('\u{202e}')));
        assert_eq!(ModelName::new(&"a".repeat(201)), Err(BadName::TooLong));
    }
}
