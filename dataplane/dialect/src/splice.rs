//! The one change made to a request that stays in its dialect: the model's name, and the wish for usage.

use bytes::Bytes;
use vocab::UpstreamModel;

use crate::head::{Head, UsageAsked};
use crate::json;
use crate::observe::HideUsage;

/// Up to here one buffer and one write are cheaper than what several buffers cost on the way to the socket.
const COPIED_BYTES_MAX: usize = 16 * 1024;
/// Two edits and what stands before, between and behind them.
const SEGMENTS_MAX: usize = 5;

#[derive(Debug, Clone, Copy)]
pub struct Edits<'e> {
    pub model: &'e UpstreamModel,
    pub usage: AskUsage,
}

/// Whether a stream shall report its usage though its caller did not ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskUsage {
    AsCaller,
    Always,
}

/// A body with its edits: the caller's own bytes, and few others.
#[derive(Debug, Clone)]
pub struct Spliced {
    segments: [Bytes; SEGMENTS_MAX],
    hide_usage: HideUsage,
}

impl Spliced {
    #[must_use]
    pub fn len(&self) -> usize {
        self.segments.iter().map(Bytes::len).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What must be kept from the caller on the way back, because it was asked for here.
    #[must_use]
    pub fn hide_usage(&self) -> HideUsage {
        self.hide_usage
    }

    /// In order; none is empty.
    pub fn into_segments(self) -> impl Iterator<Item = Bytes> {
        self.segments.into_iter().filter(|segment| !segment.is_empty())
    }

    fn whole(body: Bytes, hide_usage: HideUsage) -> Spliced {
        Spliced { segments: [body, Bytes::new(), Bytes::new(), Bytes::new(), Bytes::new()], hide_usage }
    }
}

struct Cut {
    start: usize,
    end: usize,
    text: Bytes,
}

/// Every byte outside of the edits stays as it was.
///
/// # Panics
/// If `head` was read from another, longer body than this one.
#[must_use]
pub fn splice(body: &Bytes, head: &Head<'_>, edits: &Edits<'_>) -> Spliced {
    let (usage, hide_usage) = match &head.usage {
        UsageAsked::With(patch) if head.streamed && edits.usage == AskUsage::Always => {
            let text = Bytes::from_static(patch.text.as_bytes());
            (Some(Cut { start: patch.span.start, end: patch.span.end, text }), HideUsage::Yes)
        }
        UsageAsked::With(_) | UsageAsked::Yes => (None, HideUsage::No),
    };
    let model = (head.model != edits.model.as_str()).then(|| Cut {
        start: head.model_span.start,
        end: head.model_span.end,
        text: Bytes::from(json::quote(edits.model.as_str())),
    });
    let segments = match (usage, model) {
        (None, None) => return Spliced::whole(body.clone(), hide_usage),
        (Some(one), None) | (None, Some(one)) => cut_once(body, one),
        (Some(usage), Some(model)) if usage.start < model.start => cut_twice(body, usage, model),
        (Some(usage), Some(model)) => cut_twice(body, model, usage),
    };
    let spliced = Spliced { segments, hide_usage };
    if spliced.len() <= COPIED_BYTES_MAX { joined(&spliced) } else { spliced }
}

fn cut_once(body: &Bytes, cut: Cut) -> [Bytes; SEGMENTS_MAX] {
    [body.slice(..cut.start), cut.text, body.slice(cut.end..), Bytes::new(), Bytes::new()]
}

fn cut_twice(body: &Bytes, first: Cut, second: Cut) -> [Bytes; SEGMENTS_MAX] {
    let between = body.slice(first.end..second.start);
    [body.slice(..first.start), first.text, between, second.text, body.slice(second.end..)]
}

fn joined(spliced: &Spliced) -> Spliced {
    let mut body = Vec::with_capacity(spliced.len());
    spliced.segments.iter().for_each(|segment| body.extend_from_slice(segment));
    Spliced::whole(Bytes::from(body), spliced.hide_usage)
}

#[cfg(test)]
mod tests;
