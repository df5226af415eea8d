//! A caller's connection that does not wait for ever.
//!
//! One coarse timer a connection, looked at only while nothing moves, instead of one timer a request: a head must be
//! complete in time, an idle connection is closed after a while, and a caller that does not read is let go.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::config::Limits;
use crate::edge::misfit;

/// A caller that takes less than a kilobyte a second for this long is let go.
const WRITE_STALL: Duration = Duration::from_secs(60);
const WRITE_STALL_BYTES: usize = 60 << 10;

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    /// Between requests, since then.
    Idle(Instant),
    /// Bytes of a head have come, the first of them then.
    Head(Instant),
    /// A request is being served; its own deadlines hold.
    Busy,
}

/// How far the connection is; shared by the socket and whoever serves it.
pub(crate) struct Progress {
    stage: Cell<Stage>,
    /// HTTP/2 has several at once.
    requests: Cell<usize>,
    /// Bytes of an answer wait for a caller that does not take them.
    is_writing: Cell<bool>,
}

impl Progress {
    pub(crate) fn new() -> Rc<Progress> {
        Rc::new(Progress {
            stage: Cell::new(Stage::Idle(Instant::now())),
            requests: Cell::new(0),
            is_writing: Cell::new(false),
        })
    }

    /// A request is there for as long as what this returns, wherever its story ends.
    pub(crate) fn request(self: Rc<Progress>) -> Presence {
        self.requests.set(self.requests.get() + 1);
        self.stage.set(Stage::Busy);
        Presence(self)
    }
}

pub(crate) struct Presence(Rc<Progress>);

impl Drop for Presence {
    fn drop(&mut self) {
        let left = self.0.requests.get().saturating_sub(1);
        self.0.requests.set(left);
        if left == 0 {
            self.0.stage.set(Stage::Idle(Instant::now()));
        }
    }
}

impl Progress {
    /// Comes back when nothing has been going on for a moment. Only for a connection that is about to be closed: it
    /// looks again and again.
    pub(crate) async fn rested(&self) {
        const MOMENT: Duration = Duration::from_millis(500);
        let mut quiet = 0;
        while quiet < 3 {
            sleep(MOMENT).await;
            let is_quiet = self.requests.get() == 0 && !self.is_writing.get();
            quiet = if is_quiet { quiet + 1 } else { 0 };
        }
    }
}

pub(crate) struct Socket<S> {
    io: S,
    /// Bytes that were read before there was a socket.
    start: Bytes,
    progress: Rc<Progress>,
    tick: Pin<Box<Sleep>>,
    period: Duration,
    limits: Limits,
    stalled: Option<Stall>,
    /// Written in place of the library's own refusal.
    instead: Option<Bytes>,
}

impl<S> Socket<S> {
    pub(crate) fn new(io: S, start: Bytes, progress: Rc<Progress>, limits: Limits) -> Socket<S> {
        let period = (limits.head.min(limits.idle) / 2).max(Duration::from_millis(10));
        Socket { io, start, progress, tick: Box::pin(sleep(period)), period, limits, stalled: None, instead: None }
    }

    /// Errs when the caller has had its time.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            ready!(self.tick.as_mut().poll(cx));
            let now = Instant::now();
            self.tick.as_mut().reset(now + self.period);
            let late = match self.progress.stage.get() {
                Stage::Idle(since) => now.duration_since(since) >= self.limits.idle,
                Stage::Head(since) => now.duration_since(since) >= self.limits.head,
                Stage::Busy => false,
            };
            if late || self.stalled.as_mut().is_some_and(|stall| stall.is_hopeless(now)) {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.start.is_empty() {
            let taken = this.start.split_to(this.start.len().min(buffer.remaining()));
            buffer.put_slice(&taken);
            this.progress.stage.set(Stage::Head(Instant::now()));
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        match Pin::new(&mut this.io).poll_read(cx, buffer) {
            Poll::Pending => this.poll_patience(cx).map(Err),
            ready @ Poll::Ready(_) => {
                if matches!(this.progress.stage.get(), Stage::Idle(_)) && buffer.filled().len() > before {
                    this.progress.stage.set(Stage::Head(Instant::now()));
                }
                ready
            }
        }
    }
}

/// A caller that takes less than it is sent.
struct Stall {
    since: Instant,
    bytes: usize,
}

impl Stall {
    /// Over a whole window it took less than is worth waiting for. A better one begins the next window.
    fn is_hopeless(&mut self, now: Instant) -> bool {
        if now.duration_since(self.since) < WRITE_STALL {
            return false;
        }
        let is_hopeless = self.bytes < WRITE_STALL_BYTES;
        *self = Stall { since: now, bytes: 0 };
        is_hopeless
    }
}

impl<S: AsyncWrite + Unpin> Socket<S> {
    /// Whether these bytes are a refusal of what never became a request.
    fn is_misfit(&mut self, bytes: &[u8]) -> bool {
        if self.instead.is_none() && self.progress.requests.get() == 0 {
            self.instead = misfit::reworded(bytes);
        }
        self.instead.is_some()
    }

    /// Tells the library that its `length` bytes are written once ours are.
    fn poll_instead(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<io::Result<usize>> {
        while let Some(rest) = self.instead.as_mut().filter(|rest| !rest.is_empty()) {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            rest.advance(written);
        }
        Poll::Ready(Ok(length))
    }

    /// `wanted` bytes were to be written.
    fn wrote(
        &mut self,
        cx: &mut Context<'_>,
        wanted: usize,
        result: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match (&result, &mut self.stalled) {
            (Poll::Pending, None) => self.stalled = Some(Stall { since: Instant::now(), bytes: 0 }),
            (Poll::Ready(Ok(written)), Some(stall)) if *written < wanted => stall.bytes += written,
            (Poll::Ready(_), stalled) => *stalled = None,
            (Poll::Pending, Some(_)) => {}
        }
        self.progress.is_writing.set(self.stalled.is_some());
        if result.is_pending() { self.poll_patience(cx).map(Err) } else { result }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_misfit(bytes) {
            return this.poll_instead(cx, bytes.len());
        }
        let result = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.wrote(cx, bytes.len(), result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let [only] = parts
            && this.is_misfit(only)
        {
            return this.poll_instead(cx, only.len());
        }
        let result = Pin::new(&mut this.io).poll_write_vectored(cx, parts);
        this.wrote(cx, parts.iter().map(|part| part.len()).sum(), result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
