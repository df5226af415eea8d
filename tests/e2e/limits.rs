//! Too much and too slow: every limit is kept, told, and costs nobody else anything.

use std::time::{Duration, Instant};

use crate::bad_input::typed;
use crate::harness::client::stream_body;
use crate::harness::http::Broken;
use crate::harness::{Answer, Cluster, Upstream, within};

const CHATS: &str = "/v1/chat/completions";

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
async fn a_caller_that_has_finished_sending_may_close_its_side() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let request = cluster.caller().request("POST", CHATS, crate::harness::client::chat_body("small").as_bytes());
    for _ in 0..5 {
        let mut raw = cluster.caller().connect().await;
        raw.write(&request).await.unwrap();
        let crate::harness::client::Raw { mut reader, writer } = raw;
        drop(writer);
        // Taken for a caller that has gone, or served: both are sane. To wait for ever is not.
        let told = tokio::time::timeout(Duration::from_secs(10), reader.head(crate::harness::http::Kind::Answer)).await;
        if let Ok(head) = told.expect("an answer or an end") {
            assert_eq!(head.status(), 200);
        }
    }
    assert_eq!(cluster.caller().chat("small").await.status(), 200);
}
