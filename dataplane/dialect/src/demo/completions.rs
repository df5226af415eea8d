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
struct Prompt<'b> {
    text: &'b str,
    tokens: u64,
}

/// An answer, with its prompt in front where the caller wants to see it again.
#[derive(Debug)]
struct Line<'b> {
    echo: &'b str,
    speech: Speech,
}

pub(super) fn answer(body: &Value, stamp: &Stamp<'_>) -> Result<DemoAnswer, Fault> {
    let prompts = prompts(body)?;
    let limits = Limits::read(body)?;
    let lines: Vec<Line<'_>> = lines(body, &prompts, &limits);
    let written = lines.iter().map(|line| tokens::count(line.echo) + tokens::count(&line.speech.text)).sum();
    let usage = UsageSaid::of(prompts.iter().map(|prompt| prompt.tokens).sum(), written);
    Ok(match Delivery::read(body) {
        Delivery::Whole => {
            let texts: Vec<String> = lines.iter().map(|line| [line.echo, &line.speech.text].concat()).collect();
            let ends = texts.iter().zip(&lines).zip(0..);
            let choices = ends.map(|((text, line), index)| choice(text, index, Some(line.speech.finish_reason)));
            whole(&completion(stamp, &stamp.id("cmpl-", 0), choices.collect(), Some(Some(usage))))
        }
        Delivery::Streamed { with_usage } => DemoAnswer::Events(chunks(&lines, stamp, with_usage.then_some(usage))),
    })
}

fn lines<'b>(body: &Value, prompts: &[Prompt<'b>], limits: &Limits<'_>) -> Vec<Line<'b>> {
    let echoes = body.get("echo") == Some(&Value::Bool(true));
    let answers = prompts.iter().flat_map(|prompt| (0..limits.n).map(move |n| (prompt.text, n)));
    let lines = answers.map(|(text, n)| Line {
        echo: if echoes { text } else { "" },
        speech: Speech::cut(&voice::spoken(text.trim(), n), limits),
    });
    lines.collect()
}

fn chunks(lines: &[Line<'_>], stamp: &Stamp<'_>, usage: Option<UsageSaid>) -> Vec<Bytes> {
    let id = stamp.id("cmpl-", 0);
    let chunk = |choices, said| event(&completion(stamp, &id, choices, usage.map(|_| said)));
    let mut events = Vec::new();
    for (line, index) in lines.iter().zip(0..) {
        let echo = Some(line.echo).filter(|echo| !echo.is_empty());
        let words = echo.into_iter().chain(tokens::pieces(&line.speech.text)).map(|text| choice(text, index, None));
        let choices = words.chain([choice("", index, Some(line.speech.finish_reason))]);
        events.extend(choices.map(|choice| chunk(vec![choice], None)));
    }
    events.extend(usage.map(|usage| chunk(Vec::new(), Some(usage))));
    events.push(done());
    events
}

fn completion<'a>(
    stamp: &'a Stamp<'_>,
    id: &'a str,
    choices: Vec<Choice<'a>>,
    usage: Option<Option<UsageSaid>>,
) -> Completion<'a> {
    let (created, model) = (stamp.now_s, stamp.model);
    Completion { id, object: "text_completion", created, model, choices, usage, system_fingerprint: FINGERPRINT }
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
fn read_texts(value: &Value) -> Option<Vec<Prompt<'_>>> {
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
