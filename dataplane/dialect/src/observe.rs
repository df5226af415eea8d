//! The bystander of a stream that is forwarded as it is: counts, reads usage, and takes out what was not asked for.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use vocab::{Dialect, Usage};

use crate::endpoint::Endpoint;
use crate::frame::EVENT_BYTES_MAX;
use crate::frame::sse::{Cut, Cutter, Event};

/// Whether the caller may see the chunk that only reports usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HideUsage {
    Yes,
    No,
}

/// What a stream turned out to be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// The last report; none is not zero.
    pub usage: Option<Usage>,
    /// The stream said that it was over.
    pub done: bool,
    /// An answer came to its end: some chunk gave a reason for finishing.
    pub finished: bool,
    /// The upstream reported an error in mid-stream.
    pub error: bool,
    /// Events with data; the one that says it is over does not count.
    pub events: u64,
    /// What was held back and must still be forwarded.
    pub leftover: Bytes,
}

/// What one event with data says.
#[derive(Debug, Default)]
pub(crate) struct Note {
    pub(crate) usage: Option<Usage>,
    pub(crate) done: bool,
    pub(crate) finished: bool,
    pub(crate) error: bool,
    /// Nothing but a report of usage.
    pub(crate) only_usage: bool,
}

/// Any chunking of a stream gives the same output and the same `Observed`.
#[derive(Debug)]
pub struct StreamObserver {
    dialect: Dialect,
    endpoint: Endpoint,
    hide: HideUsage,
    cutter: Cutter,
    /// The beginning of an event whose end has not come; when nothing is to be hidden, a copy to look at later.
    held: BytesMut,
    /// The event at hand is too long to be looked at.
    is_blind: bool,
    hid_last: bool,
    event_bytes_max: usize,
    seen: Observed,
}

impl StreamObserver {
    #[must_use]
    pub fn new(dialect: Dialect, endpoint: Endpoint, hide: HideUsage) -> StreamObserver {
        StreamObserver {
            dialect,
            endpoint,
            hide,
            cutter: Cutter::default(),
            held: BytesMut::new(),
            is_blind: false,
            hid_last: false,
            event_bytes_max: EVENT_BYTES_MAX,
            seen: Observed::default(),
        }
    }

    /// Looks at what has arrived and appends what may be forwarded, in as few pieces as can be.
    pub fn feed(&mut self, chunk: Bytes, out: &mut impl Extend<Bytes>) {
        match self.hide {
            HideUsage::No => {
                self.watch(&chunk);
                out.extend(Some(chunk));
            }
            HideUsage::Yes => self.sift(&chunk, out),
        }
    }

    /// Whether what was forwarded so far ends where an event ends, so that another may follow.
    #[must_use]
    pub fn is_between_events(&self) -> bool {
        !self.is_blind && (self.hide == HideUsage::Yes || self.held.is_empty())
    }

    /// The stream has ended. An event without its blank line is an event to most clients, so it is looked at too.
    #[must_use]
    pub fn finish(mut self) -> Observed {
        let is_hidden = !self.held.is_empty() && self.judge(&[]);
        if self.hide == HideUsage::Yes && !is_hidden {
            self.seen.leftover = self.held.freeze();
        }
        self.seen
    }

    /// All goes out as it came.
    fn watch(&mut self, chunk: &[u8]) {
        let mut at = 0;
        while let Some((cut, frame)) = self.next_frame(chunk, at) {
            if let Cut::Frame(_) = cut {
                self.judge(frame);
                self.held.clear();
            }
            at += frame.len();
        }
        if !self.hold(chunk.get(at..).unwrap_or_default()) {
            self.held.clear();
        }
    }

    /// What lies before `shown` is dealt with; from there to `at` it may go out, as one piece.
    fn sift(&mut self, chunk: &Bytes, out: &mut impl Extend<Bytes>) {
        let (mut shown, mut at) = (0, 0);
        while let Some((cut, frame)) = self.next_frame(chunk, at) {
            let end = at + frame.len();
            let is_hidden = match cut {
                Cut::Frame(_) => self.judge(frame),
                Cut::Glue => self.hid_last,
            };
            if is_hidden {
                show(chunk, shown..at, out);
                self.held.clear();
                shown = end;
            } else if !self.held.is_empty() {
                out.extend(Some(self.held.split().freeze()));
                shown = end;
            }
            self.hid_last = is_hidden;
            at = end;
        }
        if !self.hold(chunk.get(at..).unwrap_or_default()) {
            out.extend(Some(self.held.split().freeze()).filter(|held| !held.is_empty()));
            at = chunk.len();
        }
        show(chunk, shown..at, out);
    }

    fn next_frame<'c>(&mut self, chunk: &'c [u8], at: usize) -> Option<(Cut, &'c [u8])> {
        let rest = chunk.get(at..)?;
        let cut = self.cutter.cut(rest)?;
        let length = match cut {
            Cut::Frame(length) => length,
            Cut::Glue => 1,
        };
        rest.get(..length).map(|frame| (cut, frame))
    }

    /// Keeps the beginning of an event, unless it has grown too long to be looked at, or to be held back.
    fn hold(&mut self, tail: &[u8]) -> bool {
        self.is_blind |= self.event_bytes_max < self.held.len() + tail.len();
        if !self.is_blind {
            self.held.extend_from_slice(tail);
        }
        !self.is_blind
    }

    /// Notes what the event says that ends here, and whether it is to be hidden. What is held is the whole of it
    /// then, if it came in parts.
    fn judge(&mut self, end: &[u8]) -> bool {
        let mut event = end;
        if !self.held.is_empty() {
            self.held.extend_from_slice(end);
            event = &self.held;
        }
        if std::mem::take(&mut self.is_blind) || self.event_bytes_max < event.len() {
            return false;
        }
        let Some(note) = crate::note(self.dialect, self.endpoint, &Event::of(event)) else {
            return false;
        };
        self.seen.usage = note.usage.or(self.seen.usage);
        self.seen.done |= note.done;
        self.seen.finished |= note.finished;
        self.seen.error |= note.error;
        self.seen.events += u64::from(!note.done);
        note.only_usage && self.hide == HideUsage::Yes
    }
}

fn show(chunk: &Bytes, span: Range<usize>, out: &mut impl Extend<Bytes>) {
    if !span.is_empty() {
        out.extend(Some(chunk.slice(span)));
    }
}

#[cfg(test)]
mod tests;
