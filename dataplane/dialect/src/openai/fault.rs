//! Errors in OpenAI's dialect: <https://platform.openai.com/docs/guides/error-codes>.

use crate::fault::{Fault, FaultKind};
use crate::json;

pub(crate) fn write(fault: &Fault) -> Vec<u8> {
    let param = fault.param.as_deref().map_or(b"null".to_vec(), json::quote);
    [
        b"{\"error\":{\"message\":",
        json::quote(&fault.message).as_slice(),
        b",\"type\":",
        json::quote(kind(fault.kind)).as_slice(),
        b",\"param\":",
        param.as_slice(),
        b",\"code\":",
        json::quote(fault.code).as_slice(),
        b"}}",
    ]
    .concat()
}

/// Within a stream. Nothing follows it: a client that read on to `[DONE]` would take the answer for whole.
pub(crate) fn write_event(fault: &Fault) -> Vec<u8> {
    [b"data: ", write(fault).as_slice(), b"\n\n"].concat()
}

fn kind(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::InvalidRequest | FaultKind::TooLarge => "invalid_request_error",
        FaultKind::Authentication => "authentication_error",
        FaultKind::Permission => "permission_error",
        FaultKind::NotFound => "not_found_error",
        FaultKind::RateLimit => "rate_limit_error",
        FaultKind::Server => "server_error",
        FaultKind::Unavailable => "service_unavailable_error",
        FaultKind::Timeout => "timeout_error",
    }
}
