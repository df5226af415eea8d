//! What an answer says it used: <https://platform.openai.com/docs/api-reference/chat/object#chat-object-usage>.

use memchr::memmem;
use vocab::{Tokens, Usage};

use crate::endpoint::Endpoint;
use crate::json::{Flaw, Scanner, Shape, Token};

const KEY: &[u8] = b"\"usage\"";
/// No answer uses a billion tokens: a provider that says so is not believed, and sums of many stay sums.
const COUNT_MAX: u64 = 1_000_000_000;
/// Nearly every answer ends with its usage, or has little behind it.
const TAIL_BYTES: usize = 4096;

/// Finds the top-level `usage` of a whole answer. Answers of many megabytes are not read from the start
/// when what stands at their end can be told to be on the top level.
pub(crate) fn of_answer(endpoint: Endpoint, body: &[u8]) -> Option<Usage> {
    match endpoint {
        Endpoint::ChatCompletions | Endpoint::Completions | Endpoint::Embeddings => {}
    }
    // What is not there in plain letters is not there: no upstream writes this key with escapes.
    memmem::find(body.get(body.len().saturating_sub(TAIL_BYTES)..)?, KEY).or_else(|| memmem::find(body, KEY))?;
    match at_end(body) {
        Some(token) => read(body, &token),
        None => anywhere(body).ok().flatten().and_then(|token| read(body, &token)),
    }
}

/// The last `usage`, if all that follows is further members of its object and then the end: then that object is
/// the outermost.
fn at_end(body: &[u8]) -> Option<Token> {
    let tail = body.len().saturating_sub(TAIL_BYTES);
    let at = tail + memmem::rfind(body.get(tail..)?, KEY)?;
    let before = body.get(..at)?.iter().rev().find(|byte| !byte.is_ascii_whitespace())?;
    if !matches!(before, b'{' | b',') {
        return None;
    }
    let mut scanner = Scanner::starting_at(body, at);
    let mut found = None;
    let visited = scanner.members::<Flaw>(1, |member| {
        if found.is_none() {
            found = Some(member.value);
        }
        Ok(())
    });
    visited.ok()?;
    scanner.end().ok()?;
    found
}

/// The last of the top level, as everyone reads JSON who reads a key twice.
fn anywhere(body: &[u8]) -> Result<Option<Token>, Flaw> {
    let mut scanner = Scanner::new(body);
    let mut found = None;
    if scanner.enter_object()? == Some(true) {
        scanner.members::<Flaw>(1, |member| {
            if *member.name == *b"usage" {
                found = Some(member.value);
            }
            Ok(())
        })?;
    }
    Ok(found)
}

#[derive(Debug, Default)]
struct Counts {
    prompt: Option<u64>,
    completion: Option<u64>,
    total: Option<u64>,
    cached: Option<u64>,
    reasoning: Option<u64>,
}

/// The counts in a `usage` object. What is no whole number counts as not said; nothing said at all is no usage,
/// which is not the same as a usage of zero.
pub(crate) fn read(body: &[u8], usage: &Token) -> Option<Usage> {
    let mut counts = Counts::default();
    each(body, usage, |name, token| match name {
        b"prompt_tokens" => counts.prompt = number(body, token),
        b"completion_tokens" => counts.completion = number(body, token),
        b"total_tokens" => counts.total = number(body, token),
        b"prompt_tokens_details" => counts.cached = detail(body, token, b"cached_tokens"),
        b"completion_tokens_details" => counts.reasoning = detail(body, token, b"reasoning_tokens"),
        _ => {}
    })?;
    let output = counts.completion.unwrap_or(0);
    let input = match (counts.prompt, counts.total) {
        (Some(prompt), _) => prompt,
        (None, Some(total)) => total.saturating_sub(output),
        (None, None) => counts.completion.map(|_| 0)?,
    };
    // A part is never more than its whole, whatever was said.
    Some(Usage {
        input: Tokens(input),
        cached: Tokens(counts.cached.unwrap_or(0).min(input)),
        output: Tokens(output),
        reasoning: Tokens(counts.reasoning.unwrap_or(0).min(output)),
    })
}

fn detail(body: &[u8], details: &Token, wanted: &[u8]) -> Option<u64> {
    let mut found = None;
    each(body, details, |name, token| {
        if name == wanted {
            found = number(body, token);
        }
    })?;
    found
}

/// Visits the members of an object; `None` if it is something else.
fn each(body: &[u8], object: &Token, mut visit: impl FnMut(&[u8], &Token)) -> Option<()> {
    if object.shape != Shape::Object {
        return None;
    }
    let mut scanner = Scanner::starting_at(body, object.span.start);
    if scanner.enter_object().ok()? == Some(true) {
        let visited = scanner.members::<Flaw>(1, |member| {
            visit(&member.name, &member.value);
            Ok(())
        });
        visited.ok()?;
    }
    Some(())
}

fn number(body: &[u8], token: &Token) -> Option<u64> {
    let count: u64 = std::str::from_utf8(body.get(token.span.clone())?).ok()?.parse().ok()?;
    (count <= COUNT_MAX).then_some(count)
}

#[cfg(test)]
mod tests;
