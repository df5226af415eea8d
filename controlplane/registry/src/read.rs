//! From a parsed document to a draft, or to everything that is wrong with it.

mod fields;
mod key;
mod model;
mod provider;
mod team;
mod user;

pub use provider::env_name;

use std::fmt;

use serde_json::Value;
use vocab::name::check_name;

use crate::draft::{Body, Draft};
use crate::fault::{Fault, Faults, Report};
use crate::nearest::hint;
use crate::resource::{Need, ResourceKind, Site};
use fields::{noun, quoted};

/// What every document may say; `revision` is what an answer of ours says, and means nothing on the way in.
macro_rules! known {
    ($($field:literal),* $(,)?) => { &["kind", "name", "revision", $($field),*] };
}
use known;

/// `document` is its number among those given together. A draft comes only without faults.
#[must_use]
pub fn read(document: usize, value: &Value) -> (Option<Draft>, Vec<Fault>) {
    let (draft, faults) = read_counted(document, value);
    (draft, faults.into_told())
}

pub(crate) fn read_counted(document: usize, value: &Value) -> (Option<Draft>, Faults) {
    let subject = outline(value).map(|outline| outline.to_string()).unwrap_or_default();
    let mut report = Report::new(document, subject);
    let body = body(value, &mut report).filter(|_| report.is_clean());
    (body.map(|body| Draft { document, body }), report.into_faults())
}

/// What can be said of a document whatever else is wrong with it: which resource it is about, and what it refers to.
pub(crate) struct Outline<'v> {
    pub(crate) kind: ResourceKind,
    pub(crate) name: &'v str,
    pub(crate) needs: Vec<Need<'v>>,
}

impl fmt::Display for Outline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

pub(crate) fn outline(value: &Value) -> Option<Outline<'_>> {
    let kind = ResourceKind::parse(value.get("kind")?.as_str()?)?;
    let name = valid_name(value.get("name"))?;
    let named = |field: &str, kind, site| Some(Need { kind, name: valid_name(value.get(field))?, site });
    let team = || named("team", ResourceKind::Team, Site::Team);
    let needs = match kind {
        ResourceKind::Provider | ResourceKind::Team => Vec::new(),
        ResourceKind::Model => targets(value),
        ResourceKind::User => team().into_iter().collect(),
        ResourceKind::Key => team().into_iter().chain(named("user", ResourceKind::User, Site::User)).collect(),
    };
    Some(Outline { kind, name, needs })
}

fn targets(model: &Value) -> Vec<Need<'_>> {
    let targets = model.get("targets").and_then(Value::as_array).into_iter().flatten().enumerate();
    let needs = targets.filter_map(|(at, target)| {
        let name = valid_name(target.get("provider"))?;
        Some(Need { kind: ResourceKind::Provider, name, site: Site::Target(at) })
    });
    needs.take(model::TARGETS_MAX).collect()
}

/// All names follow one rule.
fn valid_name(value: Option<&Value>) -> Option<&str> {
    value?.as_str().filter(|name| check_name(name).is_ok())
}

fn body(value: &Value, report: &mut Report) -> Option<Body> {
    let Value::Object(map) = value else {
        report.fault("", format!("a document must be an object with `kind` and `name`, not {}", noun(value)));
        return None;
    };
    let kind = kind(map.get("kind"), report)?;
    let read = match kind {
        ResourceKind::Provider => provider::read,
        ResourceKind::Model => model::read,
        ResourceKind::Team => team::read,
        ResourceKind::User => user::read,
        ResourceKind::Key => key::read,
    };
    read(map, report)
}

fn kind(value: Option<&Value>, report: &mut Report) -> Option<ResourceKind> {
    let kinds = || ResourceKind::ALL.map(ResourceKind::as_str);
    match value {
        Some(Value::String(text)) => {
            let kind = ResourceKind::parse(text);
            if kind.is_none() {
                let hint = hint(text, kinds());
                report.fault("kind", format!("there is no kind {} among {}{hint}", quoted(text), kinds().join(", ")));
            }
            kind
        }
        None | Some(Value::Null) => {
            report.fault("kind", format!("is missing: one of {}", kinds().join(", ")));
            None
        }
        Some(other) => {
            report.fault("kind", format!("must be text, not {}", noun(other)));
            None
        }
    }
}
