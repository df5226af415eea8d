//! The places that promises are asked of: a directory, or a prefix in a real etcd; and what may come in between.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use server::store::etcd::Options;
use server::store::{self, Place, Store};
use server::usage::{self, UsageLog};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::scratch::Scratch;

/// One store, and how to open it again.
pub(crate) struct World {
    pub(crate) place: Place,
    _directory: Option<Scratch>,
    _server: Option<Arc<EtcdServer>>,
}

impl World {
    pub(crate) fn embedded() -> World {
        let scratch = Scratch::new();
        World { place: Place::Embedded { dir: scratch.path().join("data") }, _directory: Some(scratch), _server: None }
    }

    /// An etcd that other tests use, too, under a prefix of its own.
    pub(crate) async fn etcd() -> World {
        let server = EtcdServer::shared();
        let options = server.options(&fresh_prefix());
        World { place: Place::Etcd(Box::new(options)), _directory: None, _server: Some(server) }
    }

    pub(crate) async fn open(&self) -> Arc<dyn Store> {
        store::open(&self.place).await.unwrap()
    }

    /// Another control plane's view of the same store, if the store is one that can be shared.
    pub(crate) async fn open_beside(&self, first: &Arc<dyn Store>) -> Arc<dyn Store> {
        match &self.place {
            Place::Embedded { .. } => Arc::clone(first),
            Place::Etcd(_) => self.open().await,
        }
    }

    pub(crate) async fn open_log(&self) -> Arc<dyn UsageLog> {
        usage::open(&self.place, 8).await.unwrap()
    }

    pub(crate) async fn open_log_beside(&self, first: &Arc<dyn UsageLog>) -> Arc<dyn UsageLog> {
        match &self.place {
            Place::Embedded { .. } => Arc::clone(first),
            Place::Etcd(_) => self.open_log().await,
        }
    }
}

pub(crate) fn fresh_prefix() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("/test-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A real etcd in a directory of its own. It dies with this value, and with this process, however that ends.
pub(crate) struct EtcdServer {
    pub(crate) port: u16,
    scratch: Scratch,
    arguments: Vec<String>,
    running: Mutex<Option<Running>>,
}

struct Running {
    shell: Child,
    pid: String,
}

impl EtcdServer {
    pub(crate) fn shared() -> Arc<EtcdServer> {
        static SHARED: Mutex<Weak<EtcdServer>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(EtcdServer::start());
            *shared = Arc::downgrade(&server);
            server
        })
    }

    pub(crate) fn start() -> EtcdServer {
        let server = EtcdServer::prepare("http", &[]);
        server.run();
        server.wait_until_healthy();
        server
    }

    /// Not running yet. Arguments given last win.
    pub(crate) fn prepare(scheme: &str, more: &[String]) -> EtcdServer {
        let scratch = Scratch::new();
        let (port, peer_port) = (free_port(), free_port());
        let (client, peer) = (format!("{scheme}://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer_port}"));
        let mut arguments = vec![
            "--name=one".to_owned(),
            format!("--data-dir={}", scratch.path().join("etcd").display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=one={peer}"),
            "--log-level=error".to_owned(),
        ];
        arguments.extend_from_slice(more);
        EtcdServer { port, scratch, arguments, running: Mutex::new(None) }
    }

    pub(crate) fn run(&self) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.scratch.path().join("log")).unwrap();
        // The shell ends etcd when its own input ends: that happens even if this process is killed.
        let mut shell = Command::new("sh")
            .args([
                "-c",
                r#"exec 3<&0; "$@" </dev/null >&2 & echo $!; cat <&3 >/dev/null; kill -9 $! 2>/dev/null; wait"#,
                "sh",
                "etcd",
            ])
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut pid = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut pid).unwrap();
        *self.running.lock().unwrap() = Some(Running { shell, pid: pid.trim().to_owned() });
    }

    pub(crate) fn wait_until_healthy(&self) {
        let began = Instant::now();
        while !self.is_healthy() {
            let log = std::fs::read_to_string(self.scratch.path().join("log")).unwrap_or_default();
            assert!(
                !log.contains("not found"),
                "these tests need etcd itself: install it, on Debian with `apt-get install etcd-server`\n{log}"
            );
            assert!(began.elapsed() < Duration::from_secs(20), "etcd does not become healthy:\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_healthy(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let mut answer = String::new();
        stream.write_all(b"GET /health HTTP/1.0\r\n\r\n").is_ok()
            && stream.read_to_string(&mut answer).is_ok()
            && answer.contains(r#""health":"true""#)
    }

    /// As the power would.
    pub(crate) fn kill(&self) {
        let Some(mut running) = self.running.lock().unwrap().take() else { return };
        Command::new("kill").args(["-9", &running.pid]).status().unwrap();
        drop(running.shell.stdin.take());
        running.shell.wait().unwrap();
    }

    /// Keeps what is there now, for `set_back`. etcd is restarted.
    pub(crate) fn back_up(&self) {
        self.replace("etcd", "backup");
    }

    /// To what was backed up.
    pub(crate) fn set_back(&self) {
        self.replace("backup", "etcd");
    }

    fn replace(&self, from: &str, to: &str) {
        self.kill();
        let (from, to) = (self.scratch.path().join(from), self.scratch.path().join(to));
        std::fs::remove_dir_all(&to).ok();
        assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
        self.run();
        self.wait_until_healthy();
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn options(&self, prefix: &str) -> Options {
        let mut options = Options::new(vec![self.endpoint()]);
        options.prefix = prefix.to_owned();
        options
    }

    /// etcd's own client, for what only an operator would do.
    pub(crate) async fn client(&self) -> etcd_client::Client {
        etcd_client::Client::connect([self.endpoint()], None).await.unwrap()
    }
}

impl Drop for EtcdServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a relay does with what passes through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mode {
    Pass,
    /// Requests arrive, answers do not.
    Mute,
    /// Nothing arrives, and nobody says so.
    Swallow,
    /// Every connection is cut, and so is every new one.
    Cut,
}

/// A stretch of wire that a test can break.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    accepting: tokio::task::AbortHandle,
}

struct State {
    mode: AtomicU8,
    /// So many more bytes towards the server, then the wire is cut.
    budget: AtomicI64,
    sent: AtomicI64,
}

impl Relay {
    pub(crate) async fn to(port: u16) -> Relay {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state =
            Arc::new(State { mode: AtomicU8::new(0), budget: AtomicI64::new(i64::MAX), sent: AtomicI64::new(0) });
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            loop {
                let Ok((near, _)) = listener.accept().await else { return };
                let state = Arc::clone(&shared);
                tokio::spawn(async move {
                    let Ok(far) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await else { return };
                    far.set_nodelay(true).ok();
                    near.set_nodelay(true).ok();
                    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                    tokio::select! {
                        () = carry(near_in, far_out, &state, true) => {}
                        () = carry(far_in, near_out, &state, false) => {}
                        () = state.is_cut() => {}
                    }
                });
            }
        })
        .abort_handle();
        Relay { address, state, accepting }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.state.mode.store(mode as u8, Ordering::SeqCst);
    }

    pub(crate) fn cut_after(&self, bytes: i64) {
        self.state.budget.store(bytes, Ordering::SeqCst);
    }

    pub(crate) fn sent(&self) -> i64 {
        self.state.sent.load(Ordering::SeqCst)
    }

    pub(crate) fn options(&self, prefix: &str) -> Options {
        let mut options = Options::new(vec![format!("http://{}", self.address)]);
        options.prefix = prefix.to_owned();
        options
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
        self.set(Mode::Cut);
    }
}

impl State {
    async fn is_cut(&self) {
        while self.mode.load(Ordering::SeqCst) != Mode::Cut as u8 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    state: &State,
    is_request: bool,
) {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let Ok(n @ 1..) = from.read(&mut bytes).await else { return };
        let mode = state.mode.load(Ordering::SeqCst);
        if mode == Mode::Cut as u8 {
            return;
        }
        let is_lost = mode == Mode::Swallow as u8 || (mode == Mode::Mute as u8 && !is_request);
        if is_lost {
            continue;
        }
        let mut n = n;
        if is_request {
            state.sent.fetch_add(i64::try_from(n).unwrap(), Ordering::SeqCst);
            let left = state.budget.fetch_sub(i64::try_from(n).unwrap(), Ordering::SeqCst);
            n = n.min(usize::try_from(left).unwrap_or(0));
            if n == 0 {
                state.mode.store(Mode::Cut as u8, Ordering::SeqCst);
            }
        }
        if to.write_all(bytes.get(..n).unwrap_or_default()).await.is_err() {
            return;
        }
    }
}
