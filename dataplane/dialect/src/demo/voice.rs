//! What the demo says.

use serde_json::json;

use super::ask::{Chat, Format, Limits};
use super::sample::Sampler;
use super::tokens;

const QUOTED_CHARS_MAX: usize = 240;
/// The longest answer the demo gives, wherever it was asked for more.
const TOKENS_MAX: usize = 4096;

/// An answer, cut to what was allowed.
#[derive(Debug)]
pub(super) struct Speech {
    pub(super) text: String,
    pub(super) finish_reason: &'static str,
}

impl Speech {
    /// Ends before the first stop sequence, and after so many tokens.
    pub(super) fn cut(text: &str, limits: &Limits<'_>) -> Speech {
        let stop = limits.stop.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(stop)).min();
        let text = stop.and_then(|at| text.get(..at)).unwrap_or(text);
        let tokens_max = limits.tokens_max.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
        let tokens_max = tokens_max.min(TOKENS_MAX);
        let allowed: String = tokens::pieces(text).take(tokens_max).collect();
        let finish_reason = if allowed.len() < text.len() { "length" } else { "stop" };
        Speech { text: allowed, finish_reason }
    }
}

/// The `n`th answer to a chat.
pub(super) fn reply(chat: &Chat<'_>, n: u64) -> String {
    let asked = chat.asked();
    match chat.format {
        Format::Text => match chat.result() {
            Some(result) => format!("The tool says: {}. {}", quoted(result), remark(n)),
            None => spoken(asked, n),
        },
        Format::Object => json!({"answer": spoken(asked, n), "demo": true}).to_string(),
        Format::Schema(schema) => Sampler::new(schema, asked).value(schema).to_string(),
    }
}

pub(super) fn spoken(asked: &str, n: u64) -> String {
    if asked.is_empty() {
        return format!("Hello! {}", remark(n));
    }
    format!("You said: {}. {}", quoted(asked), remark(n))
}

/// A text in quotation marks, not more of it than one wants to read again.
fn quoted(text: &str) -> String {
    let text = text.trim();
    let short: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    let dots = if short.len() < text.len() { "..." } else { "" };
    format!("\"{short}{dots}\"")
}

fn remark(n: u64) -> &'static str {
    match n % 3 {
        0 => {
            "I am the demo model that is built into Turnpike. I need no account and know nothing, but this answer was \
             routed, counted and streamed like any other. Add a provider, and a real model speaks here."
        }
        1 => {
            "This is the demo that comes with Turnpike, with another answer to the same question. It is always the \
             same one, so you can build a test on it."
        }
        _ => "Turnpike's demo speaking, once more: no model was harmed, or used, to make this answer.",
    }
}

/// The word of a text that a tool most likely wants: the last one with a capital, but for the first of a sentence.
fn subject(text: &str) -> Option<&str> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let starts_sentence =
        |n: usize| n == 0 || words.get(n - 1).is_some_and(|word| word.ends_with(['.', '!', '?', ':']));
    let mut named = words
        .iter()
        .enumerate()
        .rev()
        .filter(|(n, _)| !starts_sentence(*n))
        .map(|(_, word)| word.trim_matches(|letter: char| !letter.is_alphanumeric()));
    named.find(|word| word.chars().next().is_some_and(char::is_uppercase) && 1 < word.len())
}

/// The first whole number a text mentions.
pub(super) fn number(text: &str) -> Option<i64> {
    text.split(|letter: char| !letter.is_ascii_digit()).find_map(|digits| digits.parse().ok())
}

/// Some text for a field: what the conversation is about, if that can be told.
pub(super) fn phrase(text: &str) -> String {
    match subject(text) {
        Some(subject) => subject.to_owned(),
        None if text.is_empty() => "demo".to_owned(),
        None => text.chars().take(60).collect(),
    }
}
