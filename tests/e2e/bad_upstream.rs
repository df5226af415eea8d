//! What providers get wrong: the caller is told in its own dialect, in time, and never less than the truth.

use std::time::{Duration, Instant};

use crate::bad_input::typed;
use crate::harness::client::{chat_body, stream_body};
use crate::harness::http::Broken;
use crate::harness::script::{self, answer};
use crate::harness::{Client, Cluster, Step, Upstream};
use crate::streaming::impatient;

const CHATS: &str = "/v1/chat/completions";

#[tokio::test]
async fn an_upstream_that_misbehaves_is_told_apart_and_never_hangs_a_caller() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    impatient(&cluster, &upstream).await;
    let caller = cluster.caller();
    let huge = format!("HTTP/1.1 200 OK\r\nx-big: {}\r\ncontent-length: 2\r\n\r\n{{}}", "x".repeat(1 << 20));
    let cases = [
        ("resets", vec![Step::Reset], 502, "upstream_broken"),
        ("closes", vec![Step::Close], 502, "upstream_broken"),
        (
            "speaks garbage",
            vec![Step::Send(b"\x16\x03\x01 what is this\r\n\r\n".to_vec()), Step::Close],
            502,
            "upstream_broken",
        ),
        ("has no status", vec![Step::Send(b"HTTP/1.1 OK\r\n\r\n".to_vec()), Step::Close], 502, "upstream_broken"),
        (
            "ends in mid-head",
            vec![Step::Send(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec()), Step::Close],
            502,
            "upstream_broken",
        ),
        ("has a huge head", vec![Step::Send(huge.into_bytes()), Step::Close], 502, "upstream_broken"),
        ("is silent", vec![Step::Stall], 504, "upstream_timeout"),
        ("stalls in mid-head", vec![Step::Send(b"HTTP/1.1 200 OK\r\n".to_vec()), Step::Stall], 504, "upstream_timeout"),
    ];
    for (what, steps, status, code) in cases {
        upstream.on("stalls", steps);
        for body in [chat_body("impatient"), stream_body("impatient")] {
            let began = Instant::now();
            let answer = caller.post(CHATS, body).await;
            assert_eq!(answer.refusal(), (status, code.into()), "an upstream that {what}: {}", answer.text());
            typed(&answer, status, code);
            assert!(began.elapsed() < Duration::from_secs(10), "an upstream that {what}");
        }
    }
    upstream.on("stalls", script::json(script::CHAT));
    assert_eq!(caller.chat("impatient").await.status(), 200, "and then all is well again");
}

#[tokio::test]
async fn an_upstream_that_breaks_in_mid_body_breaks_the_answer_and_not_the_proxy() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    impatient(&cluster, &upstream).await;
    let half = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"id\":".to_vec();
    for end in [Step::Close, Step::Reset, Step::Stall] {
        let how = format!("{end:?}");
        upstream.on("stalls", vec![Step::Send(half.clone()), end]);
        match cluster.caller().try_send("POST", CHATS, chat_body("impatient").as_bytes()).await {
            // Either it was held back and is an error, or it is visibly cut short.
            Ok(answer) => {
                assert!([502, 504].contains(&answer.status()), "{how}: {} {}", answer.status(), answer.text());
            }
            Err(broken) => assert!(matches!(broken, Broken::Cut(_)), "{how}: {broken:?}"),
        }
    }
    for bad in [
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 7\r\n\r\n1234567",
    ] {
        upstream.on("stalls", vec![Step::Send(bad.into()), Step::Close]);
        let sent = cluster.caller().try_send("POST", CHATS, stream_body("impatient").as_bytes()).await;
        if let Ok(answer) = sent {
            let text = answer.text();
            assert!(
                answer.status() == 502 || text.contains("\"upstream_broken\""),
                "{bad}: {} {text}",
                answer.status()
            );
        }
    }
    assert_eq!(cluster.caller().chat("small").await.status(), 200);
}

#[tokio::test]
async fn a_compressed_answer_arrives_whole_or_is_refused() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let zipped = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xabV\xca\x06\x00\x0f\x1a\xed\x9a\x04\x00\x00\x00";
    upstream.on(
        "upstream-small",
        vec![Step::Send(answer("200 OK", "content-type: application/json\r\ncontent-encoding: gzip\r\n", zipped))],
    );
    for body in [chat_body("small"), stream_body("small")] {
        let answer = cluster.caller().post(CHATS, body).await;
        if answer.status() == 200 {
            assert_eq!(
                (answer.header("content-encoding"), answer.0.body.as_slice()),
                (Some("gzip"), zipped.as_slice())
            );
        } else {
            typed(&answer, 502, "upstream_broken");
        }
        let seen = upstream.last().message;
        let asked = seen.header("accept-encoding").unwrap_or("identity");
        assert_eq!(asked, "identity", "nobody asked for compression");
    }
}

#[tokio::test]
async fn an_informational_answer_is_not_the_answer() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let early = [
        b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n".to_vec(),
        answer("200 OK", "content-type: application/json\r\n", script::CHAT),
    ];
    upstream.on("upstream-small", vec![Step::Send(early.concat())]);
    let told = cluster.caller().chat("small").await;
    assert_eq!((told.status(), told.text().as_str()), (200, script::CHAT));
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_is_502_soon() {
    let cluster = Cluster::builder().start().await;
    let nobody = crate::harness::process::free_port();
    let resources = |url: &str| {
        format!(
            "{{kind: Provider, name: p, dialect: openai, baseUrl: '{url}', timeouts: {{connectMs: 300}}}}\n---\n\
             {{kind: Model, name: m, targets: [{{provider: p, model: x}}]}}\n---\n\
             {{kind: Key, name: bench, secret: sk-bench-key, models: ['*']}}\n"
        )
    };
    let nowhere = format!("http://127.0.0.1:{nobody}/v1");
    // Nobody listens; the name does not exist; nobody speaks TLS there.
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tls = format!("https://{}/v1", deaf.local_addr().unwrap());
    for url in [nowhere.as_str(), "http://no-such-host.invalid/v1", &tls] {
        cluster.apply(&resources(url)).await;
        let began = Instant::now();
        let answer = cluster.caller().chat("m").await;
        assert_eq!(answer.status(), if url == tls { answer.status() } else { 502 }, "{url}: {}", answer.text());
        assert!([502, 504].contains(&answer.status()), "{url}: {}", answer.text());
        typed(&answer, answer.status(), &answer.refusal().1);
        assert!(began.elapsed() < Duration::from_secs(10), "{url}");
        assert!(!answer.text().contains("127.0.0.1"), "callers are not told where upstreams live: {}", answer.text());
    }
    drop(deaf);
    assert_eq!(Client::new(cluster.proxies[0].front).key("sk-no").chat("m").await.status(), 401);
}
