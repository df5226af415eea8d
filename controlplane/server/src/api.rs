//! Where operators speak: REST over what is in force, and proposals to change it.
//!
//! Reads are answered from memory, whatever the store does. Writes are answered when they are in force here.

mod auth;
mod routes;

mod documents;
mod query;

mod resources;

mod apply;
mod keys;

mod proxies;
mod status;
mod usage;

mod error;
mod openapi;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use serde::Serialize;
use tokio::time::timeout;
use vocab::Secret;

use crate::desk::Desk;
use crate::door::Answer;
use crate::proxies::Proxies;
use crate::publish::Latest;
use crate::telemetry::Metrics;
use crate::usage::UsageLog;
use documents::Format;
use error::Error;
use query::Params;
use routes::{Action, Found};

/// An apply of a hundred thousand keys is 25 MB.
const BODY_BYTES_MAX: usize = 64 << 20;
const BODY_LATE: Duration = Duration::from_secs(120);

/// What the API speaks for.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) admin_token: Secret,
    pub(crate) latest: Arc<Latest>,
    pub(crate) desk: Desk,
    pub(crate) proxies: Arc<Proxies>,
    pub(crate) usage: Arc<dyn UsageLog>,
    pub(crate) store_kind: &'static str,
    pub(crate) metrics: Arc<Metrics>,
}

/// A request that was let in and read.
#[derive(Debug)]
struct Call {
    /// Decoded; empty where the route has none.
    name: String,
    params: Params,
    headers: HeaderMap,
    body: Bytes,
}

type Reply = Result<Answer, Error>;

impl Api {
    pub(crate) async fn serve(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let (parts, body) = request.into_parts();
        let found = routes::find(parts.method.as_str(), parts.uri.path());
        let (method, route) = match &found {
            Found::Route(route, _) => (route.method, route.template),
            Found::OtherMethods(_) | Found::Nothing => ("", "none"),
        };
        let answer = self.reply(&parts, body, found).await.unwrap_or_else(|error| error.answer());
        self.metrics.called(method, route, answer.status().as_u16());
        answer
    }

    /// Whoever may not speak learns nothing, not even which routes there are.
    async fn reply(&self, parts: &Parts, body: Incoming, found: Found<'_>) -> Reply {
        let is_public = matches!(&found, Found::Route(route, _) if route.action.is_public());
        if !is_public && !auth::is_admin(&parts.headers, &self.admin_token) {
            return Err(Error::Unauthorized);
        }
        let (route, name) = match found {
            Found::Route(route, name) => (route, name),
            Found::OtherMethods(methods) => return Err(Error::MethodNotAllowed { allow: methods.join(", ") }),
            Found::Nothing => return Err(Error::NotFound("there is no such path; see /openapi.json".to_owned())),
        };
        let call = Call {
            name: query::decode(name).ok_or_else(|| Error::bad("the name in the path is not percent-encoded UTF-8"))?,
            params: Params::read(parts.uri.query(), route.params)?,
            headers: parts.headers.clone(),
            body: read_body(&parts.headers, body).await?,
        };
        self.perform(route.action, call).await
    }

    async fn perform(&self, action: Action, call: Call) -> Reply {
        match action {
            Action::OpenApi => Ok(openapi::answer()),
            Action::List(kind) => self.list(kind, &call),
            Action::Get(kind) => self.get(kind, &call),
            Action::Put(kind) => self.put(kind, &call).await,
            Action::Patch(kind) => self.patch(kind, &call).await,
            Action::Delete(kind) => self.delete(kind, &call).await,
            Action::CreateKey => self.create_key(&call).await,
            Action::RotateKey => self.rotate_key(&call).await,
            Action::RevokeKey => self.revoke_key(&call).await,
            Action::Apply => self.apply(call).await,
            Action::Export => self.export(&call).await,
            Action::Proxies => Ok(self.list_proxies()),
            Action::Usage => self.query_usage(&call).await,
            Action::Status => Ok(self.status()),
        }
    }
}

async fn read_body(headers: &HeaderMap, body: Incoming) -> Result<Bytes, Error> {
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(Error::bad("send the body uncompressed"));
    }
    let too_large = || Error::TooLarge(format!("a body has at most {} MiB", BODY_BYTES_MAX >> 20));
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if BODY_BYTES_MAX < announced {
        return Err(too_large());
    }
    match timeout(BODY_LATE, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(why)) if why.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(why)) => Err(Error::bad(format!("the body broke off: {why}"))),
        Err(_) => Err(Error::TooSlow),
    }
}

impl Call {
    fn format(&self) -> Format {
        Format::of(self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()))
    }

    fn is_dry(&self) -> Result<bool, Error> {
        self.params.flag("dryRun")
    }
}

fn json<T: Serialize>(status: StatusCode, body: &T) -> Answer {
    // What we write are maps with text for keys: it cannot fail.
    bytes(status, "application/json", serde_json::to_vec(body).unwrap_or_default())
}

fn bytes(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
