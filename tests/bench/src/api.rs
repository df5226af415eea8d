//! A blocking client of the control plane's REST API: one kept-alive connection, JSON in and out.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::fail::{Context as _, Fail};
use crate::http1::{self, Chunked, Length};

/// Loading a hundred thousand keys takes its time.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub struct Api {
    address: SocketAddr,
    token: String,
    stream: Option<TcpStream>,
}

impl Api {
    #[must_use]
    pub fn new(address: SocketAddr, token: &str) -> Api {
        Api { address, token: token.into(), stream: None }
    }

    /// Anything but a success is an error that shows what the answer said.
    pub fn call(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Value, Fail> {
        let (status, answer) = self.raw(method, path, body)?;
        let text = String::from_utf8_lossy(&answer);
        if !(200..300).contains(&status) {
            let shown: String = text.chars().take(600).collect();
            return Err(Fail(format!("{method} {path}: {status} {shown}")));
        }
        if answer.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&text).doing(format!("{method} {path}")) }
    }

    /// Status and body, whatever they are. A kept-alive connection that has gone is opened anew, once.
    pub fn raw(&mut self, method: &str, path: &str, body: &[u8]) -> Result<(u16, Vec<u8>), Fail> {
        if let Some(stream) = self.stream.take()
            && let Ok(answer) = self.on(stream, method, path, body)
        {
            return Ok(answer);
        }
        let stream = TcpStream::connect(self.address).doing(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        self.on(stream, method, path, body)
    }

    fn on(&mut self, mut stream: TcpStream, method: &str, path: &str, body: &[u8]) -> Result<(u16, Vec<u8>), Fail> {
        let (host, token, length) = (self.address, &self.token, body.len());
        // Documents in YAML begin with `kind`; all else that is sent is JSON.
        let form = if matches!(body.first(), Some(b'k')) { "application/yaml" } else { "application/json" };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\naccept: application/json\r\n\
             content-type: {form}\r\ncontent-length: {length}\r\n\r\n"
        );
        let mut request = head.into_bytes();
        request.extend_from_slice(body);
        stream.write_all(&request).doing(format!("{method} {path}"))?;
        let (status, keep, body) = read_answer(&mut stream).doing(format!("{method} {path}"))?;
        self.stream = keep.then_some(stream);
        Ok((status, body))
    }
}

fn read_answer(stream: &mut TcpStream) -> Result<(u16, bool, Vec<u8>), Fail> {
    let mut bytes = Vec::new();
    let (status, length, close, size) = loop {
        if let Some(head) = http1::head(&bytes).map_err(Fail::new)? {
            break (head.status().unwrap_or_default(), head.length, head.close, head.size);
        }
        more(stream, &mut bytes)?;
    };
    bytes.drain(..size);
    let no_body = status == 204 || status == 304;
    let body = match length {
        _ if no_body => Vec::new(),
        Length::Fixed(length) => {
            while bytes.len() < length {
                more(stream, &mut bytes)?;
            }
            bytes
        }
        Length::Chunked => {
            let (mut chunked, mut body) = (Chunked::default(), Vec::new());
            loop {
                chunked.feed(&bytes, |data| body.extend_from_slice(data)).map_err(Fail::new)?;
                if chunked.is_done() {
                    break body;
                }
                bytes.clear();
                more(stream, &mut bytes)?;
            }
        }
        Length::Unknown => {
            stream.read_to_end(&mut bytes)?;
            return Ok((status, false, bytes));
        }
    };
    Ok((status, !close, body))
}

fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<(), Fail> {
    let mut piece = [0u8; 16 * 1024];
    let read = stream.read(&mut piece)?;
    bytes.extend_from_slice(piece.get(..read).unwrap_or_default());
    if read == 0 { Err(Fail::new("the connection ended in mid-answer")) } else { Ok(()) }
}
