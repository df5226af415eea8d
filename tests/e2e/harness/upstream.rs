//! A provider that does as it is told, and remembers every byte it was sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::eventually::eventually;
use super::http::{Kind, Message, Reader};
use super::script::{self, Step};

#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    task: tokio::task::JoinHandle<()>,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) message: Message,
    /// Requests and connections are numbered in the order they came.
    pub(crate) request: usize,
    pub(crate) connection: usize,
    /// When the other side hung up before the script was through.
    pub(crate) abandoned: Option<Instant>,
}

#[derive(Default)]
struct Shared {
    scripts: Vec<(String, Vec<Step>)>,
    seen: Vec<Seen>,
    requests: usize,
    connections: usize,
    open: usize,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("seen", &self.seen.len()).finish_non_exhaustive()
    }
}

impl Upstream {
    pub(crate) async fn start() -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Shared::default()));
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Upstream { address, shared, task }
    }

    /// What to do with requests for this model from now on. Without a script a model answers as a good provider does.
    pub(crate) fn on(&self, model: &str, steps: Vec<Step>) {
        let mut shared = self.shared.lock().unwrap();
        shared.scripts.retain(|(known, _)| known != model);
        shared.scripts.push((model.into(), steps));
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.lock().unwrap().seen.clone()
    }

    pub(crate) fn last(&self) -> Seen {
        self.seen().pop().expect("a request reached the upstream")
    }

    /// Connections that have not been closed.
    pub(crate) fn open(&self) -> usize {
        self.shared.lock().unwrap().open
    }

    pub(crate) async fn reached(&self, count: usize) -> Vec<Seen> {
        eventually("requests reach the upstream", async || {
            let seen = self.seen();
            (count <= seen.len()).then_some(seen)
        })
        .await
    }

    /// When the other side hung up on the request of that number.
    pub(crate) async fn abandoned(&self, number: usize) -> Instant {
        eventually("the request is abandoned", async || self.seen().get(number).and_then(|seen| seen.abandoned)).await
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Mutex<Shared>>) {
    // Owned here, so that the connections end with the upstream.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let number = {
            let mut shared = shared.lock().unwrap();
            shared.connections += 1;
            shared.open += 1;
            shared.connections
        };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            connection(stream, number, &shared).await;
            shared.lock().unwrap().open -= 1;
        });
    }
}

async fn connection(stream: TcpStream, number: usize, shared: &Mutex<Shared>) {
    stream.set_nodelay(true).unwrap();
    let (reader, mut writer) = stream.into_split();
    let mut reader = Reader::new(reader);
    while let Ok(mut message) = reader.head(Kind::Request).await {
        let Ok(body) = reader.rest().await else { return };
        message.body = body;
        let steps = script_for(&message, shared);
        let request = {
            let mut shared = shared.lock().unwrap();
            shared.requests += 1;
            let request = shared.requests;
            shared.seen.push(Seen { message, request, connection: number, abandoned: None });
            request
        };
        if !play(&steps, &mut reader, &mut writer).await {
            let mut shared = shared.lock().unwrap();
            if let Some(seen) = shared.seen.iter_mut().find(|seen| seen.request == request) {
                seen.abandoned = Some(Instant::now());
            }
            return;
        }
        if let Some(Step::Reset | Step::Close) = steps.last() {
            return;
        }
    }
}

/// `false` when the other side hung up first.
async fn play(steps: &[Step], reader: &mut Reader<OwnedReadHalf>, writer: &mut OwnedWriteHalf) -> bool {
    for step in steps {
        let done = tokio::select! {
            biased;
            done = act(step, writer) => done,
            () = reader.closed() => false,
        };
        if !done {
            return false;
        }
    }
    true
}

async fn act(step: &Step, writer: &mut OwnedWriteHalf) -> bool {
    match step {
        Step::Send(bytes) => writer.write_all(bytes).await.is_ok(),
        Step::Trickle(bytes) => {
            for byte in bytes {
                if writer.write_all(&[*byte]).await.is_err() {
                    return false;
                }
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
            true
        }
        Step::Wait(gate) => {
            gate.pass().await;
            true
        }
        Step::Pause(length) => {
            tokio::time::sleep(*length).await;
            true
        }
        Step::Stall => std::future::pending().await,
        Step::Reset => {
            let stream: &TcpStream = writer.as_ref();
            stream.set_zero_linger().unwrap();
            true
        }
        Step::Close => true,
    }
}

fn script_for(message: &Message, shared: &Mutex<Shared>) -> Vec<Step> {
    let body: Value = serde_json::from_slice(&message.body).unwrap_or_default();
    let model = body["model"].as_str().unwrap_or_default();
    let scripts = &shared.lock().unwrap().scripts;
    if let Some((_, steps)) = scripts.iter().find(|(known, _)| known == model) {
        return steps.clone();
    }
    if message.target().ends_with("/embeddings") {
        return script::json(script::EMBEDDING);
    }
    if message.target().ends_with("/v1/completions") {
        return script::json(script::COMPLETION);
    }
    if body["stream"] == true {
        let mut events: Vec<_> = ["Hel", "lo ", "there."].map(script::event).into();
        if body["stream_options"]["include_usage"] == true {
            events.push(script::usage_event());
        }
        events.push(script::DONE.into());
        return script::stream(&events);
    }
    script::json(script::CHAT)
}
