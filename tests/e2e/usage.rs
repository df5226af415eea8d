//! What was used is counted once: by key, team, model and minute, through crashes and disconnects.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::client::stream_body;
use crate::harness::script::{self, USAGE, chunk, event, stream_head};
use crate::harness::{Client, Cluster, Step, Upstream, eventually};

const CHATS: &str = "/v1/chat/completions";

/// The sum of one column over all rows.
fn sum(rows: &Value, column: &str) -> u64 {
    let rows = rows["data"].as_array().expect("rows");
    rows.iter().map(|row| row[column].as_u64().unwrap_or_else(|| panic!("{column} in {row}"))).sum()
}

async fn usage(cluster: &Cluster, query: &str) -> Value {
    cluster.api().get(&format!("usage?{query}")).await.ok()
}

/// Waits until so many requests have been counted, and then a little more, in case one is counted twice.
async fn counted(cluster: &Cluster, requests: u64) -> Value {
    eventually("the requests are counted", async || {
        let rows = usage(cluster, "groupBy=model").await;
        (requests <= sum(&rows, "requests")).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let rows = usage(cluster, "groupBy=model").await;
    assert_eq!(sum(&rows, "requests"), requests, "{rows}");
    rows
}

#[tokio::test]
async fn the_sums_are_those_of_the_upstream() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::builder().proxies(2).serving(&upstream).await;
    cluster.apply("{kind: Key, name: lone, secret: sk-lone-key-0, models: ['*']}").await;
    let lone = Client::new(cluster.proxies[1].front).key("sk-lone-key-0");
    for _ in 0..5 {
        for caller in cluster.callers() {
            caller.chat("gpt-4o-mini").await.ok();
            assert_eq!(caller.post(CHATS, stream_body("small")).await.status(), 200);
        }
        lone.chat("gpt-4o-mini").await.ok();
    }
    let rows = counted(&cluster, 25).await;
    assert_eq!(sum(&rows, "tokensInput"), 25 * USAGE[0]);
    assert_eq!(sum(&rows, "tokensOutput"), 25 * USAGE[1]);
    assert_eq!((sum(&rows, "errors"), sum(&rows, "unreported")), (0, 0));
    let find = |rows: &Value, name: &str, value: &str| -> u64 {
        let rows = rows["data"].as_array().unwrap();
        rows.iter().filter(|row| row[name] == value).map(|row| row["requests"].as_u64().unwrap()).sum()
    };
    assert_eq!((find(&rows, "model", "gpt-4o-mini"), find(&rows, "model", "small")), (15, 10));
    let rows = usage(&cluster, "groupBy=team,key").await;
    assert_eq!((find(&rows, "key", "bench"), find(&rows, "key", "lone")), (20, 5));
    assert_eq!(find(&rows, "team", "search"), 20);
    let rows = usage(&cluster, "groupBy=minute&key=bench").await;
    assert_eq!(sum(&rows, "requests"), 20);
    assert!(rows["data"][0]["minute"].is_string(), "{rows}");
    let rows = usage(&cluster, "groupBy=model&from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z").await;
    assert_eq!(rows["data"], json!([]));
    let refused = cluster.api().get("usage?groupBy=planet").await;
    assert_eq!(refused.refusal(), (400, "bad_request".into()), "{}", refused.text());
}

#[tokio::test]
async fn errors_and_silent_providers_are_counted_as_such() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let caller = cluster.caller();
    upstream.on("upstream-small", script::json(r#"{"id":"x","choices":[]}"#));
    assert_eq!(caller.chat("small").await.status(), 200);
    upstream.on("upstream-small", vec![Step::Send(script::answer("500 Oops", "", "{}"))]);
    assert_eq!(caller.chat("small").await.status(), 500);
    upstream.on("upstream-small", vec![Step::Reset]);
    assert_eq!(caller.chat("small").await.status(), 502);
    let rows = counted(&cluster, 3).await;
    assert_eq!(sum(&rows, "errors"), 2, "{rows}");
    assert!(1 <= sum(&rows, "unreported"), "{rows}");
    assert_eq!(sum(&rows, "tokensInput"), 0);
}

#[tokio::test]
async fn refused_requests_are_nobodys_usage() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    assert_eq!(Client::new(cluster.proxies[0].front).key("sk-none").chat("small").await.status(), 401);
    cluster.caller().chat("small").await.ok();
    let rows = counted(&cluster, 1).await;
    assert_eq!(sum(&rows, "tokensInput"), USAGE[0]);
}

#[tokio::test]
async fn a_caller_that_goes_away_is_counted_too() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let first = [stream_head(), chunk(&event("first"))].concat();
    upstream.on("upstream-small", vec![Step::Send(first), Step::Stall]);
    for _ in 0..10 {
        let mut open = cluster.caller().open("POST", CHATS, stream_body("small")).await;
        open.until(b"first").await;
        open.hang_up();
    }
    counted(&cluster, 10).await;
}

#[tokio::test]
async fn usage_survives_kill_9_of_the_control_plane_and_is_counted_once() {
    let upstream = Upstream::start().await;
    let mut cluster = Cluster::serving(&upstream).await;
    let mut made = 0;
    for round in 0..3 {
        for n in 0..40 {
            cluster.caller().chat("gpt-4o-mini").await.ok();
            made += 1;
            if n == 20 {
                cluster.control_planes[0].kill();
            }
        }
        cluster.start_control_plane(0).await;
        let rows = counted(&cluster, made).await;
        assert_eq!(sum(&rows, "tokensInput"), made * USAGE[0], "round {round}");
    }
}

#[tokio::test]
async fn usage_is_delivered_when_a_proxy_is_told_to_stop() {
    let upstream = Upstream::start().await;
    let mut cluster = Cluster::serving(&upstream).await;
    for _ in 0..7 {
        cluster.caller().chat("gpt-4o-mini").await.ok();
    }
    cluster.proxies[0].process().signal("TERM");
    cluster.proxies[0].process().ended(Duration::from_secs(20)).await;
    counted(&cluster, 7).await;
}

#[tokio::test]
async fn cached_and_reasoning_tokens_are_told_apart() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let usage = json!({"choices": [], "usage": {
        "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 60}, "completion_tokens_details": {"reasoning_tokens": 30},
    }});
    upstream.on("upstream-small", script::json(&usage.to_string()));
    cluster.caller().chat("small").await.ok();
    let rows = counted(&cluster, 1).await;
    let figures = ["tokensInput", "tokensCached", "tokensOutput", "tokensReasoning"].map(|name| sum(&rows, name));
    assert_eq!(figures, [100, 60, 50, 30]);
    assert!(rows["data"][0]["cost"].is_string(), "{rows}");
}
