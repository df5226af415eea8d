//! A child process: what it says goes to a file, and it does not outlive its owner.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::eventually::{eventually, within};

#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) log: PathBuf,
}

/// Where cargo puts the binaries: this test lies in `deps` beside them.
pub(crate) fn binary(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("this program has a path");
    let dir = own.parent().and_then(Path::parent).expect("target/debug/deps/e2e-...");
    let path = dir.join(name);
    assert!(path.exists(), "{} is not built: run `make build`, or `cargo build --workspace`", path.display());
    path
}

/// A port nobody listens on just now, for programs that cannot choose one themselves.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Process {
    pub(crate) fn start(command: &mut Command, log: &Path) -> Process {
        let file = File::create(log).unwrap();
        // What the developer's shell has set must not decide what a test sees.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TURNPIKE_")) {
            command.env_remove(name);
        }
        let child = command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).spawn();
        let child = child.unwrap_or_else(|error| panic!("{}: {error}", command.get_program().to_string_lossy()));
        Process { child, log: log.into() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The JSON lines of the log.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.said().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The fields of the line that says `ready`.
    pub(crate) async fn ready(&mut self) -> Value {
        eventually("a process says ready", async || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("ended with {status} before it was ready:\n{}", self.said());
            }
            self.lines().into_iter().find(|line| field(line, "message") == "ready")
        })
        .await
    }

    pub(crate) fn kill(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }

    /// `TERM`, `STOP`, `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// The processes it has started.
    pub(crate) fn children(&self) -> Vec<u32> {
        let parent = self.pid().to_string();
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let is_child = |pid: &u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // The name in parentheses may hold anything; the state and the parent follow it.
            stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)) == Some(parent.as_str())
        };
        pids.filter(is_child).collect()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) async fn ended(&mut self, limit: Duration) -> ExitStatus {
        within(limit, "a process ends", async || self.child.try_wait().unwrap()).await
    }

    pub(crate) fn rss_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// By the shell, because sending signals from here takes unsafe code.
pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status();
    assert!(status.is_ok_and(|status| status.success()), "kill -{name} {pid}");
}

/// A field of a JSON log line, which may stand flat or below `fields`.
pub(crate) fn field<'a>(line: &'a Value, name: &str) -> &'a str {
    line.get(name).or_else(|| line.get("fields")?.get(name)).and_then(Value::as_str).unwrap_or_default()
}

/// The first address of a field that may hold several.
pub(crate) fn address(line: &Value, name: &str) -> std::net::SocketAddr {
    let value = field(line, name);
    let first = value.split(',').next().unwrap_or_default().trim_matches(|c| "[] \"".contains(c));
    first.parse().unwrap_or_else(|_| panic!("no address {name:?} in {line}"))
}
