//! A real etcd of one or three members, whose members can be killed and started again.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::client::Client;
use super::eventually::eventually;
use super::process::{Process, free_port};

#[derive(Debug)]
pub(crate) struct Etcd {
    dir: PathBuf,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    client: u16,
    peer: u16,
    process: Option<Process>,
    starts: usize,
}

impl Etcd {
    pub(crate) async fn start(size: usize, dir: PathBuf) -> Etcd {
        let found = Command::new("etcd").arg("--version").output().is_ok();
        assert!(found, "no `etcd` on the path: apt-get install etcd-server (nothing is skipped in silence)");
        let member = |_| Member { client: free_port(), peer: free_port(), process: None, starts: 0 };
        let mut etcd = Etcd { dir, members: (0..size).map(member).collect() };
        for number in 0..size {
            etcd.start_member(number);
        }
        etcd.healthy().await;
        etcd
    }

    pub(crate) fn endpoints(&self) -> String {
        let urls: Vec<_> = self.members.iter().map(|member| format!("http://127.0.0.1:{}", member.client)).collect();
        urls.join(",")
    }

    pub(crate) fn start_member(&mut self, number: usize) {
        let cluster: Vec<_> =
            self.members.iter().enumerate().map(|(n, it)| format!("m{n}=http://127.0.0.1:{}", it.peer)).collect();
        let member = &mut self.members[number];
        let (client, peer) = (member.client, member.peer);
        let mut command = Command::new("etcd");
        command.args(["--name", &format!("m{number}"), "--data-dir"]).arg(self.dir.join(format!("etcd-{number}")));
        for (flag, port) in [
            ("--listen-client-urls", client),
            ("--advertise-client-urls", client),
            ("--listen-peer-urls", peer),
            ("--initial-advertise-peer-urls", peer),
        ] {
            command.arg(flag).arg(format!("http://127.0.0.1:{port}"));
        }
        command.args(["--initial-cluster", &cluster.join(","), "--initial-cluster-state", "new"]);
        command.args(["--logger", "zap", "--log-level", "warn"]);
        let log = self.dir.join(format!("etcd-{number}.{}.log", member.starts));
        member.starts += 1;
        member.process = Some(Process::start(&mut command, &log));
    }

    pub(crate) fn kill_member(&mut self, number: usize) {
        self.members[number].process.take().expect("the member runs").kill();
    }

    pub(crate) fn kill_all(&mut self) {
        self.members.iter_mut().for_each(|member| member.process = None);
    }

    pub(crate) fn start_all(&mut self) {
        (0..self.members.len()).for_each(|number| self.start_member(number));
    }

    /// Until every running member knows a leader.
    pub(crate) async fn healthy(&self) {
        for (number, member) in self.members.iter().enumerate() {
            if member.process.is_some() {
                eventually("etcd elects a leader", async || {
                    let status = self.call(number, "/v3/maintenance/status", &json!({})).await?;
                    (status["leader"].as_str()? != "0").then_some(())
                })
                .await;
            }
        }
    }

    /// The number of the member that leads.
    pub(crate) async fn leader(&self) -> usize {
        eventually("etcd has a leader that runs", async || {
            for number in 0..self.members.len() {
                if let Some(status) = self.call(number, "/v3/maintenance/status", &json!({})).await
                    && status["leader"].is_string()
                    && status["leader"] == status["header"]["member_id"]
                {
                    return Some(number);
                }
            }
            None
        })
        .await
    }

    /// Puts a key behind the control plane's back.
    pub(crate) async fn put(&self, key: &[u8], value: &[u8]) {
        let body = json!({"key": base64(key), "value": base64(value)});
        self.call(0, "/v3/kv/put", &body).await.expect("etcd takes the key");
    }

    /// Forgets all history up to now, as an operator's cron job does.
    pub(crate) async fn compact(&self) {
        let status = self.call(0, "/v3/maintenance/status", &json!({})).await.expect("etcd answers");
        let body = json!({"revision": status["header"]["revision"]});
        self.call(0, "/v3/kv/compaction", &body).await.expect("etcd compacts");
    }

    /// From now on nobody gets in without one.
    pub(crate) async fn ask_for_password(&self, user: &str, password: &str) {
        for (path, body) in [
            ("user/add", json!({"name": "root", "password": "root"})),
            ("user/grant", json!({"user": "root", "role": "root"})),
            ("role/add", json!({"name": "all"})),
            (
                "role/grant",
                json!({"name": "all", "perm": {"permType": "READWRITE", "key": base64(b"/turnpike/"), "range_end": base64(b"/turnpike0")}}),
            ),
            ("user/add", json!({"name": user, "password": password})),
            ("user/grant", json!({"user": user, "role": "all"})),
            ("enable", json!({})),
        ] {
            self.call(0, &format!("/v3/auth/{path}"), &body).await.unwrap_or_else(|| panic!("etcd refuses {path}"));
        }
    }

    /// Every value, as text as far as it is text.
    pub(crate) async fn everything(&self) -> String {
        let body = json!({"key": base64(b"\0"), "range_end": base64(b"\0")});
        let answer = self.call(0, "/v3/kv/range", &body).await.expect("etcd answers");
        let rows = answer["kvs"].as_array().cloned().unwrap_or_default();
        let decode =
            |value: &Value| String::from_utf8_lossy(&unbase64(value.as_str().unwrap_or_default())).into_owned();
        rows.iter().map(|row| format!("{} = {}\n", decode(&row["key"]), decode(&row["value"]))).collect()
    }

    async fn call(&self, number: usize, path: &str, body: &Value) -> Option<Value> {
        let member = &self.members[number];
        member.process.as_ref()?;
        let address = SocketAddr::from(([127, 0, 0, 1], member.client));
        let answer = Client::new(address).try_send("POST", path, body.to_string().as_bytes()).await.ok()?;
        (answer.status() == 200).then(|| answer.json())
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(crate) fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| (bits << 8) | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = usize::try_from((bits >> (18 - 6 * place)) & 63).unwrap();
            text.push(if place <= group.len() { char::from(DIGITS[digit]) } else { '=' });
        }
    }
    text
}

pub(crate) fn unbase64(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .bytes()
        .filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte))
        .map(|digit| u32::try_from(digit).unwrap())
        .collect();
    let mut bytes = Vec::new();
    for group in digits.chunks(4) {
        let bits = group.iter().fold(0u32, |bits, digit| (bits << 6) | digit) << (6 * (4 - group.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    bytes
}

#[test]
fn base64_goes_there_and_back() {
    for text in ["", "f", "fo", "foo", "foob", "fooba", "foobar"] {
        assert_eq!(unbase64(&base64(text.as_bytes())), text.as_bytes());
    }
    assert_eq!(base64(b"foobar!"), "Zm9vYmFyIQ==");
}
