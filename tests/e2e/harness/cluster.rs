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
pub(crate) const ADMIN_TOKEN: &str = "admin-token-marker-7f3a9c51d2e84b60";
pub(crate) const JOIN_TOKEN: &str = "join-token-marker-1b8e6d40a97c2f35";
/// 32 bytes in base64.
pub(crate) const SEAL_KEY: &str = "c2VhbC1rZXktbWFya2VyLTAxMjM0NTY3ODktYWJjZGU=";
pub(crate) const CREDENTIAL: &str = "sk-upstream-marker-5d2c";
pub(crate) const KEY: &str = "sk-bench-key";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    Embedded,
    /// With so many members.
    Etcd(usize),
}

#[derive(Debug)]
pub(crate) struct Builder {
    proxies: usize,
    control_planes: usize,
    store: Store,
    proxy_flags: Vec<String>,
    control_plane_flags: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) control_planes: Vec<Plane>,
    pub(crate) proxies: Vec<Plane>,
    pub(crate) etcd: Option<Etcd>,
    /// Dropped last: the processes write to it.
    pub(crate) dir: Temp,
    builder: Builder,
}

/// One process of either plane; its addresses stay when it is started again.
#[derive(Debug)]
pub(crate) struct Plane {
    name: String,
    pub(crate) process: Option<Process>,
    /// Where callers come in: the LLM API, or the REST API.
    pub(crate) front: SocketAddr,
    pub(crate) ops: SocketAddr,
    /// Where proxies come in; control planes only.
    pub(crate) planes: Option<SocketAddr>,
    starts: usize,
}

impl Builder {
    pub(crate) fn proxies(mut self, count: usize) -> Builder {
        self.proxies = count;
        self
    }

    pub(crate) fn control_planes(mut self, count: usize) -> Builder {
        self.control_planes = count;
        self
    }

    pub(crate) fn store(mut self, store: Store) -> Builder {
        self.store = store;
        self
    }

    pub(crate) fn proxy_flags(mut self, flags: &[&str]) -> Builder {
        self.proxy_flags.extend(flags.iter().map(ToString::to_string));
        self
    }

    pub(crate) fn control_plane_flags(mut self, flags: &[&str]) -> Builder {
        self.control_plane_flags.extend(flags.iter().map(ToString::to_string));
        self
    }

    pub(crate) async fn start(self) -> Cluster {
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
    pub(crate) async fn serving(self, upstream: &Upstream) -> Cluster {
        let cluster = self.start().await;
        cluster.apply(&documents(upstream.address)).await;
        cluster
    }
}

impl Cluster {
    pub(crate) fn builder() -> Builder {
        Builder {
            proxies: 1,
            control_planes: 1,
            store: Store::Embedded,
            proxy_flags: Vec::new(),
            control_plane_flags: Vec::new(),
        }
    }

    /// One of each, with the issue's documents.
    pub(crate) async fn serving(upstream: &Upstream) -> Cluster {
        Cluster::builder().serving(upstream).await
    }

    /// For the starts that follow.
    pub(crate) fn also_control_plane_flags(&mut self, flags: &[&str]) {
        self.builder.control_plane_flags.extend(flags.iter().map(ToString::to_string));
    }

    pub(crate) async fn start_control_plane(&mut self, number: usize) {
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

    pub(crate) async fn start_proxy(&mut self, number: usize) {
        let plane = &self.proxies[number];
        let home = &self.control_planes[number % self.control_planes.len()];
        let mut command = Command::new(binary("turnpike-dataplane"));
        command.arg("--listen").arg(plane.front.to_string()).arg("--ops-listen").arg(plane.ops.to_string());
        command.arg("--control-plane").arg(format!("http://{}", home.planes.expect("a control plane")));
        command.args(["--join-token", JOIN_TOKEN, "--seal-keys", SEAL_KEY, "--name", &plane.name]);
        // A proxy asks nobody for the way: were these obeyed, nothing would work.
        for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"] {
            command.env(name, "http://127.0.0.1:1");
        }
        command.args(["--threads", "1"]).arg("--data-dir").arg(self.dir.join(&plane.name));
        command.args(&self.builder.proxy_flags);
        self.proxies[number].start(&mut command, &self.dir, "listen").await;
        let ops = self.proxies[number].ops();
        eventually("the proxy has a configuration", async || (ops.get("/readyz").await.status() == 200).then_some(()))
            .await;
    }

    pub(crate) fn control_plane_dir(&self, number: usize) -> PathBuf {
        self.dir.join(&self.control_planes[number].name)
    }

    pub(crate) fn api(&self) -> Api {
        self.api_of(0)
    }

    pub(crate) fn api_of(&self, number: usize) -> Api {
        Api::new(self.control_planes[number].front, ADMIN_TOKEN)
    }

    /// A caller of the first proxy with the issue's key.
    pub(crate) fn caller(&self) -> Client {
        self.callers().remove(0)
    }

    /// A caller of each proxy.
    pub(crate) fn callers(&self) -> Vec<Client> {
        self.proxies.iter().map(|proxy| Client::new(proxy.front).key(KEY)).collect()
    }

    /// Applies documents and waits until every proxy has them.
    pub(crate) async fn apply(&self, documents: &str) -> Value {
        let answer = self.api().apply(documents).await.ok();
        self.caught_up(answer["revision"].as_u64().expect("apply answers a revision")).await;
        answer
    }

    /// Waits until every running proxy has applied this revision.
    pub(crate) async fn caught_up(&self, revision: u64) {
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
    pub(crate) fn logs(&self) -> String {
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
    pub(crate) fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("it runs")
    }

    pub(crate) fn ops(&self) -> Client {
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
pub(crate) fn documents(upstream: SocketAddr) -> String {
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
