//! send: asks one target after another until one answers.
//!
//! The next target is asked only while nothing can have reached the one before. What a provider answers, be it an
//! error, is its answer.

use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use dialect::{AskUsage, Edits, HideUsage};
use http::header::CONTENT_TYPE;
use http::response::Parts;
use http::{HeaderMap, HeaderValue};
use policy::{Plan, Reach, Target};
use tokio::time::Instant;

use crate::error::Error;
use crate::gateway::Core;
use crate::pipeline::accept::Call;
use crate::pipeline::record::Record;
use crate::upstream::post::post;
use crate::upstream::{Letter, Source, Trouble, demo};

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
            post(&pool, http, call, headers, letter).await?
        }
    };
    let streamed = head.headers.get(CONTENT_TYPE).is_some_and(is_event_stream);
    let mut reply = Reply { head, first: None, source, streamed, hide_usage };
    if streamed {
        let first = piece(&mut reply.source).await?;
        reply.first = Some(first.ok_or_else(|| Trouble::Broken("its stream ended before it began".into()))?);
        return Ok(reply);
    }
    reply.first = whole(&mut reply.source).await?;
    if reply.head.status.is_success() && !reply.first.as_deref().is_some_and(opens_object) {
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
