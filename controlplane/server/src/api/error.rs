//! The one table: what went wrong, as status, code and sentence.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use http_body_util::Full;
use registry::{Fault, Faults};
use serde::Serialize;

use crate::desk::{Refusal, summary};
use crate::door::Answer;
use crate::store::StoreError;

/// More than this is not read by anybody; the rest is counted.
const FAULTS_MAX: usize = 1000;

#[derive(Clone, Debug)]
pub(crate) enum Error {
    Bad(String),
    /// The request could not be read as documents, or the documents not be taken.
    Invalid(Faults),
    Unauthorized,
    NotFound(String),
    MethodNotAllowed {
        allow: String,
    },
    TooLarge(String),
    TooSlow,
    Refused(Refusal),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        Error::Refused(refusal)
    }
}

impl From<StoreError> for Error {
    fn from(why: StoreError) -> Error {
        Error::Refused(Refusal::Store(why))
    }
}

impl Error {
    pub(super) fn invalid(faults: impl Into<Faults>) -> Error {
        Error::Invalid(faults.into())
    }

    pub(super) fn bad(message: impl Into<String>) -> Error {
        Error::Bad(message.into())
    }

    fn status(&self) -> (StatusCode, &'static str) {
        const CONFLICT: (StatusCode, &str) = (StatusCode::CONFLICT, "conflict");
        const INVALID: (StatusCode, &str) = (StatusCode::BAD_REQUEST, "invalid_documents");
        const UNAVAILABLE: (StatusCode, &str) = (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable");
        const BAD: (StatusCode, &str) = (StatusCode::BAD_REQUEST, "bad_request");
        const NOT_FOUND: (StatusCode, &str) = (StatusCode::NOT_FOUND, "not_found");
        const TOO_LARGE: (StatusCode, &str) = (StatusCode::PAYLOAD_TOO_LARGE, "too_large");
        match self {
            Error::Bad(_) => BAD,
            Error::Invalid(_) => INVALID,
            Error::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Error::NotFound(_) => NOT_FOUND,
            Error::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Error::TooLarge(_) => TOO_LARGE,
            Error::TooSlow => (StatusCode::REQUEST_TIMEOUT, "request_timeout"),
            Error::Refused(refusal) => match refusal {
                Refusal::Missing(_) => NOT_FOUND,
                Refusal::Exists(_) | Refusal::InUse { .. } | Refusal::Unreadable(_) => CONFLICT,
                Refusal::Stale { .. } => (StatusCode::PRECONDITION_FAILED, "precondition_failed"),
                Refusal::Invalid(_) => INVALID,
                Refusal::Lost => UNAVAILABLE,
                Refusal::Store(why) => match why {
                    StoreError::TooLarge { .. } => TOO_LARGE,
                    StoreError::BadCursor => BAD,
                    StoreError::Corrupt(_) => CONFLICT,
                    StoreError::Conflict { .. }
                    | StoreError::Unavailable(_)
                    | StoreError::Unsure(_)
                    | StoreError::Foreign(_)
                    | StoreError::Taken(_)
                    | StoreError::Misconfigured(_) => UNAVAILABLE,
                },
            },
        }
    }

    fn message(&self) -> String {
        match self {
            Error::Bad(message) | Error::NotFound(message) | Error::TooLarge(message) => message.clone(),
            Error::Invalid(faults) => summary(faults),
            Error::Unauthorized => {
                "give the admin token of this control plane: `Authorization: Bearer <admin token>`".to_owned()
            }
            Error::MethodNotAllowed { allow } => format!("this path takes {allow}"),
            Error::TooSlow => "the body did not arrive in time".to_owned(),
            Error::Refused(refusal) => refusal.to_string(),
        }
    }

    fn faults(&self) -> Option<&Faults> {
        match self {
            Error::Invalid(faults) | Error::Refused(Refusal::Invalid(faults) | Refusal::InUse { faults, .. }) => {
                Some(faults)
            }
            _ => None,
        }
    }

    fn header(&self, status: StatusCode) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Error::Unauthorized => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            Error::MethodNotAllowed { allow } => HeaderValue::from_str(allow).ok().map(|allow| (ALLOW, allow)),
            _ if status == StatusCode::SERVICE_UNAVAILABLE => Some((RETRY_AFTER, HeaderValue::from_static("2"))),
            _ => None,
        }
    }

    pub(super) fn answer(&self) -> Answer {
        let (status, code) = self.status();
        let faults = self.faults();
        let shown = faults.map(|faults| faults.iter().take(FAULTS_MAX).map(Shown::of).collect());
        let omitted = faults.map_or(0, |faults| faults.count().saturating_sub(FAULTS_MAX));
        let error =
            Body { code, message: &self.message(), faults: shown, faults_omitted: Some(omitted).filter(|n| *n > 0) };
        let body = serde_json::to_vec(&Envelope { error }).unwrap_or_default();
        let mut answer = Response::new(Full::new(Bytes::from(body)));
        *answer.status_mut() = status;
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer.headers_mut().extend(self.header(status));
        answer
    }
}

#[derive(Serialize)]
struct Envelope<'e> {
    error: Body<'e>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'e> {
    code: &'static str,
    message: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    faults: Option<Vec<Shown<'e>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    faults_omitted: Option<usize>,
}

#[derive(Serialize)]
struct Shown<'e> {
    document: usize,
    path: &'e str,
    message: &'e str,
}

impl<'e> Shown<'e> {
    fn of(fault: &'e Fault) -> Shown<'e> {
        Shown { document: fault.document, path: &fault.path, message: &fault.message }
    }
}
