//! Both planes of the gateway as processes, configured through the REST API as an operator would.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::api::Api;
use crate::fail::Fail;
use crate::process::{self, Place, Process};

pub const KEY: &str = "sk-bench-key";
const ADMIN_TOKEN: &str = "bench-admin-token-0123456789abcdef";
const JOIN_TOKEN: &str = "bench-join-token-0123456789abcdef";
/// 32 bytes in base64; nothing but the bench is sealed with it.
const SEAL_KEY: &str = "YmVuY2gtc2VhbC1rZXktYmVuY2gtc2VhbC1rZXktMTI=";
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct ControlPlane {
    pub process: Process,
    pub api: SocketAddr,
    pub planes: SocketAddr,
}

#[derive(Debug)]
pub struct Proxy {
    pub process: Process,
    pub listen: SocketAddr,
}

/// What a proxy writes to its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    LastGood,
    Nothing,
}

/// Where the binaries are and where their files go.
#[derive(Debug, Clone)]
pub struct Home {
    pub binaries: PathBuf,
    pub dir: PathBuf,
}

impl Home {
    /// Which of the binaries are not there.
    #[must_use]
    pub fn missing(&self) -> Vec<PathBuf> {
        let names = ["turnpike-controlplane", "turnpike-dataplane"];
        names.map(|name| self.binaries.join(name)).into_iter().filter(|path| !path.exists()).collect()
    }

    pub fn control_plane(&self, place: Place, name: &str) -> Result<ControlPlane, Fail> {
        let mut command = process::command(place, &self.binaries.join("turnpike-controlplane"));
        command.args(["--api-listen", "127.0.0.1:0", "--planes-listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
        command.args(["--store", "embedded", "--admin-token", ADMIN_TOKEN, "--join-token", JOIN_TOKEN]);
        command.args(["--seal-keys", SEAL_KEY, "--data-dir"]).arg(self.dir.join(name));
        let mut process = Process::start(&mut command, name, &self.dir)?;
        let ready = process.ready(PATIENCE)?;
        let (api, planes) = (process::address(&ready, "api")?, process::address(&ready, "planes")?);
        Ok(ControlPlane { process, api, planes })
    }

    /// One thread. It is `ready` when it has its configuration.
    pub fn proxy(&self, place: Place, name: &str, control_plane: &ControlPlane) -> Result<Proxy, Fail> {
        self.any_proxy(place, name, control_plane, Keeps::LastGood)
    }

    pub fn any_proxy(
        &self,
        place: Place,
        name: &str,
        control_plane: &ControlPlane,
        keeps: Keeps,
    ) -> Result<Proxy, Fail> {
        let mut command = process::command(place, &self.binaries.join("turnpike-dataplane"));
        command.args(["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--threads", "1", "--name", name]);
        command.args(["--join-token", JOIN_TOKEN, "--seal-keys", SEAL_KEY]);
        command.arg("--control-plane").arg(format!("http://{}", control_plane.planes));
        if keeps == Keeps::LastGood {
            command.arg("--data-dir").arg(self.dir.join(name));
        }
        let began = Instant::now();
        let mut process = Process::start(&mut command, name, &self.dir)?;
        let ready = process.ready(PATIENCE)?;
        let mut ops = Api::new(process::address(&ready, "ops")?, "");
        while ops.raw("GET", "/readyz", b"")?.0 != 200 {
            if PATIENCE < began.elapsed() {
                return Err(Fail(format!("{name} has no configuration after {PATIENCE:?}")));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Proxy { process, listen: process::address(&ready, "listen")? })
    }
}

impl ControlPlane {
    #[must_use]
    pub fn api(&self) -> Api {
        Api::new(self.api, ADMIN_TOKEN)
    }
}

impl Proxy {
    /// Until this key is let through.
    pub fn serves(&self, key: &str) -> Result<(), Fail> {
        let mut client = Api::new(self.listen, key);
        let end = Instant::now() + PATIENCE;
        loop {
            let (status, body) = client.raw("GET", "/v1/models", b"")?;
            if status == 200 {
                return Ok(());
            }
            if end < Instant::now() {
                let said = String::from_utf8_lossy(&body).into_owned();
                return Err(Fail(format!("the proxy does not let {key} through: {status} {said}")));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The documents every comparison runs with: one provider and key in use among a hundred models and a thousand keys.
#[must_use]
pub fn documents(upstream: SocketAddr) -> String {
    let mut text = format!(
        "kind: Provider\nname: mock\ndialect: openai\nbaseUrl: http://{upstream}/v1\ncredential: {{value: sk-upstream}}\n\
         ---\nkind: Model\nname: gpt-4o-mini\ntargets: [{{provider: mock, model: gpt-4o-mini}}]\n\
         ---\nkind: Team\nname: search\n\
         ---\nkind: Key\nname: bench\nteam: search\nsecret: {KEY}\nmodels: [\"*\"]\nexpires: 2040-01-01T00:00:00Z\n\
         metadata: {{env: prod}}\n"
    );
    for n in 0..100 {
        _ = write!(text, "---\nkind: Model\nname: model-{n}\ntargets: [{{provider: mock, model: gpt-4o-mini}}]\n");
    }
    for n in 0..1000 {
        _ = write!(
            text,
            "---\nkind: Key\nname: other-{n}\nteam: search\nsecret: sk-other-{n}\nmodels: [\"model-*\"]\n"
        );
    }
    text
}

/// Where this program and, as a rule, the others lie.
pub fn own_directory() -> Result<PathBuf, Fail> {
    let own = std::env::current_exe()?;
    own.parent().map(Path::to_path_buf).ok_or_else(|| Fail::new("this program has no directory"))
}
