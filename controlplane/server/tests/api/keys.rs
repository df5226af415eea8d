//! Keys are minted, shown once, rotated and revoked.

use serde_json::json;

use crate::house::{DOCUMENTS, House};
use crate::proxy::{Held, Proxy};

#[tokio::test]
async fn a_minted_secret_is_shown_once_and_is_the_one_that_counts() {
    let house = House::start().await;
    let made = house.call("POST", "/v1/keys", r#"{"name": "k", "models": ["gpt-*"]}"#).await.is(201).json();
    let secret = made["secret"].as_str().unwrap();
    assert!(matches!(vocab::key::shape(secret), vocab::key::Shape::Ours(id) if json!(id) == made["id"]));
    assert_eq!(made["sha256"], trust::hash_key(secret).to_string());
    assert!(house.get("/v1/keys/k").await.json().get("secret").is_none());
    let again = house.call("POST", "/v1/keys", r#"{"name": "k", "models": ["*"]}"#).await.is(409);
    assert_eq!(again.code(), "conflict");
    // Put again without a secret it keeps the one it has.
    let put = house.call("PUT", "/v1/keys/k", r#"{"models": ["*"]}"#).await.is(200).json();
    assert_eq!((&put["sha256"], put.get("secret")), (&made["sha256"], None));
    house.call("POST", "/v1/keys", r#"{"kind": "Team", "name": "t"}"#).await.is(400);
    house.call("POST", "/v1/keys", r#"{"models": ["*"]}"#).await.is(400);
    let applied = house.apply("kind: Key\nname: other\nmodels: ['*']").await.is(200).json();
    assert!(applied["results"][0]["secret"].as_str().unwrap().starts_with("sk-tp-"));
}

#[tokio::test]
async fn a_secret_belongs_to_one_key() {
    let house = House::start().await;
    house.apply(DOCUMENTS).await.is(200);
    let refused =
        house.call("POST", "/v1/keys", r#"{"name": "twin", "secret": "sk-bench-key", "models": ["*"]}"#).await.is(400);
    assert_eq!(refused.json()["error"]["faults"][0]["path"], "Key/twin.sha256");
}

#[tokio::test]
async fn rotation_changes_the_secret_and_grace_keeps_the_old_one_for_a_while() {
    let house = House::start().await;
    house.apply(DOCUMENTS).await.is(200);
    let mut proxy = Proxy::join(&house, "edge", Held::default()).await;
    proxy.reach(1).await;
    let id = proxy.held.key("sk-bench-key").unwrap().id;

    let rotated = house.call("POST", "/v1/keys/bench/rotate", r#"{"graceSeconds": 60}"#).await.is(200).json();
    let secret = rotated["secret"].as_str().unwrap();
    proxy.reach(2).await;
    assert_eq!(proxy.held.key(secret).unwrap().id, id);
    let old = proxy.held.key("sk-bench-key").unwrap();
    let until: vocab::Timestamp = rotated["previous"]["until"].as_str().unwrap().parse().unwrap();
    assert_eq!((old.id, old.expires_ms), (id, until.as_ms()));

    house.call("POST", "/v1/keys/bench/rotate", r#"{"secret": "sk-chosen-secret"}"#).await.is(200);
    proxy.reach(3).await;
    assert!(proxy.held.key("sk-chosen-secret").is_some());
    assert!(proxy.held.key("sk-bench-key").is_none() && proxy.held.key(secret).is_none());
    for bad in [
        r#"{"graceSeconds": -1}"#,
        r#"{"graceSeconds": "1"}"#,
        r#"{"grace": 1}"#,
        r#"{"secret": "x"}"#,
        r#"{"secret": "sk-chosen-secret"}"#,
        "[]",
    ] {
        assert_eq!(house.call("POST", "/v1/keys/bench/rotate", bad).await.is(400).code(), "invalid_documents", "{bad}");
    }
    house.call("POST", "/v1/keys/none/rotate", "").await.is(404);
}

#[tokio::test]
async fn a_revoked_key_is_disabled_everywhere_and_can_come_back() {
    let house = House::start().await;
    house.apply(DOCUMENTS).await.is(200);
    let mut proxy = Proxy::join(&house, "edge", Held::default()).await;
    proxy.reach(1).await;
    assert!(!proxy.held.key("sk-bench-key").unwrap().disabled);
    assert_eq!(house.call("POST", "/v1/keys/bench/revoke", "").await.is(200).json()["disabled"], true);
    proxy.reach(2).await;
    assert!(proxy.held.key("sk-bench-key").unwrap().disabled);
    assert_eq!(house.call("POST", "/v1/keys/bench/revoke", "").await.is(200).etag(), "\"2\"");
    house.call("PATCH", "/v1/keys/bench", "disabled: false").await.is(200);
    proxy.reach(3).await;
    assert!(!proxy.held.key("sk-bench-key").unwrap().disabled);
    house.call("DELETE", "/v1/keys/bench", "").await.is(204);
    proxy.reach(4).await;
    assert!(proxy.held.key("sk-bench-key").is_none());
    house.call("POST", "/v1/keys/bench/revoke", "").await.is(404);
}
