//! Operator documents as they stand in files: what they say, and on which line they say it.

mod files;
mod tree;
mod yaml;

use std::path::PathBuf;

use serde_json::Value;

pub(crate) use tree::{Content, Entry, Node, Place};

use crate::faults::LocalFault;

/// Where documents were read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// As the operator called it; `-` is standard input.
    pub(crate) name: String,
    /// What relative paths in its documents start from.
    pub(crate) folder: PathBuf,
}

#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) source: Source,
    pub(crate) node: Node,
}

impl Document {
    /// `file:line:column` of a fault's path such as `Model/gpt.targets[0].provider`, or of the nearest thing that is there.
    pub(crate) fn locate(&self, path: &str) -> String {
        let inner = self.subject().and_then(|subject| path.strip_prefix(&subject)).unwrap_or(path);
        self.at(self.node.find(inner.trim_start_matches('.')))
    }

    pub(crate) fn at(&self, place: Place) -> String {
        if place.is_known() { format!("{}:{place}", self.source.name) } else { self.source.name.clone() }
    }

    /// `Model/gpt`; `Model` when it has no name.
    pub(crate) fn subject(&self) -> Option<String> {
        let kind = self.node.text("kind")?;
        Some(self.node.text("name").map_or_else(|| kind.to_owned(), |name| format!("{kind}/{name}")))
    }

    pub(crate) fn value(&self) -> Value {
        self.node.value()
    }
}

/// Every document in the files and folders given, and everything that kept others from being read.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    pub(crate) list: Vec<Document>,
    pub(crate) faults: Vec<LocalFault>,
    pub(crate) files: usize,
}

impl Documents {
    pub(crate) fn read(paths: &[String]) -> Documents {
        let mut documents = Documents::default();
        for path in paths {
            match files::find(path) {
                Err(why) => documents.faults.push(LocalFault { at: path.clone(), message: why }),
                Ok(found) => found.iter().for_each(|file| documents.add(file)),
            }
        }
        documents
    }

    fn add(&mut self, file: &files::File) {
        self.files = self.files.saturating_add(1);
        let source = file.source();
        let text = match file.text() {
            Ok(text) => text,
            Err(why) => return self.faults.push(LocalFault { at: source.name, message: why }),
        };
        match yaml::parse(&text) {
            Ok(nodes) => {
                self.list.extend(nodes.into_iter().map(|node| Document { source: source.clone(), node }));
            }
            Err(wrong) => {
                let at = if wrong.place.is_known() { format!("{}:{}", source.name, wrong.place) } else { source.name };
                self.faults.push(LocalFault { at, message: wrong.message });
            }
        }
    }
}

#[cfg(test)]
mod tests;
