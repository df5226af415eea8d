//! The first ten minutes: one command, and the request it prints works as it stands.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::harness::process::{Process, binary, free_port, signal};
use crate::harness::temp::Temp;
use crate::harness::{Client, eventually};

struct Up {
    process: Process,
    proxy: u16,
    api: u16,
}

fn up(dir: &Temp, log: &str, ports: (u16, u16)) -> Up {
    let mut command = Command::new(binary("turnpike"));
    command.arg("up").arg("--data-dir").arg(dir.join("data"));
    command.args(["--proxy-port", &ports.0.to_string(), "--api-port", &ports.1.to_string()]);
    Up { process: Process::start(&mut command, &dir.join(log)), proxy: ports.0, api: ports.1 }
}

/// The first command that starts with `curl`, with all its continued lines.
fn curl(said: &str) -> Option<String> {
    let mut lines = said.lines().skip_while(|line| !line.trim_start().starts_with("curl "));
    let mut command = String::new();
    loop {
        let line = lines.next()?;
        command.push_str(line);
        command.push('\n');
        let open_quote = command.matches('\'').count() % 2 == 1;
        if !line.trim_end().ends_with('\\') && !open_quote {
            return Some(command);
        }
    }
}

async fn run_curl(up: &mut Up) -> Value {
    let command = eventually("a curl command is printed", async || {
        assert!(up.process.is_running(), "{}", up.process.said());
        curl(&up.process.said())
    })
    .await;
    let output = Command::new("sh").arg("-c").arg(&command).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {command} answered {said}"))
}

async fn stop(up: &mut Up) {
    up.process.signal("INT");
    up.process.ended(Duration::from_secs(20)).await;
    for port in [up.proxy, up.api] {
        let client = Client::new(([127, 0, 0, 1], port).into());
        eventually("the children have gone too", async || client.try_connect().await.is_err().then_some(())).await;
    }
}

fn private(path: &Path) -> String {
    let mode =
        std::fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode();
    assert_eq!(mode & 0o077, 0, "{} is for its owner only", path.display());
    std::fs::read_to_string(path).unwrap().trim().to_string()
}

#[tokio::test]
async fn the_printed_request_works_as_it_stands() {
    let dir = Temp::new();
    let ports = (free_port(), free_port());
    let mut first = up(&dir, "first.log", ports);
    let answer = run_curl(&mut first).await;
    let content = answer["choices"][0]["message"]["content"].as_str();
    assert!(content.is_some_and(|text| !text.is_empty()), "{answer}");
    let admin = private(&dir.join("data/admin.token"));
    let key = private(&dir.join("data/demo.key"));
    let api = Client::new(([127, 0, 0, 1], ports.1).into()).key(&admin);
    let status = api.get("/v1/status").await.ok();
    assert_eq!(status["proxies"]["connected"], 1);
    let caller = Client::new(([127, 0, 0, 1], ports.0).into()).key(&key);
    let models = caller.get("/v1/models").await.ok();
    let model = models["data"][0]["id"].as_str().expect("a model to begin with").to_string();
    let stream = caller.post("/v1/chat/completions", crate::harness::client::stream_body(&model)).await;
    assert!(stream.text().ends_with("data: [DONE]\n\n"), "{}", stream.text());
    stop(&mut first).await;
    // The second time it finds what it made the first time.
    let mut second = up(&dir, "second.log", ports);
    run_curl(&mut second).await;
    assert_eq!(private(&dir.join("data/admin.token")), admin);
    assert_eq!(private(&dir.join("data/demo.key")), key);
    assert_eq!(api.get("/v1/status").await.ok()["revision"], status["revision"], "nothing was made twice");
    assert_eq!(caller.chat(&model).await.status(), 200);
    stop(&mut second).await;
}

#[tokio::test]
async fn a_port_in_use_is_said_so_and_nothing_is_left_running() {
    let dir = Temp::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (proxy, api) = (taken.local_addr().unwrap().port(), free_port());
    let mut up = up(&dir, "log", (proxy, api));
    let status = up.process.ended(Duration::from_secs(30)).await;
    assert!(!status.success());
    let said = up.process.said();
    assert!(said.contains(&proxy.to_string()), "it names the port: {said}");
    let client = Client::new(([127, 0, 0, 1], api).into());
    eventually("the control plane has gone too", async || client.try_connect().await.is_err().then_some(())).await;
}

#[tokio::test]
async fn a_plane_that_dies_under_up_does_not_leave_half_a_house() {
    let dir = Temp::new();
    let ports = (free_port(), free_port());
    let mut up = up(&dir, "log", ports);
    run_curl(&mut up).await;
    let children = up.process.children();
    assert_eq!(children.len(), 2, "{children:?}");
    signal(children[0], "KILL");
    let api = Client::new(([127, 0, 0, 1], ports.1).into());
    let proxy = Client::new(([127, 0, 0, 1], ports.0).into());
    // Either it is started again, or all of it ends and says why.
    eventually("it is whole again or gone", async || {
        let whole = api.try_connect().await.is_ok() && proxy.try_connect().await.is_ok();
        let gone = !up.process.is_running() && api.try_connect().await.is_err() && proxy.try_connect().await.is_err();
        (whole || gone).then_some(())
    })
    .await;
    if up.process.is_running() {
        stop(&mut up).await;
    }
}
