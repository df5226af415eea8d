//! From the bytes of a body to documents: JSON, JSON lines, or YAML.
//!
//! JSON is read as JSON and everything else as YAML. A key that is there twice is a fault in both: one of the two is
//! not what somebody meant. YAML aliases are bounded, so that a small body cannot become a large one.

use std::fmt;

use registry::{Fault, Faults};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{DuplicateKeyPolicy, MergeKeyPolicy, Options};

use super::error::Error;

/// How many documents a body may hold, and a list entries: each costs more than the two bytes it can be written in.
const DOCUMENTS_MAX: usize = 200_000;
const TOO_MANY: &str = "at most 200000 documents go into one body; send them in parts";
/// How deep a document may nest.
const DEPTH_MAX: usize = 64;
const NODES_MAX: usize = 2_000_000;
const ALIASES_MAX: usize = 1_000;
/// What aliases may stand for, all in all.
const REPLAYED_MAX: usize = 100_000;

/// What the caller says the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Yaml,
    /// Not said: whatever it can be read as.
    Any,
}

impl Format {
    pub(super) fn of(content_type: Option<&str>) -> Format {
        let essence =
            content_type.and_then(|text| text.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase();
        if essence.contains("yaml") {
            Format::Yaml
        } else if essence.ends_with("json") || essence.contains("ndjson") || essence.contains("jsonl") {
            Format::Json
        } else {
            // What curl says when it is not told is no statement about the body.
            Format::Any
        }
    }
}

/// Every document in the body; a list stands for the documents in it.
pub(super) fn read(body: &[u8], format: Format) -> Result<Vec<Value>, Error> {
    let not_text = |why| Error::invalid(vec![fault(0, format!("the body is not UTF-8: {why}"))]);
    let text = std::str::from_utf8(body).map_err(not_text)?;
    let is_json = text.trim_start().starts_with(['{', '[']);
    let documents = match format {
        Format::Json => json(text)?,
        Format::Yaml => yaml(text)?,
        // YAML may begin with a brace as well. What cannot be read either way was more likely meant as JSON.
        Format::Any if is_json => match json(text) {
            Err(as_json @ Error::Invalid(_)) => yaml(text).map_err(|_| as_json)?,
            read => read?,
        },
        Format::Any => yaml(text)?,
    };
    let documents: Vec<Value> = documents.into_iter().flat_map(unpacked).collect();
    if DOCUMENTS_MAX < documents.len() { Err(too_many()) } else { Ok(documents) }
}

/// The one document in the body.
pub(super) fn read_one(body: &[u8], format: Format) -> Result<Value, Error> {
    let mut documents = read(body, format)?;
    match (documents.pop(), documents.len()) {
        (Some(document), 0) => Ok(document),
        (None, _) => Err(Error::invalid(vec![fault(0, "the body holds no document".to_owned())])),
        (Some(_), more) => {
            let count = more.saturating_add(1);
            let message = format!("the body holds {count} documents, and one is wanted; POST /v1/apply takes many");
            Err(Error::invalid(vec![fault(0, message)]))
        }
    }
}

fn unpacked(value: Value) -> Vec<Value> {
    match value {
        Value::Array(documents) => documents,
        other => vec![other],
    }
}

fn too_many() -> Error {
    Error::TooLarge(TOO_MANY.to_owned())
}

fn fault(document: usize, message: String) -> Fault {
    Fault { document, path: String::new(), message }
}

/// One value, or one after the other: JSON lines are values with line breaks between them.
fn json(text: &str) -> Result<Vec<Value>, Error> {
    let mut documents = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Strict>() {
        match value {
            Ok(_) if documents.len() == DOCUMENTS_MAX => return Err(too_many()),
            Ok(Strict(value)) => documents.push(value),
            Err(why) if why.to_string().contains(TOO_MANY) => return Err(too_many()),
            Err(why) => {
                return Err(Error::invalid(vec![fault(documents.len(), format!("the body is not JSON: {why}"))]));
            }
        }
    }
    Ok(documents)
}

/// Each document is read by itself, so that what is wrong with one does not hide what is wrong with the next.
fn yaml(text: &str) -> Result<Vec<Value>, Error> {
    let (mut documents, mut faults, mut number) = (Vec::new(), Faults::default(), 0usize);
    for (line, chunk) in chunks(text) {
        if DOCUMENTS_MAX <= number {
            return Err(too_many());
        }
        match serde_saphyr::from_multiple_with_options::<Strict>(chunk, options()) {
            Ok(values) => {
                number = number.saturating_add(values.len());
                documents.extend(values.into_iter().map(|Strict(value)| value));
            }
            Err(why) if why.to_string().contains(TOO_MANY) => return Err(too_many()),
            Err(why) => {
                let place = why.location().map(|at| {
                    let line = usize::try_from(at.line()).unwrap_or_default().saturating_add(line);
                    format!("line {line}, column {}: ", at.column())
                });
                let why = why.without_snippet().to_string();
                faults.push(fault(number, format!("{}the document is not YAML: {why}", place.unwrap_or_default())));
                number = number.saturating_add(1);
            }
        }
    }
    if faults.is_empty() { Ok(documents) } else { Err(Error::Invalid(faults)) }
}

/// A line that begins with `---` begins a document, wherever it stands; each comes with the number of lines before it.
fn chunks(text: &str) -> Vec<(usize, &str)> {
    let mut chunks = Vec::new();
    let (mut begin, mut begin_line, mut at) = (0, 0, 0usize);
    for (line, content) in text.split_inclusive('\n').enumerate() {
        let is_marker = content
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if is_marker
            && let Some(chunk) = text.get(begin..at)
            && !is_prologue(chunk)
        {
            chunks.push((begin_line, chunk));
            (begin, begin_line) = (at, line);
        }
        at = at.saturating_add(content.len());
    }
    chunks.extend(text.get(begin..).map(|chunk| (begin_line, chunk)));
    chunks
}

/// Comments and directives belong to the document that follows.
fn is_prologue(chunk: &str) -> bool {
    chunk.lines().all(|line| line.trim().is_empty() || line.starts_with(['#', '%']))
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            max_nodes: NODES_MAX,
            max_events: NODES_MAX.saturating_mul(2),
            max_aliases: ALIASES_MAX,
            max_anchors: ALIASES_MAX,
            max_recorded_anchor_events: REPLAYED_MAX,
            max_merge_keys: ALIASES_MAX,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: REPLAYED_MAX,
            max_replay_stack_depth: 16,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Merge,
        strict_booleans: true,
        with_snippet: false,
    }
}

/// A value whose objects say each key once.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Strict, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(value)) = seq.next_element()? {
            if list.len() == DOCUMENTS_MAX {
                return Err(A::Error::custom(TOO_MANY));
            }
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((key, Strict(value))) = entries.next_entry::<String, Strict>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("`{key}` is there twice")));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests;
