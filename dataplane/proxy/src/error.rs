//! Every way a request can be refused or fail: the one table from error to status, code and words.

use dialect::{Fault, FaultKind};
use http::StatusCode;
use policy::{Denied, Refusal};
use vocab::ProviderName;

use crate::upstream::Trouble;

#[derive(Debug)]
pub(crate) enum Error {
    Letter(BadLetter),
    Malformed(dialect::Malformed),
    Denied(Denied),
    Refused(Refusal),
    NoSuchModel,
    NotReady,
    Upstream { provider: ProviderName, trouble: Trouble },
}

/// What can be wrong with a request before its body is looked into.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BadLetter {
    NoSuchPath,
    WrongMethod,
    UriTooLong,
    TwoHosts,
    TooLarge { bytes_max: usize },
    Encoded,
    Slow,
    Torn,
}

/// What the table says of an error. `private` is for the log; the caller never sees it.
pub(crate) struct Verdict {
    pub(crate) status: StatusCode,
    pub(crate) fault: Fault,
    pub(crate) private: Option<String>,
}

impl Error {
    pub(crate) fn verdict(&self) -> Verdict {
        match self {
            Error::Malformed(malformed) => malformed_verdict(malformed),
            Error::Denied(denied) => denied_verdict(*denied),
            Error::Refused(refusal) => refused_verdict(refusal),
            Error::Upstream { provider, trouble } => upstream(provider.as_str(), trouble),
            Error::Letter(letter) => letter_verdict(*letter),
            Error::NotReady => Verdict::plain(
                StatusCode::SERVICE_UNAVAILABLE,
                FaultKind::Unavailable,
                "not_ready",
                "This gateway has no configuration yet; try again shortly.",
            ),
            Error::NoSuchModel => Verdict::plain(
                StatusCode::NOT_FOUND,
                FaultKind::NotFound,
                "model_not_found",
                "There is no such model, or this key may not use it.",
            ),
        }
    }
}

impl Verdict {
    fn plain(status: StatusCode, kind: FaultKind, code: &'static str, message: impl Into<String>) -> Verdict {
        Verdict { status, fault: Fault::new(kind, code, message), private: None }
    }
}

fn letter_verdict(letter: BadLetter) -> Verdict {
    let large;
    let (status, kind, code, said) = match letter {
        BadLetter::NoSuchPath => (
            StatusCode::NOT_FOUND,
            FaultKind::NotFound,
            "unknown_path",
            "There is nothing at this path; chat completions are at /v1/chat/completions.",
        ),
        BadLetter::WrongMethod => (
            StatusCode::METHOD_NOT_ALLOWED,
            FaultKind::InvalidRequest,
            "method_not_allowed",
            "This path does not take this method.",
        ),
        BadLetter::UriTooLong => (
            StatusCode::URI_TOO_LONG,
            FaultKind::InvalidRequest,
            "uri_too_long",
            "The path and query are longer than anything here.",
        ),
        BadLetter::TwoHosts => (
            StatusCode::BAD_REQUEST,
            FaultKind::InvalidRequest,
            "ambiguous_request",
            "The request names its host more than once.",
        ),
        BadLetter::TooLarge { bytes_max } => {
            large = format!("The body is larger than the {bytes_max} bytes that are allowed.");
            (StatusCode::PAYLOAD_TOO_LARGE, FaultKind::TooLarge, "request_too_large", large.as_str())
        }
        BadLetter::Encoded => (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            FaultKind::InvalidRequest,
            "unsupported_encoding",
            "Send the body without a Content-Encoding.",
        ),
        BadLetter::Slow => (
            StatusCode::REQUEST_TIMEOUT,
            FaultKind::InvalidRequest,
            "request_timeout",
            "The body did not arrive in time.",
        ),
        BadLetter::Torn => (
            StatusCode::BAD_REQUEST,
            FaultKind::InvalidRequest,
            "incomplete_body",
            "The body ended before it was complete.",
        ),
    };
    Verdict::plain(status, kind, code, said)
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
        Trouble::Account(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            FaultKind::Unavailable,
            "upstream_unauthorized",
            "does not accept this gateway's account; its operator has to look at that".into(),
        ),
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
