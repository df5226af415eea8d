//! What a chunk of a stream tells a bystander:
//! <https://platform.openai.com/docs/api-reference/chat-streaming/streaming>.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::endpoint::Endpoint;
use crate::frame::sse::Event;
use crate::json::{Flaw, Scanner, Shape, Token};
use crate::observe::Note;
use crate::openai::usage;

static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"usage\""));
static FINISH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"finish_reason\""));
static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"error\""));

/// Looks for three words first: the chunks that say none of interest are never parsed. Text that merely talks
/// about usage has its quotes escaped, and does not even look like the key.
pub(crate) fn note(endpoint: Endpoint, event: &Event<'_>) -> Option<Note> {
    let data = event.data.as_deref()?;
    let mut note = match endpoint {
        Endpoint::ChatCompletions | Endpoint::Completions | Endpoint::Embeddings => of_chunk(data),
    };
    note.error |= event.name == Some(b"error");
    Some(note)
}

fn of_chunk(data: &[u8]) -> Note {
    if data.trim_ascii() == b"[DONE]" {
        return Note { done: true, ..Note::default() };
    }
    let speaks = says(&USAGE, data) != Says::Nothing || says(&ERROR, data) != Says::Nothing;
    // Of a chunk that is no JSON nothing is noted; it is the caller who will complain.
    let note = if speaks { read(data).unwrap_or_default() } else { Note::default() };
    Note { finished: says(&FINISH, data) == Says::Text, ..note }
}

#[derive(Debug, PartialEq, Eq)]
enum Says {
    /// The key is not there, or its value is null.
    Nothing,
    Text,
    Else,
}

fn says(key: &Finder<'_>, data: &[u8]) -> Says {
    let length = key.needle().len();
    for at in key.find_iter(data) {
        let behind = data.get(at + length..).unwrap_or_default().trim_ascii_start();
        let Some(value) = behind.strip_prefix(b":").map(<[u8]>::trim_ascii_start) else {
            continue;
        };
        match value.first() {
            Some(b'n') | None => {}
            Some(b'"') => return Says::Text,
            Some(_) => return Says::Else,
        }
    }
    Says::Nothing
}

fn read(data: &[u8]) -> Result<Note, Flaw> {
    let mut note = Note::default();
    let (mut no_choices, mut has_usage) = (false, false);
    let mut scanner = Scanner::new(data);
    if scanner.enter_object()? == Some(true) {
        scanner.members::<Flaw>(1, |member| {
            let token = &member.value;
            match &*member.name {
                b"choices" => no_choices = is_empty_array(data, token),
                b"error" => note.error = token.shape != Shape::Null,
                b"usage" => {
                    has_usage = token.shape != Shape::Null;
                    note.usage = usage::read(data, token);
                }
                _ => {}
            }
            Ok(())
        })?;
    }
    note.only_usage = no_choices && has_usage;
    Ok(note)
}

fn is_empty_array(data: &[u8], token: &Token) -> bool {
    let inside = data.get(token.span.start + 1..token.span.end - 1);
    token.shape == Shape::Array && inside.is_some_and(|inside| inside.trim_ascii().is_empty())
}
