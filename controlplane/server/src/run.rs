//! From bootstrap configuration to a control plane that serves, and to its end.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use tonic::transport::{Certificate, Identity, Server as Grpc, ServerTlsConfig};
use wire::config_server::ConfigServer;
use wire::usage_server::UsageServer;

use crate::api::Api;
use crate::clock;
use crate::collect::{Collector, collect, post_box};
use crate::config::{Bootstrap, Listen, Planes};
use crate::desk::desk;
use crate::door::Door;
use crate::ops::Ops;
use crate::porch;
use crate::proxies::Proxies;
use crate::publish::{Bounds, Latest, follow, load};
use crate::sealer::Vault;
use crate::stop::{Stop, Stopper, stop};
use crate::store::{self, Place, Store, StoreError};
use crate::stream::{Gate, Streams, Updates};
use crate::telemetry::Metrics;
use crate::usage::{self, UsageLog};

const BACKLOG: u32 = 1024;
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
const PRUNE_EVERY: Duration = Duration::from_secs(3600);
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
const GRPC_HEAD_BYTES_MAX: u32 = 16 * 1024;
const GRPC_MESSAGE_BYTES_MAX: usize = 16 << 20;
const GRPC_WINDOW: u32 = 1 << 20;
const GRPC_STREAMS_MAX: u32 = 64;

#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    #[error("cannot listen on {address} for {what}: {why}")]
    Listen { what: &'static str, address: SocketAddr, why: io::Error },
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    #[error("cannot listen for signals: {0}")]
    Signals(io::Error),
}

/// A control plane that runs. Stop it, then wait until it has ended.
#[derive(Debug)]
pub struct Server {
    /// Where it really listens, also where the configuration said 0.
    pub listen: Listen,
    stopper: Stopper,
    ready: watch::Receiver<bool>,
    all: JoinHandle<Result<(), Trouble>>,
}

impl Server {
    /// Takes its addresses and begins to start: it is ready when `/readyz` says so.
    pub fn start(bootstrap: Bootstrap) -> Result<Server, Trouble> {
        let sockets = Sockets::bind(&bootstrap.listen)?;
        let listen = sockets.listen;
        let (stopper, stop) = stop();
        let (is_ready, ready) = watch::channel(false);
        let all = tokio::spawn(run(bootstrap, sockets, is_ready, stop));
        Ok(Server { listen, stopper, ready, all })
    }

    /// Returns when it serves; false when it has ended before.
    pub async fn ready(&mut self) -> bool {
        self.ready.wait_for(|ready| *ready).await.is_ok()
    }

    pub fn stop(&self) {
        self.stopper.stop();
    }

    /// Returns when it has ended: when it was stopped, or when it cannot go on.
    pub async fn ended(&mut self) -> Result<(), Trouble> {
        match (&mut self.all).await {
            Ok(ended) => ended,
            Err(why) => Err(StoreError::Corrupt(format!("the control plane broke off: {why}")).into()),
        }
    }
}

/// Addresses that are ours. Nobody can connect to the API and the planes before there is something to serve: a proxy
/// had better try another control plane than wait here.
struct Sockets {
    listen: Listen,
    api: TcpSocket,
    planes: TcpSocket,
    ops: TcpListener,
}

impl Sockets {
    fn bind(listen: &Listen) -> Result<Sockets, Trouble> {
        let trouble = |what, address| move |why| Trouble::Listen { what, address, why };
        let (api, api_address) = bind(listen.api).map_err(trouble("the API", listen.api))?;
        let (planes, planes_address) = bind(listen.planes).map_err(trouble("proxies", listen.planes))?;
        let (ops, ops_address) = bind(listen.ops).map_err(trouble("operations", listen.ops))?;
        let ops = ops.listen(BACKLOG).map_err(trouble("operations", listen.ops))?;
        let listen = Listen { api: api_address, planes: planes_address, ops: ops_address };
        Ok(Sockets { listen, api, planes, ops })
    }
}

fn bind(address: SocketAddr) -> io::Result<(TcpSocket, SocketAddr)> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

async fn run(bootstrap: Bootstrap, sockets: Sockets, is_ready: watch::Sender<bool>, stop: Stop) -> Result<(), Trouble> {
    let metrics = Arc::new(Metrics::default());
    let ops = Arc::new(Ops { metrics, loaded: OnceLock::new(), is_ready, stop: stop.clone() });
    let (ops_stopper, ops_stop) = crate::stop::stop();
    let door = Door { listener: sockets.ops, tls: None, drain: Duration::from_secs(1) };
    let answering = Arc::clone(&ops);
    let ops_served = tokio::spawn(door.serve(move |request| Arc::clone(&answering).serve(request), ops_stop));
    let doors = Doors { api: sockets.api, planes: sockets.planes, listen: sockets.listen };
    let ended = serve(bootstrap, doors, &ops, stop).await;
    ops_stopper.stop();
    if let Err(why) = ops_served.await {
        tracing::error!(%why, "operations were not served to the end");
    }
    ended
}

struct Doors {
    api: TcpSocket,
    planes: TcpSocket,
    listen: Listen,
}

async fn serve(bootstrap: Bootstrap, doors: Doors, ops: &Arc<Ops>, stop: Stop) -> Result<(), Trouble> {
    let Some((store, log)) = until_open(&bootstrap.store, &stop).await? else { return Ok(()) };
    let Some(latest) = until_loaded(store.as_ref(), &stop).await else { return Ok(()) };
    let metrics = Arc::clone(&ops.metrics);
    let proxies = Arc::new(Proxies::default());
    let gate = Arc::new(Gate::new(&bootstrap.planes));
    let vault = Vault::new(bootstrap.keyring, bootstrap.credentials);
    let (desk, writer) = desk(Arc::clone(&latest), Arc::clone(&store), vault, Arc::clone(&metrics));
    let (posted, posts) = post_box();
    let api = Api {
        admin_token: bootstrap.admin_token,
        latest: Arc::clone(&latest),
        desk,
        proxies: Arc::clone(&proxies),
        usage: Arc::clone(&log),
        store_kind: store.kind(),
        metrics: Arc::clone(&metrics),
    };
    let collector = Collector { gate: Arc::clone(&gate), posted, stop: stop.clone() };
    let streams = Streams {
        updates: Arc::new(Updates::new(Arc::clone(&latest))),
        latest: Arc::clone(&latest),
        store: Arc::clone(&store),
        proxies: Arc::clone(&proxies),
        gate,
        metrics: Arc::clone(&metrics),
        stop: stop.clone(),
    };
    let (api_listener, planes_listener) = listen(doors.api, doors.planes, &doors.listen)?;
    let api_tls = bootstrap.api_tls.as_ref().map(|identity| trust::server_config(identity, None)).transpose();
    let api_tls = api_tls.map_err(|why| Trouble::Tls(why.to_string()))?.map(Arc::new);
    let grpc = grpc(&bootstrap.planes)?;

    // Those that end when nobody can hand in anything any more, and those that end at the word to stop.
    let mut hands = JoinSet::new();
    hands.spawn(writer.run());
    hands.spawn(collect(Arc::clone(&log), posts, metrics));
    hands.spawn(follow(Arc::clone(&latest), Arc::clone(&store), stop.clone()));
    hands.spawn(announce(Arc::clone(&latest), stop.clone()));
    hands.spawn(prune(log, stop.clone()));
    let door = Door { listener: api_listener, tls: api_tls, drain: bootstrap.drain };
    let api = Arc::new(api);
    let api_served = door.serve(move |request| Arc::clone(&api).serve(request), stop.clone());
    let planes_served = serve_planes(grpc, planes_listener, streams, collector, stop.clone());

    if bootstrap.api_tls.is_none() && !doors.listen.api.ip().is_loopback() {
        tracing::warn!("the API is served without TLS: put TLS in front of it, the admin token travels there");
    }
    let revision = latest.state().revision();
    let Listen { api, planes, ops: ops_address } = doors.listen;
    tracing::info!(%api, %planes, ops = %ops_address, store = store.kind(), %revision, "ready");
    ops.ready(latest, proxies);
    let planes_served = async {
        tokio::select! {
            () = planes_served => {}
            () = async { stop.wanted().await; tokio::time::sleep(bootstrap.drain).await } => {
                tracing::warn!("streams were cut off, they took longer than the drain");
            }
        }
    };
    tokio::join!(api_served, planes_served);
    finish(hands, bootstrap.drain).await;
    tracing::info!("stopped");
    Ok(())
}

async fn finish(mut hands: JoinSet<()>, drain: Duration) {
    let finished = timeout(drain, async {
        while let Some(ended) = hands.join_next().await {
            if let Err(why) = ended {
                tracing::error!(%why, "a task broke off");
            }
        }
    });
    if finished.await.is_err() {
        tracing::warn!(tasks = hands.len(), "tasks were cut off, they took longer than the drain");
    }
}

/// `None` when it was time to stop first. A cluster that is away is waited for; what wants an operator is told.
async fn until_open(place: &Place, stop: &Stop) -> Result<Option<(Arc<dyn Store>, Arc<dyn UsageLog>)>, StoreError> {
    let days = match place {
        Place::Embedded { .. } => usage::DAYS_EMBEDDED,
        Place::Etcd(_) => usage::DAYS_ETCD,
    };
    let mut pause = PAUSE_MIN;
    loop {
        let opened = async { Ok((store::open(place).await?, usage::open(place, days).await?)) };
        match opened.await {
            Ok(opened) => return Ok(Some(opened)),
            Err(StoreError::Unavailable(why)) if matches!(place, Place::Etcd(_)) => {
                tracing::warn!(why, "the store cannot be reached, trying on");
            }
            Err(why) => return Err(why),
        }
        if !stop.slept(pause).await {
            return Ok(None);
        }
        pause = pause.saturating_mul(2).min(PAUSE_MAX);
    }
}

async fn until_loaded(store: &dyn Store, stop: &Stop) -> Option<Arc<Latest>> {
    let mut pause = PAUSE_MIN;
    loop {
        match load(store).await {
            Ok(docs) => return Some(Latest::new(store.id(), docs, Bounds::USUAL)),
            Err(why) => tracing::warn!(%why, "the store cannot be read, trying on"),
        }
        if !stop.slept(pause).await {
            return None;
        }
        pause = pause.saturating_mul(2).min(PAUSE_MAX);
    }
}

fn listen(api: TcpSocket, planes: TcpSocket, at: &Listen) -> Result<(TcpListener, TcpListener), Trouble> {
    let trouble = |what, address| move |why| Trouble::Listen { what, address, why };
    let api = api.listen(BACKLOG).map_err(trouble("the API", at.api))?;
    let planes = planes.listen(BACKLOG).map_err(trouble("proxies", at.planes))?;
    Ok((api, planes))
}

fn grpc(planes: &Planes) -> Result<Grpc, Trouble> {
    let grpc = Grpc::builder()
        .tcp_nodelay(true)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .http2_max_header_list_size(GRPC_HEAD_BYTES_MAX)
        .initial_stream_window_size(GRPC_WINDOW)
        .initial_connection_window_size(GRPC_WINDOW.saturating_mul(4))
        .max_concurrent_streams(GRPC_STREAMS_MAX);
    let Some(identity) = &planes.tls else { return Ok(grpc) };
    let identity = Identity::from_pem(&identity.chain, identity.key.expose());
    let mut tls = ServerTlsConfig::new().identity(identity).timeout(HANDSHAKE_TIMEOUT);
    if let Some(authorities) = &planes.client_ca {
        tls = tls.client_ca_root(Certificate::from_pem(authorities));
    }
    grpc.tls_config(tls).map_err(|why| Trouble::Tls(why.to_string()))
}

async fn serve_planes(mut grpc: Grpc, listener: TcpListener, streams: Streams, collector: Collector, stop: Stop) {
    let served = grpc
        .add_service(ConfigServer::new(streams).max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX))
        .add_service(UsageServer::new(collector).max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX))
        .serve_with_incoming_shutdown(porch::guests(listener), async move {
            stop.wanted().await;
        });
    if let Err(why) = served.await {
        tracing::error!(%why, "proxies are not served any more");
    }
}

async fn announce(latest: Arc<Latest>, stop: Stop) {
    latest.announce(stop).await;
}

/// Forgets old usage, now and then.
async fn prune(log: Arc<dyn UsageLog>, stop: Stop) {
    loop {
        match log.prune(clock::now()).await {
            Ok(pruned) => tracing::debug!(?pruned, "old usage is forgotten"),
            Err(why) => tracing::warn!(%why, "old usage cannot be forgotten now"),
        }
        if !stop.slept(PRUNE_EVERY).await {
            return;
        }
    }
}
