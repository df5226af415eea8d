//! From text to trees: YAML with any number of documents, JSON, JSON lines; a list of documents counts as its members.

use serde_json::Value;
use serde_json::error::Category;
use serde_saphyr::{Budget, Options};

use super::{Node, Place};
use crate::documents::tree::Content;

/// Text that says nothing, because it is not well formed.
#[derive(Debug)]
pub(super) struct Malformed {
    pub(super) place: Place,
    pub(super) message: String,
}

pub(super) fn parse(text: &str) -> Result<Vec<Node>, Malformed> {
    let nodes = match serde_saphyr::from_multiple_with_options::<Node>(text, options()) {
        Ok(nodes) => nodes,
        // JSON lines are not YAML. What looks like JSON and is not gets the answer of the stricter reader.
        Err(_) if text.trim_start().starts_with(['{', '[']) && !text.contains("\n---") => json(text)?,
        Err(wrong) => return Err(not_yaml(&wrong)),
    };
    Ok(nodes.into_iter().flat_map(members).collect())
}

fn members(node: Node) -> Vec<Node> {
    match node.content {
        Content::List(members) => members,
        content => vec![Node { place: node.place, content }],
    }
}

/// The limits that keep a stranger's text from filling memory would only be in an operator's way, but for aliases.
fn options() -> Options {
    let mut budget = Budget::default();
    budget.max_documents = usize::MAX;
    budget.max_nodes = usize::MAX;
    budget.max_events = usize::MAX;
    budget.max_total_scalar_bytes = usize::MAX;
    serde_saphyr::options! { budget: Some(budget), strict_booleans: true }
}

fn not_yaml(wrong: &serde_saphyr::Error) -> Malformed {
    let place = wrong.location().map(Place::of).unwrap_or_default();
    let message = wrong.without_snippet().to_string();
    // The place goes in front of the line, and the advice is for programmers.
    let at = format!(" at line {}", wrong.location().map_or(0, |location| location.line()));
    let message = message.split(&at).next().unwrap_or_default();
    let message = message.split(", set DuplicateKeyPolicy").next().unwrap_or_default();
    Malformed { place, message: message.to_owned() }
}

/// Values that follow each other, on lines of their own or not. Only where each begins is known.
fn json(text: &str) -> Result<Vec<Node>, Malformed> {
    let mut documents = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let mut nodes = Vec::new();
    loop {
        let rest = text.get(documents.byte_offset()..).unwrap_or_default();
        let begin = text.len().saturating_sub(rest.trim_start().len());
        match documents.next() {
            None => return Ok(nodes),
            Some(Ok(value)) => nodes.push(Node { place: place_of(text, begin), ..Node::from(value) }),
            Some(Err(wrong)) => return Err(not_json(&wrong)),
        }
    }
}

fn place_of(text: &str, offset: usize) -> Place {
    let before = text.get(..offset).unwrap_or_default();
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count().saturating_add(1);
    Place::new(before.matches('\n').count().saturating_add(1), column)
}

fn not_json(wrong: &serde_json::Error) -> Malformed {
    let whole = wrong.to_string();
    let message = whole.split(" at line ").next().unwrap_or_default();
    let message = match wrong.classify() {
        Category::Eof => format!("the JSON ends too early: {message}"),
        Category::Io | Category::Syntax | Category::Data => message.to_owned(),
    };
    Malformed { place: Place::new(wrong.line(), wrong.column()), message }
}
