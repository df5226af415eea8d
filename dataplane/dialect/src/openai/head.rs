//! The head of a request in OpenAI's dialect.

use std::ops::Range;

use crate::endpoint::Endpoint;
use crate::head::{Head, Malformed, Patch, UsageAsked};
use crate::json::{Scanner, Shape, Token};

/// The top-level fields that decide something here. All others are the upstream's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Model,
    Stream,
    StreamOptions,
    MaxTokens,
    MaxCompletionTokens,
}

impl Field {
    /// <https://platform.openai.com/docs/api-reference/chat/create>, `/completions/create`, `/embeddings/create`.
    fn of(endpoint: Endpoint, name: &[u8]) -> Option<Field> {
        let field = match name {
            b"model" => Field::Model,
            b"stream" => Field::Stream,
            b"stream_options" => Field::StreamOptions,
            b"max_tokens" => Field::MaxTokens,
            b"max_completion_tokens" => Field::MaxCompletionTokens,
            _ => return None,
        };
        let known = match endpoint {
            Endpoint::ChatCompletions => true,
            Endpoint::Completions => field != Field::MaxCompletionTokens,
            Endpoint::Embeddings => field == Field::Model,
        };
        known.then_some(field)
    }

    fn name(self) -> &'static str {
        match self {
            Field::Model => "model",
            Field::Stream => "stream",
            Field::StreamOptions => "stream_options",
            Field::MaxTokens => "max_tokens",
            Field::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

/// What stood where, before it is judged.
#[derive(Debug, Default)]
struct Found {
    model: Option<Token>,
    stream: Option<Token>,
    stream_options: Option<Token>,
    max_tokens: Option<Token>,
    max_completion_tokens: Option<Token>,
}

impl Found {
    fn slot(&mut self, field: Field) -> &mut Option<Token> {
        match field {
            Field::Model => &mut self.model,
            Field::Stream => &mut self.stream,
            Field::StreamOptions => &mut self.stream_options,
            Field::MaxTokens => &mut self.max_tokens,
            Field::MaxCompletionTokens => &mut self.max_completion_tokens,
        }
    }
}

pub(crate) fn peek(endpoint: Endpoint, body: &[u8]) -> Result<Head<'_>, Malformed> {
    if body.is_empty() {
        return Err(Malformed::Empty);
    }
    let mut scanner = Scanner::new(body);
    let Some(has_members) = scanner.enter_object()? else {
        scanner.value(0)?;
        scanner.end()?;
        return Err(Malformed::NotAnObject);
    };
    let inside = scanner.at();
    let mut found = Found::default();
    if has_members {
        scanner.members(1, |member| match Field::of(endpoint, &member.name) {
            Some(field) if found.slot(field).is_some() => Err(twice(field, member.key_at)),
            Some(field) => {
                *found.slot(field) = Some(member.value);
                Ok(())
            }
            None => Ok(()),
        })?;
    }
    scanner.end()?;
    judge(body, &scanner, &found, inside)
}

/// A field that counts must not stand twice: the upstream might read the other one.
fn twice(field: Field, at: usize) -> Malformed {
    match field {
        Field::Model => Malformed::DuplicateModel { at },
        Field::Stream | Field::StreamOptions | Field::MaxTokens | Field::MaxCompletionTokens => {
            Malformed::Duplicate { field: field.name(), at }
        }
    }
}

fn judge<'b>(body: &'b [u8], scanner: &Scanner<'b>, found: &Found, inside: usize) -> Result<Head<'b>, Malformed> {
    let token = found.model.as_ref().ok_or(Malformed::MissingModel)?;
    let Shape::String(spelling) = token.shape else {
        return Err(wrong(Field::Model, "a string", token));
    };
    let model = scanner.text(&token.span, spelling)?;
    if model.is_empty() {
        return Err(Malformed::EmptyModel);
    }
    let max_tokens = ceiling(body, Field::MaxTokens, found.max_tokens.as_ref())?;
    let max_completion_tokens = ceiling(body, Field::MaxCompletionTokens, found.max_completion_tokens.as_ref())?;
    Ok(Head {
        model,
        model_span: token.span.clone(),
        streamed: flag(Field::Stream, found.stream.as_ref())?,
        output_tokens_max: max_tokens.max(max_completion_tokens),
        usage: usage_asked(body, found.stream_options.as_ref(), inside)?,
    })
}

fn wrong(field: Field, wanted: &'static str, token: &Token) -> Malformed {
    Malformed::WrongType { field: field.name(), wanted, at: token.span.start }
}

/// Null is what clients write for "not set".
fn flag(field: Field, token: Option<&Token>) -> Result<bool, Malformed> {
    let Some(token) = token else {
        return Ok(false);
    };
    match token.shape {
        Shape::True => Ok(true),
        Shape::False | Shape::Null => Ok(false),
        Shape::Number | Shape::String(_) | Shape::Array | Shape::Object => Err(wrong(field, "true or false", token)),
    }
}

fn ceiling(body: &[u8], field: Field, token: Option<&Token>) -> Result<Option<u64>, Malformed> {
    let Some(token) = token.filter(|token| token.shape != Shape::Null) else {
        return Ok(None);
    };
    let text = body.get(token.span.clone()).and_then(|raw| std::str::from_utf8(raw).ok()).unwrap_or_default();
    match text.parse() {
        Ok(ceiling) if token.shape == Shape::Number => Ok(Some(ceiling)),
        Ok(_) | Err(_) => Err(wrong(field, "a whole number, zero or more", token)),
    }
}

/// <https://platform.openai.com/docs/api-reference/chat/create#chat-create-stream_options>
fn usage_asked(body: &[u8], options: Option<&Token>, inside: usize) -> Result<UsageAsked, Malformed> {
    let Some(token) = options else {
        let text = r#""stream_options":{"include_usage":true},"#;
        return Ok(patch(inside..inside, text));
    };
    match token.shape {
        Shape::Null => Ok(patch(token.span.clone(), r#"{"include_usage":true}"#)),
        Shape::Object => usage_in_options(body, token),
        Shape::True | Shape::False | Shape::Number | Shape::String(_) | Shape::Array => {
            Err(wrong(Field::StreamOptions, "an object", token))
        }
    }
}

fn usage_in_options(body: &[u8], options: &Token) -> Result<UsageAsked, Malformed> {
    let field = "stream_options.include_usage";
    let mut scanner = Scanner::starting_at(body, options.span.start);
    if scanner.enter_object()? != Some(true) {
        // Empty, and the scanner stands behind its brace.
        let inside = scanner.at() - 1;
        return Ok(patch(inside..inside, r#""include_usage":true"#));
    }
    let inside = scanner.at();
    let mut found: Option<Token> = None;
    scanner.members(2, |member| match (&*member.name == b"include_usage", &found) {
        (true, Some(_)) => Err(Malformed::Duplicate { field, at: member.key_at }),
        (true, None) => {
            found = Some(member.value);
            Ok(())
        }
        (false, _) => Ok(()),
    })?;
    let Some(token) = found else {
        return Ok(patch(inside..inside, r#""include_usage":true,"#));
    };
    match token.shape {
        Shape::True => Ok(UsageAsked::Yes),
        Shape::False | Shape::Null => Ok(patch(token.span, "true")),
        Shape::Number | Shape::String(_) | Shape::Array | Shape::Object => {
            Err(Malformed::WrongType { field, wanted: "true or false", at: token.span.start })
        }
    }
}

fn patch(span: Range<usize>, text: &'static str) -> UsageAsked {
    UsageAsked::With(Patch { span, text })
}
