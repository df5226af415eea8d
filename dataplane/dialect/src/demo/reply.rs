//! From what is said to the shape it is said in: one body, or a stream of events.

use bytes::Bytes;
use serde_json::{Value, json};
use vocab::{RequestId, Timestamp};

use super::DemoAnswer;
use super::tokens::pieces;
use super::wish::Wish;

/// What every chunk and every body begins with.
pub(super) struct Letterhead {
    pub(super) id: String,
    pub(super) object: &'static str,
    created_s: u64,
    model: String,
}

/// One answer of `n`.
pub(super) struct Choice {
    pub(super) said: Said,
    pub(super) finish: &'static str,
}

pub(super) enum Said {
    Text(String),
    Call { id: String, name: String, arguments: String },
}

#[derive(Clone, Copy)]
pub(super) struct Count {
    pub(super) prompt: usize,
    pub(super) completion: usize,
}

impl Count {
    pub(super) fn draw(self) -> Value {
        json!({
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        })
    }
}

impl Letterhead {
    pub(super) fn new(prefix: &str, object: &'static str, wish: &Wish, seed: u64, now: Timestamp) -> Letterhead {
        let id = format!("{prefix}-{}", RequestId(seed));
        Letterhead { id, object, created_s: now.as_ms() / 1000, model: wish.model.clone() }
    }

    pub(super) fn draw(&self, choices: &Value, usage: Option<Value>) -> Value {
        let mut body = json!({
            "id": self.id,
            "object": self.object,
            "created": self.created_s,
            "model": self.model,
            "choices": choices,
            "system_fingerprint": "fp_demo",
        });
        if let (Some(usage), Some(fields)) = (usage, body.as_object_mut()) {
            fields.insert("usage".to_owned(), usage);
        }
        body
    }

    /// Chunks in the order they are given, then usage if it was asked for, then the end.
    pub(super) fn stream(&self, wish: &Wish, chunks: impl Iterator<Item = Value>, count: Count) -> DemoAnswer {
        let unsaid = || wish.usage_chunk.then_some(Value::Null);
        let mut events: Vec<Bytes> = chunks.map(|choice| event(&self.draw(&json!([choice]), unsaid()))).collect();
        if wish.usage_chunk {
            events.push(event(&self.draw(&json!([]), Some(count.draw()))));
        }
        events.push(Bytes::from_static(b"data: [DONE]\n\n"));
        DemoAnswer::Events(events)
    }
}

pub(super) fn whole(body: &Value) -> DemoAnswer {
    DemoAnswer::Whole(Bytes::from(body.to_string()))
}

fn event(body: &Value) -> Bytes {
    Bytes::from(format!("data: {body}\n\n"))
}

impl Choice {
    pub(super) fn message(&self, index: usize) -> Value {
        let message = match &self.said {
            Said::Text(text) => json!({"role": "assistant", "content": text, "refusal": null}),
            Said::Call { id, name, arguments } => json!({
                "role": "assistant",
                "content": null,
                "refusal": null,
                "tool_calls": [{"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}],
            }),
        };
        json!({"index": index, "message": message, "logprobs": null, "finish_reason": self.finish})
    }

    /// The same, in pieces: who speaks, what is said token by token, and why it ended.
    pub(super) fn deltas(&self, index: usize) -> Vec<Value> {
        let chunk = |delta: Value, finish: Option<&str>| json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": finish});
        let mut chunks = Vec::new();
        match &self.said {
            Said::Text(text) => {
                chunks.push(chunk(json!({"role": "assistant", "content": "", "refusal": null}), None));
                chunks.extend(pieces(text).into_iter().map(|piece| chunk(json!({"content": piece}), None)));
            }
            Said::Call { id, name, arguments } => {
                let call = json!({
                    "index": 0, "id": id, "type": "function", "function": {"name": name, "arguments": ""},
                });
                chunks.push(chunk(json!({"role": "assistant", "content": null, "tool_calls": [call]}), None));
                for piece in pieces(arguments) {
                    let call = json!({"index": 0, "function": {"arguments": piece}});
                    chunks.push(chunk(json!({"tool_calls": [call]}), None));
                }
            }
        }
        chunks.push(chunk(json!({}), Some(self.finish)));
        chunks
    }
}
