//! What a request wishes for, read from the fields that the demo honours.

use serde_json::Value;

use super::bad;
use super::tokens::{count, pieces};
use crate::fault::Fault;

const CHOICES_MAX: u64 = 4;
const STOPS_MAX: usize = 4;

pub(super) struct Wish {
    pub(super) model: String,
    pub(super) streamed: bool,
    /// A stream reports its usage only if asked.
    pub(super) usage_chunk: bool,
    pub(super) tokens_max: usize,
    pub(super) choices: u64,
    stops: Vec<String>,
}

/// A text within its bounds.
pub(super) struct Cut {
    pub(super) text: String,
    pub(super) tokens: usize,
    pub(super) finish: &'static str,
}

impl Wish {
    pub(super) fn read(asked: &Value) -> Result<Wish, Fault> {
        let flag = |value: Option<&Value>| value.and_then(Value::as_bool).unwrap_or_default();
        let ceiling = asked.get("max_completion_tokens").or_else(|| asked.get("max_tokens"));
        let choices = asked.get("n").filter(|n| !n.is_null()).map_or(Some(1), Value::as_u64);
        let choices = choices.filter(|n| (1..=CHOICES_MAX).contains(n));
        Ok(Wish {
            model: asked.get("model").and_then(Value::as_str).unwrap_or("demo").to_owned(),
            streamed: flag(asked.get("stream")),
            usage_chunk: flag(asked.get("stream_options").and_then(|options| options.get("include_usage"))),
            tokens_max: match ceiling.filter(|ceiling| !ceiling.is_null()) {
                None => usize::MAX,
                Some(ceiling) => ceiling
                    .as_u64()
                    .and_then(|tokens| usize::try_from(tokens).ok())
                    .filter(|tokens| 0 < *tokens)
                    .ok_or_else(|| bad("max_tokens", "The output ceiling is a whole number above 0."))?,
            },
            choices: choices.ok_or_else(|| bad("n", format!("n is between 1 and {CHOICES_MAX}.")))?,
            stops: stops(asked.get("stop"))?,
        })
    }

    /// Ends the text where a stop sequence begins, or where the tokens run out.
    pub(super) fn cut(&self, text: &str) -> Cut {
        let end = self.stops.iter().filter_map(|stop| text.find(stop.as_str())).min().unwrap_or(text.len());
        let text = text.get(..end).unwrap_or(text);
        let pieces = pieces(text);
        match pieces.get(..self.tokens_max) {
            Some(within) if within.len() < pieces.len() => {
                Cut { text: within.concat(), tokens: within.len(), finish: "length" }
            }
            Some(_) | None => Cut { text: text.to_owned(), tokens: pieces.len(), finish: "stop" },
        }
    }
}

fn stops(value: Option<&Value>) -> Result<Vec<String>, Fault> {
    let fault = || bad("stop", format!("stop is a string, or up to {STOPS_MAX} of them."));
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned).ok_or_else(fault);
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) if list.len() <= STOPS_MAX => list.iter().map(text).collect(),
        Some(one) => Ok(vec![text(one)?]),
    }
}

/// The text of a message: its content, or those parts of it that are text.
pub(super) fn text_of(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts: Vec<_> = parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

/// Each message costs a little besides its words.
pub(super) fn count_message(message: &Value) -> usize {
    const PER_MESSAGE: usize = 4;
    let calls = message.get("tool_calls").map_or(0, |calls| count(&calls.to_string()));
    PER_MESSAGE + count(&text_of(message)) + calls
}
