//! Every reason the house says no.

use std::fmt;
use std::sync::Arc;

use vocab::ModelName;
use vocab::name::NAME_BYTES_MAX;

use crate::model::Skipped;

/// Why a request goes nowhere. `Display` is for operators; `message` is for callers, and tells them nothing of how the
/// house is furnished.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    Denied(#[from] Denied),
    #[error("no model is called {asked}")]
    UnknownModel { asked: Asked },
    #[error("this key may not use {model}")]
    ModelNotAllowed { model: ModelName },
    #[error("model {model} is in quarantine: {why}")]
    Quarantined { model: ModelName, why: String },
    #[error("model {model} has no target that can be tried:{}", Reasons(skipped))]
    NoTarget { model: ModelName, skipped: Arc<[Skipped]> },
}

/// Why a presented key opens nothing. All but `Quarantined` are the caller's to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Denied {
    #[error("no key was presented")]
    Missing,
    #[error("the checksum of the presented key is wrong")]
    Mistyped,
    #[error("the presented key is not known")]
    Unknown,
    #[error("the key is disabled")]
    Disabled,
    #[error("the key has expired")]
    Expired,
    /// It is held, but was not understood, so that nobody can say whether it is good. That is our trouble, not the
    /// caller's: a client must try again rather than think its key dead.
    #[error("the key is in quarantine")]
    Quarantined,
}

/// What a caller asked for, cut to the length that a name may have: it is about to be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked(Box<str>);

impl Asked {
    pub(crate) fn new(text: &str) -> Asked {
        Asked(text.get(..text.floor_char_boundary(NAME_BYTES_MAX)).unwrap_or_default().into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Quoted and escaped: these are a caller's bytes.
impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl Refusal {
    /// For programs that call; never changes.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Denied(denied) => denied.code(),
            Refusal::UnknownModel { .. } => "model_not_found",
            Refusal::ModelNotAllowed { .. } => "model_not_allowed",
            Refusal::Quarantined { .. } => "model_quarantined",
            Refusal::NoTarget { .. } => "no_target",
        }
    }

    /// For people who call.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Refusal::Denied(denied) => denied.message().to_owned(),
            Refusal::UnknownModel { asked } => {
                format!("The model {asked} does not exist. Ask GET /v1/models which ones do.")
            }
            Refusal::ModelNotAllowed { model } => {
                format!("This API key may not use the model \"{model}\". Ask whoever gave it to you to allow it.")
            }
            Refusal::Quarantined { model, .. } => {
                format!("The model \"{model}\" cannot be used at the moment: its configuration was not understood.")
            }
            Refusal::NoTarget { model, .. } => {
                format!("The model \"{model}\" cannot be used at the moment: none of its targets is available.")
            }
        }
    }
}

impl Denied {
    /// For programs that call; never changes. Clients know one code for a key that does not open.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Denied::Missing | Denied::Mistyped | Denied::Unknown | Denied::Disabled | Denied::Expired => {
                "invalid_api_key"
            }
            Denied::Quarantined => "key_quarantined",
        }
    }

    /// For logs and metrics, which tell apart what the code does not; never changes.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Denied::Missing => "missing",
            Denied::Mistyped => "mistyped",
            Denied::Unknown => "unknown",
            Denied::Disabled => "disabled",
            Denied::Expired => "expired",
            Denied::Quarantined => "quarantined",
        }
    }

    /// For people who call.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Denied::Missing => "No API key was given. Send it in the header `Authorization: Bearer <key>`.",
            Denied::Mistyped => "This API key is incomplete or mistyped: its checksum is wrong. Copy it again in full.",
            Denied::Unknown => "This API key is not known here. Check that it was made for this gateway.",
            Denied::Disabled => "This API key has been disabled. Ask whoever gave it to you for another.",
            Denied::Expired => "This API key has expired. Ask whoever gave it to you for another.",
            Denied::Quarantined => "This API key cannot be checked at the moment. Try again later.",
        }
    }
}

struct Reasons<'a>(&'a [Skipped]);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|skipped| write!(f, " {} at {}: {};", skipped.model, skipped.provider, skipped.why))
    }
}
