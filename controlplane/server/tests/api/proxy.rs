//! A proxy, as far as the control plane can tell: it holds rows, checks digests and acknowledges.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use vocab::Digest;
use wire::config_client::ConfigClient;
use wire::{Ack, FromProxy, Hello, Rejected, ToProxy, Update, from_proxy, to_proxy};

use crate::house::{House, JOIN};

pub(crate) struct Proxy {
    up: mpsc::Sender<FromProxy>,
    down: Streaming<ToProxy>,
    pub(crate) held: Held,
}

/// What outlives a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    pub(crate) store: String,
    pub(crate) revision: u64,
    pub(crate) rows: BTreeMap<(u32, Bytes), Bytes>,
}

impl Held {
    pub(crate) fn digest(&self) -> Digest {
        let rows = self.rows.iter().map(|((kind, id), body)| Digest::of(*kind, id, body));
        rows.fold(Digest::default(), Digest::with)
    }

    pub(crate) fn key(&self, secret: &str) -> Option<wire::Key> {
        let id = Bytes::copy_from_slice(&trust::hash_key(secret).0);
        self.rows.get(&(vocab::Kind::Key.number(), id)).map(|body| wire::Key::decode(body.clone()).unwrap())
    }
}

pub(crate) async fn channel(house: &House) -> Channel {
    let uri = format!("http://{}", house.server.listen.planes);
    Endpoint::from_shared(uri).unwrap().connect().await.unwrap()
}

pub(crate) fn with_token<T>(message: T, token: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    request
}

pub(crate) fn hello(name: &str, held: &Held) -> Hello {
    Hello {
        proxy: name.into(),
        boot: 7,
        build: "test".into(),
        schema: wire::SCHEMA,
        store: held.store.clone(),
        have: held.revision,
        digest: held.digest().to_bytes().to_vec().into(),
    }
}

impl Proxy {
    pub(crate) async fn join(house: &House, name: &str, held: Held) -> Proxy {
        let hello = hello(name, &held);
        Proxy::say(channel(house).await, hello, held, Some(JOIN)).await.unwrap()
    }

    pub(crate) async fn say(channel: Channel, hello: Hello, held: Held, token: Option<&str>) -> Result<Proxy, Status> {
        let (up, outgoing) = mpsc::channel(16);
        up.send(FromProxy { kind: Some(from_proxy::Kind::Hello(hello)) }).await.unwrap();
        let request = with_token(ReceiverStream::new(outgoing), token);
        let down = ConfigClient::new(channel).subscribe(request).await?.into_inner();
        Ok(Proxy { up, down, held })
    }

    pub(crate) async fn message(&mut self) -> Result<to_proxy::Kind, Status> {
        self.down.message().await?.and_then(|message| message.kind).ok_or_else(|| Status::cancelled("the end"))
    }

    /// The next part of an update; beats are passed over.
    pub(crate) async fn part(&mut self) -> Result<Update, Status> {
        loop {
            if let to_proxy::Kind::Update(bytes) = self.message().await? {
                return Ok(Update::decode(bytes).unwrap());
            }
        }
    }

    /// The next update, whole and applied; the parts it came in. It is not acknowledged yet.
    pub(crate) async fn update(&mut self) -> Vec<Update> {
        let mut parts = Vec::new();
        loop {
            parts.push(self.part().await.unwrap());
            if !parts.last().unwrap().more {
                break;
            }
        }
        let (first, last) = (&parts[0], &parts[parts.len() - 1]);
        if first.from == 0 {
            self.held = Held::default();
        } else {
            assert_eq!((first.from, &first.store), (self.held.revision, &self.held.store));
        }
        for part in &parts {
            for removal in &part.removals {
                assert!(self.held.rows.remove(&(removal.kind, removal.id.clone())).is_some());
            }
            for row in &part.upserts {
                self.held.rows.insert((row.kind, row.id.clone()), row.body.clone());
            }
        }
        self.held.revision = last.to;
        self.held.store.clone_from(&last.store);
        assert_eq!(last.digest, self.held.digest().to_bytes().to_vec());
        parts
    }

    pub(crate) async fn ack(&self) {
        self.ack_with(self.held.digest(), Vec::new()).await;
    }

    pub(crate) async fn ack_with(&self, digest: Digest, rejected: Vec<Rejected>) {
        let ack = Ack { to: self.held.revision, digest: digest.to_bytes().to_vec().into(), rejected };
        self.up.send(FromProxy { kind: Some(from_proxy::Kind::Ack(ack)) }).await.unwrap();
    }

    /// Applies and acknowledges until it holds this revision; how many updates that took.
    pub(crate) async fn reach(&mut self, revision: u64) -> usize {
        let mut updates = 0;
        while self.held.revision < revision {
            self.update().await;
            self.ack().await;
            updates += 1;
        }
        updates
    }
}
