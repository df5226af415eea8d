//! Documents in, documents out.

use serde_json::{Value, json};

use crate::house::{DOCUMENTS, House};

#[tokio::test]
async fn the_first_documents_work_as_they_are_written() {
    let house = House::start().await;
    let applied = house.apply(DOCUMENTS).await.is(200).json();
    assert_eq!(applied["revision"], 1);
    let results: Vec<_> =
        applied["results"].as_array().unwrap().iter().map(|r| (r["kind"].clone(), r["change"].clone())).collect();
    let kinds = ["Provider", "Model", "Team", "Key"];
    assert_eq!(results, kinds.map(|kind| (json!(kind), json!("created"))));
    assert!(applied["results"].as_array().unwrap().iter().all(|result| result.get("secret").is_none()));

    let key = house.get("/v1/keys/bench").await.is(200).json();
    assert_eq!(key["sha256"], trust::hash_key("sk-bench-key").to_string());
    assert_eq!(
        (&key["team"], &key["expires"], &key["metadata"]),
        (&json!("search"), &json!("2030-01-01T00:00:00Z"), &json!({"env": "prod"}))
    );
    let model = house.get("/v1/models/gpt-4o-mini").await.is(200).json();
    assert_eq!(model["targets"], json!([{"provider": "mock", "model": "gpt-4o-mini"}]));
    assert_eq!(house.get("/v1/providers/mock").await.is(200).json()["credential"], json!({"sealed": true}));
    assert_eq!(
        house.get("/v1/teams/search").await.is(200).json(),
        json!({"kind": "Team", "name": "search", "revision": 1})
    );

    let again = house.apply(DOCUMENTS).await.is(200).json();
    assert_eq!(again["revision"], 1);
    assert!(again["results"].as_array().unwrap().iter().all(|result| result["change"] == "unchanged"));
}

#[tokio::test]
async fn what_is_in_force_survives_a_restart() {
    let house = House::start().await;
    house.apply(DOCUMENTS).await.is(200);
    let before = house.get("/v1/status").await.json();
    let house = house.restart().await;
    let after = house.get("/v1/status").await.json();
    for same in ["revision", "digest", "resources", "store"] {
        assert_eq!(before[same], after[same], "{same}");
    }
    assert_eq!(after["resources"]["keys"], 1);
}

#[tokio::test]
async fn every_fault_is_told_at_once_and_nothing_is_changed() {
    let house = House::start().await;
    let documents = r#"
kind: Team
name: fine
---
kind: Model
name: gpt
targets: [{provider: nobody, model: x}, {provider: nobody-else, modle: y}]
---
kind: Key
name: k
team: fine
secret: short
modells: ["*"]
---
kind: Provider
name: p
dialect: openai
baseUrl: ftp://x
timeouts: {connectMs: fast}
---
kind: Unicorn
name: u
---
kind: Team
name: fine
"#;
    let refused = house.apply(documents).await.is(400);
    assert_eq!(refused.code(), "invalid_documents");
    let faults: Vec<(u64, String)> = refused.json()["error"]["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| (fault["document"].as_u64().unwrap(), fault["path"].as_str().unwrap().to_owned()))
        .collect();
    for (document, path) in [
        (1, "Model/gpt.targets[1].modle"),
        (1, "Model/gpt.targets[1].model"),
        (2, "Key/k.secret"),
        (2, "Key/k.modells"),
        (2, "Key/k.models"),
        (3, "Provider/p.baseUrl"),
        (3, "Provider/p.timeouts.connectMs"),
        (4, "kind"),
        (5, "Team/fine"),
    ] {
        assert!(faults.contains(&(document, path.to_owned())), "{document} {path} in {faults:?}");
    }
    assert!(!refused.text.contains("short"), "a fault must not repeat what may be a secret");
    assert_eq!(house.revision().await, 0);
}

#[tokio::test]
async fn ten_thousand_faults_are_counted_and_a_thousand_told() {
    let house = House::start().await;
    let documents: Vec<Value> =
        (0..10_000).map(|n| json!({"kind": "User", "name": format!("u{n}"), "team": "nobody"})).collect();
    let refused = house.call("POST", "/v1/apply", Value::Array(documents).to_string()).await.is(400).json();
    assert_eq!(refused["error"]["faults"].as_array().unwrap().len(), 1000);
    assert_eq!(refused["error"]["faultsOmitted"], 9000);
    assert!(refused["error"]["message"].as_str().unwrap().starts_with("10000 faults"));
}

#[tokio::test]
async fn no_more_faults_are_kept_than_anybody_reads_and_the_rest_is_counted() {
    let house = House::start().await;
    let refused = house.call("POST", "/v1/apply", format!("[{}1]", "1,".repeat(29_999))).await.is(400).json();
    assert_eq!(refused["error"]["faults"].as_array().unwrap().len(), 1000);
    assert_eq!(refused["error"]["faultsOmitted"], 29_000);
    assert!(refused["error"]["message"].as_str().unwrap().starts_with("30000 faults"));

    let refused = house.call("POST", "/v1/apply", format!("[{}1]", "1,".repeat(200_000))).await.is(413).json();
    assert_eq!(refused["error"]["code"], "too_large");
    assert!(refused["error"]["message"].as_str().unwrap().contains("in parts"));
}

#[tokio::test]
async fn credentials_and_secrets_can_never_be_read_back() {
    let house = House::start().await;
    house.apply(DOCUMENTS).await.is(200);
    let minted = house.call("POST", "/v1/keys", r#"{"name": "m", "models": ["*"]}"#).await.is(201).json();
    let minted = minted["secret"].as_str().unwrap().to_owned();
    let paths = [
        "/v1/providers",
        "/v1/providers/mock",
        "/v1/keys",
        "/v1/keys/bench",
        "/v1/keys/m",
        "/v1/export",
        "/v1/status",
        "/v1/proxies",
        "/v1/usage",
    ];
    for path in paths {
        for accept in ["application/json", "*/*"] {
            let text = house.call_with("GET", path, &[("accept", accept)], "").await.is(200).text;
            for secret in ["sk-upstream", "sk-bench-key", &minted] {
                assert!(!text.contains(secret), "{secret} in {path}");
            }
        }
    }
    let house = house.restart().await;
    let mut files = 0;
    for entry in std::fs::read_dir(house.dir()).unwrap() {
        let Ok(bytes) = std::fs::read(entry.unwrap().path()) else { continue };
        files += 1;
        for secret in ["sk-upstream", "sk-bench-key", &minted] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret} on disk");
        }
    }
    assert!(files > 0);
}

#[tokio::test]
async fn an_export_applied_again_changes_nothing_and_elsewhere_makes_the_same() {
    let (house, other) = (House::start().await, House::start().await);
    house.apply(DOCUMENTS).await.is(200);
    house.apply("kind: Provider\nname: demo\ndialect: openai\ndemo: {latencyMs: 5}\n---\nkind: User\nname: ann\nemail: ann@example.com\nteam: search\n").await.is(200);
    for accept in ["application/yaml", "application/json"] {
        let export = house.call_with("GET", "/v1/export", &[("accept", accept)], "").await.is(200);
        assert_eq!(export.headers["content-type"], accept);
        let again = house.apply(&export.text).await.is(200).json();
        assert!(again["results"].as_array().unwrap().iter().all(|result| result["change"] == "unchanged"), "{again}");
        other.apply(&export.text).await.is(200);
    }
    let digest = async |house: &House| house.get("/v1/status").await.json()["digest"].clone();
    assert_eq!(digest(&house).await, digest(&other).await);
    assert_eq!(other.revision().await, 1);
}

#[tokio::test]
async fn lists_come_in_pages_sorted_and_complete() {
    let house = House::start().await;
    let documents: Vec<Value> = (0..25).map(|n| json!({"kind": "Team", "name": format!("t/{n:02}")})).collect();
    house.call("POST", "/v1/apply", Value::Array(documents).to_string()).await.is(200);
    let (mut names, mut cursor, mut pages) = (Vec::new(), None::<String>, 0);
    loop {
        let more = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let page = house.get(&format!("/v1/teams?limit=10{more}")).await.is(200).json();
        names.extend(page["data"].as_array().unwrap().iter().map(|team| team["name"].as_str().unwrap().to_owned()));
        pages += 1;
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((pages, names.len()), (3, 25));
    assert!(names.is_sorted());
    for bad in ["limit=0", "limit=1001", "limit=x", "cursor=zz", "lmit=1"] {
        assert_eq!(house.get(&format!("/v1/teams?{bad}")).await.is(400).code(), "bad_request");
    }
}

#[tokio::test]
async fn credentials_of_the_environment_are_the_command_lines_business() {
    let house = House::start().await;
    let document =
        "kind: Provider\nname: p\ndialect: openai\nbaseUrl: http://127.0.0.1:1/v1\ncredential: {env: HOME}\n";
    let refused = house.apply(document).await.is(400).json();
    let fault = &refused["error"]["faults"][0];
    assert_eq!(fault["path"], "Provider/p.credential.env");
    assert!(fault["message"].as_str().unwrap().contains("turnpike apply"));
    let open = House::start_with(&["--credentials-from-environment"]).await;
    open.apply(document).await.is(200);
}
