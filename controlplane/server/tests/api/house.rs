//! A control plane on free ports, and a caller of its API.

use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use server::{Bootstrap, Server};
use tokio::net::TcpStream;

pub(crate) const ADMIN: &str = "admin-token-of-the-tests";
pub(crate) const JOIN: &str = "join-token-of-the-tests";
const SEAL_KEYS: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// The documents every operator meets first.
pub(crate) const DOCUMENTS: &str = r#"
kind: Provider
name: mock
dialect: openai
baseUrl: http://127.0.0.1:18080/v1
credential: {value: sk-upstream}        # or {env: NAME}, {file: PATH}
---
kind: Model
name: gpt-4o-mini
targets: [{provider: mock, model: gpt-4o-mini}]
---
kind: Team
name: search
---
kind: Key
name: bench
team: search
secret: sk-bench-key                    # optional; or sha256: <hex>; omitted: generated, shown once
models: ["*"]
expires: 2030-01-01T00:00:00Z           # optional
metadata: {env: prod}
"#;

pub(crate) struct House {
    pub(crate) server: Server,
    dir: tempfile::TempDir,
}

pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|why| panic!("{why}: {}", self.text))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn etag(&self) -> String {
        self.headers["etag"].to_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Reply {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }
}

impl House {
    pub(crate) async fn start() -> House {
        House::start_with(&[]).await
    }

    pub(crate) async fn start_with(flags: &[&str]) -> House {
        House::start_in(tempfile::tempdir().unwrap(), flags).await
    }

    async fn start_in(dir: tempfile::TempDir, flags: &[&str]) -> House {
        trust::install_crypto();
        let mut arguments: Vec<String> = [
            "turnpike-controlplane",
            "--api-listen=127.0.0.1:0",
            "--planes-listen=127.0.0.1:0",
            "--ops-listen=127.0.0.1:0",
            &format!("--admin-token={ADMIN}"),
            &format!("--join-token={JOIN}"),
            &format!("--seal-keys={SEAL_KEYS}"),
            &format!("--data-dir={}", dir.path().display()),
        ]
        .map(str::to_owned)
        .into();
        arguments.extend(flags.iter().map(ToString::to_string));
        let bootstrap = Bootstrap::from_arguments(&arguments).unwrap();
        let mut server = Server::start(bootstrap).unwrap();
        assert!(server.ready().await, "{:?}", server.ended().await);
        House { server, dir }
    }

    /// Ends it, gracefully, and starts another one on what it has left.
    pub(crate) async fn restart(self) -> House {
        let House { mut server, dir } = self;
        server.stop();
        server.ended().await.unwrap();
        House::start_in(dir, &[]).await
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: impl Into<Bytes>) -> Reply {
        self.call_with(method, path, &[], body).await
    }

    pub(crate) async fn call_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        let bearer = format!("Bearer {ADMIN}");
        let headers = [&[("authorization", bearer.as_str())], headers].concat();
        call(self.server.listen.api, method, path, &headers, body.into()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, "").await
    }

    pub(crate) async fn apply(&self, documents: &str) -> Reply {
        self.call("POST", "/v1/apply", documents.to_owned()).await
    }

    pub(crate) async fn revision(&self) -> u64 {
        self.get("/v1/status").await.json()["revision"].as_u64().unwrap()
    }
}

pub(crate) async fn call(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Reply {
    let stream = TcpStream::connect(address).await.unwrap();
    converse(TokioIo::new(stream), method, path, headers, body).await
}

pub(crate) async fn converse<S>(stream: S, method: &str, path: &str, headers: &[(&str, &str)], body: Bytes) -> Reply
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
    *request.uri_mut() = path.parse().unwrap();
    request.headers_mut().insert("host", "controlplane".parse().unwrap());
    for (name, value) in headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    let response = sender.send_request(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    Reply { status: parts.status, headers: parts.headers, text }
}
