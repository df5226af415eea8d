//! What must not be seen is not to be found: not in logs, metrics, dumps, API answers or files.

use std::time::Duration;

use serde_json::json;

use crate::harness::client::chat_body;
use crate::harness::cluster::{ADMIN_TOKEN, CREDENTIAL, JOIN_TOKEN, SEAL_KEY};
use crate::harness::{Client, Cluster, Step, Store, Upstream, eventually};

const PROMPT: &str = "prompt-marker-9f21c07d";
const ANSWER: &str = "answer-marker-0c77be13";
const SECRET: &str = "sk-key-marker-6a40d9f2";
const WRONG: &str = "sk-wrong-marker-44f1";

/// Everything that can go right and wrong, with a marker in every secret place.
async fn busy(cluster: &Cluster, upstream: &Upstream) -> Vec<String> {
    let mut secrets: Vec<String> =
        [ADMIN_TOKEN, CREDENTIAL, JOIN_TOKEN, SEAL_KEY, PROMPT, ANSWER, SECRET, WRONG].map(String::from).into();
    let api = cluster.api();
    cluster.apply(&format!("{{kind: Key, name: marked, team: search, secret: {SECRET}, models: ['*']}}")).await;
    let minted = api.post("keys", r#"{"kind":"Key","name":"minted","models":["*"]}"#).await.ok();
    secrets.push(minted["secret"].as_str().unwrap().into());
    let turned = api.post("keys/minted/rotate", r#"{"graceSeconds":60}"#).await.ok();
    secrets.push(turned["secret"].as_str().unwrap().into());
    cluster.caught_up(turned["revision"].as_u64().unwrap()).await;
    let body = chat_body("small").replace("hello", PROMPT);
    upstream.on("upstream-small", crate::harness::script::json(&format!(r#"{{"choices":[],"text":"{ANSWER}"}}"#)));
    let caller = Client::new(cluster.proxies[0].front).key(SECRET);
    caller.post("/v1/chat/completions", &body).await.ok();
    caller.post("/v1/chat/completions", body.replace("small", "no-such-model")).await;
    caller.post("/v1/chat/completions", &body[..body.len() - 1]).await;
    Client::new(cluster.proxies[0].front).key(WRONG).post("/v1/chat/completions", &body).await;
    caller.get(&format!("/v1/models/none?key={WRONG}")).await;
    upstream.on("upstream-small", vec![Step::Send(format!("{ANSWER} garbage\r\n\r\n").into_bytes()), Step::Close]);
    caller.post("/v1/chat/completions", &body).await;
    upstream.on("upstream-small", vec![Step::Reset]);
    caller.post("/v1/chat/completions", &body).await;
    // Faults in documents that hold secrets.
    for credential in [json!({"value": CREDENTIAL, "extra": 1}), json!(CREDENTIAL), json!({"sealed": CREDENTIAL})] {
        let document = json!({"kind": "Provider", "name": "p", "dialect": "openai", "baseUrl": "nonsense", "credential": credential});
        let answer = api.post("apply", document.to_string()).await;
        assert_eq!(answer.status(), 400);
        assert!(!answer.text().contains(CREDENTIAL), "a fault repeats the credential: {}", answer.text());
    }
    let answer =
        api.post("apply", json!({"kind": "Key", "name": "k", "secret": [SECRET], "models": 1}).to_string()).await;
    assert!(!answer.text().contains(SECRET), "{}", answer.text());
    let answer = api.apply(&format!("{{kind: Key, name: k, secret: {SECRET}, models: [")).await;
    assert!(!answer.text().contains(SECRET), "a syntax error repeats the text: {}", answer.text());
    Client::new(cluster.control_planes[0].front).key(WRONG).get("/v1/status").await;
    secrets
}

fn search(place: &str, text: &[u8], secrets: &[String]) {
    for secret in secrets {
        let found = text.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{secret} is to be found in {place}");
    }
}

#[tokio::test]
async fn no_secret_and_no_prompt_is_to_be_found_anywhere() {
    let upstream = Upstream::start().await;
    let mut cluster = Cluster::builder()
        .proxy_flags(&["--log", "trace"])
        .control_plane_flags(&["--log", "trace"])
        .serving(&upstream)
        .await;
    let secrets = busy(&cluster, &upstream).await;
    for (plane, paths) in [
        (cluster.proxies[0].ops(), ["/metrics", "/snapshot", "/readyz", "/livez"].as_slice()),
        (cluster.control_planes[0].ops(), ["/metrics", "/readyz", "/livez"].as_slice()),
    ] {
        for path in paths {
            let answer = plane.get(path).await;
            assert_eq!(answer.status(), 200, "{path}");
            search(path, &answer.0.body, &secrets);
            search(path, &answer.0.head, &secrets);
        }
    }
    let api = cluster.api();
    for path in [
        "providers",
        "providers/mock",
        "models",
        "keys",
        "keys/marked",
        "keys/minted",
        "teams",
        "proxies",
        "status",
        "export",
        "usage?groupBy=team,key,model,provider,minute",
    ] {
        search(path, &api.get(path).await.0.body, &secrets);
    }
    search("/openapi.json", &api.client.get("/openapi.json").await.0.body, &secrets);
    // Once more at rest: after both planes have written what they write.
    let dataplane = cluster.dir.join("dataplane-0");
    eventually("the last good is written", async || {
        (!crate::harness::temp::files_below(&dataplane).is_empty()).then_some(())
    })
    .await;
    cluster.proxies[0].process().signal("TERM");
    cluster.proxies[0].process().ended(Duration::from_secs(20)).await;
    cluster.control_planes[0].process().signal("TERM");
    cluster.control_planes[0].process().ended(Duration::from_secs(20)).await;
    let files = cluster.dir.files();
    assert!(3 < files.len(), "logs and stores were searched");
    for (path, content) in files {
        search(&path.display().to_string(), &content, &secrets);
    }
}

#[tokio::test]
async fn etcd_holds_no_secret_either() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::builder().store(Store::Etcd(1)).serving(&upstream).await;
    let secrets = busy(&cluster, &upstream).await;
    let all = cluster.etcd.as_ref().unwrap().everything().await;
    assert!(all.contains("marked"), "the keys were looked at: {all}");
    search("etcd", all.as_bytes(), &secrets);
}

#[tokio::test]
async fn without_the_seal_keys_a_copy_of_the_store_tells_no_credential() {
    let upstream = Upstream::start().await;
    let mut cluster = Cluster::serving(&upstream).await;
    cluster.control_planes[0].process().signal("TERM");
    cluster.control_planes[0].process().ended(Duration::from_secs(20)).await;
    let mut command = std::process::Command::new(crate::harness::process::binary("turnpike-controlplane"));
    command.args(["--api-listen", "127.0.0.1:0", "--planes-listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
    command.args(["--admin-token", "thief-0123456789abcdef", "--join-token", JOIN_TOKEN]);
    command.args(["--seal-keys", "dGhpZWYtdGhpZWYtdGhpZWYtdGhpZWYtdGhpZWYtMTI=", "--store", "embedded", "--data-dir"]);
    command.arg(cluster.control_plane_dir(0));
    let mut process = crate::harness::process::Process::start(&mut command, &cluster.dir.join("thief.log"));
    // It may refuse to start; if it starts, the credential is as closed to it as to anybody.
    let started = eventually("it starts or ends", async || {
        let ready = process.lines().into_iter().find(|line| crate::harness::process::field(line, "message") == "ready");
        if let Some(line) = ready {
            return Some(Some(line));
        }
        (!process.is_running()).then_some(None)
    })
    .await;
    if let Some(line) = started {
        let api = Client::new(crate::harness::process::address(&line, "api")).key("thief-0123456789abcdef");
        for path in ["/v1/providers/mock", "/v1/export"] {
            search(path, &api.get(path).await.0.body, &[CREDENTIAL.into()]);
        }
    }
    search("the log", process.said().as_bytes(), &[CREDENTIAL.into()]);
}
