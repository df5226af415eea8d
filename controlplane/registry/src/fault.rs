//! What is wrong with a document, and where.

use std::fmt;

/// `path` names the resource and the place in it: `Model/gpt.targets[0].provider`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which of the documents given, from 0.
    pub document: usize,
    pub path: String,
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Gathers the faults of one document.
pub(crate) struct Report {
    document: usize,
    /// `Model/gpt`, as soon as it is known.
    pub(crate) subject: String,
    faults: Vec<Fault>,
}

impl Report {
    pub(crate) fn new(document: usize, subject: String) -> Report {
        Report { document, subject, faults: Vec::new() }
    }

    /// `place` is relative to the document; empty means all of it.
    pub(crate) fn fault(&mut self, place: &str, message: impl Into<String>) {
        let path = join(&self.subject, place);
        self.faults.push(Fault { document: self.document, path, message: message.into() });
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    pub(crate) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }
}

pub(crate) fn join(outer: &str, inner: &str) -> String {
    match (outer.is_empty(), inner.is_empty()) {
        (true, _) => inner.to_owned(),
        (_, true) => outer.to_owned(),
        (false, false) => format!("{outer}.{inner}"),
    }
}
