//! What the envelope says: enough to authenticate, admit and route, without opening the letter.

use std::borrow::Cow;
use std::ops::Range;

use crate::json::{Flaw, What};

/// Read from a body that has been checked to its last byte. The spans belong to that body and no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head<'b> {
    pub(crate) model: Cow<'b, str>,
    pub(crate) model_span: Range<usize>,
    pub(crate) streamed: bool,
    pub(crate) output_tokens_max: Option<u64>,
    pub(crate) usage: UsageAsked,
}

/// Whether a stream will end with a report of what it used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UsageAsked {
    /// The caller asked for it, or the endpoint always reports.
    Yes,
    /// The caller did not; this edit would.
    With(Patch),
}

/// One edit: these bytes stand in place of that span, which is empty where something is only put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Patch {
    pub(crate) span: Range<usize>,
    pub(crate) text: &'static str,
}

impl Head<'_> {
    /// What the caller wrote, escapes undone. Not checked to be a possible name.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    #[must_use]
    pub fn is_streamed(&self) -> bool {
        self.streamed
    }

    /// The ceiling the caller set on the tokens of one answer; the higher one where two are set.
    #[must_use]
    pub fn output_tokens_max(&self) -> Option<u64> {
        self.output_tokens_max
    }

    /// Whether the caller wants to see the usage of its stream.
    #[must_use]
    pub fn asks_usage(&self) -> bool {
        self.usage == UsageAsked::Yes
    }

    /// A head that can outlive its body.
    #[must_use]
    pub fn into_owned(self) -> Head<'static> {
        Head { model: Cow::Owned(self.model.into_owned()), ..self }
    }
}

/// Why a body is no request. All of these are the caller's to mend, with status 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("The body is empty; it must be a JSON object.")]
    Empty,
    #[error("The body is not valid JSON: {0}.")]
    NotJson(Flaw),
    #[error("The body must be a JSON object.")]
    NotAnObject,
    #[error("You must provide a `model`.")]
    MissingModel,
    #[error("`model` must not be empty.")]
    EmptyModel,
    #[error("`model` is given twice, the second time at byte {at}; only one of them could be honoured.")]
    DuplicateModel { at: usize },
    #[error("`{field}` is given twice, the second time at byte {at}; only one of them could be honoured.")]
    Duplicate { field: &'static str, at: usize },
    #[error("`{field}` must be {wanted}; see byte {at}.")]
    WrongType { field: &'static str, wanted: &'static str, at: usize },
}

impl Malformed {
    /// Stable, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Malformed::NotJson(Flaw { what: What::TooDeep, .. }) => "json_too_deep",
            Malformed::NotJson(Flaw { what: What::TooMany, .. }) => "json_too_large",
            Malformed::NotJson(Flaw { what: What::Utf8, .. }) => "invalid_utf8",
            Malformed::Empty | Malformed::NotJson(_) | Malformed::NotAnObject => "invalid_json",
            Malformed::MissingModel => "missing_model",
            Malformed::EmptyModel => "empty_model",
            Malformed::DuplicateModel { .. } => "duplicate_model",
            Malformed::Duplicate { .. } => "duplicate_field",
            Malformed::WrongType { .. } => "invalid_type",
        }
    }

    /// The field to look at, where it is one.
    #[must_use]
    pub fn param(&self) -> Option<&'static str> {
        match self {
            Malformed::Empty | Malformed::NotJson(_) | Malformed::NotAnObject => None,
            Malformed::MissingModel | Malformed::EmptyModel | Malformed::DuplicateModel { .. } => Some("model"),
            Malformed::Duplicate { field, .. } | Malformed::WrongType { field, .. } => Some(field),
        }
    }
}

impl From<Flaw> for Malformed {
    fn from(flaw: Flaw) -> Malformed {
        Malformed::NotJson(flaw)
    }
}

#[cfg(test)]
mod tests;
