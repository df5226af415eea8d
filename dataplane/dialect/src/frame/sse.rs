//! Server-sent events: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

use std::borrow::Cow;

use bytes::{Buf, Bytes, BytesMut};

use super::{EVENT_BYTES_MAX, TooLong};

/// Cuts a stream into frames. A frame is an event with its blank line; a comment that stands before an event,
/// and a blank line of its own, are frames without data.
#[derive(Debug)]
pub struct Framer {
    cutter: Cutter,
    held: BytesMut,
    chunk: Bytes,
    bytes_max: usize,
}

impl Framer {
    #[must_use]
    pub fn new() -> Framer {
        Framer::with_max(EVENT_BYTES_MAX)
    }

    #[must_use]
    pub fn with_max(bytes_max: usize) -> Framer {
        Framer { cutter: Cutter::default(), held: BytesMut::new(), chunk: Bytes::new(), bytes_max }
    }

    /// Takes what has arrived. Ask for `frame` until there is none before feeding more.
    pub fn feed(&mut self, chunk: Bytes) {
        if self.chunk.is_empty() {
            self.chunk = chunk;
        } else {
            let mut both = BytesMut::from(&*self.chunk);
            both.extend_from_slice(&chunk);
            self.chunk = both.freeze();
        }
    }

    /// The next whole frame. It is a slice of a chunk, unless it came in several.
    pub fn frame(&mut self) -> Result<Option<Bytes>, TooLong> {
        loop {
            let cut = self.cutter.cut(&self.chunk);
            let length = match cut {
                Some(Cut::Frame(length)) => length,
                Some(Cut::Glue) => {
                    self.chunk.advance(1);
                    continue;
                }
                None => self.chunk.len(),
            };
            if self.bytes_max < self.held.len() + length {
                return Err(TooLong { bytes_max: self.bytes_max });
            }
            let part = self.chunk.split_to(length);
            if cut.is_some() && self.held.is_empty() {
                return Ok(Some(part));
            }
            self.held.extend_from_slice(&part);
            return Ok(cut.map(|_| self.held.split().freeze()));
        }
    }

    /// What has come of a frame whose end has not.
    #[must_use]
    pub fn finish(self) -> Bytes {
        self.held.freeze()
    }
}

impl Default for Framer {
    fn default() -> Framer {
        Framer::new()
    }
}

/// What a frame says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event<'f> {
    /// The type of the event; the last one said is meant.
    pub name: Option<&'f [u8]>,
    /// All `data` lines, joined by line feeds; copied only if there are several.
    pub data: Option<Cow<'f, [u8]>>,
}

impl<'f> Event<'f> {
    #[must_use]
    pub fn of(frame: &'f [u8]) -> Event<'f> {
        let mut event = Event::default();
        // A byte order mark can only stand before the very first event.
        for line in lines(frame.strip_prefix("\u{feff}".as_bytes()).unwrap_or(frame)) {
            if let Some(value) = value(line, b"data") {
                event.data = Some(match event.data.take() {
                    None => Cow::Borrowed(value),
                    Some(before) => {
                        let mut joined = before.into_owned();
                        joined.push(b'\n');
                        joined.extend_from_slice(value);
                        Cow::Owned(joined)
                    }
                });
            } else if let Some(name) = value(line, b"event") {
                event.name = Some(name);
            }
        }
        event
    }
}

fn value<'l>(line: &'l [u8], field: &[u8]) -> Option<&'l [u8]> {
    match line.strip_prefix(field)? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

/// Without their ends. A carriage return with a line feed is one end.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = memchr::memchr2(b'\n', b'\r', text) else {
            rest = None;
            return Some(text);
        };
        let (line, behind) = text.split_at_checked(end)?;
        rest = behind.strip_prefix(b"\r\n").or_else(|| behind.get(1..));
        Some(line)
    })
}

/// Finds the ends of frames, chunk by chunk, and looks at each byte once.
#[derive(Debug)]
pub(crate) struct Cutter {
    /// What the next byte would be the first of.
    at: Start,
    /// The line feed that may follow a carriage return ends nothing more.
    after_return: bool,
    is_comment: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Frame,
    Line,
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// A frame ends after so many bytes.
    Frame(usize),
    /// One byte, a line feed, still belongs to the frame before. That frame did not wait for it: most streams
    /// never send it, and the others may send it late.
    Glue,
}

impl Default for Cutter {
    fn default() -> Cutter {
        Cutter { at: Start::Frame, after_return: false, is_comment: false }
    }
}

impl Cutter {
    /// `bytes` go on where the last cut was, or where the last chunk ended when there was none.
    pub(crate) fn cut(&mut self, bytes: &[u8]) -> Option<Cut> {
        let mut start = 0;
        loop {
            let first = *bytes.get(start)?;
            if std::mem::take(&mut self.after_return) && first == b'\n' {
                if self.at == Start::Frame {
                    return Some(Cut::Glue);
                }
                start += 1;
                continue;
            }
            if self.at == Start::Frame {
                self.is_comment = first == b':';
            }
            let rest = bytes.get(start..)?;
            let Some(length) = memchr::memchr2(b'\n', b'\r', rest) else {
                self.at = Start::Nothing;
                return None;
            };
            let is_blank = length == 0 && self.at != Start::Nothing;
            self.after_return = rest.get(length) == Some(&b'\r');
            start += length + 1;
            if is_blank || self.is_comment {
                self.at = Start::Frame;
                self.is_comment = false;
                return Some(Cut::Frame(start));
            }
            self.at = Start::Line;
        }
    }
}

#[cfg(test)]
mod tests;
