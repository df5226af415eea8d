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

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::config::Limits;

/// A caller that takes nothing for this long is gone.
const WRITE_STALL: Duration = Duration::from_secs(60);

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
}

impl Progress {
    pub(crate) fn new() -> Rc<Progress> {
        Rc::new(Progress { stage: Cell::new(Stage::Idle(Instant::now())), requests: Cell::new(0) })
    }

    pub(crate) fn request_begins(&self) {
        self.requests.set(self.requests.get() + 1);
        self.stage.set(Stage::Busy);
    }

    pub(crate) fn request_ends(&self) {
        let left = self.requests.get().saturating_sub(1);
        self.requests.set(left);
        if left == 0 {
            self.stage.set(Stage::Idle(Instant::now()));
        }
    }
}

pub(crate) struct Socket<S> {
    io: S,
    progress: Rc<Progress>,
    tick: Pin<Box<Sleep>>,
    period: Duration,
    limits: Limits,
    stalled: Option<Instant>,
}

impl<S> Socket<S> {
    pub(crate) fn new(io: S, progress: Rc<Progress>, limits: Limits) -> Socket<S> {
        let period = (limits.head.min(limits.idle) / 2).max(Duration::from_millis(10));
        Socket { io, progress, tick: Box::pin(sleep(period)), period, limits, stalled: None }
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
            if late || self.stalled.is_some_and(|since| now.duration_since(since) >= WRITE_STALL) {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
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

impl<S: AsyncWrite + Unpin> Socket<S> {
    fn wrote<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stalled = None;
            return result;
        }
        self.stalled.get_or_insert_with(Instant::now);
        self.poll_patience(cx).map(Err)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.wrote(cx, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write_vectored(cx, parts);
        this.wrote(cx, result)
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
