//! send: asks one target after another until one answers.
//!
//! The next target is asked only while nothing can have reached the one before. What a provider answers, be it an
//! error, is its answer.

use std::rc::Rc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use dialect::{AskUsage, Edits, HideUsage};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use policy::{Http, Plan, Reach, Target};
use tokio::time::Instant;

use crate::error::Error;
use crate::gateway::Core;
use crate::pipeline::accept::Call;
use crate::pipeline::record::Record;
use crate::upstream::link::Failed;
use crate::upstream::{Letter, Link, Pool, Source, Trouble, demo};

/// What of a caller's head goes on to a provider. All else is between the caller and us.
const FORWARDED: [HeaderName; 2] = [CONTENT_TYPE, ACCEPT];
const FORWARDED_TOO: [&str; 5] = ["openai-beta", "idempotency-key", "traceparent", "tracestate", "user-agent"];

/// So that the map of headers need not grow while it is filled.
const HEADERS_EXPECTED: usize = 12;
/// Up to here an answer that is not streamed is held until it is complete, so that a torn one becomes a clean error.
const WHOLE_BYTES_MAX: usize = 1 << 20;

/// A provider's answer: its head, the first of its body, and where the rest comes from.
pub(super) struct Reply {
    pub(super) head: Parts,
    pub(super) first: Option<Bytes>,
    pub(super) source: Source,
    pub(super) streamed: bool,
    pub(super) hide_usage: HideUsage,
}

pub(super) async fn until_answered(
    core: &Rc<Core>,
    plan: &Plan<'_>,
    call: &Call,
    headers: &HeaderMap,
    record: &mut Record,
) -> Result<Reply, Error> {
    let mut last = None;
    for target in plan.attempts {
        record.attempt(&target.provider.name, &target.model);
        let asked = Instant::now();
        let answered = attempt(core, target, call, headers).await;
        record.waited(asked.elapsed());
        match answered {
            Ok(reply) => return Ok(reply),
            Err(trouble) => {
                let goes_on = trouble.is_unsent();
                tracing::debug!(provider = %target.provider.name, %trouble, "attempt failed");
                last = Some(Error::Upstream { provider: target.provider.name.clone(), trouble });
                if !goes_on {
                    break;
                }
            }
        }
    }
    // A plan without a single attempt is not made: routing refuses first.
    Err(last.unwrap_or(Error::NoSuchModel))
}

async fn attempt(core: &Rc<Core>, target: &Target, call: &Call, headers: &HeaderMap) -> Result<Reply, Trouble> {
    let edits = Edits { model: &target.model, usage: AskUsage::Always };
    let spliced = dialect::splice(&call.body, &call.head, &edits);
    let hide_usage = spliced.hide_usage();
    let letter = Letter::new(spliced.into_segments());
    let (head, source) = match &target.provider.reach {
        Reach::Demo(wish) => demo::answer(wish, call, letter, core.roll()).await,
        Reach::Http(http) => {
            let pool = core.upstreams.pool(target.provider.serial, http)?;
            ask(&pool, http, call, headers, letter).await?
        }
    };
    let streamed = head.headers.get(CONTENT_TYPE).is_some_and(is_event_stream);
    let mut reply = Reply { head, first: None, source, streamed, hide_usage };
    reply.first = if streamed { piece(&mut reply.source).await? } else { whole(&mut reply.source).await? };
    if !streamed && reply.head.status.is_success() && !reply.first.as_deref().is_some_and(opens_object) {
        return Err(Trouble::Garbage("it answered something that is not JSON".into()));
    }
    Ok(reply)
}

/// Until the first bytes of the body are there, the answer can still become a clean error.
async fn piece(source: &mut Source) -> Result<Option<Bytes>, Trouble> {
    std::future::poll_fn(|cx| source.poll_joined(cx)).await.transpose()
}

/// An answer of ordinary size is waited for whole; the rest of a huge one is streamed.
async fn whole(source: &mut Source) -> Result<Option<Bytes>, Trouble> {
    let Some(first) = piece(source).await? else { return Ok(None) };
    if source.ended {
        return Ok(Some(first));
    }
    let mut all = BytesMut::from(first);
    while all.len() < WHOLE_BYTES_MAX
        && let Some(more) = piece(source).await?
    {
        all.extend_from_slice(&more);
    }
    Ok(Some(all.freeze()))
}

fn opens_object(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

fn is_event_stream(value: &HeaderValue) -> bool {
    value.as_bytes().get(..17).is_some_and(|start| start.eq_ignore_ascii_case(b"text/event-stream"))
}

/// Over a warm connection if there is one. One that was closed while nobody looked is no verdict on the provider.
async fn ask(
    pool: &Rc<Pool>,
    http: &Http,
    call: &Call,
    headers: &HeaderMap,
    letter: Letter,
) -> Result<(Parts, Source), Trouble> {
    let warm = std::future::poll_fn(|cx| Poll::Ready(pool.take(cx))).await;
    let mut request = address(pool, call, headers, letter.clone());
    if let Some(mut link) = warm {
        match link.exchange(request).await {
            Ok(response) => return answered(response, link, pool),
            Err(Failed { untouched: Some(back), .. }) => request = back,
            Err(Failed { trouble: Trouble::Broken(_), .. }) => request = address(pool, call, headers, letter),
            Err(failed) => return Err(failed.trouble),
        }
    }
    let mut link = pool.dial(http).await?;
    match link.exchange(request).await {
        Ok(response) => answered(response, link, pool),
        Err(failed) => Err(failed.trouble),
    }
}

fn answered(
    response: http::Response<hyper::body::Incoming>,
    link: Link,
    pool: &Rc<Pool>,
) -> Result<(Parts, Source), Trouble> {
    let (head, body) = response.into_parts();
    match head.headers.get(CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
        Some(encoding) => Err(Trouble::Encoded(encoding.to_str().unwrap_or("unreadable").to_string())),
        None => Ok((head, Source::wire(body, link, Rc::clone(pool)))),
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
    for name in FORWARDED_TOO {
        if let Some(value) = headers.get(name) {
            sent.insert(HeaderName::from_static(name), value.clone());
        }
    }
    if let Some(credential) = &pool.envelope.authorization {
        sent.insert(AUTHORIZATION, credential.clone());
    }
    sent.insert(CONTENT_LENGTH, HeaderValue::from(length));
    request
}
