//! The older completions: <https://platform.openai.com/docs/api-reference/completions/object>.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::ask::{Delivery, Limits, wrong_type};
use super::voice::{self, Speech};
use super::{DemoAnswer, FINGERPRINT, Stamp, UsageSaid, done, event, refusal, tokens, whole};
use crate::fault::Fault;

const PROMPTS_MAX: usize = 64;

#[derive(Debug, Serialize)]
struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<UsageSaid>>,
    system_fingerprint: &'static str,
}

#[derive(Debug, Serialize)]
struct Choice<'a> {
    text: &'a str,
    index: u64,
    logprobs: (),
    finish_reason: Option<&'a str>,
}

/// A text to go on from, and how many tokens it came as.
#[derive(Debug)]
pub(super) struct Prompt<'b> {
    pub(super) text: &'b str,
    pub(super) tokens: u64,
}

pub(super) fn answer(body: &Value, stamp: &Stamp<'_>) -> Result<DemoAnswer, Fault> {
    let prompts = prompts(body)?;
    let limits = Limits::read(body)?;
    let echo = body.get("echo") == Some(&Value::Bool(true));
    let speeches = prompts.iter().flat_map(|prompt| {
        let lead = if echo { prompt.text } else { "" };
        let limits = &limits;
        (0..limits.n).map(move |n| {
            let speech = Speech::cut(&voice::spoken(prompt.text.trim(), n), limits);
            Speech { text: format!("{lead}{}", speech.text), ..speech }
        })
    });
    let speeches: Vec<Speech> = speeches.collect();
    let written = speeches.iter().map(|speech| tokens::count(&speech.text)).sum();
    let usage = UsageSaid::of(prompts.iter().map(|prompt| prompt.tokens).sum(), written);
    let id = stamp.id("cmpl-", 0);
    let completion = |choices, usage| {
        let (created, model) = (stamp.now_s, stamp.model);
        Completion {
            id: &id,
            object: "text_completion",
            created,
            model,
            choices,
            usage,
            system_fingerprint: FINGERPRINT,
        }
    };
    let delivery = Delivery::read(body);
    let Delivery::Streamed { with_usage } = delivery else {
        let choices =
            speeches.iter().zip(0..).map(|(speech, index)| choice(&speech.text, index, Some(speech.finish_reason)));
        return Ok(whole(&completion(choices.collect(), Some(Some(usage)))));
    };
    let mut events: Vec<Bytes> = Vec::new();
    let unsaid = with_usage.then_some(None);
    for (speech, index) in speeches.iter().zip(0..) {
        let words = tokens::pieces(&speech.text).map(|piece| choice(piece, index, None));
        let choices = words.chain([choice("", index, Some(speech.finish_reason))]);
        events.extend(choices.map(|choice| event(&completion(vec![choice], unsaid))));
    }
    events.extend(with_usage.then(|| event(&completion(Vec::new(), Some(Some(usage))))));
    events.push(done());
    Ok(DemoAnswer::Streamed(events))
}

fn choice<'a>(text: &'a str, index: u64, finish_reason: Option<&'a str>) -> Choice<'a> {
    Choice { text, index, logprobs: (), finish_reason }
}

/// A text, several, a text as tokens, or several of those.
fn prompts(body: &Value) -> Result<Vec<Prompt<'_>>, Fault> {
    let prompts = match body.get("prompt") {
        None | Some(Value::Null) => {
            return Err(refusal("missing_required_parameter", "prompt", "You must provide a `prompt`."));
        }
        Some(prompt) => {
            read_texts(prompt).ok_or_else(|| wrong_type("prompt", "a string, or an array of strings or tokens"))?
        }
    };
    if prompts.is_empty() || PROMPTS_MAX < prompts.len() {
        let message = format!("`prompt` must hold 1 to {PROMPTS_MAX} texts for the demo.");
        return Err(refusal("invalid_value", "prompt", message));
    }
    Ok(prompts)
}

/// The four ways in which texts are given; the numbers of tokens mean nothing to the demo but their count.
pub(super) fn read_texts(value: &Value) -> Option<Vec<Prompt<'_>>> {
    let of_text = |text| Prompt { text, tokens: tokens::count(text) };
    match value {
        Value::String(text) => Some(vec![of_text(text)]),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            Some(items.iter().filter_map(Value::as_str).map(of_text).collect())
        }
        Value::Array(items) if items.iter().all(Value::is_u64) => Some(vec![of_tokens(items)]),
        Value::Array(items) => items
            .iter()
            .map(|item| {
                let tokens = item.as_array().filter(|tokens| tokens.iter().all(Value::is_u64))?;
                Some(of_tokens(tokens))
            })
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

fn of_tokens(tokens: &[Value]) -> Prompt<'static> {
    Prompt { text: "", tokens: tokens.iter().map(|_| 1).sum() }
}
