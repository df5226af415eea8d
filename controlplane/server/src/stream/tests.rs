use super::*;
use registry::{Change, Resource, Team};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use vocab::{Revision, TeamName};
use wire::config_client::ConfigClient;
use wire::config_server::ConfigServer;
use wire::{Ack, Hello, Update, from_proxy, to_proxy};

use crate::config::Planes;
use crate::publish::{Bounds, Docs};
use crate::stop::stop;
use crate::store::{Loaded, Place, StoreError, Txn, Watch, open};

/// A store that has come further than this replica has read.
#[derive(Debug)]
struct Further(Arc<dyn Store>, Revision);

#[tonic::async_trait]
impl Store for Further {
    fn kind(&self) -> &'static str {
        self.0.kind()
    }

    fn id(&self) -> &str {
        self.0.id()
    }

    async fn head(&self) -> Result<Revision, StoreError> {
        Ok(self.1)
    }

    async fn load(&self) -> Result<Loaded, StoreError> {
        self.0.load().await
    }

    async fn commit(&self, txn: Txn) -> Result<Revision, StoreError> {
        self.0.commit(txn).await
    }

    fn watch(&self, after: Revision) -> Watch {
        self.0.watch(after)
    }
}

fn advance(latest: &Latest, to: u64) {
    let from = latest.state().revision().0;
    for revision in from + 1..=to {
        let team = Team { name: TeamName::new(&format!("t{revision}")).unwrap(), description: None };
        latest.advance(Revision(revision), &[Change::Put(Resource::Team(team))]);
    }
}

#[tokio::test]
async fn a_replica_that_lags_holds_its_tongue_until_it_has_caught_up_with_the_proxy() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&Place::Embedded { dir: dir.path().to_path_buf() }).await.unwrap();
    let store: Arc<dyn Store> = Arc::new(Further(store, Revision(50)));
    let latest = Latest::new(store.id(), Docs::default(), Bounds::USUAL);
    advance(&latest, 5);
    let (stopper, stop) = stop();
    let gate = Gate::new(&Planes { tls: None, client_ca: None, token: None });
    let streams = Streams {
        updates: Arc::new(Updates::new(Arc::clone(&latest))),
        latest: Arc::clone(&latest),
        store,
        proxies: Arc::default(),
        gate: Arc::new(gate),
        metrics: Arc::default(),
        stop: stop.clone(),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    let service = ConfigServer::new(streams);
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(TcpIncoming::from(listener)));
    let announcing = Arc::clone(&latest);
    tokio::spawn(async move { announcing.announce(stop).await });

    let digest = vocab::Digest::default().to_bytes().to_vec();
    let (up, outgoing) = mpsc::channel(4);
    let hello = Hello {
        proxy: "edge".into(),
        boot: 1,
        build: "1".into(),
        schema: wire::SCHEMA,
        store: latest.store().to_owned(),
        have: 50,
        digest: digest.clone().into(),
    };
    up.send(FromProxy { kind: Some(from_proxy::Kind::Hello(hello)) }).await.unwrap();
    let channel = Endpoint::from_shared(uri).unwrap().connect().await.unwrap();
    let mut client = ConfigClient::new(channel);
    let mut down = client.subscribe(ReceiverStream::new(outgoing)).await.unwrap().into_inner();
    let mut next = async || down.message().await.unwrap().unwrap().kind.unwrap();
    assert!(matches!(next().await, to_proxy::Kind::Beat(beat) if beat.revision < 50));

    // Everything that comes between is told to nobody here; what comes after is.
    advance(&latest, 20);
    advance(&latest, 51);
    let update = loop {
        if let to_proxy::Kind::Update(bytes) = next().await {
            break <Update as prost::Message>::decode(bytes).unwrap();
        }
    };
    assert_eq!((update.from, update.to), (50, 51));
    let ack = Ack { to: 51, digest: digest.into(), rejected: Vec::new() };
    up.send(FromProxy { kind: Some(from_proxy::Kind::Ack(ack)) }).await.unwrap();
    stopper.stop();
}
