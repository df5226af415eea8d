//! The voice of the built-in demo provider: it knows nothing, but answers everything, in OpenAI's dialect and with
//! honest token counts, so that a first request works without an account.
//!
//! The same request, seed and second give the same answer. This is no hot path: here values are built.

mod ask;
mod chat;
mod completions;
mod embeddings;
mod sample;
mod tokens;
mod tools;
mod voice;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use vocab::Timestamp;

use crate::endpoint::Endpoint;
use crate::fault::{Fault, FaultKind};

/// An answer, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DemoAnswer {
    /// `application/json`
    Whole(Bytes),
    /// `text/event-stream`, one event after the other.
    Events(Vec<Bytes>),
}

/// `seed` names the answer and changes nothing else about it. A fault is the caller's, status 400.
pub fn answer(endpoint: Endpoint, body: &[u8], seed: u64, now: Timestamp) -> Result<DemoAnswer, Fault> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| refusal("invalid_json", "", format!("The body is not valid JSON: {error}.")))?;
    let stamp = Stamp { seed, now_s: now.as_ms() / 1000, model: ask::model(&body)? };
    match endpoint {
        Endpoint::ChatCompletions => chat::answer(&ask::Chat::read(&body)?, &stamp),
        Endpoint::Completions => completions::answer(&body, &stamp),
        Endpoint::Embeddings => embeddings::answer(&body, &stamp),
    }
}

/// What every answer carries.
#[derive(Debug)]
struct Stamp<'b> {
    seed: u64,
    now_s: u64,
    model: &'b str,
}

impl Stamp<'_> {
    /// An id as long as OpenAI's; `n` tells several of one answer apart.
    fn id(&self, prefix: &str, n: u64) -> String {
        let high = mixed(self.seed ^ mixed(n));
        format!("{prefix}{high:016x}{low:016x}", low = mixed(high))
    }
}

const FINGERPRINT: &str = "fp_turnpike_demo";

/// <https://platform.openai.com/docs/api-reference/chat/object#chat-object-usage>
#[derive(Debug, Clone, Copy, Serialize)]
struct UsageSaid {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct PromptDetails {
    cached_tokens: u64,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
}

impl UsageSaid {
    fn of(prompt_tokens: u64, completion_tokens: u64) -> UsageSaid {
        UsageSaid {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens + completion_tokens,
            prompt_tokens_details: PromptDetails { cached_tokens: 0 },
            completion_tokens_details: CompletionDetails { reasoning_tokens: 0 },
        }
    }
}

fn whole(answer: &impl Serialize) -> DemoAnswer {
    DemoAnswer::Whole(Bytes::from(json(answer)))
}

fn event(chunk: &impl Serialize) -> Bytes {
    Bytes::from([b"data: ", json(chunk).as_slice(), b"\n\n"].concat())
}

fn done() -> Bytes {
    Bytes::from_static(b"data: [DONE]\n\n")
}

/// What the demo writes has keys that are strings and numbers that are finite, which serialises.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

fn refusal(code: &'static str, param: &str, message: impl Into<String>) -> Fault {
    let fault = Fault::new(FaultKind::InvalidRequest, code, message);
    if param.is_empty() { fault } else { fault.with_param(param) }
}

/// Spreads the bits of a number over all of its bits (the finaliser of splitmix64).
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests;
