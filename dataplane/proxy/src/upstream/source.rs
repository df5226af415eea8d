//! What an answer's body is read from: a provider's connection, or the demo's script.

use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use tokio::time::Sleep;

use crate::upstream::link::{Link, Trouble, innermost};
use crate::upstream::pool::Pool;

/// How much of what is already there is joined into one write.
const JOIN_BYTES: usize = 16 << 10;

pub(crate) struct Source {
    origin: Origin,
    /// The answer came to its end, and that was a good one.
    pub(crate) ended: bool,
    /// Trouble that was met while joining: what came before it goes first.
    held: Option<Trouble>,
}

enum Origin {
    Wire { body: Incoming, link: Option<Link>, pool: Rc<Pool> },
    Script { pieces: VecDeque<Bytes>, pause: Duration, wait: Option<Pin<Box<Sleep>>> },
}

impl Source {
    pub(crate) fn wire(body: Incoming, link: Link, pool: Rc<Pool>) -> Source {
        let mut source = Source::of(Origin::Wire { body, link: Some(link), pool });
        source.notice_end();
        source
    }

    /// Pieces that come by themselves, with a pause before each but the first.
    pub(crate) fn script(pieces: VecDeque<Bytes>, pause: Duration) -> Source {
        let ended = pieces.is_empty();
        let mut source = Source::of(Origin::Script { pieces, pause, wait: None });
        source.ended = ended;
        source
    }

    fn of(origin: Origin) -> Source {
        Source { origin, ended: false, held: None }
    }

    /// The next piece, joined with those that can be had without waiting.
    pub(crate) fn poll_joined(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Trouble>>> {
        let first = match self.poll_next(cx) {
            Poll::Ready(Some(Ok(first))) if !self.ended => first,
            other => return other,
        };
        let mut all: Vec<u8> = Vec::new();
        while all.len() < JOIN_BYTES && !self.ended {
            match self.poll_wire(cx) {
                Poll::Ready(Some(Ok(more))) => {
                    if all.is_empty() {
                        all.reserve(JOIN_BYTES);
                        all.extend_from_slice(&first);
                    }
                    all.extend_from_slice(&more);
                }
                Poll::Ready(Some(Err(trouble))) => {
                    self.held = Some(trouble);
                    break;
                }
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        Poll::Ready(Some(Ok(if all.is_empty() { first } else { all.into() })))
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Trouble>>> {
        if let Some(trouble) = self.held.take() {
            return Poll::Ready(Some(Err(trouble)));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let next = match &mut self.origin {
            Origin::Wire { .. } => self.poll_wire(cx),
            Origin::Script { pieces, pause, wait } => {
                let next = poll_script(pieces, *pause, wait, cx);
                self.ended |= matches!(next, Poll::Ready(None));
                next
            }
        };
        if next.is_pending() {
            return self.poll_patience(cx);
        }
        next
    }

    /// One frame from the connection, which is driven if nothing is there yet.
    fn poll_wire(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Trouble>>> {
        loop {
            let Origin::Wire { body, link, .. } = &mut self.origin else { return Poll::Pending };
            let mut frame = Pin::new(&mut *body).poll_frame(cx);
            if frame.is_pending()
                && let Some(link) = link.as_mut()
            {
                link.drive(cx);
                frame = Pin::new(&mut *body).poll_frame(cx);
            }
            match frame {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => {
                    self.end();
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Err(error))) => {
                    self.hang_up();
                    return Poll::Ready(Some(Err(Trouble::Broken(innermost(&error)))));
                }
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers say nothing we pass on.
                    let Ok(data) = frame.into_data() else { continue };
                    if let Some(link) = link.as_mut() {
                        link.patience.renew();
                    }
                    self.notice_end();
                    if !data.is_empty() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
            }
        }
    }

    /// Errs when the provider has been silent for too long.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Trouble>>> {
        let Origin::Wire { link: Some(link), .. } = &mut self.origin else { return Poll::Pending };
        ready!(link.patience.poll_spent(cx));
        let silence = link.patience.silence_max();
        self.hang_up();
        Poll::Ready(Some(Err(Trouble::Silence(silence))))
    }

    fn notice_end(&mut self) {
        if let Origin::Wire { body, .. } = &self.origin
            && body.is_end_stream()
        {
            self.end();
        }
    }

    /// The answer is complete, so the connection is free for the next.
    fn end(&mut self) {
        self.ended = true;
        if let Origin::Wire { link, pool, .. } = &mut self.origin
            && let Some(link) = link.take()
        {
            pool.give_back(link);
        }
    }

    /// The answer will not be completed; dropping the connection tells the provider.
    fn hang_up(&mut self) {
        if let Origin::Wire { link, .. } = &mut self.origin {
            *link = None;
        }
    }
}

fn poll_script(
    pieces: &mut VecDeque<Bytes>,
    pause: Duration,
    wait: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Bytes, Trouble>>> {
    if let Some(waiting) = wait.as_mut() {
        ready!(waiting.as_mut().poll(cx));
    }
    let next = pieces.pop_front();
    *wait = (!pause.is_zero()).then(|| Box::pin(tokio::time::sleep(pause)));
    Poll::Ready(next.map(Ok))
}
