//! Chat completions, whole and in chunks: <https://platform.openai.com/docs/api-reference/chat/object>,
//! <https://platform.openai.com/docs/api-reference/chat-streaming/streaming>.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use super::ask::{Chat, Delivery};
use super::tools::{self, Call};
use super::voice::{self, Speech};
use super::{DemoAnswer, FINGERPRINT, Stamp, UsageSaid, done, event, tokens, whole};
use crate::fault::Fault;

/// Long arguments come in larger parts, not in more.
const ARGUMENT_DELTAS_MAX: usize = 64;

#[derive(Debug, Serialize)]
struct Completion<'a, C> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<C>,
    /// Absent where nobody asked; null in every chunk but the last where somebody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<UsageSaid>>,
    service_tier: &'static str,
    system_fingerprint: &'static str,
}

#[derive(Debug, Serialize)]
struct Choice {
    index: u64,
    message: Message,
    logprobs: (),
    finish_reason: &'static str,
}

#[derive(Debug, Serialize)]
struct Message {
    role: &'static str,
    content: Option<String>,
    refusal: (),
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call>,
}

#[derive(Debug, Serialize)]
struct Part {
    index: u64,
    delta: Value,
    logprobs: (),
    finish_reason: Option<&'static str>,
}

/// What one choice holds: words, or calls.
#[derive(Debug)]
struct Said {
    speech: Speech,
    calls: Vec<Call>,
}

impl Said {
    fn tokens(&self) -> u64 {
        tokens::count(&self.speech.text) + self.calls.iter().map(Call::tokens).sum::<u64>()
    }
}

pub(super) fn answer(chat: &Chat<'_>, stamp: &Stamp<'_>) -> Result<DemoAnswer, Fault> {
    tools::check(chat)?;
    let said: Vec<Said> = (0..chat.limits.n).map(|n| say(chat, stamp, n)).collect();
    let usage = UsageSaid::of(chat.prompt_tokens(), said.iter().map(Said::tokens).sum());
    let id = stamp.id("chatcmpl-", 0);
    Ok(match chat.delivery {
        Delivery::Whole => whole(&completion(stamp, &id, choices(said), Some(Some(usage)))),
        Delivery::Streamed { with_usage } => DemoAnswer::Events(chunks(&said, stamp, &id, with_usage.then_some(usage))),
    })
}

fn say(chat: &Chat<'_>, stamp: &Stamp<'_>, n: u64) -> Said {
    let calls = tools::calls(chat, stamp, n);
    let speech = if calls.is_empty() {
        Speech::cut(&voice::reply(chat, n), &chat.limits)
    } else {
        Speech { text: String::new(), finish_reason: "tool_calls" }
    };
    Said { speech, calls }
}

fn completion<'a, C>(
    stamp: &'a Stamp<'_>,
    id: &'a str,
    choices: Vec<C>,
    usage: Option<Option<UsageSaid>>,
) -> Completion<'a, C> {
    Completion {
        id,
        object: "chat.completion",
        created: stamp.now_s,
        model: stamp.model,
        choices,
        usage,
        service_tier: "default",
        system_fingerprint: FINGERPRINT,
    }
}

fn choices(said: Vec<Said>) -> Vec<Choice> {
    let choices = said.into_iter().zip(0..).map(|(said, index)| {
        let content = said.calls.is_empty().then_some(said.speech.text);
        let message = Message { role: "assistant", content, refusal: (), tool_calls: said.calls };
        Choice { index, message, logprobs: (), finish_reason: said.speech.finish_reason }
    });
    choices.collect()
}

fn chunks(said: &[Said], stamp: &Stamp<'_>, id: &str, usage: Option<UsageSaid>) -> Vec<Bytes> {
    let chunk = |parts: Vec<Part>, said: Option<UsageSaid>| {
        let completion = completion(stamp, id, parts, usage.map(|_| said));
        event(&Completion { object: "chat.completion.chunk", ..completion })
    };
    let mut events = Vec::new();
    for (said, index) in said.iter().zip(0..) {
        let part = |delta: Value, finish_reason| vec![Part { index, delta, logprobs: (), finish_reason }];
        events.extend(deltas(said).into_iter().map(|delta| chunk(part(delta, None), None)));
        events.push(chunk(part(json!({}), Some(said.speech.finish_reason)), None));
    }
    events.extend(usage.map(|usage| chunk(Vec::new(), Some(usage))));
    events.push(done());
    events
}

fn deltas(said: &Said) -> Vec<Value> {
    if said.calls.is_empty() {
        let opening = json!({"role": "assistant", "content": "", "refusal": null});
        let words = tokens::pieces(&said.speech.text).map(|piece| json!({"content": piece}));
        return std::iter::once(opening).chain(words).collect();
    }
    let mut deltas = vec![json!({"role": "assistant", "content": null})];
    for (n, call) in said.calls.iter().enumerate() {
        let function = json!({"name": call.function.name, "arguments": ""});
        deltas.push(json!({"tool_calls": [{"index": n, "id": call.id, "type": call.kind, "function": function}]}));
        let pieces: Vec<&str> = tokens::pieces(&call.function.arguments).collect();
        let parts = pieces.chunks(pieces.len().div_ceil(ARGUMENT_DELTAS_MAX).max(1)).map(<[&str]>::concat);
        deltas.extend(parts.map(|part| json!({"tool_calls": [{"index": n, "function": {"arguments": part}}]})));
    }
    deltas
}
