//! The one error of the bench: a sentence for the person who started it.

use std::fmt;

pub struct Fail(pub String);

impl Fail {
    pub fn new(text: impl Into<String>) -> Fail {
        Fail(text.into())
    }
}

/// Main functions print errors by Debug; this one reads like a sentence there too.
impl fmt::Debug for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fail {}

impl From<std::io::Error> for Fail {
    fn from(error: std::io::Error) -> Fail {
        Fail(error.to_string())
    }
}

pub trait Context<T> {
    /// Puts what was being done in front of what went wrong.
    fn doing(self, what: impl fmt::Display) -> Result<T, Fail>;
}

impl<T, E: fmt::Display> Context<T> for Result<T, E> {
    fn doing(self, what: impl fmt::Display) -> Result<T, Fail> {
        self.map_err(|error| Fail(format!("{what}: {error}")))
    }
}
