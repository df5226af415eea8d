//! Putting the house up and taking it down: threads, sockets, signals.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use vocab::{Boot, Revision};

use crate::config::Bootstrap;
use crate::edge::drain::{self, Stopping};
use crate::edge::{listen, ops};
use crate::gateway::{Core, Gateway};
use crate::plane::report::Reporter;
use crate::plane::shelf::Shelf;
use crate::plane::{Dialer, last_good, subscribe};
use crate::upstream::Upstreams;

/// Serves until told to stop, then drains.
pub fn run(bootstrap: Bootstrap) -> Result<(), String> {
    let keyring = Arc::new(bootstrap.keyring);
    let dialers = (Dialer::new(&bootstrap.planes)?, Dialer::new(&bootstrap.planes)?);
    let shelf = match &bootstrap.data_dir {
        None => None,
        Some(directory) => Some(Arc::new(open_shelf(directory, &keyring)?)),
    };
    let boot = trust::random_bytes().map(u64::from_be_bytes).ok_or("the system gives no random bytes")?;
    let gateway = Arc::new(Gateway::new(bootstrap.name, Boot(boot), bootstrap.limits, bootstrap.threads));
    if let Some(snapshot) = shelf.as_ref().and_then(|shelf| last_good::load(shelf)) {
        tracing::info!(revision = %snapshot.revision(), "starts from the last good snapshot");
        gateway.snapshot.store(Arc::new(snapshot));
        gateway.life.configured.store(true, Ordering::Release);
    }
    let tls = bootstrap.tls.as_ref().map(listen::acceptor).transpose().map_err(|why| why.to_string())?;
    let upstream_tls = upstream_tls(bootstrap.upstream_ca.as_deref())?;
    let doors = Doors::bind(&bootstrap.listen, bootstrap.threads)?;
    let ops = bind_std(bootstrap.ops_listen)?;
    tracing::info!(
        message = "ready", listen = %doors.shown(), ops = %ops.local_addr().map_err(|why| why.to_string())?,
        proxy = %gateway.name, boot = %gateway.boot, threads = bootstrap.threads
    );
    let (stop, stopping) = drain::channel();
    let (force, forced) = drain::channel();
    let (ended, all_ended) = mpsc::channel::<()>(1);
    let mut threads = Vec::new();
    for (index, listeners) in doors.per_core.into_iter().enumerate() {
        let seed = boot ^ u64::try_from(index).unwrap_or_default().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let seat = Seat {
            gateway: Arc::clone(&gateway),
            index,
            listeners,
            tls: tls.clone(),
            upstream_tls: Arc::clone(&upstream_tls),
            stopping: stopping.clone(),
            forced: forced.clone(),
            seed,
        };
        let ended = ended.clone();
        let named = thread::Builder::new().name(format!("core-{index}"));
        threads.push(named.spawn(move || (seat.serve(), drop(ended)).0).map_err(|why| why.to_string())?);
    }
    drop(ended);
    let office = Office { gateway, keyring, dialers, shelf, ops, seed: boot };
    let life = Ending { stop, force, all_ended, drain: bootstrap.drain, with_parent: bootstrap.exit_with_parent };
    let served = runtime()?.block_on(LocalSet::new().run_until(office.work(life)));
    for thread in threads {
        thread.join().map_err(|_| "a core panicked")??;
    }
    served
}

fn open_shelf(directory: &Path, keyring: &Arc<trust::Keyring>) -> Result<Shelf, String> {
    Shelf::open(directory, Arc::clone(keyring)).map_err(|why| format!("--data-dir {}: {why}", directory.display()))
}

fn upstream_tls(ca: Option<&[u8]>) -> Result<Arc<ClientConfig>, String> {
    let mut config = trust::client_config(ca, None).map_err(|why| why.to_string())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn runtime() -> Result<Runtime, String> {
    Builder::new_current_thread().enable_all().build().map_err(|why| why.to_string())
}

fn bind_std(address: SocketAddr) -> Result<StdListener, String> {
    let listener = StdListener::bind(address).map_err(|why| format!("cannot listen on {address}: {why}"))?;
    listener.set_nonblocking(true).map_err(|why| why.to_string())?;
    Ok(listener)
}

/// The listening sockets: on every address one for each core.
struct Doors {
    addresses: Vec<SocketAddr>,
    per_core: Vec<Vec<StdListener>>,
}

impl Doors {
    fn bind(addresses: &[SocketAddr], cores: usize) -> Result<Doors, String> {
        let mut doors = Doors { addresses: Vec::new(), per_core: (0..cores).map(|_| Vec::new()).collect() };
        for address in addresses {
            let mut at = *address;
            for listeners in &mut doors.per_core {
                let listener: StdListener =
                    listen::bind(at).map_err(|why| format!("cannot listen on {at}: {why}"))?.into();
                // Port 0 is a wish for any port, which the other cores must share.
                at = listener.local_addr().map_err(|why| why.to_string())?;
                listeners.push(listener);
            }
            doors.addresses.push(at);
        }
        Ok(doors)
    }

    fn shown(&self) -> String {
        self.addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(",")
    }
}

/// What one core needs to serve.
struct Seat {
    gateway: Arc<Gateway>,
    index: usize,
    listeners: Vec<StdListener>,
    tls: Option<TlsAcceptor>,
    upstream_tls: Arc<ClientConfig>,
    stopping: Stopping,
    forced: Stopping,
    seed: u64,
}

impl Seat {
    fn serve(mut self) -> Result<(), String> {
        let runtime = runtime()?;
        let local = LocalSet::new();
        local.block_on(&runtime, async move {
            let core = Core::new(self.gateway, self.index, Upstreams::new(self.upstream_tls), self.seed);
            let tidy = spawn_local({
                let core = Rc::clone(&core);
                async move { core.upstreams.keep_tidy().await }
            });
            let mut doors = tokio::task::JoinSet::new();
            for listener in self.listeners {
                let listener = TcpListener::from_std(listener).map_err(|why| why.to_string())?;
                doors.spawn_local(listen::serve(Rc::clone(&core), listener, self.tls.clone(), self.stopping.clone()));
            }
            tokio::select! {
                () = async { while doors.join_next().await.is_some() {} } => {}
                () = self.forced.wait() => {}
            }
            tidy.abort();
            Ok(())
        })
    }
}

/// What is done beside serving: configuration in, usage out, answers to operators.
struct Office {
    gateway: Arc<Gateway>,
    keyring: Arc<trust::Keyring>,
    dialers: (Dialer, Dialer),
    shelf: Option<Arc<Shelf>>,
    ops: StdListener,
    seed: u64,
}

struct Ending {
    stop: drain::Stop,
    force: drain::Stop,
    all_ended: mpsc::Receiver<()>,
    drain: Duration,
    with_parent: bool,
}

impl Office {
    async fn work(self, mut ending: Ending) -> Result<(), String> {
        let mut told = Told::listen(ending.with_parent)?;
        let (applied, seen) = watch::channel(Revision::NONE);
        let (finish, finished) = oneshot::channel();
        let (subscribing, reporting) = self.dialers;
        let mut state = self.seed;
        let mut roll = move || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            state >> 33
        };
        let other_roll = roll();
        spawn_local(subscribe::keep_subscribed(Arc::clone(&self.gateway), subscribing, self.keyring, applied, roll));
        let reporter = Reporter { gateway: Arc::clone(&self.gateway), dialer: reporting, shelf: self.shelf.clone() };
        let reporter = spawn_local(reporter.keep_reporting(finished, move || other_roll));
        if let Some(shelf) = self.shelf {
            spawn_local(last_good::keep_saved(Arc::clone(&self.gateway), shelf, seen));
        }
        let (ops_stop, ops_stopping) = drain::channel();
        let ops = TcpListener::from_std(self.ops).map_err(|why| why.to_string())?;
        let operators = spawn_local(ops::serve(Arc::clone(&self.gateway), ops, ops_stopping));

        let why = tokio::select! {
            why = told.wait() => why,
            // No core ends by itself: one that did has failed, and the rest should not go on as if it had not.
            _ = ending.all_ended.recv() => "a core ended",
        };
        self.gateway.life.draining.store(true, Ordering::Release);
        tracing::info!(why, drain_seconds = ending.drain.as_secs(), "stopping");
        ending.stop.now();
        tokio::select! {
            drained = timeout(ending.drain, ending.all_ended.recv()) => {
                if drained.is_err() {
                    let left = self.gateway.life.requests.load(Ordering::Relaxed);
                    tracing::warn!(requests = left, "cut off: the time to drain is over");
                }
            }
            again = told.wait() => tracing::warn!(why = again, "told twice: stopping at once"),
        }
        ending.force.now();
        // Cores drop what they hold, and with it the last records.
        _ = timeout(Duration::from_secs(5), ending.all_ended.recv()).await;
        if finish.send(()).is_ok() {
            reporter.await.map_err(|why| why.to_string())?;
        }
        ops_stop.now();
        operators.await.map_err(|why| why.to_string())?;
        tracing::info!("stopped");
        Ok(())
    }
}

/// The ways to be told to stop.
struct Told {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    orphaned: mpsc::Receiver<()>,
    _keep: mpsc::Sender<()>,
}

impl Told {
    fn listen(with_parent: bool) -> Result<Told, String> {
        let listen = |kind| signal(kind).map_err(|why| why.to_string());
        let (sender, orphaned) = mpsc::channel(1);
        let keep = sender.clone();
        if with_parent {
            // Reads on a thread of its own: standard input cannot be waited for in any other portable way.
            thread::spawn(move || {
                _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
                _ = sender.blocking_send(());
            });
        }
        Ok(Told {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            orphaned,
            _keep: keep,
        })
    }

    async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.orphaned.recv() => "the parent is gone",
        }
    }
}
