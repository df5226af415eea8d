//! What callers and upstreams get wrong: each fault has a typed answer, and the next request is served as if nothing had been.

use std::time::{Duration, Instant};

use crate::harness::client::{chat_body, stream_body};
use crate::harness::http::Broken;
use crate::harness::script::{self, answer};
use crate::harness::{Answer, Client, Cluster, Step, Upstream, within};
use crate::streaming::impatient;

const CHATS: &str = "/v1/chat/completions";

/// In the caller's dialect: what an SDK turns into its own exception.
fn typed(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.refusal(), (status, code.into()), "{}", answer.text());
    let error = &answer.json()["error"];
    assert!(error["message"].as_str().is_some_and(|it| !it.is_empty()), "{error}");
    assert!(error["type"].is_string() && error.get("param").is_some(), "{error}");
    if status == 400 {
        assert_eq!(error["type"], "invalid_request_error", "{error}");
    }
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_body_that_is_no_request_is_400() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let caller = cluster.caller();
    let deep = format!(r#"{{"model":"small","x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let malformed: [&[u8]; 18] = [
        b"",
        b" ",
        b"{",
        b"}",
        b"null",
        b"[]",
        b"\"model\"",
        b"{\"model\":\"small\"",
        b"{\"model\":\"small\",}",
        b"{\"model\":\"small\"} {}",
        b"{\"model\":\"small\"}x",
        b"{model:\"small\"}",
        b"{'model':'small'}",
        b"{\"model\":\"small\",\"x\":01}",
        b"{\"model\":\"small\",\"x\":\"\n\"}",
        b"{\"model\":\"small\",\"x\":\"\xff\xfe\"}",
        b"{\"model\":\"small\",\"x\":\"\\ud800\\q\"}",
        b"\xef\xbb\xbf{\"model\":\"small\"}\0",
    ];
    for body in malformed {
        let answer = caller.post(CHATS, body).await;
        assert_eq!(answer.status(), 400, "{:?}: {}", String::from_utf8_lossy(body), answer.text());
        let code = answer.refusal().1;
        assert!(
            ["invalid_json", "invalid_utf8", "missing_model"].contains(&code.as_str()),
            "{:?}: {code}",
            String::from_utf8_lossy(body)
        );
        typed(&answer, 400, &code);
    }
    typed(&caller.post(CHATS, &deep).await, 400, "json_too_deep");
    for body in [r#"{"model":5}"#, r#"{"model":null}"#, r#"{"model":["small"]}"#, r#"{"model":"small","stream":"yes"}"#]
    {
        let answer = caller.post(CHATS, body).await;
        typed(&answer, 400, &answer.refusal().1);
    }
    typed(&caller.post(CHATS, r#"{"messages":[]}"#).await, 400, "missing_model");
    for body in [
        r#"{"model":"small","model":"small"}"#,
        r#"{"model":"small","x":{},"mod\u0065l":"gpt-4o-mini"}"#,
        r#"{"model":"small","messages":[],"model":null}"#,
    ] {
        typed(&caller.post(CHATS, body).await, 400, "duplicate_model");
    }
    for model in ["", "unknown", "SMALL", "small ", "../small", "sm\\u0000all", &"x".repeat(10_000)] {
        let answer = caller.chat(model).await;
        assert!([400, 404].contains(&answer.status()), "{model:?}: {}", answer.text());
        typed(&answer, answer.status(), &answer.refusal().1);
        assert!(answer.text().len() < 2000, "an error does not repeat all it was sent");
    }
    typed(&caller.chat("unknown").await, 404, "model_not_found");
    assert_eq!(upstream.seen().len(), 0);
    assert_eq!(caller.chat("small").await.status(), 200);
}

#[tokio::test]
async fn what_is_not_served_here_is_a_typed_404_or_405() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let caller = cluster.caller();
    for path in ["/", "/v1", "/v1/", "/v1/chat", "/v1/nothing", "/nothing"] {
        let answer = caller.post(path, chat_body("small")).await;
        assert_eq!(answer.status(), 404, "{path}");
        typed(&answer, 404, &answer.refusal().1);
    }
    for (method, path) in [("GET", CHATS), ("DELETE", CHATS), ("PUT", CHATS), ("POST", "/v1/models"), ("BREW", CHATS)] {
        let answer = caller.send(method, path, b"").await;
        assert!([404, 405].contains(&answer.status()), "{method} {path}: {}", answer.status());
        typed(&answer, answer.status(), &answer.refusal().1);
    }
}

#[tokio::test]
async fn a_body_of_100_megabytes_is_413_and_leaves_no_trace_in_memory() {
    let upstream = Upstream::start().await;
    let mut cluster = Cluster::serving(&upstream).await;
    let before = cluster.proxies[0].process().rss_kib();
    let head = |framing: &str| {
        format!(
            "POST {CHATS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-bench-key\r\ncontent-type: application/json\r\n{framing}\r\n\r\n"
        )
    };
    // Announced: refused without waiting for it.
    let mut raw = cluster.caller().connect().await;
    raw.write(head("content-length: 104857600").as_bytes()).await.unwrap();
    typed(&raw.answer().await.unwrap(), 413, "request_too_large");
    // Not announced: refused where the limit is, although the caller goes on sending.
    let mut raw = cluster.caller().connect().await;
    raw.write(head("transfer-encoding: chunked").as_bytes()).await.unwrap();
    let crate::harness::client::Raw { mut reader, mut writer } = raw;
    let sending = async {
        use tokio::io::AsyncWriteExt;
        let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
        for sent in 0..100 {
            if writer.write_all(&chunk).await.is_err() {
                return sent;
            }
        }
        100
    };
    let reading = async {
        let mut head = reader.head(crate::harness::http::Kind::Answer).await?;
        head.body = reader.rest().await?;
        Ok::<_, Broken>(Answer(head))
    };
    let (sent, told) = tokio::join!(sending, reading);
    typed(&told.expect("the answer can be read although the caller had not finished"), 413, "request_too_large");
    assert!(sent < 100, "all 100 MB were taken");
    let grown = cluster.proxies[0].process().rss_kib().saturating_sub(before);
    assert!(grown < 48 * 1024, "grown by {grown} KiB");
    assert_eq!(cluster.caller().chat("small").await.status(), 200);
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn the_limit_of_bodies_can_be_set() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::builder().proxy_flags(&["--body-bytes-max", "1000"]).serving(&upstream).await;
    let body = |length: usize| format!(r#"{{"model":"small","x":"{}"}}"#, "x".repeat(length));
    assert_eq!(cluster.caller().post(CHATS, body(900)).await.status(), 200);
    typed(&cluster.caller().post(CHATS, body(1000)).await, 413, "request_too_large");
}

#[tokio::test]
async fn heads_beyond_all_measure_are_refused() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let many = "a: b\r\n".repeat(300);
    let cases = [
        ("a header of 1 MB", format!("GET /v1/models HTTP/1.1\r\nhost: x\r\nx-big: {}\r\n\r\n", "x".repeat(1 << 20))),
        (
            "300 headers",
            format!("GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-bench-key\r\n{many}\r\n"),
        ),
        (
            "a target of 100 KB",
            format!(
                "GET /v1/models?{} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-bench-key\r\n\r\n",
                "x".repeat(100_000)
            ),
        ),
        ("a method of 100 KB", format!("{} / HTTP/1.1\r\nhost: x\r\n\r\n", "X".repeat(100_000))),
    ];
    for (what, bytes) in cases {
        let mut raw = cluster.caller().connect().await;
        // The other side may close before it has read everything, which is what is wanted.
        let sent = raw.write(bytes.as_bytes()).await;
        match raw.answer().await {
            Ok(answer) => {
                assert!([400, 414, 431].contains(&answer.status()), "{what}: {}", answer.status());
                // What follows on this connection cannot be trusted, so nothing may follow.
                assert!(raw.answer().await.is_err(), "{what}: the connection goes on");
            }
            Err(broken) => {
                assert!(sent.is_err() || matches!(broken, Broken::Cut(_)), "{what}: {broken:?} after {sent:?}");
            }
        }
    }
    assert_eq!(cluster.caller().chat("small").await.status(), 200);
}

#[tokio::test]
async fn a_compressed_request_is_refused() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let answer = cluster.caller().with("content-encoding", "gzip").post(CHATS, b"\x1f\x8b\x08\x00").await;
    assert!([400, 415].contains(&answer.status()), "{}", answer.text());
    typed(&answer, answer.status(), &answer.refusal().1);
    assert_eq!(upstream.seen().len(), 0);
}

/// Head and kilobytes of a body within 600 ms each, connections without a request closed after 3 s.
const HURRIED: [&str; 4] = ["--head-timeout-ms", "600", "--idle-timeout-ms", "3000"];

#[tokio::test]
async fn slow_senders_of_heads_are_cut_off() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::builder().proxy_flags(&HURRIED).serving(&upstream).await;
    let start: [&[u8]; 4] = [b"", b"G", b"P", b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx-slow: "];
    for start in start {
        let began = Instant::now();
        let mut raw = cluster.caller().connect().await;
        raw.write(start).await.unwrap();
        let crate::harness::client::Raw { mut reader, mut writer } = raw;
        let drip = async {
            use tokio::io::AsyncWriteExt;
            while start.len() < 2 || writer.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let ended = async {
            tokio::select! {
                () = drip => {}
                () = reader.closed() => {}
            }
        };
        let said = String::from_utf8_lossy(start);
        tokio::time::timeout(Duration::from_secs(10), ended)
            .await
            .unwrap_or_else(|_| panic!("{said:?} is not cut off"));
        assert!(Duration::from_millis(300) < began.elapsed(), "{said:?} is cut off at once");
    }
    // A kept-alive connection may be idle for longer than a head may take.
    let mut raw = cluster.caller().connect().await;
    for _ in 0..2 {
        raw.write(&cluster.caller().request("GET", "/v1/models", b"")).await.unwrap();
        assert_eq!(raw.answer().await.unwrap().status(), 200);
        tokio::time::sleep(Duration::from_millis(1200)).await;
    }
}

#[tokio::test]
async fn a_slow_sender_of_a_body_is_cut_off() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::builder().proxy_flags(&HURRIED).serving(&upstream).await;
    let head = format!(
        "POST {CHATS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-bench-key\r\ncontent-type: application/json\r\n\
         content-length: 100000\r\n\r\n{{"
    );
    for drip in [Duration::from_secs(60), Duration::from_millis(50)] {
        let mut raw = cluster.caller().connect().await;
        raw.write(head.as_bytes()).await.unwrap();
        let crate::harness::client::Raw { mut reader, mut writer } = raw;
        let dripping = async {
            use tokio::io::AsyncWriteExt;
            loop {
                tokio::time::sleep(drip).await;
                if writer.write_all(b" ").await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let told = async {
            tokio::select! {
                () = dripping => Err(Broken::Ended),
                told = reader.head(crate::harness::http::Kind::Answer) => told,
            }
        };
        let told = tokio::time::timeout(Duration::from_secs(30), told).await.expect("cut off in time");
        assert_eq!(told.map(|head| head.status()), Ok(408), "a byte every {drip:?}");
    }
    assert_eq!(upstream.seen().len(), 0);
    // Slow, but not too slow: half a second for each of the first kilobytes is fine.
    let body = format!(r#"{{"model":"small","x":"{}"}}"#, "x".repeat(3000));
    let request = cluster.caller().request("POST", CHATS, body.as_bytes());
    let mut raw = cluster.caller().connect().await;
    for part in request.chunks(1200) {
        raw.write(part).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(raw.answer().await.unwrap().status(), 200);
}

#[tokio::test]
async fn half_open_callers_leave_nothing_behind() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let request = cluster.caller().request("POST", CHATS, stream_body("small").as_bytes());
    for length in [10, request.len() / 2, request.len() - 1] {
        for _ in 0..20 {
            let mut raw = cluster.caller().connect().await;
            raw.write(&request[..length]).await.unwrap();
        }
    }
    assert_eq!(cluster.caller().chat("small").await.status(), 200);
    assert_eq!(upstream.seen().len(), 1, "half a request is no request");
    within(Duration::from_secs(10), "the abandoned connections are gone", async || {
        let metrics = cluster.proxies[0].ops().get("/metrics").await.text();
        let open = metrics.lines().find(|line| line.contains("connections") && !line.starts_with('#'))?;
        let open: f64 = open.rsplit(' ').next()?.parse().ok()?;
        (open <= 1.0).then_some(())
    })
    .await;
}

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
