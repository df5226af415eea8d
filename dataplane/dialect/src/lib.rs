//! How providers talk: bytes in, meaning out, and back.
//!
//! Each dialect is a module with a folder of its own; the verbs below are the only `match` over `Dialect`.
//! A request is not opened: its `Head` is read, and `splice` changes the model's name and not one other byte.
//! A stream is not translated either: it is forwarded as it is while a `StreamObserver` looks on.
//!
//! This crate never asks the time, rolls dice, waits, or touches a socket.

pub mod demo;
pub mod endpoint;
pub mod fault;
pub mod frame;
pub mod head;
mod json;
pub mod models;
pub mod observe;
mod openai;
pub mod splice;
#[cfg(test)]
mod testing;

use bytes::Bytes;
use vocab::{Dialect, Usage};

pub use endpoint::{Endpoint, below_base};
pub use fault::{Fault, FaultKind};
pub use head::{Head, Malformed};
pub use json::{DEPTH_MAX, Flaw, VALUES_MAX, What};
pub use models::ModelRow;
pub use observe::{HideUsage, Observed, StreamObserver};
pub use splice::{AskUsage, Edits, Spliced, splice};

use crate::frame::sse::Event;
use crate::observe::Note;

/// Reads what is needed to authenticate, admit and route a request, and checks the rest of it to be JSON.
pub fn peek(from: Dialect, endpoint: Endpoint, body: &[u8]) -> Result<Head<'_>, Malformed> {
    match from {
        Dialect::Openai => openai::head::peek(endpoint, body),
    }
}

/// What a whole answer says it used; none is not zero.
#[must_use]
pub fn read_usage(from: Dialect, endpoint: Endpoint, body: &[u8]) -> Option<Usage> {
    match from {
        Dialect::Openai => openai::usage::of_answer(endpoint, body),
    }
}

/// What an event of a stream says; nothing if it has no data.
fn note(from: Dialect, endpoint: Endpoint, event: &Event<'_>) -> Option<Note> {
    match from {
        Dialect::Openai => openai::stream::note(endpoint, event),
    }
}

/// The body of an answer that reports a fault.
#[must_use]
pub fn write_fault(to: Dialect, fault: &Fault) -> Bytes {
    match to {
        Dialect::Openai => Bytes::from(openai::fault::write(fault)),
    }
}

/// The last event of a stream that breaks off.
#[must_use]
pub fn write_fault_event(to: Dialect, fault: &Fault) -> Bytes {
    match to {
        Dialect::Openai => Bytes::from(openai::fault::write_event(fault)),
    }
}

#[must_use]
pub fn write_models<'m>(to: Dialect, models: impl Iterator<Item = ModelRow<'m>>) -> Bytes {
    match to {
        Dialect::Openai => Bytes::from(openai::models::write_list(models)),
    }
}

#[must_use]
pub fn write_model(to: Dialect, model: ModelRow<'_>) -> Bytes {
    match to {
        Dialect::Openai => Bytes::from(openai::models::write(model)),
    }
}
