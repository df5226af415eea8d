//! HTTP/1.1 read and written by hand, so that tests see and decide every byte.

use tokio::io::{AsyncRead, AsyncReadExt};

/// A request or an answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    /// The first line.
    pub(crate) first: String,
    pub(crate) headers: Vec<(String, String)>,
    /// The head as it came, with its empty line.
    pub(crate) head: Vec<u8>,
    /// Without chunked framing.
    pub(crate) body: Vec<u8>,
}

impl Message {
    fn parse(head: Vec<u8>) -> Message {
        let text = String::from_utf8_lossy(&head).into_owned();
        let mut lines = text.trim_end().split("\r\n");
        let first = lines.next().unwrap_or_default().to_string();
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_string())).collect();
        Message { first, headers, head, body: Vec::new() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn status(&self) -> u16 {
        self.first.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }

    pub(crate) fn target(&self) -> &str {
        self.first.split(' ').nth(1).unwrap_or_default()
    }

    fn framing(&self, kind: Kind) -> Framing {
        if kind == Kind::Answer && (self.status() == 204 || self.status() == 304) {
            return Framing::Fixed(0);
        }
        if self.header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
            return Framing::Chunked;
        }
        match (self.header("content-length").and_then(|length| length.parse().ok()), kind) {
            (Some(length), _) => Framing::Fixed(length),
            (None, Kind::Request) => Framing::Fixed(0),
            (None, Kind::Answer) => Framing::UntilEnd,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Fixed(usize),
    Chunked,
    UntilEnd,
    Over,
}

/// Why a message could not be read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The other side ended it cleanly where it may.
    Ended,
    /// In the middle of something.
    Cut(String),
}

/// The receiving side of a connection.
#[derive(Debug)]
pub(crate) struct Reader<R> {
    from: R,
    buffer: Vec<u8>,
    framing: Framing,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(crate) fn new(from: R) -> Reader<R> {
        Reader { from, buffer: Vec::new(), framing: Framing::Over }
    }

    /// A head; its body is read with `piece` or `rest`.
    pub(crate) async fn head(&mut self, kind: Kind) -> Result<Message, Broken> {
        loop {
            let end = self.buffer.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = end {
                let rest = self.buffer.split_off(end + 4);
                let message = Message::parse(std::mem::replace(&mut self.buffer, rest));
                self.framing = message.framing(kind);
                return Ok(message);
            }
            self.more().await?;
        }
    }

    /// The next bytes of the body as they come; `None` at its proper end.
    pub(crate) async fn piece(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        match self.framing {
            Framing::Over => Ok(None),
            Framing::UntilEnd => {
                let ended = self.buffer.is_empty() && self.more().await == Err(Broken::Ended);
                if ended {
                    self.framing = Framing::Over;
                    return Ok(None);
                }
                Ok(Some(std::mem::take(&mut self.buffer)))
            }
            Framing::Fixed(0) => {
                self.framing = Framing::Over;
                Ok(None)
            }
            Framing::Fixed(left) => {
                if self.buffer.is_empty() {
                    self.more_of_body().await?;
                }
                let rest = self.buffer.split_off(left.min(self.buffer.len()));
                let piece = std::mem::replace(&mut self.buffer, rest);
                self.framing = Framing::Fixed(left - piece.len());
                Ok(Some(piece))
            }
            Framing::Chunked => self.chunk().await,
        }
    }

    /// What is left of the body. On a cut the error says so and what came before it is lost: see `piece`.
    pub(crate) async fn rest(&mut self) -> Result<Vec<u8>, Broken> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece().await? {
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// Waits until the other side closes; what it sends meanwhile is kept.
    pub(crate) async fn closed(&mut self) {
        while self.more().await.is_ok() {}
    }

    async fn chunk(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        let line = self.line().await?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| Broken::Cut(format!("chunk size {line:?}")))?;
        if size == 0 {
            while !self.line().await?.is_empty() {}
            self.framing = Framing::Over;
            return Ok(None);
        }
        while self.buffer.len() < size + 2 {
            self.more_of_body().await?;
        }
        let rest = self.buffer.split_off(size + 2);
        let mut chunk = std::mem::replace(&mut self.buffer, rest);
        assert_eq!(chunk.split_off(size), b"\r\n", "a chunk ends with its line end");
        Ok(Some(chunk))
    }

    async fn line(&mut self) -> Result<String, Broken> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                let rest = self.buffer.split_off(end + 2);
                let line = std::mem::replace(&mut self.buffer, rest);
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            self.more_of_body().await?;
        }
    }

    async fn more_of_body(&mut self) -> Result<(), Broken> {
        self.more().await.map_err(|broken| match broken {
            Broken::Ended => Broken::Cut("the connection ended in mid-body".into()),
            Broken::Cut(why) => Broken::Cut(why),
        })
    }

    async fn more(&mut self) -> Result<(), Broken> {
        match self.from.read_buf(&mut self.buffer).await {
            Ok(0) if self.buffer.is_empty() => Err(Broken::Ended),
            Ok(0) => Err(Broken::Cut("the connection ended".into())),
            Ok(_) => Ok(()),
            Err(error) => Err(Broken::Cut(error.to_string())),
        }
    }
}
