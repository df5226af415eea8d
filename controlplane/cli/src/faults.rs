//! What is wrong with local input, and where: `file:line:column: message`, one a line, all at once.

use std::fmt;

use crate::documents::Documents;
use crate::screen;
use crate::trouble::{ApiFault, Refusal};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalFault {
    pub(crate) at: String,
    pub(crate) message: String,
}

impl fmt::Display for LocalFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.message)
    }
}

pub(crate) fn show(faults: &[LocalFault]) {
    for fault in faults {
        screen::note(fault);
    }
}

/// `1 fault`, `3 faults`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// The faults of an answer, each where it stands in the operator's files.
pub(crate) fn located(documents: &Documents, faults: &[ApiFault]) -> Vec<LocalFault> {
    faults.iter().map(|fault| place(documents, fault.document, &fault.path, &fault.message)).collect()
}

pub(crate) fn place(documents: &Documents, document: usize, path: &str, message: &str) -> LocalFault {
    let at = documents.list.get(document).map_or_else(|| format!("document {document}"), |known| known.locate(path));
    let colon = if path.is_empty() { "" } else { ": " };
    LocalFault { at, message: format!("{path}{colon}{}", elsewhere(documents, message)) }
}

/// "The first time in document 3" helps nobody who has files: say where that is.
fn elsewhere(documents: &Documents, message: &str) -> String {
    let found = message.rsplit_once("in document ").and_then(|(before, number)| {
        let other = documents.list.get(number.parse::<usize>().ok()?)?;
        Some(format!("{before}at {}", other.locate("")))
    });
    found.unwrap_or_else(|| message.to_owned())
}

/// Takes the faults out of a refusal and shows them with their places; what is left is the one-line summary.
pub(crate) fn show_refused(documents: &Documents, refusal: &mut Refusal) {
    let faults = std::mem::take(&mut refusal.faults);
    show(&located(documents, &faults));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::{Document, Node, Source};

    fn documents() -> Documents {
        let nodes = serde_saphyr::from_multiple::<Node>("kind: Team\nname: a\n---\nkind: Team\nname: b\n").unwrap();
        let source = Source { name: "t.yaml".to_owned(), folder: "".into() };
        let list = nodes.into_iter().map(|node| Document { source: source.clone(), node }).collect();
        Documents { list, ..Documents::default() }
    }

    #[test]
    fn a_fault_stands_where_its_document_stands() {
        let fault = place(&documents(), 1, "Team/b.name", "is wrong");
        assert_eq!(fault.to_string(), "t.yaml:5:1: Team/b.name: is wrong");
        assert_eq!(place(&documents(), 9, "", "is wrong").to_string(), "document 9: is wrong");
    }

    #[test]
    fn another_document_is_called_by_its_place() {
        let fault = place(&documents(), 0, "Team/a", "is given twice; the first time in document 1");
        assert_eq!(fault.to_string(), "t.yaml:1:1: Team/a: is given twice; the first time at t.yaml:4:1");
        let other = place(&documents(), 0, "Team/a", "is not in document 7");
        assert_eq!(other.message, "Team/a: is not in document 7");
    }

    #[test]
    fn one_is_one_and_more_are_more() {
        assert_eq!([0, 1, 2].map(|number| count(number, "fault")), ["0 faults", "1 fault", "2 faults"]);
    }
}
