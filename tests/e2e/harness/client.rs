//! A caller of the data plane or of the control plane: one connection per request unless a test wants otherwise.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::http::{Broken, Kind, Message, Reader};

/// No answer of a healthy system takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    headers: Vec<(String, String)>,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer(pub(crate) Message);

/// An answer whose body is still coming. Dropping it is what a caller does that goes away.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) head: Message,
    reader: Reader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

/// A connection on which any bytes can be sent.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) reader: Reader<OwnedReadHalf>,
    pub(crate) writer: OwnedWriteHalf,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Client {
        Client { address, headers: vec![("content-type".into(), "application/json".into())] }
    }

    pub(crate) fn key(self, key: &str) -> Client {
        self.with("authorization", &format!("Bearer {key}"))
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Client {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, b"").await
    }

    pub(crate) async fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.send("POST", path, body.as_ref()).await
    }

    /// A chat completion that says hello.
    pub(crate) async fn chat(&self, model: &str) -> Answer {
        self.post("/v1/chat/completions", chat_body(model)).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        self.try_send(method, path, body).await.unwrap_or_else(|broken| panic!("{method} {path}: {broken:?}"))
    }

    pub(crate) async fn try_send(&self, method: &str, path: &str, body: &[u8]) -> Result<Answer, Broken> {
        let mut open = self.try_open(method, path, body).await?;
        let rest = tokio::time::timeout(PATIENCE, open.reader.rest()).await;
        open.head.body = rest.map_err(|_| Broken::Cut("no end of the body".into()))??;
        Ok(Answer(open.head))
    }

    pub(crate) async fn open(&self, method: &str, path: &str, body: impl AsRef<[u8]>) -> Open {
        let opened = self.try_open(method, path, body.as_ref()).await;
        opened.unwrap_or_else(|broken| panic!("{method} {path}: {broken:?}"))
    }

    pub(crate) async fn try_open(&self, method: &str, path: &str, body: &[u8]) -> Result<Open, Broken> {
        let mut raw = self.try_connect().await?;
        let request = self.request(method, path, body);
        raw.writer.write_all(&request).await.map_err(|error| Broken::Cut(error.to_string()))?;
        let head = tokio::time::timeout(PATIENCE, raw.reader.head(Kind::Answer)).await;
        let head = head.map_err(|_| Broken::Cut("no answer".into()))??;
        Ok(Open { head, reader: raw.reader, writer: raw.writer })
    }

    /// The bytes `send` would send.
    pub(crate) fn request(&self, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }

    pub(crate) async fn connect(&self) -> Raw {
        self.try_connect().await.unwrap_or_else(|broken| panic!("{}: {broken:?}", self.address))
    }

    pub(crate) async fn try_connect(&self) -> Result<Raw, Broken> {
        let stream = TcpStream::connect(self.address).await.map_err(|error| Broken::Cut(error.to_string()))?;
        stream.set_nodelay(true).unwrap();
        let (reader, writer) = stream.into_split();
        Ok(Raw { reader: Reader::new(reader), writer })
    }
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.0.status()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.0.header(name)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.0.body)
            .unwrap_or_else(|error| panic!("{error} in {} {}", self.0.first, self.text()))
    }

    /// The JSON of a success; anything else fails the test and shows what was said.
    pub(crate) fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status()), "{} {}", self.0.first, self.text());
        if self.0.body.is_empty() { Value::Null } else { self.json() }
    }

    /// Status and `error.code`.
    pub(crate) fn refusal(&self) -> (u16, String) {
        let code = self.json()["error"]["code"].as_str().unwrap_or_default().to_string();
        (self.status(), code)
    }
}

impl Open {
    /// The next bytes that arrive; `None` at the end of the body.
    pub(crate) async fn piece(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        tokio::time::timeout(PATIENCE, self.reader.piece()).await.expect("a piece of the body")
    }

    /// Reads until these bytes have been seen; what was read is returned.
    pub(crate) async fn until(&mut self, wanted: &[u8]) -> Vec<u8> {
        let mut seen = Vec::new();
        while !seen.windows(wanted.len()).any(|window| window == wanted) {
            let piece = self.piece().await.expect("more of the body").expect("the body went on");
            seen.extend_from_slice(&piece);
        }
        seen
    }

    /// The rest of the body and how it ended.
    pub(crate) async fn rest(&mut self) -> (Vec<u8>, Result<(), Broken>) {
        let mut body = Vec::new();
        loop {
            match self.piece().await {
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) => return (body, Ok(())),
                Err(broken) => return (body, Err(broken)),
            }
        }
    }

    /// Goes away without a word.
    pub(crate) fn hang_up(self) {
        let Open { reader, writer, .. } = self;
        drop((reader, writer));
    }
}

impl Raw {
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.writer.write_all(bytes).await
    }

    /// An answer, or how the connection ended without one.
    pub(crate) async fn answer(&mut self) -> Result<Answer, Broken> {
        let read = async {
            let mut head = self.reader.head(Kind::Answer).await?;
            head.body = self.reader.rest().await?;
            Ok(Answer(head))
        };
        tokio::time::timeout(PATIENCE, read).await.expect("an answer or an end")
    }
}

pub(crate) fn chat_body(model: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hello"}}]}}"#)
}

pub(crate) fn stream_body(model: &str) -> String {
    format!(r#"{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"hello"}}]}}"#)
}
