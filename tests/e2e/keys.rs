//! Who may pass: keys known, unknown, mistyped, expired, disabled, rotated, imported, and what each may use.

use serde_json::{Value, json};

use crate::harness::cluster::KEY;
use crate::harness::{Client, Cluster, Upstream, eventually};

/// The SHA-256 of `sk-imported-from-elsewhere`.
const IMPORTED: &str = "087d513815e5bab16fc4455493eaeb3b33cec96a4c4d4685231d30fad76b3c67";

async fn refused(cluster: &Cluster, key: &str) {
    let answer = Client::new(cluster.proxies[0].front).key(key).chat("gpt-4o-mini").await;
    assert_eq!(answer.refusal(), (401, "invalid_api_key".into()), "{}", answer.text());
    let error = &answer.json()["error"];
    assert!(error["message"].is_string() && error["type"].is_string(), "the envelope SDKs read: {error}");
    assert!(error.get("param").is_some(), "{error}");
}

async fn served(cluster: &Cluster, key: &str) {
    let answer = Client::new(cluster.proxies[0].front).key(key).chat("gpt-4o-mini").await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
}

#[tokio::test]
async fn a_known_key_is_served_and_everything_else_is_401() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    served(&cluster, KEY).await;
    for key in ["sk-bench-key2", "sk-bench-ke", "SK-BENCH-KEY", "sk-tp-0-0", "x", "'; DROP TABLE keys; --"] {
        refused(&cluster, key).await;
    }
    let none = Client::new(cluster.proxies[0].front).chat("gpt-4o-mini").await;
    assert_eq!(none.refusal(), (401, "invalid_api_key".into()));
    let basic = Client::new(cluster.proxies[0].front).with("authorization", "Basic c2stYmVuY2gta2V5Og==");
    assert_eq!(basic.chat("gpt-4o-mini").await.status(), 401);
    assert_eq!(upstream.seen().len(), 1, "nothing that was refused reached the upstream");
}

#[tokio::test]
async fn the_key_is_found_in_every_header_that_clients_use() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    for name in ["x-api-key", "api-key", "x-goog-api-key", "x-portkey-api-key", "x-litellm-api-key"] {
        let caller = Client::new(cluster.proxies[0].front).with(name, KEY);
        let answer = caller.chat("gpt-4o-mini").await;
        assert_eq!(answer.status(), 200, "{name}: {}", answer.text());
        let wrong = Client::new(cluster.proxies[0].front).with(name, "sk-wrong").chat("gpt-4o-mini").await;
        assert_eq!(wrong.status(), 401, "{name}");
    }
    let lower = Client::new(cluster.proxies[0].front).with("authorization", &format!("bearer {KEY}"));
    assert_eq!(lower.chat("gpt-4o-mini").await.status(), 200, "the scheme's case does not matter");
}

#[tokio::test]
async fn a_minted_key_is_shown_once_works_and_a_slip_of_the_hand_is_refused() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let made = cluster.api().post("keys", r#"{"kind":"Key","name":"minted","models":["*"]}"#).await.ok();
    let secret = made["secret"].as_str().expect("the secret is shown once").to_string();
    assert!(secret.starts_with("sk-tp-"), "{secret}");
    cluster.caught_up(made["revision"].as_u64().unwrap()).await;
    served(&cluster, &secret).await;
    let read = cluster.api().get("keys/minted").await;
    assert!(!read.text().contains(&secret) && read.ok().get("secret").is_none());
    for at in [8, 25, secret.len() - 1] {
        let mut slipped = secret.clone().into_bytes();
        slipped[at] = if slipped[at] == b'a' { b'b' } else { b'a' };
        refused(&cluster, &String::from_utf8(slipped).unwrap()).await;
    }
    refused(&cluster, &secret[..secret.len() - 1]).await;
}

#[tokio::test]
async fn expired_and_disabled_keys_are_refused() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    cluster
        .apply(
            "{kind: Key, name: old, secret: sk-old-key-0, models: ['*'], expires: 2020-01-01T00:00:00Z}\n---\n\
             {kind: Key, name: off, secret: sk-off-key-0, models: ['*'], disabled: true}\n",
        )
        .await;
    refused(&cluster, "sk-old-key-0").await;
    refused(&cluster, "sk-off-key-0").await;
    let on = cluster.api().patch("keys/off", &json!({"disabled": false})).await.ok();
    cluster.caught_up(on["revision"].as_u64().unwrap()).await;
    served(&cluster, "sk-off-key-0").await;
}

#[tokio::test]
async fn a_key_expires_at_its_time_without_any_change() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let soon = in_seconds(3);
    cluster
        .apply(&format!("{{kind: Key, name: brief, secret: sk-brief-key-0, models: ['*'], expires: '{soon}'}}"))
        .await;
    let caller = Client::new(cluster.proxies[0].front).key("sk-brief-key-0");
    let revision = cluster.api().revision().await;
    eventually("the key expires", async || (caller.chat("gpt-4o-mini").await.status() == 401).then_some(())).await;
    assert_eq!(cluster.api().revision().await, revision, "nobody changed anything");
}

#[tokio::test]
async fn a_key_may_use_what_its_globs_name_and_sees_only_that() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    cluster
        .apply(
            "{kind: Model, name: llama, targets: [{provider: mock, model: l}]}\n---\n\
             {kind: Model, name: org/llama-3, targets: [{provider: mock, model: l}]}\n---\n\
             {kind: Key, name: narrow, secret: sk-narrow-key-0, models: ['gpt-*', '?lama']}\n",
        )
        .await;
    let caller = Client::new(cluster.proxies[0].front).key("sk-narrow-key-0");
    for (model, status) in [("gpt-4o-mini", 200), ("llama", 200), ("small", 403), ("org/llama-3", 403), ("nope", 404)] {
        let answer = caller.chat(model).await;
        assert_eq!(answer.status(), status, "{model}: {}", answer.text());
    }
    assert_eq!(caller.chat("small").await.refusal(), (403, "model_not_allowed".into()));
    let list = caller.get("/v1/models").await.ok();
    assert_eq!(ids(&list), ["gpt-4o-mini", "llama"]);
    assert_eq!(ids(&cluster.caller().get("/v1/models").await.ok()).len(), 4);
}

fn ids(list: &Value) -> Vec<String> {
    assert_eq!(list["object"], "list");
    let mut ids: Vec<_> =
        list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_string()).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn a_rotated_key_has_its_grace_and_no_more() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let turned = cluster.api().post("keys/bench/rotate", r#"{"graceSeconds": 3600}"#).await.ok();
    let second = turned["secret"].as_str().expect("the new secret is shown once").to_string();
    cluster.caught_up(turned["revision"].as_u64().unwrap()).await;
    served(&cluster, KEY).await;
    served(&cluster, &second).await;
    let turned =
        cluster.api().post("keys/bench/rotate", r#"{"graceSeconds": 0, "secret": "sk-third-key-0"}"#).await.ok();
    cluster.caught_up(turned["revision"].as_u64().unwrap()).await;
    served(&cluster, "sk-third-key-0").await;
    refused(&cluster, &second).await;
}

#[tokio::test]
async fn the_grace_of_a_rotated_key_ends_by_itself() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let turned = cluster.api().post("keys/bench/rotate", r#"{"graceSeconds": 3}"#).await.ok();
    let second = turned["secret"].as_str().unwrap().to_string();
    cluster.caught_up(turned["revision"].as_u64().unwrap()).await;
    let old = cluster.caller();
    eventually("the grace ends", async || (old.chat("gpt-4o-mini").await.status() == 401).then_some(())).await;
    served(&cluster, &second).await;
}

#[tokio::test]
async fn a_key_known_only_by_its_hash_works() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    cluster.apply(&format!("{{kind: Key, name: imported, sha256: {IMPORTED}, models: ['*']}}")).await;
    served(&cluster, "sk-imported-from-elsewhere").await;
}

#[tokio::test]
async fn a_deleted_key_is_refused() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    assert_eq!(cluster.api().delete("keys/bench").await.status(), 204);
    let caller = cluster.caller();
    eventually("the key is gone", async || (caller.chat("gpt-4o-mini").await.status() == 401).then_some(())).await;
}

/// RFC 3339, that many seconds from now.
pub(crate) fn in_seconds(seconds: u64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + seconds;
    let (days, rest) = (now / 86_400, now % 86_400);
    // Days to a date, after Howard Hinnant: years begin in March, so that the leap day is the last.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest % 3600 / 60, rest % 60)
}

#[test]
fn in_seconds_is_a_date() {
    assert_eq!(in_seconds(0).len(), "2026-01-01T00:00:00Z".len());
}
