//! Streams: every byte, as soon as it is there, and not one upstream token after the caller has gone.

use std::time::{Duration, Instant};

use crate::harness::client::stream_body;
use crate::harness::script::{self, Gate, LAST_CHUNK, chunk, event, stream_head, usage_event};
use crate::harness::{Cluster, Step, Upstream, eventually, within};

const CHATS: &str = "/v1/chat/completions";

#[tokio::test]
async fn a_stream_comes_through_verbatim_whatever_is_in_it() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let events = [
        ": a comment to keep the line open\n\n",
        "event: delta\nid: 7\nretry: 100\ndata: {\"choices\":[],  \"unknown\":\"\\u00e9\"}\n\n",
        "data:{\"no\":\"space\"}\r\n\r\n",
        "data: two\ndata: lines\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"data: [DONE]\"}}]}\n\n",
        "\n\n",
        "data: {\"broken\": json\n\n",
        "data: [DONE]\n\n",
    ]
    .map(String::from);
    upstream.on("upstream-small", script::stream(&events));
    let answer = cluster.caller().post(CHATS, stream_body("small")).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(answer.text(), events.concat());
}

#[tokio::test]
async fn an_event_split_at_every_byte_comes_through_verbatim() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let text = event("héllo 😀") + &event("again") + script::DONE;
    let mut bytes = stream_head();
    for byte in text.as_bytes() {
        bytes.extend_from_slice(b"1\r\n");
        bytes.push(*byte);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(LAST_CHUNK);
    upstream.on("upstream-small", vec![Step::Trickle(bytes)]);
    assert_eq!(cluster.caller().post(CHATS, stream_body("small")).await.text(), text);
}

#[tokio::test]
async fn usage_that_the_caller_did_not_ask_for_is_not_shown() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let shown = [event("Hel"), event("lo "), event("there."), script::DONE.into()].concat();
    let answer = cluster.caller().post(CHATS, stream_body("small")).await;
    assert_eq!(answer.text(), shown);
    // Also when the usage event itself is split at every byte, and when a usage member rides on ordinary events.
    let quiet = event("Hel").replace("\"choices\"", "\"usage\":null,\"choices\"");
    let mut bytes = stream_head();
    bytes.extend_from_slice(&chunk(&quiet));
    for byte in usage_event().bytes() {
        bytes.extend_from_slice(&chunk(&char::from(byte).to_string()));
    }
    bytes.extend_from_slice(&chunk(script::DONE));
    bytes.extend_from_slice(LAST_CHUNK);
    upstream.on("upstream-small", vec![Step::Trickle(bytes)]);
    let answer = cluster.caller().post(CHATS, stream_body("small")).await;
    assert_eq!(answer.text(), quiet + script::DONE);
}

#[tokio::test]
async fn usage_that_the_caller_asked_for_is_shown() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let body = r#"{"model":"small","stream":true,"stream_options":{"include_usage":true}}"#;
    let answer = cluster.caller().post(CHATS, body).await;
    assert!(answer.text().ends_with(&(usage_event() + script::DONE)), "{}", answer.text());
    let body = r#"{"model":"small","stream":true,"stream_options":{"include_usage":false}}"#;
    let answer = cluster.caller().post(CHATS, body).await;
    assert!(!answer.text().contains("prompt_tokens"), "{}", answer.text());
}

#[tokio::test]
async fn every_event_is_forwarded_before_the_next_one_is_there() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let gate = Gate::new();
    let mut steps = vec![Step::Send(stream_head())];
    let words = ["first", "second", "third"];
    for word in words {
        steps.push(Step::Send(chunk(&event(word))));
        steps.push(Step::Wait(gate.clone()));
    }
    steps.push(Step::Send([chunk(script::DONE), LAST_CHUNK.to_vec()].concat()));
    upstream.on("upstream-small", steps);
    let mut open = cluster.caller().open("POST", CHATS, stream_body("small")).await;
    for word in words {
        let seen = open.until(event(word).as_bytes()).await;
        assert_eq!(String::from_utf8(seen).unwrap(), event(word), "the upstream has sent nothing more so far");
        gate.open();
    }
    let (rest, end) = open.rest().await;
    assert_eq!((rest.as_slice(), end), (script::DONE.as_bytes(), Ok(())));
}

#[tokio::test]
async fn a_comment_that_keeps_the_line_open_is_forwarded_like_an_event() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let gate = Gate::new();
    let steps = vec![
        Step::Send([stream_head(), chunk(": ping\n\n")].concat()),
        Step::Wait(gate.clone()),
        Step::Send([chunk(script::DONE), LAST_CHUNK.to_vec()].concat()),
    ];
    upstream.on("upstream-small", steps);
    let mut open = cluster.caller().open("POST", CHATS, stream_body("small")).await;
    assert_eq!(open.head.status(), 200);
    assert_eq!(open.until(b"\n\n").await, b": ping\n\n");
    gate.open();
    assert_eq!(open.rest().await.0, script::DONE.as_bytes());
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_the_upstream() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let first = [stream_head(), chunk(&event("first"))].concat();
    upstream.on("upstream-small", vec![Step::Send(first), Step::Stall]);
    let mut open = cluster.caller().open("POST", CHATS, stream_body("small")).await;
    open.until(b"first").await;
    let left = Instant::now();
    open.hang_up();
    let cancelled = upstream.abandoned(0).await - left;
    assert!(cancelled < Duration::from_secs(1), "{cancelled:?}");
    // Before the first byte of the answer, too, and for answers that are not streamed.
    upstream.on("upstream-small", vec![Step::Stall]);
    for (number, body) in [(1, stream_body("small")), (2, stream_body("small").replace("true", "false"))] {
        let mut raw = cluster.caller().connect().await;
        raw.write(&cluster.caller().request("POST", CHATS, body.as_bytes())).await.unwrap();
        upstream.reached(number + 1).await;
        drop(raw);
        upstream.abandoned(number).await;
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_cannot_be_mistaken_for_one_that_ended() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    for end in [Step::Close, Step::Reset] {
        let first = [stream_head(), chunk(&event("first"))].concat();
        let how = format!("{end:?}");
        upstream.on("upstream-small", vec![Step::Send(first), Step::Pause(Duration::from_millis(50)), end]);
        let mut open = cluster.caller().open("POST", CHATS, stream_body("small")).await;
        let (body, _) = open.rest().await;
        let body = String::from_utf8(body).unwrap();
        let rest = body.strip_prefix(&event("first")).unwrap_or_else(|| panic!("{how}: {body}"));
        assert!(!rest.contains("[DONE]"), "{how}: {rest}");
        let told = rest.trim().strip_prefix("data: ").unwrap_or_else(|| panic!("{how}: an error event, not {rest:?}"));
        let told: serde_json::Value = serde_json::from_str(told).unwrap();
        assert_eq!(told["error"]["code"], "upstream_broken", "{how}: {told}");
    }
}

#[tokio::test]
async fn a_stream_that_stalls_is_ended_after_the_providers_idle_time() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    impatient(&cluster, &upstream).await;
    let first = [stream_head(), chunk(&event("first"))].concat();
    upstream.on("stalls", vec![Step::Send(first), Step::Stall]);
    let mut open = cluster.caller().open("POST", CHATS, stream_body("impatient")).await;
    let (body, _) = open.rest().await;
    let body = String::from_utf8(body).unwrap();
    assert!(body.starts_with(&event("first")) && body.contains("\"upstream_timeout\""), "{body}");
    assert!(!body.contains("[DONE]"), "{body}");
    upstream.abandoned(0).await;
}

/// A model named so, whose provider may be idle for 300 ms.
pub(crate) async fn impatient(cluster: &Cluster, upstream: &Upstream) {
    let address = upstream.address;
    cluster
        .apply(&format!(
            "{{kind: Provider, name: impatient, dialect: openai, baseUrl: 'http://{address}/v1', timeouts: {{idleMs: 300}}}}\n\
             ---\n{{kind: Model, name: impatient, targets: [{{provider: impatient, model: stalls}}]}}\n"
        ))
        .await;
}

#[tokio::test]
async fn a_slow_reader_slows_the_upstream_and_not_the_memory() {
    let upstream = Upstream::start().await;
    let mut cluster = Cluster::serving(&upstream).await;
    let payload = event(&"x".repeat(64 * 1024));
    let mut steps = vec![Step::Send(stream_head())];
    steps.extend((0..2000).map(|_| Step::Send(chunk(&payload))));
    steps.push(Step::Stall);
    upstream.on("upstream-small", steps);
    let before = cluster.proxies[0].process().rss_kib();
    let open = cluster.caller().open("POST", CHATS, stream_body("small")).await;
    // Nobody reads: 128 MB are on offer and must stay where they are.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let grown = cluster.proxies[0].process().rss_kib().saturating_sub(before);
    assert!(grown < 32 * 1024, "grown by {grown} KiB");
    open.hang_up();
    upstream.abandoned(0).await;
}

#[tokio::test]
async fn upstream_connections_are_used_again() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    for _ in 0..10 {
        assert_eq!(cluster.caller().chat("small").await.status(), 200);
        assert_eq!(cluster.caller().post(CHATS, stream_body("small")).await.status(), 200);
    }
    let connections: std::collections::BTreeSet<_> = upstream.seen().iter().map(|seen| seen.connection).collect();
    assert!(connections.len() <= 2, "{} connections for 20 requests one after the other", connections.len());
}

#[tokio::test]
async fn an_upstream_connection_that_was_closed_while_idle_costs_nobody_a_request() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let once = script::answer("200 OK", "content-type: application/json\r\n", script::CHAT);
    upstream.on("upstream-small", vec![Step::Send(once), Step::Close]);
    for _ in 0..10 {
        assert_eq!(cluster.caller().chat("small").await.status(), 200);
        eventually("the upstream has closed", async || (upstream.open() == 0).then_some(())).await;
    }
}

#[tokio::test]
async fn a_burst_is_forwarded_at_once() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let events: Vec<_> = (0..500).map(|n| event(&format!("word {n}"))).chain([script::DONE.into()]).collect();
    upstream.on("upstream-small", script::stream(&events));
    let caller = cluster.caller();
    let text = within(Duration::from_secs(10), "the burst arrives", async || {
        Some(caller.post(CHATS, stream_body("small")).await.text())
    })
    .await;
    assert_eq!(text, events.concat());
}
