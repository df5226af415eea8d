//! What can be done with keys besides writing them down.

use registry::{Fault, Ref, ResourceKind};
use serde_json::{Map, Value};

use super::documents::read_one;
use super::error::Error;
use super::resources::conditions;
use super::{Api, Call, Reply};
use crate::desk::{Condition, Must, Work};

/// A year.
const GRACE_SECONDS_MAX: u64 = 366 * 24 * 3600;

impl Api {
    /// Creates, and never overwrites.
    pub(super) async fn create_key(&self, call: &Call) -> Reply {
        let mut document = read_one(&call.body, call.format())?;
        let kind = ResourceKind::Key;
        if let Value::Object(map) = &mut document {
            map.entry("kind").or_insert_with(|| Value::String(kind.as_str().to_owned()));
            if map.get("kind").and_then(Value::as_str) != Some(kind.as_str()) {
                return Err(invalid("kind", "is a Key, since the path says so"));
            }
        }
        let name = document.get("name").and_then(Value::as_str);
        let fresh = name.map(|name| Condition { of: Ref::new(kind, name), must: Must::BeNew });
        self.one(call, Work::Documents(vec![document]), fresh.into_iter().collect()).await
    }

    pub(super) async fn rotate_key(&self, call: &Call) -> Reply {
        let body = if call.body.is_empty() { Value::Object(Map::new()) } else { read_one(&call.body, call.format())? };
        let Value::Object(map) = body else { return Err(invalid("", "the body is an object, or empty")) };
        if let Some(unknown) = map.keys().find(|field| !["graceSeconds", "secret"].contains(&field.as_str())) {
            return Err(invalid(unknown, "is not a field of this; there are graceSeconds and secret"));
        }
        let grace_ms = match map.get("graceSeconds") {
            None | Some(Value::Null) => Some(0),
            Some(value) => value
                .as_u64()
                .filter(|seconds| *seconds <= GRACE_SECONDS_MAX)
                .map(|seconds| seconds.saturating_mul(1000)),
        };
        let wrong = || invalid("graceSeconds", format!("must be a whole number from 0 to {GRACE_SECONDS_MAX}"));
        let grace_ms = grace_ms.ok_or_else(wrong)?;
        let secret = map.get("secret").filter(|secret| !secret.is_null()).cloned();
        let conditions = conditions(call, &Ref::new(ResourceKind::Key, &call.name))?;
        self.one(call, Work::Rotate { key: call.name.clone(), secret, grace_ms }, conditions).await
    }

    pub(super) async fn revoke_key(&self, call: &Call) -> Reply {
        let conditions = conditions(call, &Ref::new(ResourceKind::Key, &call.name))?;
        self.one(call, Work::Revoke { key: call.name.clone() }, conditions).await
    }
}

fn invalid(path: &str, message: impl Into<String>) -> Error {
    Error::invalid(vec![Fault { document: 0, path: path.to_owned(), message: message.into() }])
}
