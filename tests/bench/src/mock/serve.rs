//! The mock's connections: one task each, one read and one write per unary request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::answers::{DONE, EMBEDDING, EVENT, UNARY, USAGE};
use super::wish::{Pace, Wish};
use crate::http1::{self, Chunked, Length};

/// So many events leave in one write when there is no pause between them, as they would in a full segment or two.
const BURST: usize = 8;

#[derive(Debug, Default)]
pub struct Stats {
    requests: AtomicU64,
    bytes: AtomicU64,
    open: AtomicU64,
}

#[derive(Debug, Clone)]
pub struct Mock {
    stats: Arc<Stats>,
    pace: Pace,
    unary: Arc<[u8]>,
    embedding: Arc<[u8]>,
    /// `BURST` events in chunked framing; the first bytes of it are one event.
    burst: Arc<[u8]>,
    framed: usize,
}

/// A request as far as the mock cares.
struct Ask {
    path: Path,
    wish: Wish,
    close: bool,
    size: usize,
}

enum Path {
    Embeddings,
    Stats,
    Chat,
}

impl Mock {
    #[must_use]
    pub fn new(pace: Pace) -> Mock {
        let event = frame(EVENT);
        Mock {
            stats: Arc::default(),
            pace,
            unary: json(UNARY).into(),
            embedding: json(EMBEDDING).into(),
            burst: event.repeat(BURST).into(),
            framed: event.len(),
        }
    }

    /// Serves for ever.
    pub async fn run(self, listener: TcpListener) -> std::io::Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let mock = self.clone();
            tokio::spawn(async move {
                mock.stats.open.fetch_add(1, Ordering::Relaxed);
                // A connection that breaks off is the load's affair: it counts what it did not get.
                _ = mock.connection(stream).await;
                mock.stats.open.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }

    async fn connection(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut buffer = Vec::with_capacity(16 * 1024);
        loop {
            let Some(ask) = self.read(&mut stream, &mut buffer).await? else { return Ok(()) };
            self.stats.requests.fetch_add(1, Ordering::Relaxed);
            self.stats.bytes.fetch_add(u64::try_from(ask.size).unwrap_or_default(), Ordering::Relaxed);
            buffer.drain(..ask.size);
            match (&ask.path, ask.wish) {
                (Path::Stats, _) => stream.write_all(&json(&self.stats())).await?,
                (Path::Embeddings, _) => stream.write_all(&self.embedding).await?,
                (Path::Chat, Wish::Unary) => stream.write_all(&self.unary).await?,
                (Path::Chat, Wish::Stream { chunks, pause, usage }) => {
                    self.stream(&mut stream, chunks, pause).await?;
                    stream.write_all(&tail(usage)).await?;
                }
            }
            if ask.close {
                return Ok(());
            }
        }
    }

    async fn read(&self, stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<Option<Ask>> {
        loop {
            if let Some(ask) = self.ask(buffer).map_err(std::io::Error::other)? {
                return Ok(Some(ask));
            }
            if stream.read_buf(buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    fn ask(&self, bytes: &mut Vec<u8>) -> Result<Option<Ask>, &'static str> {
        let Some(head) = http1::head(bytes)? else { return Ok(None) };
        let path = match head.path() {
            path if path.ends_with("/embeddings") => Path::Embeddings,
            "/stats" => Path::Stats,
            _ => Path::Chat,
        };
        let (close, start, length) = (head.close, head.size, head.length);
        let rest = bytes.get(start..).unwrap_or_default();
        let (wish, used) = match length {
            Length::Unknown => (Wish::Unary, 0),
            Length::Fixed(length) => {
                let Some(body) = rest.get(..length) else {
                    bytes.reserve(start + length - bytes.len());
                    return Ok(None);
                };
                (Wish::of(body, self.pace), length)
            }
            Length::Chunked => {
                let (mut chunked, mut body) = (Chunked::default(), Vec::new());
                let used = chunked.feed(rest, |data| body.extend_from_slice(data))?;
                if !chunked.is_done() {
                    return Ok(None);
                }
                (Wish::of(&body, self.pace), used)
            }
        };
        Ok(Some(Ask { path, wish, close, size: start + used }))
    }

    /// The head and all events, without what ends them.
    async fn stream(&self, stream: &mut TcpStream, chunks: usize, pause: Duration) -> std::io::Result<()> {
        let mut first = STREAM_HEAD.as_bytes().to_vec();
        let burst = if pause.is_zero() { BURST } else { 1 };
        let mut left = chunks;
        while left > 0 {
            let now = left.min(burst);
            let bytes = self.burst.get(..now * self.framed).unwrap_or_default();
            if first.is_empty() {
                stream.write_all(bytes).await?;
            } else {
                // The head leaves with the first events, as it does from a server that has something to say.
                first.extend_from_slice(bytes);
                stream.write_all(&first).await?;
                first.clear();
            }
            left -= now;
            if !pause.is_zero() && left > 0 {
                tokio::time::sleep(pause).await;
            }
        }
        if first.is_empty() { Ok(()) } else { stream.write_all(&first).await }
    }

    fn stats(&self) -> String {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Stats { requests, bytes, open } = &*self.stats;
        format!(r#"{{"requests":{},"bytes":{},"open":{}}}"#, read(requests), read(bytes), read(open))
    }
}

const STREAM_HEAD: &str = concat!(
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n",
    "cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
);

fn tail(usage: bool) -> Vec<u8> {
    let mut tail = if usage { frame(USAGE) } else { Vec::new() };
    tail.extend_from_slice(&frame(DONE));
    tail.extend_from_slice(b"0\r\n\r\n");
    tail
}

fn frame(payload: &str) -> Vec<u8> {
    format!("{:x}\r\n{payload}\r\n", payload.len()).into_bytes()
}

fn json(body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_mock\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
