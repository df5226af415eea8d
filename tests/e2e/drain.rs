//! A proxy that is told to stop finishes what it has begun and begins nothing more.

use std::time::Duration;

use crate::harness::client::stream_body;
use crate::harness::script::{self, Gate, LAST_CHUNK, chunk, event, stream_head};
use crate::harness::{Client, Cluster, Step, Upstream, eventually};

const CHATS: &str = "/v1/chat/completions";

fn gated(upstream: &Upstream) -> Gate {
    let gate = Gate::new();
    upstream.on(
        "upstream-small",
        vec![
            Step::Send([stream_head(), chunk(&event("first"))].concat()),
            Step::Wait(gate.clone()),
            Step::Send([chunk(&event("last")), chunk(script::DONE), LAST_CHUNK.to_vec()].concat()),
        ],
    );
    gate
}

#[tokio::test]
async fn sigterm_finishes_open_streams_and_takes_no_new_ones() {
    let upstream = Upstream::start().await;
    let mut cluster = Cluster::serving(&upstream).await;
    let gate = gated(&upstream);
    let mut open = cluster.caller().open("POST", CHATS, stream_body("small")).await;
    open.until(event("first").as_bytes()).await;
    assert_eq!(cluster.proxies[0].ops().get("/readyz").await.status(), 200);
    cluster.proxies[0].process().signal("TERM");
    let ops = cluster.proxies[0].ops();
    eventually("readyz says no", async || (ops.get("/readyz").await.status() == 503).then_some(())).await;
    assert_eq!(ops.get("/livez").await.status(), 200, "it is alive");
    let caller = cluster.caller();
    eventually("new callers are turned away", async || {
        match caller.try_send("POST", CHATS, stream_body("gpt-4o-mini").as_bytes()).await {
            Err(_) => Some(()),
            Ok(answer) => {
                // One that still gets in is served, and told not to come back on this connection.
                assert_eq!(answer.status(), 200);
                None
            }
        }
    })
    .await;
    gate.open();
    let (rest, end) = open.rest().await;
    assert_eq!(String::from_utf8(rest).unwrap(), event("last") + script::DONE);
    assert_eq!(end, Ok(()));
    let status = cluster.proxies[0].process().ended(Duration::from_secs(20)).await;
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn an_idle_proxy_stops_at_once() {
    let upstream = Upstream::start().await;
    let mut cluster = Cluster::serving(&upstream).await;
    // A kept-alive connection on which nothing happens keeps nobody from going.
    let mut raw = cluster.caller().connect().await;
    raw.write(&cluster.caller().request("GET", "/v1/models", b"")).await.unwrap();
    assert_eq!(raw.answer().await.unwrap().status(), 200);
    cluster.proxies[0].process().signal("TERM");
    let status = cluster.proxies[0].process().ended(Duration::from_secs(5)).await;
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_stream_that_never_ends_is_cut_when_the_time_is_up() {
    let upstream = Upstream::start().await;
    let mut cluster = Cluster::builder().proxy_flags(&["--drain-seconds", "1"]).serving(&upstream).await;
    let _gate = gated(&upstream);
    let mut open = cluster.caller().open("POST", CHATS, stream_body("small")).await;
    open.until(event("first").as_bytes()).await;
    cluster.proxies[0].process().signal("TERM");
    let (rest, _) = open.rest().await;
    assert!(!String::from_utf8_lossy(&rest).contains("[DONE]"), "a cut stream does not look complete");
    cluster.proxies[0].process().ended(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let upstream = Upstream::start().await;
    let mut cluster = Cluster::serving(&upstream).await;
    let _gate = gated(&upstream);
    let mut open = cluster.caller().open("POST", CHATS, stream_body("small")).await;
    open.until(event("first").as_bytes()).await;
    let ops = cluster.proxies[0].ops();
    cluster.proxies[0].process().signal("TERM");
    eventually("draining", async || (ops.get("/readyz").await.status() == 503).then_some(())).await;
    cluster.proxies[0].process().signal("TERM");
    cluster.proxies[0].process().ended(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn the_control_plane_stops_when_told_and_loses_nothing() {
    let upstream = Upstream::start().await;
    let mut cluster = Cluster::serving(&upstream).await;
    let revision = cluster.api().revision().await;
    cluster.control_planes[0].process().signal("TERM");
    let status = cluster.control_planes[0].process().ended(Duration::from_secs(10)).await;
    assert!(status.success(), "{status}");
    cluster.control_planes[0].process = None;
    cluster.start_control_plane(0).await;
    assert_eq!(cluster.api().revision().await, revision);
}

#[tokio::test]
async fn a_proxy_is_not_ready_before_it_has_a_configuration() {
    let upstream = Upstream::start().await;
    let mut cluster = Cluster::serving(&upstream).await;
    let ops = Client::new(cluster.proxies[0].ops);
    assert_eq!(ops.get("/readyz").await.status(), 200);
    cluster.proxies[0].kill();
    cluster.control_planes[0].kill();
    std::fs::remove_dir_all(cluster.dir.join("dataplane-0")).unwrap();
    // Nothing on disk and nobody to ask: it lives, says so, and answers callers with an error they may retry.
    let mut command = std::process::Command::new(crate::harness::process::binary("turnpike-dataplane"));
    let (front, ops_at) = (cluster.proxies[0].front, cluster.proxies[0].ops);
    command.arg("--listen").arg(front.to_string()).arg("--ops-listen").arg(ops_at.to_string());
    command.arg("--control-plane").arg(format!("http://{}", cluster.control_planes[0].planes.unwrap()));
    command.args(["--join-token", crate::harness::cluster::JOIN_TOKEN, "--threads", "1"]);
    command.args(["--seal-keys", crate::harness::cluster::SEAL_KEY]);
    let log = cluster.dir.join("empty.log");
    let _process = crate::harness::process::Process::start(&mut command, &log);
    eventually("it lives", async || (ops.try_send("GET", "/livez", b"").await.ok()?.status() == 200).then_some(()))
        .await;
    assert_eq!(ops.get("/readyz").await.status(), 503);
    let answer = cluster.caller().try_send("POST", CHATS, stream_body("small").as_bytes()).await;
    if let Ok(answer) = answer {
        assert_eq!(answer.refusal(), (503, "not_ready".into()), "never 401: {}", answer.text());
    }
    cluster.start_control_plane(0).await;
    eventually("it is ready", async || (ops.get("/readyz").await.status() == 200).then_some(())).await;
    assert_eq!(cluster.caller().chat("small").await.status(), 200);
}
