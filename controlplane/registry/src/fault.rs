//! What is wrong with a document, and where.

use std::fmt;
use std::ops::Deref;

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

/// What is wrong, of which no more is kept as text than anybody reads; the rest is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    told: Vec<Fault>,
    omitted: usize,
}

impl Faults {
    pub const TOLD_MAX: usize = 10_000;

    pub fn push(&mut self, fault: Fault) {
        self.push_within(Faults::TOLD_MAX, fault);
    }

    pub(crate) fn push_within(&mut self, most: usize, fault: Fault) {
        if self.told.len() < most {
            self.told.push(fault);
        } else {
            self.omitted = self.omitted.saturating_add(1);
        }
    }

    pub(crate) fn append(&mut self, more: Faults) {
        more.told.into_iter().for_each(|fault| self.push(fault));
        self.omitted = self.omitted.saturating_add(more.omitted);
    }

    /// In the order of the documents.
    pub(crate) fn sorted(mut self) -> Faults {
        self.told.sort_by_key(|fault| fault.document);
        self
    }

    /// All of them, told or not.
    #[must_use]
    pub fn count(&self) -> usize {
        self.told.len().saturating_add(self.omitted)
    }

    #[must_use]
    pub fn into_told(self) -> Vec<Fault> {
        self.told
    }
}

/// Those that are told.
impl Deref for Faults {
    type Target = [Fault];

    fn deref(&self) -> &[Fault] {
        &self.told
    }
}

impl From<Vec<Fault>> for Faults {
    fn from(faults: Vec<Fault>) -> Faults {
        let mut kept = Faults::default();
        faults.into_iter().for_each(|fault| kept.push(fault));
        kept
    }
}

/// Gathers the faults of one document.
pub(crate) struct Report {
    document: usize,
    /// `Model/gpt`, as soon as it is known.
    pub(crate) subject: String,
    faults: Faults,
}

impl Report {
    pub(crate) fn new(document: usize, subject: String) -> Report {
        Report { document, subject, faults: Faults::default() }
    }

    /// `place` is relative to the document; empty means all of it.
    pub(crate) fn fault(&mut self, place: &str, message: impl Into<String>) {
        let path = join(&self.subject, place);
        self.faults.push(Fault { document: self.document, path, message: message.into() });
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    pub(crate) fn into_faults(self) -> Faults {
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
