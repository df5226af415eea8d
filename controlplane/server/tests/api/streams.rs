//! What proxies are told, when, and how much of it.

use serde_json::{Value, json};
use tonic::Code;
use vocab::Digest;
use wire::{Rejected, to_proxy};

use crate::house::{DOCUMENTS, House, JOIN};
use crate::proxy::{Held, Proxy, channel, hello};

async fn house() -> House {
    let house = House::start().await;
    house.apply(DOCUMENTS).await.is(200);
    house
}

async fn describe(house: &House, text: &str) {
    house.call("PATCH", "/v1/keys/bench", json!({"metadata": {"env": text}}).to_string()).await.is(200);
}

async fn proxies(house: &House) -> Value {
    house.get("/v1/proxies").await.is(200).json()
}

/// Asks until it is so: acknowledgements travel by themselves.
async fn eventually(house: &House, is_so: impl Fn(&Value) -> bool) -> Value {
    loop {
        let answer = proxies(house).await;
        if is_so(&answer) {
            return answer;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_new_proxy_gets_everything_and_then_what_changes() {
    let house = house().await;
    let mut proxy = Proxy::join(&house, "edge", Held::default()).await;
    let parts = proxy.update().await;
    assert_eq!((parts.len(), parts[0].from, parts[0].to), (1, 0, 1));
    // A provider, a model, a key and its policy; teams are no proxy's business.
    assert_eq!(parts[0].upserts.len(), 4);
    let status = house.get("/v1/status").await.json();
    assert_eq!(status["digest"], proxy.held.digest().to_string());
    assert_eq!(status["store"]["id"], parts[0].store);
    proxy.ack().await;

    describe(&house, "one").await;
    let parts = proxy.update().await;
    assert_eq!((parts[0].from, parts[0].to, parts[0].upserts.len()), (1, 2, 1));
    proxy.ack().await;
    house.call("PUT", "/v1/teams/search", "description: x").await.is(200);
    let parts = proxy.update().await;
    assert_eq!((parts[0].to, parts[0].upserts.len(), parts[0].removals.len()), (3, 0, 0));
}

#[tokio::test]
async fn a_proxy_that_comes_back_is_told_what_it_missed_and_no_more() {
    let house = house().await;
    let mut proxy = Proxy::join(&house, "edge", Held::default()).await;
    proxy.reach(1).await;
    let held = proxy.held.clone();
    drop(proxy);
    describe(&house, "one").await;
    describe(&house, "two").await;
    house.call("POST", "/v1/keys", r#"{"name": "new", "models": ["*"], "team": "search"}"#).await.is(201);
    let mut proxy = Proxy::join(&house, "edge", held).await;
    let parts = proxy.update().await;
    assert_eq!((parts[0].from, parts[0].to, parts[0].upserts.len()), (1, 4, 2));
}

#[tokio::test]
async fn whoever_is_current_is_told_nothing_until_something_changes() {
    let house = house().await;
    let mut proxy = Proxy::join(&house, "edge", Held::default()).await;
    proxy.reach(1).await;
    let held = proxy.held.clone();
    drop(proxy);
    let mut proxy = Proxy::join(&house, "edge", held).await;
    assert!(matches!(proxy.message().await.unwrap(), to_proxy::Kind::Beat(beat) if beat.revision == 1));
    describe(&house, "one").await;
    assert_eq!(proxy.update().await[0].from, 1);
}

#[tokio::test]
async fn what_does_not_fit_is_sent_anew() {
    let house = house().await;
    let mut proxy = Proxy::join(&house, "edge", Held::default()).await;
    proxy.reach(1).await;
    let right = proxy.held.clone();
    drop(proxy);
    describe(&house, "one").await;

    let mut drifted = right.clone();
    drifted.rows.pop_first();
    let other = Held { store: "another".into(), ..right.clone() };
    // More than the store itself has: it was restored from a backup, and waiting would be in vain.
    let lost = Held { revision: 1000, ..right };
    for held in [drifted, other, lost] {
        let mut proxy = Proxy::join(&house, "edge", held).await;
        assert_eq!(proxy.update().await[0].from, 0);
        proxy.ack().await;
        proxy.reach(2).await;
    }
}

#[tokio::test]
async fn sending_anew_is_never_a_step_back() {
    let house = house().await;
    let mut first = Proxy::join(&house, "first", Held::default()).await;
    first.reach(1).await;
    house.call("POST", "/v1/keys/bench/revoke", "").await.is(200);
    first.reach(2).await;
    let mut drifted = first.held.clone();
    drifted.rows.pop_first();
    // What the first one was sent would do for a newcomer, but this one knows of the revocation.
    let mut proxy = Proxy::join(&house, "second", drifted).await;
    let parts = proxy.update().await;
    assert_eq!((parts[0].from, parts[0].to), (0, 2));
}

#[tokio::test]
async fn a_digest_that_differs_after_a_delta_is_healed_and_after_everything_is_an_error() {
    let house = house().await;
    let mut proxy = Proxy::join(&house, "edge", Held::default()).await;
    proxy.reach(1).await;
    describe(&house, "one").await;
    assert_eq!(proxy.update().await[0].from, 1);
    proxy.ack_with(Digest(1), Vec::new()).await;
    assert_eq!(proxy.update().await[0].from, 0);
    proxy.ack_with(Digest(1), Vec::new()).await;
    assert_eq!(proxy.part().await.unwrap_err().code(), Code::DataLoss);
}

#[tokio::test]
async fn a_slow_proxy_is_told_once_about_all_that_happened_meanwhile() {
    let house = house().await;
    let mut proxy = Proxy::join(&house, "edge", Held::default()).await;
    proxy.update().await;
    for text in ["one", "two", "three"] {
        describe(&house, text).await;
    }
    let mut other = Proxy::join(&house, "other", Held::default()).await;
    other.reach(4).await;
    // The other has heard of everything by now; this one has still to say that it has applied the first.
    proxy.ack().await;
    let parts = proxy.update().await;
    assert_eq!((parts[0].from, parts[0].to, parts[0].upserts.len()), (1, 4, 1));
    assert_eq!(proxy.held.rows, other.held.rows);
}

#[tokio::test]
async fn a_large_house_travels_in_parts() {
    let house = House::start().await;
    let key = |n: u32| json!({"kind": "Key", "name": format!("k{n}"), "sha256": format!("{n:064x}"), "models": ["*"], "metadata": {"note": "x".repeat(100)}});
    let keys: Vec<Value> = (1..=12_000).map(key).collect();
    house.call("POST", "/v1/apply", Value::Array(keys).to_string()).await.is(200);
    let mut proxy = Proxy::join(&house, "edge", Held::default()).await;
    let parts = proxy.update().await;
    assert!(parts.len() > 1);
    assert!(parts.iter().all(|part| (part.from, part.to) == (0, 1)));
    assert!(parts.iter().all(|part| prost::Message::encoded_len(part) <= (1 << 20) + 200));
    assert_eq!(proxy.held.rows.len(), 12_001);
}

#[tokio::test]
async fn the_operator_sees_who_holds_what_and_what_was_not_understood() {
    let house = house().await;
    assert_eq!(proxies(&house).await, json!({"revision": 1, "data": []}));
    let mut proxy = Proxy::join(&house, "edge", Held::default()).await;
    proxy.update().await;
    let row = |kind: vocab::Kind, id: &[u8]| Some(wire::Ref { kind: kind.number(), id: id.to_vec().into() });
    let model = Rejected { resource: row(vocab::Kind::Model, b"gpt-4o-mini"), why: "too new".into(), kept: true };
    let key =
        Rejected { resource: row(vocab::Kind::Key, &trust::hash_key("sk-bench-key").0), why: "x".into(), kept: false };
    proxy.ack_with(proxy.held.digest(), vec![model, key]).await;
    let answer = eventually(&house, |answer| answer["data"][0]["applied"] == 1).await;
    let edge = &answer["data"][0];
    assert_eq!(
        (&edge["name"], &edge["connected"], &edge["build"], &edge["schema"]),
        (&json!("edge"), &json!(true), &json!("test"), &json!(1))
    );
    assert_eq!(edge["digest"], proxy.held.digest().to_string());
    assert_eq!(
        edge["rejected"],
        json!([
            {"kind": "Model", "name": "gpt-4o-mini", "why": "too new", "kept": true},
            {"kind": "Key", "name": "bench", "why": "x", "kept": false},
        ])
    );
    assert_eq!(house.get("/v1/status").await.json()["proxies"], json!({"connected": 1, "current": 1}));
    drop(proxy);
    eventually(&house, |answer| answer["data"][0]["connected"] == false).await;
}

#[tokio::test]
async fn only_who_shows_the_token_is_let_in() {
    let house = house().await;
    for token in [None, Some("wrong"), Some(""), Some("join-token-of-the-test")] {
        let refused = Proxy::say(channel(&house).await, hello("edge", &Held::default()), Held::default(), token).await;
        assert_eq!(refused.err().unwrap().code(), Code::Unauthenticated, "{token:?}");
    }
    assert_eq!(proxies(&house).await["data"], json!([]));
}

#[tokio::test]
async fn who_does_not_introduce_itself_properly_is_told_why() {
    let house = house().await;
    let plain = || hello("edge", &Held::default());
    for (hello, code) in [
        (wire::Hello { proxy: "no good name".into(), ..plain() }, Code::InvalidArgument),
        (wire::Hello { proxy: String::new(), ..plain() }, Code::InvalidArgument),
        (wire::Hello { schema: 0, ..plain() }, Code::FailedPrecondition),
    ] {
        let mut proxy = Proxy::say(channel(&house).await, hello, Held::default(), Some(JOIN)).await.unwrap();
        assert_eq!(proxy.part().await.unwrap_err().code(), code);
    }
}

#[tokio::test]
async fn a_control_plane_that_stops_says_so_and_its_successor_goes_on() {
    let house = house().await;
    let mut proxy = Proxy::join(&house, "edge", Held::default()).await;
    proxy.reach(1).await;
    let held = proxy.held.clone();
    let (house, ended) = tokio::join!(house.restart(), async { proxy.part().await.unwrap_err().code() });
    assert_eq!(ended, Code::Unavailable);
    let mut proxy = Proxy::join(&house, "edge", held).await;
    describe(&house, "one").await;
    assert_eq!(proxy.update().await[0].from, 1);
}
