//! A change of configuration is everywhere within a second, and costs no request.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Client, Cluster, Load, Upstream, eventually};

const PROMISE: Duration = Duration::from_secs(1);

/// The time until each of these answers with that status.
async fn everywhere(callers: &[Client], status: u16, since: Instant) -> Duration {
    for caller in callers {
        eventually("every proxy acts on the change", async || {
            (caller.get("/v1/models").await.status() == status).then_some(())
        })
        .await;
    }
    since.elapsed()
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() * 99 / 100 - 1]
}

#[tokio::test]
async fn new_and_revoked_keys_count_everywhere_within_a_second() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::builder().proxies(3).serving(&upstream).await;
    let (mut made, mut revoked) = (Vec::new(), Vec::new());
    for n in 0..100 {
        let secret = format!("sk-swap-{n}");
        let callers: Vec<_> = cluster.proxies.iter().map(|proxy| Client::new(proxy.front).key(&secret)).collect();
        let began = Instant::now();
        let document = json!({"kind": "Key", "name": format!("swap-{n}"), "secret": secret, "models": ["*"]});
        cluster.api().post("keys", document.to_string()).await.ok();
        made.push(everywhere(&callers, 200, began).await);
        let began = Instant::now();
        cluster.api().post(&format!("keys/swap-{n}/revoke"), "{}").await.ok();
        revoked.push(everywhere(&callers, 401, began).await);
    }
    let (made, revoked) = (p99(made), p99(revoked));
    assert!(revoked < PROMISE, "a revoked key was let through for {revoked:?} (p99 of 100)");
    assert!(made < PROMISE, "a new key was refused for {made:?} (p99 of 100)");
}

#[tokio::test]
async fn a_revocation_does_not_wait_behind_a_large_change() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::builder().proxies(3).serving(&upstream).await;
    let keys: Vec<_> = (0..5000)
        .map(|n| json!({"kind": "Key", "name": format!("many-{n}"), "secret": format!("sk-many-{n}"), "models": ["*"]}))
        .collect();
    cluster.api().post("apply", json!(keys).to_string()).await.ok();
    let began = Instant::now();
    cluster.api().post("keys/bench/revoke", "{}").await.ok();
    let late = everywhere(&cluster.callers(), 401, began).await;
    assert!(late < PROMISE * 3, "{late:?}");
}

#[tokio::test]
async fn changing_everything_under_load_fails_no_request() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::builder().proxies(2).serving(&upstream).await;
    let load = Load::start(cluster.callers(), "gpt-4o-mini");
    for n in 0..60 {
        let name = if n % 2 == 0 { "a" } else { "gpt-4o-mini" };
        let changes = json!([
            {"kind": "Model", "name": "gpt-4o-mini", "targets": [{"provider": "mock", "model": name}]},
            {"kind": "Provider", "name": "mock", "dialect": "openai", "baseUrl": format!("http://{}/v1", upstream.address), "timeouts": {"idleMs": 50_000 + n}},
            {"kind": "Key", "name": "bench", "secret": "sk-bench-key", "models": ["*"], "metadata": {"n": n.to_string()}},
        ]);
        cluster.api().post("apply", changes.to_string()).await.ok();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    load.nothing_failed().await;
}

#[tokio::test]
async fn a_request_is_finished_under_the_configuration_it_began_with() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let gate = crate::harness::script::Gate::new();
    upstream.on(
        "upstream-small",
        vec![
            crate::harness::Step::Wait(gate.clone()),
            crate::harness::Step::Send(crate::harness::script::answer("200 OK", "", "{}")),
        ],
    );
    let caller = cluster.caller();
    let waiting = tokio::spawn(async move { caller.chat("small").await });
    upstream.reached(1).await;
    let gone = cluster.api().delete("models/small").await;
    assert_eq!(gone.status(), 204, "{}", gone.text());
    cluster.api().post("keys/bench/revoke", "{}").await.ok();
    cluster.caught_up(cluster.api().revision().await).await;
    gate.open();
    assert_eq!(waiting.await.unwrap().status(), 200);
    assert_eq!(cluster.caller().chat("small").await.status(), 401);
}

#[tokio::test]
async fn a_changed_model_leads_elsewhere_at_once() {
    let (first, second) = (Upstream::start().await, Upstream::start().await);
    let cluster = Cluster::serving(&first).await;
    assert_eq!(cluster.caller().chat("small").await.status(), 200);
    let provider = json!({"baseUrl": format!("http://{}/v1", second.address)});
    let changed = cluster.api().patch("providers/mock", &provider).await.ok();
    cluster.caught_up(changed["revision"].as_u64().unwrap()).await;
    assert_eq!(cluster.caller().chat("small").await.status(), 200);
    assert_eq!((first.seen().len(), second.seen().len()), (1, 1));
}

#[tokio::test]
async fn a_proxy_that_starts_serves_what_is_in_force_and_nothing_older() {
    let upstream = Upstream::start().await;
    let mut cluster = Cluster::builder().proxies(2).serving(&upstream).await;
    for n in 0..8 {
        // What others were sent when they joined is out of date by now.
        let document = json!({"kind": "Key", "name": "turns", "secret": format!("sk-turns-{n}"), "models": ["*"]});
        cluster.api().put("keys/turns", &document).await.ok();
        cluster.proxies[1].kill();
        _ = std::fs::remove_dir_all(cluster.dir.join("dataplane-1"));
        let watch = |caller: Client| {
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while seen.last() != Some(&200) && seen.len() < 20_000 {
                    // Nobody listens yet, or it answers; a pause would hide the moment in question.
                    match caller.try_send("GET", "/v1/models", b"").await {
                        Ok(answer) => seen.push(answer.status()),
                        Err(_) => tokio::task::yield_now().await,
                    }
                }
                seen.dedup();
                seen
            })
        };
        let seen = watch(Client::new(cluster.proxies[1].front).key(&format!("sk-turns-{n}")));
        cluster.start_proxy(1).await;
        let seen = seen.await.unwrap();
        assert!(!seen.contains(&401), "start {n}: the secret in force is refused: {seen:?}");
        let old = Client::new(cluster.proxies[1].front).key(&format!("sk-turns-{}", n - 1));
        assert_eq!(old.chat("small").await.status(), 401, "start {n}: the secret before is no longer good");
    }
}
