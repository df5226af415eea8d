//! Both planes, as many of each as a test wants, on ports the system chose.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::api::Api;
use super::client::Client;
use super::etcd::Etcd;
use super::eventually::eventually;
use super::process::{Process, address, binary};
use super::temp::Temp;
use super::upstream::Upstream;

/// Distinct enough to be searched for in everything the planes write.
pub const ADMIN_TOKEN: &str = "admin-token-marker-7f3a9c51d2e84b60";
pub const JOIN_TOKEN: &str = "join-token-marker-1b8e6d40a97c2f35";
/// 32 bytes in base64.
pub const SEAL_KEY: &str = "c2VhbC1rZXktbWFya2VyLTAxMjM0NTY3ODktYWJjZGU=";
pub const CREDENTIAL: &str = "sk-upstream-marker-5d2c";
pub const KEY: &str = "sk-bench-key";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    Embedded,
    /// With so many members.
    Etcd(usize),
}

#[derive(Debug)]
pub struct Builder {
    proxies: usize,
    control_planes: usize,
    store: Store,
    proxy_flags: Vec<String>,
    control_plane_flags: Vec<String>,
}

#[derive(Debug)]
pub struct Cluster {
    pub control_planes: Vec<Plane>,
    pub proxies: Vec<Plane>,
    pub etcd: Option<Etcd>,
    /// Dropped last: the processes write to it.
    pub dir: Temp,
    builder: Builder,
}

/// One process of either plane; its addresses stay when it is started again.
#[derive(Debug)]
pub struct Plane {
    name: String,
    pub process: Option<Process>,
    /// Where callers come in: the LLM API, or the REST API.
    pub front: SocketAddr,
    pub ops: SocketAddr,
    /// Where proxies come in; control planes only.
    pub planes: Option<SocketAddr>,
    starts: usize,
}

impl Builder {
    pub fn proxies(mut self, count: usize) -> Builder {
        self.proxies = count;
        self
    }

    pub fn control_planes(mut self, count: usize) -> Builder {
        self.control_planes = count;
        self
    }

    pub fn store(mut self, store: Store) -> Builder {
        self.store = store;
        self
    }

    pub fn proxy_flags(mut self, flags: &[&str]) -> Builder {
        self.proxy_flags.extend(flags.iter().map(ToString::to_string));
        self
    }

    pub fn control_plane_flags(mut self, flags: &[&str]) -> Builder {
        self.control_plane_flags.extend(flags.iter().map(ToString::to_string));
        self
    }

    pub async fn start(self) -> Cluster {
        let dir = Temp::new();
        let etcd = match self.store {
            Store::Embedded => None,
            Store::Etcd(size) => Some(Etcd::start(size, dir.path().into()).await),
        };
        let plane = |name: String| Plane {
            name,
            process: None,
            front: ([127, 0, 0, 1], 0).into(),
            ops: ([127, 0, 0, 1], 0).into(),
            planes: Some(([127, 0, 0, 1], 0).into()),
            starts: 0,
        };
        let control_planes = (0..self.control_planes).map(|n| plane(format!("controlplane-{n}"))).collect();
        let proxies = (0..self.proxies).map(|n| plane(format!("dataplane-{n}"))).collect();
        let mut cluster = Cluster { control_planes, proxies, etcd, dir, builder: self };
        for number in 0..cluster.control_planes.len() {
            cluster.start_control_plane(number).await;
        }
        for number in 0..cluster.proxies.len() {
            cluster.start_proxy(number).await;
        }
        cluster
    }

    /// With the issue's documents in front of this upstream.
    pub async fn serving(self, upstream: &Upstream) -> Cluster {
        let cluster = self.start().await;
        cluster.apply(&documents(upstream.address)).await;
        cluster
    }
}

impl Cluster {
    pub fn builder() -> Builder {
        Builder {
            proxies: 1,
            control_planes: 1,
            store: Store::Embedded,
            proxy_flags: Vec::new(),
            control_plane_flags: Vec::new(),
        }
    }

    /// One of each, with the issue's documents.
    pub async fn serving(upstream: &Upstream) -> Cluster {
        Cluster::builder().serving(upstream).await
    }

    pub async fn start_control_plane(&mut self, number: usize) {
        let plane = &self.control_planes[number];
        let mut command = Command::new(binary("turnpike-controlplane"));
        command.arg("--api-listen").arg(plane.front.to_string());
        command.arg("--planes-listen").arg(plane.planes.expect("a control plane").to_string());
        command.arg("--ops-listen").arg(plane.ops.to_string());
        command.args(["--admin-token", ADMIN_TOKEN, "--join-token", JOIN_TOKEN, "--seal-keys", SEAL_KEY]);
        command.arg("--data-dir").arg(self.control_plane_dir(number));
        match &self.etcd {
            None => command.args(["--store", "embedded"]),
            Some(etcd) => command.args(["--store", "etcd", "--etcd-endpoints", &etcd.endpoints()]),
        };
        command.args(&self.builder.control_plane_flags);
        self.control_planes[number].start(&mut command, &self.dir, "api").await;
    }

    pub async fn start_proxy(&mut self, number: usize) {
        let plane = &self.proxies[number];
        let home = &self.control_planes[number % self.control_planes.len()];
        let mut command = Command::new(binary("turnpike-dataplane"));
        command.arg("--listen").arg(plane.front.to_string()).arg("--ops-listen").arg(plane.ops.to_string());
        command.arg("--control-plane").arg(format!("http://{}", home.planes.expect("a control plane")));
        command.args(["--join-token", JOIN_TOKEN, "--seal-keys", SEAL_KEY, "--name", &plane.name]);
        command.args(["--threads", "1"]).arg("--data-dir").arg(self.dir.join(&plane.name));
        command.args(&self.builder.proxy_flags);
        self.proxies[number].start(&mut command, &self.dir, "listen").await;
    }

    pub fn control_plane_dir(&self, number: usize) -> PathBuf {
        self.dir.join(&self.control_planes[number].name)
    }

    pub fn api(&self) -> Api {
        self.api_of(0)
    }

    pub fn api_of(&self, number: usize) -> Api {
        Api::new(self.control_planes[number].front, ADMIN_TOKEN)
    }

    /// A caller of the first proxy with the issue's key.
    pub fn caller(&self) -> Client {
        self.callers().remove(0)
    }

    /// A caller of each proxy.
    pub fn callers(&self) -> Vec<Client> {
        self.proxies.iter().map(|proxy| Client::new(proxy.front).key(KEY)).collect()
    }

    /// Applies documents and waits until every proxy has them.
    pub async fn apply(&self, documents: &str) -> Value {
        let answer = self.api().apply(documents).await.ok();
        self.caught_up(answer["revision"].as_u64().expect("apply answers a revision")).await;
        answer
    }

    /// Waits until every running proxy has applied this revision.
    pub async fn caught_up(&self, revision: u64) {
        let wanted: Vec<_> = self.proxies.iter().filter(|it| it.process.is_some()).map(|it| it.name.clone()).collect();
        for (number, _) in self.control_planes.iter().enumerate().filter(|(_, it)| it.process.is_some()) {
            eventually("every proxy has applied the revision", async || {
                let answer = self.api_of(number).get("proxies").await.ok();
                let rows = answer["data"].as_array()?.clone();
                let own = |name: &String| {
                    let own = wanted.iter().position(|known| known == name).unwrap_or_default();
                    own % self.control_planes.len() == number
                };
                let current = |name: &String| {
                    let mut rows = rows.iter().filter(|row| row["name"] == **name && row["connected"] == true);
                    rows.any(|row| row["applied"].as_u64() >= Some(revision))
                };
                wanted.iter().filter(|name| own(name)).all(current).then_some(())
            })
            .await;
        }
    }

    /// Everything any process has said so far.
    pub fn logs(&self) -> String {
        let mut logs = String::new();
        for (path, content) in self.dir.files() {
            if path.extension().is_some_and(|extension| extension == "log") {
                logs.push_str(&format!("--- {}\n{}\n", path.display(), String::from_utf8_lossy(&content)));
            }
        }
        logs
    }
}

impl Plane {
    async fn start(&mut self, command: &mut Command, dir: &Temp, front: &str) {
        let log = dir.join(&format!("{}.{}.log", self.name, self.starts));
        self.starts += 1;
        let mut process = Process::start(command, &log);
        let ready = process.ready().await;
        self.front = address(&ready, front);
        self.ops = address(&ready, "ops");
        self.planes = self.planes.filter(|_| front == "api").map(|_| address(&ready, "planes"));
        self.process = Some(process);
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
    }

    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("it runs")
    }

    pub fn ops(&self) -> Client {
        Client::new(self.ops)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logs = self.logs();
            let tail: Vec<_> = logs.lines().rev().take(80).collect();
            for line in tail.iter().rev() {
                eprintln!("{}", line.chars().take(400).collect::<String>());
            }
        }
    }
}

/// The documents of the front page, in front of this upstream.
pub fn documents(upstream: SocketAddr) -> String {
    format!(
        r#"kind: Provider
name: mock
dialect: openai
baseUrl: http://{upstream}/v1
credential: {{value: {CREDENTIAL}}}
---
kind: Model
name: gpt-4o-mini
targets: [{{provider: mock, model: gpt-4o-mini}}]
---
kind: Model
name: small
targets: [{{provider: mock, model: upstream-small}}]
---
kind: Team
name: search
---
kind: Key
name: bench
team: search
secret: {KEY}
models: ["*"]
expires: 2040-01-01T00:00:00Z
metadata: {{env: prod}}
"#
    )
}
