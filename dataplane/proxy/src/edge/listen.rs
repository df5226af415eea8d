//! One core's listener: many sockets on one address, the kernel deals out connections.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, spawn_local};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::config::Limits;
use crate::edge::doors;
use crate::edge::drain::Stopping;
use crate::edge::socket::{Progress, Socket};
use crate::gateway::Core;

const BACKLOG: i32 = 4096;
/// A connection that was let in at the last moment may take so long to say what it wants.
const REST: Duration = Duration::from_secs(1);
const TLS_HANDSHAKE: Duration = Duration::from_secs(5);
const HEADERS_MAX: usize = 100;
const HEAD_BYTES_MAX: usize = 32 << 10;
const H2_STREAMS_MAX: u32 = 128;
const H2_RESETS_PENDING_MAX: usize = 20;
/// What an HTTP/2 client opens with; nothing in HTTP/1 begins like it.
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// Binds so that every core can bind the same address.
pub(crate) fn bind(address: SocketAddr) -> io::Result<RawSocket> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Accepts until told to stop, then waits for the connections to end.
pub(crate) async fn serve(core: Rc<Core>, listener: TcpListener, tls: Option<TlsAcceptor>, mut stopping: Stopping) {
    let mut connections = JoinSet::new();
    let mut stop = stopping.clone();
    let mut told = pin!(stopping.wait());
    loop {
        tokio::select! {
            biased;
            () = &mut told => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => admit(&core, stream, tls.clone(), &stop, &mut connections),
                // Out of file descriptors, most likely: those in use must end first.
                Err(why) => {
                    tracing::warn!(%why, "cannot accept");
                    sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    // Those whom the kernel has let in already are served too.
    while let Some(Ok((stream, _))) = now_or_never(listener.accept()).await {
        admit(&core, stream, tls.clone(), &stop, &mut connections);
    }
    drop(listener);
    stop.wait().await;
    while connections.join_next().await.is_some() {}
}

async fn now_or_never<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

fn admit(
    core: &Rc<Core>,
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    stopping: &Stopping,
    connections: &mut JoinSet<()>,
) {
    let seat = Seat::take(core);
    if seat.number > core.gateway.limits.connections_max {
        return;
    }
    if stream.set_nodelay(true).is_err() {
        return;
    }
    connections.spawn_local(converse(Rc::clone(core), stream, tls, stopping.clone(), seat));
}

/// Counts a connection for as long as it lives.
struct Seat {
    core: Rc<Core>,
    number: usize,
}

impl Seat {
    fn take(core: &Rc<Core>) -> Seat {
        let number = core.gateway.life.connections.fetch_add(1, Ordering::Relaxed) + 1;
        Seat { core: Rc::clone(core), number }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.core.gateway.life.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn converse(core: Rc<Core>, mut stream: TcpStream, tls: Option<TlsAcceptor>, stopping: Stopping, seat: Seat) {
    let progress = Progress::new();
    let limits = core.gateway.limits;
    // HTTP/2 has frames that belong to no request, so only the longer patience applies to it.
    let patience = |second: bool| if second { Limits { head: limits.idle, ..limits } } else { limits };
    match tls {
        None => {
            // A connection that says nothing at first does not get to stay.
            let mut stop = stopping.clone();
            let start = tokio::select! {
                biased;
                start = timeout(limits.head, first_bytes(&mut stream)) => start,
                () = async { stop.wait().await; sleep(REST).await } => return,
            };
            let Ok(Ok(start)) = start else { return };
            let second = start.starts_with(H2_PREFACE);
            let socket = Socket::new(stream, start, Rc::clone(&progress), patience(second));
            speak(core, socket, progress, second, stopping).await;
        }
        Some(acceptor) => {
            let Ok(Ok(stream)) = timeout(TLS_HANDSHAKE, acceptor.accept(stream)).await else { return };
            let second = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let socket = Socket::new(stream, Bytes::new(), Rc::clone(&progress), patience(second));
            speak(core, socket, progress, second, stopping).await;
        }
    }
    drop(seat);
}

/// As many bytes as it takes to tell the two HTTP versions apart: for HTTP/1 the first is enough in nearly every case.
async fn first_bytes(stream: &mut TcpStream) -> io::Result<Bytes> {
    let mut start = BytesMut::with_capacity(H2_PREFACE.len());
    while H2_PREFACE.starts_with(&start) && start.len() < H2_PREFACE.len() {
        if (&mut *stream).take(left(&start)).read_buf(&mut start).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(start.freeze())
}

/// How much of the preface has not come yet.
fn left(start: &[u8]) -> u64 {
    u64::try_from(H2_PREFACE.len().saturating_sub(start.len())).unwrap_or_default()
}

async fn speak<S>(core: Rc<Core>, socket: Socket<S>, progress: Rc<Progress>, second: bool, stopping: Stopping)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let service = service_fn({
        let progress = Rc::clone(&progress);
        move |request| doors::enter(Rc::clone(&core), Rc::clone(&progress), request)
    });
    let io = TokioIo::new(socket);
    // How a connection ends is the caller's affair; what happened to its requests is in their records.
    if second {
        let mut builder = http2::Builder::new(Here);
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(H2_STREAMS_MAX)
            .max_pending_accept_reset_streams(H2_RESETS_PENDING_MAX)
            .max_header_list_size(16 << 10);
        let connection = pin!(builder.serve_connection(io, service));
        until_told(connection, |connection| connection.graceful_shutdown(), &progress, stopping).await;
    } else {
        let mut builder = http1::Builder::new();
        builder.max_headers(HEADERS_MAX).max_header_size(HEAD_BYTES_MAX);
        let connection = pin!(builder.serve_connection(io, service));
        until_told(connection, |connection| connection.graceful_shutdown(), &progress, stopping).await;
    }
}

/// Serves a connection to its end; when told to stop, to the end of what is going on.
async fn until_told<C: Future>(
    mut connection: Pin<&mut C>,
    wind_down: impl FnOnce(Pin<&mut C>),
    progress: &Progress,
    mut stopping: Stopping,
) {
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        () = stopping.wait() => wind_down(connection.as_mut()),
    }
    tokio::select! {
        _ = connection => {}
        () = progress.rested() => {}
    }
}

/// Runs the parts of an HTTP/2 connection on the core that accepted it.
#[derive(Clone, Copy)]
struct Here;

impl<F> Executor<F> for Here
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}

/// TLS for the doors, with both HTTP versions on offer.
pub(crate) fn acceptor(identity: &trust::Identity) -> Result<TlsAcceptor, trust::BadTls> {
    let mut config = trust::server_config(identity, None)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
