//! One kept-alive connection of the load generator, and the check that every answer is what the upstream sent.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::ask::{Ask, Expect};
use crate::http1::{self, Chunked, Length};

#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// To the first byte of the body.
    pub first: Duration,
    pub whole: Duration,
    pub events: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Connect,
    /// The connection ended before the answer did.
    Closed,
    Status(u16),
    /// Status 200, but not the bytes that were sent.
    Wrong,
    NotHttp,
    /// No answer when the run was over.
    Late,
    /// More arrivals than the generator can remember.
    Overrun,
}

impl Fault {
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Fault::Connect => "connect".into(),
            Fault::Closed => "closed".into(),
            Fault::Status(status) => status.to_string(),
            Fault::Wrong => "wrong-answer".into(),
            Fault::NotHttp => "not-http".into(),
            Fault::Late => "no-answer".into(),
            Fault::Overrun => "overrun".into(),
        }
    }
}

/// What has been seen of an answer's body.
#[derive(Default)]
struct Seen {
    bytes: u64,
    events: u64,
    /// An event ends with an empty line, which may lie across two pieces.
    newline: bool,
    same: bool,
}

impl Connection {
    pub async fn open(target: SocketAddr) -> Result<Connection, Fault> {
        let stream = TcpStream::connect(target).await.map_err(|_| Fault::Connect)?;
        stream.set_nodelay(true).map_err(|_| Fault::Connect)?;
        Ok(Connection { stream, buffer: Vec::with_capacity(16 * 1024) })
    }

    /// Sends the request and reads all of its answer. After a fault the connection is of no more use.
    pub async fn call(&mut self, ask: &Ask) -> Result<Timing, Fault> {
        self.call_noting(ask, || {}).await
    }

    /// Like `call`; `begun` is told when the first byte of the body is there.
    pub async fn call_noting(&mut self, ask: &Ask, begun: impl FnOnce()) -> Result<Timing, Fault> {
        let began = Instant::now();
        self.stream.write_all(&ask.bytes).await.map_err(|_| Fault::Closed)?;
        self.buffer.clear();
        let (status, length, size) = loop {
            self.read().await?;
            if let Some(head) = http1::head(&self.buffer).map_err(|_| Fault::NotHttp)? {
                break (head.status(), head.length, head.size);
            }
        };
        if status != Some(200) {
            return Err(Fault::Status(status.unwrap_or_default()));
        }
        self.buffer.drain(..size);
        while self.buffer.is_empty() {
            self.read().await?;
        }
        let first = began.elapsed();
        begun();
        let seen = match length {
            Length::Fixed(length) => self.fixed(ask, length).await?,
            Length::Chunked => self.chunked(ask).await?,
            Length::Unknown => return Err(Fault::NotHttp),
        };
        let right = match ask.expect {
            Expect::Body(body) => seen.same && u64::try_from(body.len()) == Ok(seen.bytes),
            Expect::Stream { events, bytes } => (seen.events, seen.bytes) == (events, bytes),
        };
        if right { Ok(Timing { first, whole: began.elapsed(), events: seen.events }) } else { Err(Fault::Wrong) }
    }

    async fn fixed(&mut self, ask: &Ask, length: usize) -> Result<Seen, Fault> {
        while self.buffer.len() < length {
            self.read().await?;
        }
        let mut seen = Seen { same: true, ..Seen::default() };
        seen.look(ask, &self.buffer);
        Ok(seen)
    }

    async fn chunked(&mut self, ask: &Ask) -> Result<Seen, Fault> {
        let mut seen = Seen { same: true, ..Seen::default() };
        let mut chunked = Chunked::default();
        loop {
            chunked.feed(&self.buffer, |data| seen.look(ask, data)).map_err(|_| Fault::NotHttp)?;
            if chunked.is_done() {
                return Ok(seen);
            }
            self.buffer.clear();
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<(), Fault> {
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => Err(Fault::Closed),
            Ok(_) => Ok(()),
        }
    }
}

impl Seen {
    fn look(&mut self, ask: &Ask, data: &[u8]) {
        match ask.expect {
            Expect::Body(body) => {
                let at = usize::try_from(self.bytes).unwrap_or(usize::MAX);
                let expected = body.as_bytes().get(at..).and_then(|rest| rest.get(..data.len()));
                self.same &= expected == Some(data);
                self.bytes += u64::try_from(data.len()).unwrap_or_default();
            }
            Expect::Stream { .. } => {
                let mut last = usize::MAX;
                for at in memchr::memchr_iter(b'\n', data) {
                    let follows = if at == 0 { self.newline } else { last == at - 1 };
                    self.events += u64::from(follows);
                    last = at;
                }
                self.newline = data.last() == Some(&b'\n');
                self.bytes += u64::try_from(data.len()).unwrap_or_default();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_wherever_a_stream_is_cut() {
        let ask = Ask { bytes: Vec::new(), expect: Expect::Stream { events: 3, bytes: 0 } };
        let text = b"data: a\n\ndata: b\n\ndata: [DONE]\n\n";
        for cut in 0..text.len() {
            let mut seen = Seen::default();
            let (left, right) = text.split_at(cut);
            seen.look(&ask, left);
            if !right.is_empty() {
                seen.look(&ask, right);
            }
            assert_eq!((seen.events, seen.bytes), (3, 32), "cut at {cut}");
        }
    }
}
