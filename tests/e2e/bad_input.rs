//! What callers get wrong: each fault has a typed answer, and the next request is served as if nothing had been.

use crate::harness::client::chat_body;
use crate::harness::{Answer, Cluster, Upstream};

const CHATS: &str = "/v1/chat/completions";

/// In the caller's dialect: what an SDK turns into its own exception.
pub(crate) fn typed(answer: &Answer, status: u16, code: &str) {
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
async fn a_compressed_request_is_refused() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let answer = cluster.caller().with("content-encoding", "gzip").post(CHATS, b"\x1f\x8b\x08\x00").await;
    assert!([400, 415].contains(&answer.status()), "{}", answer.text());
    typed(&answer, answer.status(), &answer.refusal().1);
    assert_eq!(upstream.seen().len(), 0);
}
