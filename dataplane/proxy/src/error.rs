//! Every way a request can be refused or fail: the one table from error to status, code and words.

use dialect::{Fault, FaultKind};
use http::StatusCode;
use policy::{Denied, Refusal};
use vocab::ProviderName;

use crate::upstream::Trouble;

#[derive(Debug)]
pub(crate) enum Error {
    NoSuchPath,
    WrongMethod,
    BodyTooLarge { bytes_max: usize },
    BodyEncoded,
    BodySlow,
    BodyBroken,
    Malformed(dialect::Malformed),
    Denied(Denied),
    Refused(Refusal),
    NoSuchModel,
    NotReady,
    Upstream { provider: ProviderName, trouble: Trouble },
}

/// What the table says of an error. `private` is for the log; the caller never sees it.
pub(crate) struct Verdict {
    pub(crate) status: StatusCode,
    pub(crate) fault: Fault,
    pub(crate) private: Option<String>,
}

impl Error {
    pub(crate) fn verdict(&self) -> Verdict {
        let plain = |status, kind, code, message: String| Verdict {
            status,
            fault: Fault { kind, code, message, param: None },
            private: None,
        };
        match self {
            Error::NoSuchPath => plain(
                StatusCode::NOT_FOUND,
                FaultKind::NotFound,
                "unknown_path",
                "There is nothing at this path; chat completions are at /v1/chat/completions.".into(),
            ),
            Error::WrongMethod => plain(
                StatusCode::METHOD_NOT_ALLOWED,
                FaultKind::InvalidRequest,
                "method_not_allowed",
                "This path does not take this method.".into(),
            ),
            Error::BodyTooLarge { bytes_max } => plain(
                StatusCode::PAYLOAD_TOO_LARGE,
                FaultKind::TooLarge,
                "request_too_large",
                format!("The body is larger than the {bytes_max} bytes that are allowed."),
            ),
            Error::BodyEncoded => plain(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                FaultKind::InvalidRequest,
                "unsupported_encoding",
                "Send the body without a Content-Encoding.".into(),
            ),
            Error::BodySlow => plain(
                StatusCode::REQUEST_TIMEOUT,
                FaultKind::InvalidRequest,
                "request_timeout",
                "The body did not arrive in time.".into(),
            ),
            Error::BodyBroken => plain(
                StatusCode::BAD_REQUEST,
                FaultKind::InvalidRequest,
                "incomplete_body",
                "The body ended before it was complete.".into(),
            ),
            Error::NotReady => plain(
                StatusCode::SERVICE_UNAVAILABLE,
                FaultKind::Unavailable,
                "not_ready",
                "This gateway has no configuration yet; try again shortly.".into(),
            ),
            Error::NoSuchModel => plain(
                StatusCode::NOT_FOUND,
                FaultKind::NotFound,
                "model_not_found",
                "There is no such model, or this key may not use it.".into(),
            ),
            Error::Malformed(malformed) => malformed_verdict(malformed),
            Error::Denied(denied) => denied_verdict(*denied),
            Error::Refused(refusal) => refused_verdict(refusal),
            Error::Upstream { provider, trouble } => upstream(provider.as_str(), trouble),
        }
    }
}

fn malformed_verdict(malformed: &dialect::Malformed) -> Verdict {
    Verdict {
        status: StatusCode::BAD_REQUEST,
        fault: Fault {
            kind: FaultKind::InvalidRequest,
            code: malformed.code(),
            message: malformed.to_string(),
            param: malformed.param().map(Into::into),
        },
        private: None,
    }
}

/// A caller we cannot place is 401; a key whose rights did not reach us whole is our trouble, hence 503.
fn denied_verdict(denied: Denied) -> Verdict {
    let (status, kind) = match denied {
        Denied::Quarantined => (StatusCode::SERVICE_UNAVAILABLE, FaultKind::Unavailable),
        Denied::Missing | Denied::Mistyped | Denied::Unknown | Denied::Disabled | Denied::Expired => {
            (StatusCode::UNAUTHORIZED, FaultKind::Authentication)
        }
    };
    let fault = Fault { kind, code: denied.code(), message: denied.message().into(), param: None };
    Verdict { status, fault, private: None }
}

fn refused_verdict(refusal: &Refusal) -> Verdict {
    let (status, kind) = match refusal {
        Refusal::Denied(denied) => return denied_verdict(*denied),
        Refusal::UnknownModel { .. } => (StatusCode::NOT_FOUND, FaultKind::NotFound),
        Refusal::ModelNotAllowed { .. } => (StatusCode::FORBIDDEN, FaultKind::Permission),
        Refusal::Quarantined { .. } | Refusal::NoTarget { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, FaultKind::Unavailable)
        }
    };
    let fault = Fault { kind, code: refusal.code(), message: refusal.message(), param: Some("model".into()) };
    Verdict { status, fault, private: Some(refusal.to_string()) }
}

/// Which provider it was is the caller's to know; addresses and causes are the operator's.
pub(crate) fn upstream(provider: &str, trouble: &Trouble) -> Verdict {
    let (status, kind, code, what) = match trouble {
        Trouble::Silence(after) => (
            StatusCode::GATEWAY_TIMEOUT,
            FaultKind::Timeout,
            "upstream_timeout",
            format!("did not answer within {} s", after.as_secs_f32()),
        ),
        Trouble::ConnectTimeout(_) => {
            (StatusCode::GATEWAY_TIMEOUT, FaultKind::Timeout, "upstream_timeout", "could not be reached in time".into())
        }
        Trouble::Name(_) | Trouble::Forbidden(_) | Trouble::Connect(_) | Trouble::Tls(_) => {
            (StatusCode::BAD_GATEWAY, FaultKind::Server, "upstream_unreachable", "could not be reached".into())
        }
        Trouble::Broken(_) | Trouble::Garbage(_) | Trouble::Encoded(_) => {
            (StatusCode::BAD_GATEWAY, FaultKind::Server, "upstream_broken", "broke off or answered nonsense".into())
        }
    };
    Verdict {
        status,
        fault: Fault { kind, code, message: format!("The provider {provider} {what}."), param: None },
        private: Some(trouble.to_string()),
    }
}
