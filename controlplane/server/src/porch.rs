//! Where proxies stand before they have said a word: so many at once, and not for long.
//!
//! The gRPC server looks after a connection once it speaks. Until then nobody would, and silent connections would use up
//! the process's file handles.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Sleep, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::{Connected, TcpConnectInfo};

const CONNECTIONS_MAX: usize = 8192;
/// Up to now nobody has shown a token, so nobody waits long.
const FIRST_WORD: Duration = Duration::from_secs(10);
const BREATH: Duration = Duration::from_millis(50);

/// The connections of a listener, for as long as somebody takes them.
pub(crate) fn guests(listener: TcpListener) -> ReceiverStream<io::Result<Guest>> {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (sender, guests) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let accepted = tokio::select! {
                () = sender.closed() => return,
                accepted = listener.accept() => accepted,
            };
            let guest = match accepted.and_then(|(stream, _)| Guest::new(stream, place)) {
                Ok(guest) => guest,
                Err(why) => {
                    // Out of file handles, most likely: asking again at once would only burn the processor.
                    tracing::warn!(%why, "cannot accept a proxy");
                    sleep(BREATH).await;
                    continue;
                }
            };
            if sender.send(Ok(guest)).await.is_err() {
                return;
            }
        }
    });
    ReceiverStream::new(guests)
}

/// A connection that holds its place, and has to say something soon.
#[derive(Debug)]
pub(crate) struct Guest {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
    /// Gone after the first word.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Guest {
    fn new(stream: TcpStream, place: OwnedSemaphorePermit) -> io::Result<Guest> {
        stream.set_nodelay(true)?;
        Ok(Guest { stream, _place: place, patience: Some(Box::pin(sleep(FIRST_WORD))) })
    }
}

impl Connected for Guest {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Guest {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        let Some(patience) = this.patience.as_mut() else { return read };
        if read.is_ready() {
            if before < buffer.filled().len() {
                this.patience = None;
            }
            return read;
        }
        ready!(patience.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Guest {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_stream::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn who_says_nothing_has_to_leave_and_who_speaks_may_stay() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut guests = guests(listener);
        let mut speaker = TcpStream::connect(address).await.unwrap();
        let mut speaking = guests.next().await.unwrap().unwrap();
        let _silent = TcpStream::connect(address).await.unwrap();
        let mut silent = guests.next().await.unwrap().unwrap();
        speaker.write_all(b"hello").await.unwrap();
        let mut said = [0; 5];
        speaking.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"hello");
        assert!(speaking.patience.is_none());

        tokio::time::pause();
        let refused = silent.read(&mut said).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
    }
}
