//! One HTTP listener: TLS, limits on heads and connections, and a graceful end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::stop::Stop;

pub(crate) type Answer = Response<Full<Bytes>>;

const CONNECTIONS_MAX: usize = 1024;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Also how long a connection may be silent between two requests: callers keep theirs for the next one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
const HEAD_BYTES_MAX: usize = 32 * 1024;
const HEAD_LINES_MAX: usize = 100;

pub(crate) struct Door {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
    /// How long calls may go on after the word to stop.
    pub(crate) drain: Duration,
}

impl Door {
    /// Serves until it is time to stop, and until what is being served is done.
    pub(crate) async fn serve<H, F>(self, handler: H, stop: Stop)
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let tls = self.tls.map(TlsAcceptor::from);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut guests = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = stop.wanted() => break,
                accepted = accept(&self.listener, &places) => accepted,
            };
            while guests.try_join_next().is_some() {}
            let Some((stream, place)) = accepted else { continue };
            let (tls, handler, stop) = (tls.clone(), handler.clone(), stop.clone());
            guests.spawn(async move {
                welcome(stream, tls, handler, stop).await;
                drop(place);
            });
        }
        drop(self.listener);
        if timeout(self.drain, async { while guests.join_next().await.is_some() {} }).await.is_err() {
            tracing::warn!(connections = guests.len(), "calls were cut off, they took longer than the drain");
        }
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(why) => {
            // Out of file handles, most likely: asking again at once would only burn the processor.
            tracing::warn!(%why, "cannot accept a connection");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

async fn welcome<H, F>(stream: TcpStream, tls: Option<TlsAcceptor>, handler: H, stop: Stop)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    if let Err(why) = stream.set_nodelay(true) {
        tracing::debug!(%why, "no TCP_NODELAY");
    }
    match tls {
        None => converse(stream, handler, stop).await,
        Some(tls) => match timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => converse(stream, handler, stop).await,
            Ok(Err(why)) => tracing::debug!(%why, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake took too long"),
        },
    }
}

async fn converse<S, H, F>(stream: S, handler: H, stop: Stop)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(HEAD_LINES_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.wanted() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(why) = ended {
        tracing::debug!(%why, "connection ended");
    }
}
