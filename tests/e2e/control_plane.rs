//! What an operator says, and how it is taken: whole or not at all, with every fault at once.

use serde_json::{Value, json};

use crate::harness::cluster::{ADMIN_TOKEN, JOIN_TOKEN};
use crate::harness::{Answer, Client, Cluster, Upstream};

/// To the letter what the front page shows.
const AS_WRITTEN: &str = r#"kind: Provider
name: mock
dialect: openai
baseUrl: http://127.0.0.1:18080/v1
credential: {value: sk-upstream}        # or {env: NAME}, {file: PATH}
---
kind: Model
name: gpt-4o-mini
targets: [{provider: mock, model: gpt-4o-mini}]
---
kind: Team
name: search
---
kind: Key
name: bench
team: search
secret: sk-bench-key                    # optional; or sha256: <hex>; omitted: generated, shown once
models: ["*"]
expires: 2030-01-01T00:00:00Z           # optional
metadata: {env: prod}
"#;

#[tokio::test]
async fn the_documents_of_the_front_page_work_as_written() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::builder().start().await;
    let answer = cluster.apply(AS_WRITTEN).await;
    let results = answer["results"].as_array().unwrap();
    let told: Vec<_> =
        results.iter().map(|it| (it["kind"].as_str(), it["name"].as_str(), it["change"].as_str())).collect();
    let created = |kind, name| (Some(kind), Some(name), Some("created"));
    let expected = [
        created("Provider", "mock"),
        created("Model", "gpt-4o-mini"),
        created("Team", "search"),
        created("Key", "bench"),
    ];
    assert_eq!(told, expected);
    let again = cluster.apply(AS_WRITTEN).await;
    assert!(again["results"].as_array().unwrap().iter().all(|it| it["change"] == "unchanged"), "{again}");
    assert_eq!(again["revision"], answer["revision"], "saying the same again changes nothing");
    let key = cluster.api().get("keys/bench").await.ok();
    assert_eq!(key["models"], json!(["*"]));
    assert_eq!(key["expires"], "2030-01-01T00:00:00Z");
    assert_eq!(key["metadata"], json!({"env": "prod"}));
    assert!(key["sha256"].is_string() && key["id"].is_string() && key.get("secret").is_none(), "{key}");
    let provider = cluster.api().get("providers/mock").await;
    assert!(!provider.text().contains("sk-upstream"), "{}", provider.text());
    let moved = json!({"baseUrl": format!("http://{}/v1", upstream.address)});
    let moved = cluster.api().patch("providers/mock", &moved).await.ok();
    cluster.caught_up(moved["revision"].as_u64().unwrap()).await;
    assert_eq!(cluster.caller().chat("gpt-4o-mini").await.status(), 200);
    assert_eq!(upstream.last().message.header("authorization"), Some("Bearer sk-upstream"), "the credential is kept");
}

#[tokio::test]
async fn every_fault_is_told_at_once_and_nothing_is_changed() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let before = cluster.api().revision().await;
    let bad = r#"
kind: Team
name: fine
---
kind: Provider
name: p
dialect: klingon
baseUrl: ftp://example.org
colour: blue
---
kind: Model
name: m
targets: [{provider: nowhere, model: x}, {provider: mock}]
---
kind: Key
name: k
team: nobody
models: "*"
---
kind: Team
name: fine
---
kind: Spaceship
name: x
---
just text
"#;
    let answer = cluster.api().apply(bad).await;
    assert_eq!(answer.refusal(), (400, "invalid_documents".into()), "{}", answer.text());
    let faults = answer.json()["error"]["faults"].as_array().unwrap().clone();
    let told = |document: u64, word: &str| {
        let of = faults.iter().filter(|fault| fault["document"] == document);
        let found = of.map(Value::to_string).any(|text| text.contains(word));
        assert!(found, "no fault of document {document} speaks of {word}: {faults:#?}");
    };
    told(1, "dialect");
    told(1, "baseUrl");
    told(1, "colour");
    told(2, "nowhere");
    told(2, "targets[1]");
    told(3, "nobody");
    told(3, "models");
    told(4, "fine");
    told(5, "Spaceship");
    told(6, "");
    assert!(faults.iter().all(|fault| fault["path"].is_string() && fault["message"].is_string()), "{faults:#?}");
    assert!(faults.iter().all(|fault| fault["document"] != 0), "the first document has no fault");
    assert_eq!(cluster.api().revision().await, before);
    assert_eq!(cluster.api().get("teams/fine").await.status(), 404, "it is one transaction");
}

#[tokio::test]
async fn ten_thousand_faults_are_counted_and_a_thousand_are_told() {
    let cluster = Cluster::builder().proxies(0).start().await;
    let documents: Vec<_> = (0..10_000)
        .map(|n| json!({"kind": "Model", "name": format!("m{n}"), "targets": [{"provider": "nowhere", "model": "x"}]}))
        .collect();
    let answer = cluster.api().post("apply", json!(documents).to_string()).await;
    assert_eq!(answer.refusal(), (400, "invalid_documents".into()));
    let error = &answer.json()["error"];
    assert_eq!(error["faults"].as_array().unwrap().len(), 1000);
    assert_eq!(error["faultsOmitted"], 9000);
    assert_eq!(error["faults"][999]["document"], 999);
}

#[tokio::test]
async fn documents_come_as_yaml_as_a_json_array_or_as_json_lines() {
    let cluster = Cluster::builder().proxies(0).start().await;
    let forms = [
        ("application/yaml", "{kind: Team, name: a}\n---\nkind: Team\nname: b\n"),
        ("application/json", r#"[{"kind":"Team","name":"c"},{"kind":"Team","name":"d"}]"#),
        ("application/json", "{\"kind\":\"Team\",\"name\":\"e\"}\n{\"kind\":\"Team\",\"name\":\"f\"}\n"),
        ("application/json", r#"{"kind":"Team","name":"g"}"#),
    ];
    for (form, text) in forms {
        let answer = cluster.api().client.with("content-type", form).post("/v1/apply", text).await;
        assert_eq!(answer.status(), 200, "{form} {text}: {}", answer.text());
    }
    assert_eq!(names(&cluster.api().get("teams").await.ok()), ["a", "b", "c", "d", "e", "f", "g"]);
    for text in ["{kind: Team, name: [", "[{\"kind\":", "", "\u{0}", "- - -"] {
        let answer = cluster.api().apply(text).await;
        assert_eq!(answer.status(), 400, "{text:?}: {}", answer.text());
        assert!(answer.json()["error"]["message"].is_string());
    }
}

fn names(list: &Value) -> Vec<String> {
    list["data"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_string()).collect()
}

#[tokio::test]
async fn an_outdated_writer_is_told_so() {
    let cluster = Cluster::builder().proxies(0).start().await;
    let api = cluster.api();
    let made = api.put("teams/a", &json!({"description": "one"})).await;
    assert_eq!(made.status(), 201, "{}", made.text());
    let tag = made.header("etag").expect("an ETag").to_string();
    assert_eq!(tag, format!("\"{}\"", made.json()["revision"]));
    let with = |name: &str, value: &str| api.client.clone().with(name, value);
    let write =
        |client: Client, text: &'static str| async move { client.send("PUT", "/v1/teams/a", text.as_bytes()).await };
    let second = write(with("if-match", &tag), r#"{"description":"two"}"#).await;
    assert_eq!(second.status(), 200, "{}", second.text());
    let outdated = write(with("if-match", &tag), r#"{"description":"three"}"#).await;
    assert_eq!(outdated.refusal(), (412, "precondition_failed".into()));
    let taken = write(with("if-none-match", "*"), r#"{"description":"four"}"#).await;
    assert_eq!(taken.status(), 412);
    let patch = with("if-match", &tag).send("PATCH", "/v1/teams/a", br#"{"description":"five"}"#).await;
    assert_eq!(patch.status(), 412);
    let delete = with("if-match", &tag).send("DELETE", "/v1/teams/a", b"").await;
    assert_eq!(delete.status(), 412);
    let read = api.get("teams/a").await;
    assert_eq!(read.json()["description"], "two");
    assert_eq!(read.header("etag"), second.header("etag"));
}

#[tokio::test]
async fn two_writers_of_one_document_never_lose_a_write() {
    let cluster = Cluster::builder().proxies(0).start().await;
    cluster.api().put("teams/a", &json!({"description": "0"})).await.ok();
    let writer = |api: crate::harness::Api| async move {
        let mut written = 0;
        while written < 20 {
            let read = api.get("teams/a").await;
            let count: u64 = read.json()["description"].as_str().unwrap().parse().unwrap();
            let client = api.client.clone().with("if-match", read.header("etag").unwrap());
            let body = json!({"description": (count + 1).to_string()}).to_string();
            let answer: Answer = client.send("PATCH", "/v1/teams/a", body.as_bytes()).await;
            assert!([200, 412].contains(&answer.status()), "{}", answer.text());
            written += u64::from(answer.status() == 200);
        }
    };
    tokio::join!(writer(cluster.api()), writer(cluster.api()), writer(cluster.api()));
    assert_eq!(cluster.api().get("teams/a").await.json()["description"], "60");
}

#[tokio::test]
async fn a_dry_run_tells_what_would_happen_and_changes_nothing() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let api = cluster.api();
    let before = api.revision().await;
    let answer =
        api.post("apply?dryRun=true", r#"[{"kind":"Team","name":"new"},{"kind":"Team","name":"search"}]"#).await.ok();
    let changes: Vec<_> = answer["results"].as_array().unwrap().iter().map(|it| it["change"].clone()).collect();
    assert_eq!(changes, ["created", "unchanged"]);
    assert_eq!(api.put("teams/new?dryRun=true", &json!({})).await.status(), 201);
    assert_eq!(api.patch("teams/search?dryRun=true", &json!({"description": "x"})).await.status(), 200);
    assert_eq!(api.delete("keys/bench?dryRun=true").await.status(), 204);
    assert_eq!(api.delete("providers/mock?dryRun=true").await.status(), 409, "a dry run finds faults");
    let minted = api.post("keys?dryRun=true", r#"{"kind":"Key","name":"k","models":["*"]}"#).await.ok();
    assert!(minted.get("secret").is_none(), "a key that does not exist has no secret to show: {minted}");
    assert_eq!(api.revision().await, before);
    assert_eq!(api.get("teams/new").await.refusal(), (404, "not_found".into()));
}

#[tokio::test]
async fn what_is_referred_to_cannot_be_deleted_and_all_referrers_are_named() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let answer = cluster.api().delete("providers/mock").await;
    assert_eq!(answer.refusal(), (409, "conflict".into()));
    for name in ["gpt-4o-mini", "small"] {
        assert!(answer.text().contains(name), "{}", answer.text());
    }
    assert_eq!(cluster.api().delete("teams/search").await.status(), 409);
    for path in ["models/gpt-4o-mini", "models/small", "providers/mock", "keys/bench", "teams/search"] {
        assert_eq!(cluster.api().delete(path).await.status(), 204, "{path}");
        assert_eq!(cluster.api().delete(path).await.status(), 404, "{path} again");
    }
}

#[tokio::test]
async fn a_merge_patch_changes_what_it_names_and_removes_what_it_nulls() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let api = cluster.api();
    let patched =
        api.patch("keys/bench", &json!({"metadata": {"env": null, "tier": "gold"}, "expires": null})).await.ok();
    assert_eq!(patched["metadata"], json!({"tier": "gold"}));
    assert!(patched.get("expires").is_none_or(Value::is_null), "{patched}");
    cluster.caught_up(patched["revision"].as_u64().unwrap()).await;
    assert_eq!(cluster.caller().chat("small").await.status(), 200, "the secret is still the same");
    let bad = api.patch("keys/bench", &json!({"models": 5, "colour": "blue"})).await;
    assert_eq!(bad.refusal(), (400, "invalid_documents".into()));
    assert_eq!(bad.json()["error"]["faults"].as_array().unwrap().len(), 2, "{}", bad.text());
    let renamed = api.patch("keys/bench", &json!({"name": "other"})).await;
    assert_eq!(renamed.status(), 400, "a name is for ever: {}", renamed.text());
}

#[tokio::test]
async fn lists_come_in_pages_and_names_may_have_slashes() {
    let cluster = Cluster::builder().proxies(0).start().await;
    let api = cluster.api();
    let teams: Vec<_> = (0..25).map(|n| json!({"kind": "Team", "name": format!("org/team-{n:02}")})).collect();
    api.post("apply", json!(teams).to_string()).await.ok();
    let (mut seen, mut path) = (Vec::new(), "teams?limit=10".to_string());
    loop {
        let page = api.get(&path).await.ok();
        seen.extend(names(&page));
        match page["next"].as_str() {
            Some(next) => path = format!("teams?limit=10&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, (0..25).map(|n| format!("org/team-{n:02}")).collect::<Vec<_>>());
    for path in ["teams/org/team-07", "teams/org%2Fteam-07"] {
        assert_eq!(api.get(path).await.ok()["name"], "org/team-07");
    }
    for path in ["teams?limit=0", "teams?limit=1001", "teams?limit=x", "teams?cursor=%00"] {
        assert_eq!(api.get(path).await.status(), 400, "{path}");
    }
    assert_eq!(api.get("spaceships").await.status(), 404);
}

#[tokio::test]
async fn what_is_exported_can_be_applied_again() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let exported = cluster.api().get("export").await;
    assert_eq!(exported.status(), 200);
    let text = exported.text();
    assert!(!text.contains("sk-bench-key") && !text.contains("sk-upstream"), "{text}");
    let again = cluster.api().apply(&text).await.ok();
    assert!(again["results"].as_array().unwrap().iter().all(|it| it["change"] == "unchanged"), "{again}");
    // Into another, empty control plane with the same seal keys: the same configuration, the same digest.
    let other = Cluster::builder().start().await;
    other.apply(&text).await;
    let digest = |status: &Value| status["digest"].clone();
    let (ours, theirs) = (cluster.api().get("status").await.ok(), other.api().get("status").await.ok());
    assert_eq!(digest(&ours), digest(&theirs));
    assert_eq!(other.caller().chat("small").await.status(), 200);
    assert_eq!(
        upstream.last().message.header("authorization"),
        Some(format!("Bearer {}", crate::harness::cluster::CREDENTIAL).as_str())
    );
    let array = cluster.api().client.with("accept", "application/json").get("/v1/export").await.ok();
    assert_eq!(array.as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn without_the_admin_token_nothing_is_told_or_done() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let front = cluster.control_planes[0].front;
    let almost = &ADMIN_TOKEN[..ADMIN_TOKEN.len() - 1];
    let strangers = [
        Client::new(front),
        Client::new(front).key("wrong"),
        Client::new(front).key(almost),
        Client::new(front).key(""),
        Client::new(front).key(JOIN_TOKEN),
        Client::new(front).key("sk-bench-key"),
        Client::new(front).with("authorization", &format!("Basic {ADMIN_TOKEN}")),
    ];
    for stranger in &strangers {
        for (method, path) in [
            ("GET", "/v1/providers"),
            ("GET", "/v1/keys/bench"),
            ("GET", "/v1/export"),
            ("GET", "/v1/usage"),
            ("GET", "/v1/status"),
            ("GET", "/v1/proxies"),
            ("GET", "/v1/no-such-thing"),
            ("POST", "/v1/apply"),
            ("POST", "/v1/keys"),
            ("PUT", "/v1/teams/x"),
            ("DELETE", "/v1/keys/bench"),
            ("POST", "/v1/keys/bench/rotate"),
        ] {
            let answer = stranger.send(method, path, b"{}").await;
            assert_eq!(answer.refusal(), (401, "unauthorized".into()), "{method} {path}");
        }
    }
    let open = Client::new(front).get("/openapi.json").await.ok();
    assert!(open["openapi"].as_str().unwrap().starts_with("3."));
    for path in ["/v1/apply", "/v1/keys/{name}", "/v1/usage", "/v1/proxies"] {
        assert!(
            open["paths"].get(path).is_some(),
            "{path} is not described: {:?}",
            open["paths"].as_object().unwrap().keys()
        );
    }
}

#[tokio::test]
async fn a_key_is_created_once_and_its_hash_belongs_to_one() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let again = cluster.api().post("keys", r#"{"kind":"Key","name":"bench","models":["*"]}"#).await;
    assert_eq!(again.refusal(), (409, "conflict".into()));
    let twin = cluster.api().apply("{kind: Key, name: twin, secret: sk-bench-key, models: ['*']}").await;
    assert_eq!(twin.refusal(), (400, "invalid_documents".into()), "{}", twin.text());
    assert!(twin.text().contains("bench") && !twin.text().contains("sk-bench-key"), "{}", twin.text());
    let aimless = cluster.api().apply("{kind: Key, name: aimless}").await;
    assert!(aimless.text().contains("models"), "a key without models says what it lacks: {}", aimless.text());
}

#[tokio::test]
async fn credentials_from_the_servers_own_environment_are_refused_with_advice() {
    let cluster = Cluster::builder().proxies(0).start().await;
    for credential in [json!({"env": "HOME"}), json!({"file": "/etc/passwd"}), json!({"env": "TURNPIKE_ADMIN_TOKEN"})] {
        let document = json!({"kind": "Provider", "name": "p", "dialect": "openai", "baseUrl": "http://127.0.0.1:1/v1", "credential": credential});
        let answer = cluster.api().post("apply", document.to_string()).await;
        assert_eq!(answer.status(), 400, "{}", answer.text());
        let ours = answer.text().contains("TURNPIKE_");
        assert!(ours || answer.text().contains("turnpike apply"), "it says what to do: {}", answer.text());
    }
}

#[tokio::test]
async fn the_status_and_the_proxies_tell_what_is_where() {
    let upstream = Upstream::start().await;
    let mut cluster = Cluster::builder().proxies(2).serving(&upstream).await;
    let status = cluster.api().get("status").await.ok();
    assert_eq!(status["store"]["kind"], "embedded");
    assert_eq!(status["resources"]["models"], 2);
    assert_eq!((&status["proxies"]["connected"], &status["proxies"]["current"]), (&json!(2), &json!(2)));
    let proxies = cluster.api().get("proxies").await.ok();
    assert_eq!(proxies["revision"], status["revision"]);
    for row in proxies["data"].as_array().unwrap() {
        assert_eq!((&row["applied"], &row["digest"]), (&status["revision"], &status["digest"]), "{row}");
        assert_eq!((&row["connected"], &row["rejected"]), (&json!(true), &json!([])), "{row}");
    }
    cluster.proxies[1].kill();
    crate::harness::eventually("the dead proxy is seen to be gone", async || {
        let rows = cluster.api().get("proxies").await.ok();
        rows["data"].as_array()?.iter().filter(|row| row["connected"] == true).count().eq(&1).then_some(())
    })
    .await;
}
