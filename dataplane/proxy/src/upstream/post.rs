//! One letter to one provider: over a warm connection if there is one, and sent once.

use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use dialect::{Fault, FaultKind};
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING, USER_AGENT,
};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use policy::Http;

use crate::pipeline::Call;
use crate::upstream::letter::Letter;
use crate::upstream::link::{Failed, Link, Trouble};
use crate::upstream::pool::Pool;
use crate::upstream::source::Source;

/// What of a caller's head goes on to a provider. All else is between the caller and us.
const FORWARDED: [HeaderName; 7] = [
    CONTENT_TYPE,
    ACCEPT,
    USER_AGENT,
    HeaderName::from_static("openai-beta"),
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];
/// So that the map of headers need not grow while it is filled.
const HEADERS_EXPECTED: usize = 12;

/// A connection that had been closed while nobody looked is no verdict on the provider: the letter comes back
/// unopened, and goes over a fresh one. Once a byte of it is out it is never sent again: it may have been read, and
/// every reading is billed.
pub(crate) async fn post(
    pool: &Rc<Pool>,
    http: &Http,
    call: &Call,
    headers: &HeaderMap,
    letter: Letter,
) -> Result<(Parts, Source), Trouble> {
    let mut request = address(pool, call, headers, letter);
    if let Some(mut link) = std::future::poll_fn(|cx| Poll::Ready(pool.take(cx))).await {
        match link.exchange(request).await {
            Ok(response) => return answered(response, link, pool, call),
            Err(Failed { untouched: Some(back), .. }) => request = back,
            Err(failed) => return Err(failed.trouble),
        }
    }
    let mut link = pool.dial(http).await?;
    match link.exchange(request).await {
        Ok(response) => answered(response, link, pool, call),
        Err(failed) => Err(failed.trouble),
    }
}

/// The envelope: where it goes, with whose credential. The caller's own is not among what is passed on.
fn address(pool: &Pool, call: &Call, headers: &HeaderMap, letter: Letter) -> Request<Letter> {
    let length = letter.length();
    let mut request = Request::new(letter);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = pool.envelope.uri(call.endpoint);
    *request.headers_mut() = HeaderMap::with_capacity(HEADERS_EXPECTED);
    let sent = request.headers_mut();
    sent.insert(HOST, pool.envelope.host.clone());
    for name in FORWARDED {
        if let Some(value) = headers.get(&name) {
            sent.insert(name, value.clone());
        }
    }
    if let Some(credential) = &pool.envelope.authorization {
        sent.insert(AUTHORIZATION, credential.clone());
    }
    sent.insert(CONTENT_LENGTH, HeaderValue::from(length));
    request
}

/// What a provider says of our account is the operator's trouble, and must not look like the caller's; it may also
/// quote our credential.
fn answered(
    response: Response<Incoming>,
    link: Link,
    pool: &Rc<Pool>,
    call: &Call,
) -> Result<(Parts, Source), Trouble> {
    let (head, body) = response.into_parts();
    let status = head.status;
    if matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::PAYMENT_REQUIRED
            | StatusCode::FORBIDDEN
            | StatusCode::PROXY_AUTHENTICATION_REQUIRED
    ) {
        return Err(Trouble::Account(status.as_u16()));
    }
    if !status.is_success() && !status.is_client_error() && !status.is_server_error() {
        return Err(Trouble::Garbage(format!("status {}, which answers nothing", status.as_u16())));
    }
    match head.headers.get(CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
        None => Ok((head, Source::wire(body, link, Rc::clone(pool)))),
        Some(encoding) if status.is_success() => {
            Err(Trouble::Encoded(encoding.to_str().unwrap_or("unreadable").to_string()))
        }
        Some(_) => Ok(retold(head, call)),
    }
}

/// An error in an encoding that we did not ask for: its status and its advice stand, its words are ours.
fn retold(mut head: Parts, call: &Call) -> (Parts, Source) {
    for name in [CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING] {
        head.headers.remove(name);
    }
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let said = format!("The provider answered with status {} and a body that cannot be read.", head.status.as_u16());
    let kind = if head.status == StatusCode::TOO_MANY_REQUESTS { FaultKind::RateLimit } else { FaultKind::Server };
    let body = dialect::write_fault(call.dialect, &Fault::new(kind, "upstream_error", said));
    (head, Source::script(VecDeque::from([body]), Duration::ZERO))
}
