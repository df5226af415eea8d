//! Where a request ends is never in doubt: nothing is smuggled in behind another.

use crate::harness::client::chat_body;
use crate::harness::cluster::KEY;
use crate::harness::{Cluster, Upstream};

const CHATS: &str = "/v1/chat/completions";

#[tokio::test]
async fn no_framing_hides_a_second_request() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let hidden_body = chat_body("gpt-4o-mini");
    let hidden = format!(
        "POST {CHATS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\nx-hidden: yes\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{hidden_body}",
        hidden_body.len()
    );
    let body = chat_body("small");
    let length = body.len();
    let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    let cases = [
        (
            "length and chunked",
            format!("content-length: {}\r\ntransfer-encoding: chunked", chunked.len() + hidden.len()),
            chunked.clone(),
        ),
        ("chunked and length", format!("transfer-encoding: chunked\r\ncontent-length: {length}"), chunked.clone()),
        ("two lengths", format!("content-length: {length}\r\ncontent-length: {}", length + hidden.len()), body.clone()),
        ("two lengths in one", format!("content-length: {length}, {}", length + 1), body.clone()),
        ("a signed length", format!("content-length: +{length}"), body.clone()),
        ("a hexadecimal length", format!("content-length: 0x{length:x}"), body.clone()),
        ("a length with a space", format!("content-length: {length} {length}"), body.clone()),
        ("an obscure coding", "transfer-encoding: xchunked".into(), chunked.clone()),
        ("chunked not last", "transfer-encoding: chunked, identity".into(), chunked.clone()),
        ("chunked twice", "transfer-encoding: chunked\r\ntransfer-encoding: identity".into(), chunked.clone()),
        ("a space before the colon", format!("content-length : {length}"), body.clone()),
        ("a tab in the coding", "transfer-encoding:\tchunked\x0b".into(), chunked.clone()),
        ("a folded header", format!("x-fold: a\r\n content-length: 0\r\ncontent-length: {length}"), body.clone()),
        ("a null in a value", format!("x-null: a\0b\r\ncontent-length: {length}"), body.clone()),
        ("a bare line feed", format!("x-lf: a\ncontent-length: {length}"), body.clone()),
        ("a bad chunk size", "transfer-encoding: chunked".into(), format!("{length:x}g\r\n{body}\r\n0\r\n\r\n")),
        ("a negative chunk size", "transfer-encoding: chunked".into(), format!("-1\r\n{body}\r\n0\r\n\r\n")),
        (
            "a chunk size beyond 64 bits",
            "transfer-encoding: chunked".into(),
            format!("ffffffffffffffffff\r\n{body}\r\n0\r\n\r\n"),
        ),
        ("two credentials", format!("authorization: Bearer sk-other\r\ncontent-length: {length}"), body.clone()),
        ("two hosts", format!("host: y\r\ncontent-length: {length}"), body.clone()),
    ];
    for (what, framing, body) in cases {
        let before = upstream.seen().len();
        let request = format!(
            "POST {CHATS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n{framing}\r\n\r\n{body}"
        );
        let mut raw = cluster.caller().connect().await;
        raw.write(request.as_bytes()).await.unwrap();
        let first = raw.answer().await;
        let status = first.as_ref().map_or(0, crate::harness::Answer::status);
        // Refused; or read in the one sane way, and then nothing more is read from a connection whose framing is in doubt.
        let plain = ["a bare line feed", "two hosts"].contains(&what);
        assert!(status == 0 || status == 200 || (400..500).contains(&status), "{what}: {status}");
        if status == 200 && !plain {
            let closed = raw.answer().await.is_err();
            assert!(closed, "{what}: served, and the connection goes on");
        }
        for seen in &upstream.seen()[before..] {
            let head = String::from_utf8_lossy(&seen.message.head).to_lowercase();
            let both = head.contains("content-length") && head.contains("transfer-encoding");
            assert!(!both && !head.contains("x-hidden"), "{what}: {head}");
        }
    }
}

#[tokio::test]
async fn what_follows_a_doubtful_request_is_not_a_request() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let (body, hidden_body) = (chat_body("small"), chat_body("gpt-4o-mini"));
    let hidden = format!(
        "POST {CHATS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{hidden_body}",
        hidden_body.len()
    );
    let doubtful = format!(
        "POST {CHATS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
    );
    let before = upstream.seen().len();
    let mut raw = cluster.caller().connect().await;
    raw.write(doubtful.as_bytes()).await.unwrap();
    _ = raw.answer().await;
    _ = raw.answer().await;
    assert!(upstream.seen()[before..].iter().all(|seen| seen.message.body != hidden_body.as_bytes()), "smuggled");
    // The same bytes as two honest requests are two requests.
    let honest = cluster.caller().request("POST", CHATS, body.as_bytes());
    let mut raw = cluster.caller().connect().await;
    raw.write(&[honest.clone(), honest].concat()).await.unwrap();
    assert_eq!([raw.answer().await.unwrap().status(), raw.answer().await.unwrap().status()], [200, 200]);
}
