//! What a model name leads to: one provider or the next, completions and embeddings as well as chats.

use serde_json::json;

use crate::harness::process::free_port;
use crate::harness::script::{self, answer};
use crate::harness::{Client, Cluster, Step, Upstream};

#[tokio::test]
async fn chats_completions_embeddings_and_the_model_list_are_served() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let caller = cluster.caller();
    let chat = caller.chat("small").await;
    assert_eq!(chat.text(), script::CHAT, "the answer comes back to the byte");
    assert_eq!(upstream.last().message.target(), "/v1/chat/completions");
    let body = r#"{"model":"small","prompt":"hello"}"#;
    assert_eq!(caller.post("/v1/completions", body).await.text(), script::COMPLETION);
    assert_eq!(upstream.last().message.target(), "/v1/completions");
    let body = r#"{"model":"small","input":["hello"]}"#;
    assert_eq!(caller.post("/v1/embeddings", body).await.text(), script::EMBEDDING);
    let seen = upstream.last().message;
    assert_eq!(seen.target(), "/v1/embeddings");
    assert_eq!(seen.body, br#"{"model":"upstream-small","input":["hello"]}"#);
    let model = caller.get("/v1/models/small").await;
    assert_eq!((model.status(), model.json()["id"].clone()), (200, json!("small")));
    assert_eq!(caller.get("/v1/models/none").await.refusal(), (404, "model_not_found".into()));
}

#[tokio::test]
async fn answers_say_who_served_them_and_how() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let first = cluster.caller().chat("small").await;
    assert_eq!(first.header("x-turnpike-provider"), Some("mock"));
    assert_eq!(first.header("x-turnpike-model"), Some("small"));
    assert_eq!(first.header("x-turnpike-attempts"), Some("1"));
    let overhead = first.header("x-turnpike-overhead-us").expect("unary answers tell our own share");
    assert!(overhead.parse::<u64>().is_ok(), "{overhead}");
    let second = cluster.caller().chat("small").await;
    let ids = [&first, &second].map(|answer| answer.header("x-turnpike-request-id").expect("an id").to_string());
    assert_ne!(ids[0], ids[1]);
    let refused = Client::new(cluster.proxies[0].front).chat("small").await;
    assert!(refused.header("x-turnpike-request-id").is_some(), "refusals have ids too");
}

#[tokio::test]
async fn the_next_target_is_tried_when_the_first_cannot_be_reached() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let nobody = free_port();
    cluster
        .apply(&format!(
            "{{kind: Provider, name: gone, dialect: openai, baseUrl: 'http://127.0.0.1:{nobody}/v1'}}\n---\n\
             {{kind: Model, name: robust, targets: [{{provider: gone, model: a}}, {{provider: mock, model: b}}]}}\n---\n\
             {{kind: Model, name: frail, targets: [{{provider: gone, model: a}}]}}\n"
        ))
        .await;
    let answer = cluster.caller().chat("robust").await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(answer.header("x-turnpike-provider"), Some("mock"));
    assert_eq!(answer.header("x-turnpike-attempts"), Some("2"));
    assert_eq!(upstream.last().message.body, crate::harness::client::chat_body("b").into_bytes());
    assert_eq!(cluster.caller().chat("frail").await.refusal(), (502, "upstream_unreachable".into()));
}

#[tokio::test]
async fn an_error_of_the_provider_passes_through_word_for_word() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let limited = r#"{"error":{"message":"slow down","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#;
    upstream.on(
        "upstream-small",
        vec![Step::Send(answer(
            "429 Too Many Requests",
            "content-type: application/json\r\nretry-after: 7\r\n",
            limited,
        ))],
    );
    let told = cluster.caller().chat("small").await;
    assert_eq!((told.status(), told.text().as_str()), (429, limited));
    assert_eq!(told.header("retry-after"), Some("7"));
    upstream.on("upstream-small", vec![Step::Send(answer("500 Oops", "content-type: text/html\r\n", "<h1>Oops</h1>"))]);
    let told = cluster.caller().chat("small").await;
    assert_eq!((told.status(), told.text().as_str()), (500, "<h1>Oops</h1>"));
    assert_eq!(told.header("content-type"), Some("text/html"));
}

#[tokio::test]
async fn the_demo_provider_answers_without_any_upstream() {
    let cluster = Cluster::builder().start().await;
    cluster
        .apply(
            "{kind: Provider, name: demo, dialect: openai, demo: {}}\n---\n\
             {kind: Model, name: demo, targets: [{provider: demo, model: demo}]}\n---\n\
             {kind: Key, name: bench, secret: sk-bench-key, models: ['*']}\n",
        )
        .await;
    let unary = cluster.caller().chat("demo").await.ok();
    let text = unary["choices"][0]["message"]["content"].as_str().expect("a text");
    assert!(!text.is_empty());
    assert!(0 < unary["usage"]["completion_tokens"].as_u64().unwrap());
    let again = cluster.caller().chat("demo").await.ok();
    assert_eq!(again["choices"], unary["choices"], "the same question has the same answer");
    let stream = cluster.caller().post("/v1/chat/completions", crate::harness::client::stream_body("demo")).await;
    assert_eq!(stream.status(), 200);
    assert!(stream.text().ends_with("data: [DONE]\n\n"), "{}", stream.text());
    let embedding = cluster.caller().post("/v1/embeddings", r#"{"model":"demo","input":"hello"}"#).await.ok();
    assert!(embedding["data"][0]["embedding"].is_array());
}
