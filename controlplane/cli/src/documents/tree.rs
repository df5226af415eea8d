//! A document as a tree in which every value knows its line.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Location, Spanned};

/// Counted from 1; line 0 is "unknown".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Place {
    line: u64,
    column: u64,
}

impl Place {
    pub(super) fn of(location: Location) -> Place {
        Place { line: location.line(), column: location.column() }
    }

    pub(super) fn new(line: usize, column: usize) -> Place {
        let [line, column] = [line, column].map(|number| u64::try_from(number).unwrap_or(u64::MAX));
        Place { line, column }
    }

    pub(crate) fn is_known(self) -> bool {
        0 < self.line
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// Of the key: its value may start a line later.
    pub(crate) place: Place,
    pub(crate) value: Node,
}

impl Node {
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.content {
            Content::Map(entries) => entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value),
            Content::Null | Content::Bool(_) | Content::Number(_) | Content::Text(_) | Content::List(_) => None,
        }
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match &self.get(key)?.content {
            Content::Text(text) => Some(text),
            Content::Null | Content::Bool(_) | Content::Number(_) | Content::List(_) | Content::Map(_) => None,
        }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Map(entries) => entries,
            Content::Null | Content::Bool(_) | Content::Number(_) | Content::Text(_) | Content::List(_) => &[],
        }
    }

    /// Follows `targets[0].provider` as far as it leads.
    pub(crate) fn find(&self, path: &str) -> Place {
        let mut node = self;
        let mut place = self.place;
        let mut rest = path;
        while let Some((next, next_place, after)) = node.step(rest) {
            (node, rest) = (next, after);
            place = if next_place.is_known() { next_place } else { place };
        }
        place
    }

    fn step<'p>(&self, path: &'p str) -> Option<(&Node, Place, &'p str)> {
        match &self.content {
            Content::List(nodes) => {
                let (index, after) = path.strip_prefix('[')?.split_once(']')?;
                let node = nodes.get(index.parse::<usize>().ok()?)?;
                Some((node, node.place, after.trim_start_matches('.')))
            }
            Content::Map(entries) => {
                let named = entries.iter().filter_map(|entry| {
                    let after = path.strip_prefix(entry.key.as_str())?;
                    let whole = after.is_empty() || after.starts_with(['.', '[']);
                    (whole && !entry.key.is_empty()).then_some((entry, after))
                });
                // Keys may hold dots themselves: the longest that fits is meant.
                let (entry, after) = named.max_by_key(|(entry, _)| entry.key.len())?;
                Some((&entry.value, entry.place, after.strip_prefix('.').unwrap_or(after)))
            }
            Content::Null | Content::Bool(_) | Content::Number(_) | Content::Text(_) => None,
        }
    }

    pub(crate) fn value(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(truth) => Value::Bool(*truth),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(nodes) => Value::Array(nodes.iter().map(Node::value).collect()),
            Content::Map(entries) => Value::Object(
                entries.iter().map(|entry| (entry.key.clone(), entry.value.value())).collect::<Map<_, _>>(),
            ),
        }
    }
}

/// Without places.
impl From<Value> for Node {
    fn from(value: Value) -> Node {
        let content = match value {
            Value::Null => Content::Null,
            Value::Bool(truth) => Content::Bool(truth),
            Value::Number(number) => Content::Number(number),
            Value::String(text) => Content::Text(text),
            Value::Array(values) => Content::List(values.into_iter().map(Node::from).collect()),
            Value::Object(map) => {
                let entry = |(key, value)| Entry { key, place: Place::default(), value: Node::from(value) };
                Content::Map(map.into_iter().map(entry).collect())
            }
        };
        Node { place: Place::default(), content }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        let spanned = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Node { place: Place::of(spanned.referenced), content: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Content, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Content, E> {
        Ok(Content::Bool(truth))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Content, E> {
        Ok(Content::Number(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Content, E> {
        Ok(Content::Number(number.into()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Content, E> {
        Number::from_f64(number).map(Content::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(Content::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Content::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<Spanned<String>, Node>()? {
            entries.push(Entry { place: Place::of(key.referenced), key: key.value, value });
        }
        Ok(Content::Map(entries))
    }
}
