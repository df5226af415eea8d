//! One resource at a time, and the lists of them.

use http::header::{ETAG, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use http::{Response, StatusCode};
use http_body_util::Full;
use registry::{Fault, Outcome, Ref, ResourceKind, document};
use serde::Serialize;
use serde_json::Value;
use vocab::Revision;

use super::documents::read_one;
use super::error::Error;
use super::{Api, Call, Reply, json, query};
use crate::desk::{Condition, Done, Must, Refusal, Work, Written};
use crate::door::Answer;

const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1000;

#[derive(Serialize)]
struct List {
    data: Vec<Value>,
    next: Option<String>,
}

impl Api {
    pub(super) fn list(&self, kind: ResourceKind, call: &Call) -> Reply {
        let limit = call.params.number("limit", LIMIT, LIMIT_MAX)?;
        let after = call.params.get("cursor").map(query::read_cursor).transpose()?;
        let state = self.latest.state();
        let mut rest = state.list(kind, after.as_deref());
        let page: Vec<_> = rest.by_ref().take(limit).collect();
        let last = page.last().map(|stored| query::cursor(stored.resource.name()));
        let next = rest.next().and(last);
        Ok(json(StatusCode::OK, &List { data: page.into_iter().map(document).collect(), next }))
    }

    pub(super) fn get(&self, kind: ResourceKind, call: &Call) -> Reply {
        let of = Ref::new(kind, &call.name);
        let stored = self.latest.state().get(&of).cloned().ok_or(Refusal::Missing(of))?;
        Ok(tagged(StatusCode::OK, stored.revision, &document(&stored)))
    }

    pub(super) async fn put(&self, kind: ResourceKind, call: &Call) -> Reply {
        let of = Ref::new(kind, &call.name);
        let mut document = read_one(&call.body, call.format())?;
        address(&mut document, &of)?;
        let conditions = conditions(call, &of)?;
        self.one(call, Work::Documents(vec![document]), conditions).await
    }

    pub(super) async fn patch(&self, kind: ResourceKind, call: &Call) -> Reply {
        let of = Ref::new(kind, &call.name);
        let mut patch = read_one(&call.body, call.format())?;
        address(&mut patch, &of)?;
        let conditions = conditions(call, &of)?;
        self.one(call, Work::Patch { of, patch }, conditions).await
    }

    pub(super) async fn delete(&self, kind: ResourceKind, call: &Call) -> Reply {
        let of = Ref::new(kind, &call.name);
        let conditions = conditions(call, &of)?;
        self.propose(call, Work::Delete(of), conditions).await?;
        let mut answer = Response::new(Full::default());
        *answer.status_mut() = StatusCode::NO_CONTENT;
        Ok(answer)
    }

    /// A change of one resource, answered with what has become of it.
    pub(super) async fn one(&self, call: &Call, work: Work, conditions: Vec<Condition>) -> Reply {
        let done = self.propose(call, work, conditions).await?;
        let written = done.written.into_iter().next().ok_or(Refusal::Lost)?;
        let status = if written.outcome == Outcome::Created { StatusCode::CREATED } else { StatusCode::OK };
        Ok(tagged(status, written.stored.revision, &shown(&written, call.is_dry()?)))
    }

    /// Does it, or only says what would come of it.
    pub(super) async fn propose(&self, call: &Call, work: Work, conditions: Vec<Condition>) -> Result<Done, Error> {
        let done = if call.is_dry()? {
            self.desk.rehearse(work, conditions).await
        } else {
            self.desk.write(work, conditions).await
        };
        Ok(done?)
    }
}

/// A minted secret is shown when it is in force: one that was only rehearsed opens nothing.
fn shown(written: &Written, is_dry: bool) -> Value {
    let mut shown = document(&written.stored);
    if let (Value::Object(map), Some(secret), false) = (&mut shown, &written.minted, is_dry) {
        map.insert("secret".to_owned(), Value::String(secret.expose().to_owned()));
    }
    shown
}

/// The path says kind and name; a document that says them too must say the same.
fn address(document: &mut Value, of: &Ref) -> Result<(), Error> {
    let Value::Object(map) = document else {
        let message = "a document must be an object".to_owned();
        return Err(Error::invalid(vec![Fault { document: 0, path: of.to_string(), message }]));
    };
    for (field, own) in [("kind", of.kind.as_str()), ("name", of.name.as_str())] {
        let said = map.entry(field).or_insert_with(|| Value::String(own.to_owned()));
        if said.as_str() != Some(own) {
            let message = format!("the path says `{own}`; say the same or leave it out");
            return Err(Error::invalid(vec![Fault { document: 0, path: format!("{of}.{field}"), message }]));
        }
    }
    Ok(())
}

pub(super) fn conditions(call: &Call, of: &Ref) -> Result<Vec<Condition>, Error> {
    let mut conditions = Vec::new();
    if let Some(text) = header(call, &IF_MATCH)? {
        let must = if text == "*" { Must::Exist } else { Must::BeAt(revisions(text)?) };
        conditions.push(Condition { of: of.clone(), must });
    }
    match header(call, &IF_NONE_MATCH)? {
        None => {}
        Some("*") => conditions.push(Condition { of: of.clone(), must: Must::NotExist }),
        Some(_) => return Err(Error::bad("If-None-Match is * here: the resource must not exist yet")),
    }
    Ok(conditions)
}

fn header<'c>(call: &'c Call, name: &HeaderName) -> Result<Option<&'c str>, Error> {
    let mut values = call.headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().map(str::trim).filter(|_| values.next().is_none());
    text.map(Some).ok_or_else(|| Error::bad(format!("{name} must be there once, and be text")))
}

fn revisions(text: &str) -> Result<Vec<Revision>, Error> {
    let revision = |tag: &str| tag.trim().strip_prefix('"')?.strip_suffix('"')?.parse().ok().map(Revision);
    let revisions: Option<Vec<_>> = text.split(',').map(revision).collect();
    revisions.ok_or_else(|| Error::bad("If-Match is the ETag of the resource, with its quotes, as in \"42\""))
}

fn tagged(status: StatusCode, revision: Revision, body: &Value) -> Answer {
    let mut answer = json(status, body);
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{revision}\"")) {
        answer.headers_mut().insert(ETAG, tag);
    }
    answer
}
