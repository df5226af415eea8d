//! A control plane that answers what the script says, in its order, and remembers what it was asked.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

/// Of nobody but these tests; good for `localhost` and 127.0.0.1 until 2120.
pub(crate) const CERTIFICATE: &str = include_str!("tls/cert.pem");
const KEY: &str = include_str!("tls/key.pem");

#[derive(Debug, PartialEq)]
pub(crate) struct Asked {
    /// `GET /v1/keys?limit=1`
    pub(crate) line: String,
    pub(crate) token: String,
    pub(crate) body: Value,
}

pub(crate) struct Answer {
    status: u16,
    headers: String,
    body: String,
}

impl Answer {
    pub(crate) fn new(status: u16, body: &Value) -> Answer {
        Answer { status, headers: String::new(), body: body.to_string() }
    }

    pub(crate) fn text(status: u16, body: &str) -> Answer {
        Answer { status, headers: String::new(), body: body.to_owned() }
    }

    pub(crate) fn header(mut self, line: &str) -> Answer {
        self.headers.push_str(line);
        self.headers.push_str("\r\n");
        self
    }
}

pub(crate) struct Script {
    pub(crate) url: String,
    address: String,
    serving: JoinHandle<Vec<Asked>>,
}

impl Script {
    pub(crate) fn play(answers: Vec<Answer>) -> Script {
        Script::start("http", answers, serve)
    }

    pub(crate) fn play_over_tls(answers: Vec<Answer>) -> Script {
        trust::install_crypto();
        let identity = trust::Identity { chain: CERTIFICATE.into(), key: vocab::Secret::new(KEY.into()) };
        let config: Arc<ServerConfig> = trust::server_config(&identity, None).unwrap().into();
        Script::start("https", answers, move |stream, answer| {
            serve(StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream), answer)
        })
    }

    fn start(
        scheme: &str,
        answers: Vec<Answer>,
        serve: impl Fn(TcpStream, &Answer) -> Asked + Send + 'static,
    ) -> Script {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let url = format!("{scheme}://{address}");
        let serving = std::thread::spawn(move || {
            answers.iter().map(|answer| serve(listener.accept().unwrap().0, answer)).collect()
        });
        Script { url, address, serving }
    }

    /// The arguments that lead here.
    pub(crate) fn args(&self) -> String {
        format!("--api {} --token t", self.url)
    }

    /// What was asked. Answers that nobody fetched are there with nothing asked.
    pub(crate) fn asked(self) -> Vec<Asked> {
        while !self.serving.is_finished() {
            // Says nothing, which ends the wait for a request that never comes; refused once all are served.
            drop(TcpStream::connect(&self.address));
            std::thread::yield_now();
        }
        self.serving.join().unwrap()
    }
}

fn serve(mut stream: impl Read + Write, answer: &Answer) -> Asked {
    let asked = read(&mut stream);
    let Answer { status, headers, body } = answer;
    let length = body.len();
    let text = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{headers}connection: close\r\n\r\n{body}");
    if !asked.line.is_empty() {
        // A reader that has had enough is a case of its own.
        _ = stream.write_all(text.as_bytes());
    }
    asked
}

fn read(stream: &mut impl Read) -> Asked {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut text = String::new();
        // Whoever hangs up has nothing to say.
        _ = reader.read_line(&mut text);
        text.trim_end().to_owned()
    };
    let first = line();
    let (mut length, mut token) = (0, String::new());
    loop {
        let header = line();
        let Some((name, value)) = header.split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "authorization" => value.trim_start_matches("Bearer ").clone_into(&mut token),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Asked { line: first.trim_end_matches(" HTTP/1.1").to_owned(), token, body }
}
