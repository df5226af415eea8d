//! One connection to a provider, driven by whoever uses it.
//!
//! There is no task behind a connection: the caller's own task lets it read and write. A task and a channel in between
//! cost several times as much for each piece of a stream.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;
use vocab::address::Forbidden;

use crate::upstream::letter::Letter;
use crate::upstream::patience::Patience;

const HEADERS_MAX: usize = 200;
const HEAD_BYTES_MAX: usize = 64 << 10;
/// All heads of one answer together, interim ones included; the first of its body may come along with the last.
const HEADS_BYTES_MAX: u64 = 512 << 10;
const UNRATIONED: u64 = u64::MAX;
/// A whole answer of ordinary size in one read; a stream with little in it does not hold more than this.
const BUFFER_BYTES_MAX: usize = 128 << 10;

/// What went wrong on the way to a provider or back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("its name does not resolve: {0}")]
    Name(String),
    #[error("it resolves to where nobody may go: {0}")]
    Forbidden(Forbidden),
    #[error("no connection: {0}")]
    Connect(String),
    #[error("no TLS: {0}")]
    Tls(String),
    #[error("no connection within {0:?}")]
    ConnectTimeout(Duration),
    #[error("no answer within {0:?}")]
    Silence(Duration),
    #[error("the connection broke: {0}")]
    Broken(String),
    #[error("not an HTTP answer: {0}")]
    Garbage(String),
    #[error("it does not accept our account: status {0}; look at the provider's credential and balance")]
    Account(u16),
    #[error("its answer is encoded ({0}), although none was asked for")]
    Encoded(String),
}

impl Trouble {
    /// Nothing of the request can have reached anybody.
    pub(crate) fn is_unsent(&self) -> bool {
        match self {
            Trouble::Name(_)
            | Trouble::Forbidden(_)
            | Trouble::Connect(_)
            | Trouble::Tls(_)
            | Trouble::ConnectTimeout(_) => true,
            Trouble::Silence(_)
            | Trouble::Broken(_)
            | Trouble::Garbage(_)
            | Trouble::Account(_)
            | Trouble::Encoded(_) => false,
        }
    }

    fn of(error: &hyper::Error) -> Trouble {
        if error.is_parse() || error.is_parse_too_large() {
            Trouble::Garbage(error.to_string())
        } else {
            Trouble::Broken(innermost(error))
        }
    }
}

/// The last cause says what happened; those around it say where we noticed.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// A failed exchange, and the request if not a byte of it was taken.
pub(crate) struct Failed {
    pub(crate) trouble: Trouble,
    pub(crate) untouched: Option<Request<Letter>>,
}

type Connection = http1::Connection<TokioIo<Wire>, Letter>;

pub(crate) struct Link {
    send: SendRequest<Letter>,
    /// Gone once the connection has ended.
    connection: Option<Pin<Box<Connection>>>,
    ration: Rc<Cell<u64>>,
    pub(crate) patience: Patience,
    pub(crate) idle_since: Instant,
}

impl Link {
    pub(crate) async fn open(io: Io, silence_max: Duration) -> Result<Link, Trouble> {
        let ration = Rc::new(Cell::new(UNRATIONED));
        let wire = Wire { io, ration: Rc::clone(&ration) };
        let mut builder = http1::Builder::new();
        builder.max_headers(HEADERS_MAX).max_header_size(HEAD_BYTES_MAX).max_buf_size(BUFFER_BYTES_MAX);
        let (send, connection) = builder.handshake(TokioIo::new(wire)).await.map_err(|error| Trouble::of(&error))?;
        Ok(Link {
            send,
            connection: Some(Box::pin(connection)),
            ration,
            patience: Patience::new(silence_max),
            idle_since: Instant::now(),
        })
    }

    /// Lets the connection read and write.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = self.connection.as_mut()
            && connection.as_mut().poll(cx).is_ready()
        {
            self.connection = None;
        }
    }

    /// Whether another request could be sent now, as far as can be seen without sending it.
    pub(crate) fn is_ready(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.send.is_ready() {
            self.drive(cx);
        }
        self.connection.is_some() && self.send.is_ready()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.connection.is_some() && !self.send.is_closed()
    }

    /// Sends, and waits for the head of the answer.
    pub(crate) async fn exchange(&mut self, request: Request<Letter>) -> Result<Response<Incoming>, Failed> {
        self.patience.renew();
        self.ration.set(HEADS_BYTES_MAX);
        let mut answer = std::pin::pin!(self.send.try_send_request(request));
        let (connection, patience) = (&mut self.connection, &mut self.patience);
        let waiting = std::future::poll_fn(|cx| {
            if let Some(driven) = connection.as_mut()
                && driven.as_mut().poll(cx).is_ready()
            {
                *connection = None;
            }
            match answer.as_mut().poll(cx) {
                Poll::Ready(answered) => Poll::Ready(Ok(answered)),
                Poll::Pending => patience.poll_spent(cx).map(Err),
            }
        });
        match waiting.await {
            Ok(Ok(response)) => {
                self.ration.set(UNRATIONED);
                Ok(response)
            }
            Ok(Err(mut error)) => {
                let untouched = error.take_message();
                Err(Failed { trouble: Trouble::of(error.error()), untouched })
            }
            Err(()) => {
                let trouble = Trouble::Silence(self.patience.silence_max());
                Err(Failed { trouble, untouched: None })
            }
        }
    }
}

/// Bytes from and to a provider, rationed while the head of an answer is awaited: one that sends interim heads for
/// ever would otherwise keep a whole core busy.
pub(crate) struct Wire {
    io: Io,
    ration: Rc<Cell<u64>>,
}

/// Plain or encrypted.
pub(crate) enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(left) = this.ration.get().checked_sub(1) else {
            return Poll::Ready(Err(io::Error::other("more heads than an answer has")));
        };
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.io).poll_read(cx, buffer);
        let taken = u64::try_from(buffer.filled().len() - before).unwrap_or(u64::MAX);
        this.ration.set((left + 1).saturating_sub(taken));
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, parts)
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

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Io::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Io::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Io::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Io::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Io::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Io::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Io::Plain(stream) => stream.is_write_vectored(),
            Io::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Io::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Io::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Io::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Io::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
