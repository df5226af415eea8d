//! Attacks on the border: by key, by path, by host, by header, by framing.

use serde_json::json;

use crate::harness::client::chat_body;
use crate::harness::cluster::{CREDENTIAL, KEY};
use crate::harness::http::Message;
use crate::harness::script::{self, answer};
use crate::harness::{Client, Cluster, Step, Upstream};

const CHATS: &str = "/v1/chat/completions";

/// The whole request as the upstream saw it.
fn text(message: &Message) -> String {
    String::from_utf8_lossy(&message.head).into_owned() + &String::from_utf8_lossy(&message.body)
}

fn without_ids(answer: &crate::harness::Answer) -> String {
    let id = answer.header("x-turnpike-request-id").unwrap_or("-");
    answer.text().replace(id, "ID")
}

#[tokio::test]
async fn any_authorization_whatsoever_is_refused_in_the_same_words() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let unknown = Client::new(cluster.proxies[0].front).key("sk-unknown").chat("small").await;
    let mut seed = 88_172_645_463_325_252u64;
    let mut roll = move |sides: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % sides
    };
    let mut raw = cluster.caller().connect().await;
    for _ in 0..2000 {
        let length = roll(200);
        let value: Vec<u8> = (0..length).map(|_| u8::try_from(0x20 + roll(0x5f)).unwrap()).collect();
        let prefix: &[u8] = if roll(2) == 0 { b"Bearer " } else { b"" };
        let body = chat_body("small");
        let head = format!(
            "POST {CHATS} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nauthorization: ",
            body.len()
        );
        raw.write(&[head.as_bytes(), prefix, &value, b"\r\n\r\n", body.as_bytes()].concat()).await.unwrap();
        let told = raw.answer().await.unwrap();
        assert_eq!(told.refusal(), (401, "invalid_api_key".into()), "{:?}", String::from_utf8_lossy(&value));
        if !prefix.is_empty() && value.iter().any(|byte| *byte != b' ') && !value.starts_with(b"sk-tp-") {
            assert_eq!(without_ids(&told), without_ids(&unknown), "{:?}", String::from_utf8_lossy(&value));
        }
    }
    assert_eq!(upstream.seen().len(), 0);
}

#[tokio::test]
async fn no_spelling_of_a_path_gets_around_the_key() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let front = cluster.proxies[0].front;
    let body = chat_body("small");
    let spellings = [
        "/v1/chat/completions",
        "/v1/chat/completions/",
        "//v1/chat/completions",
        "/v1//chat/completions",
        "/v1/./chat/completions",
        "/v1/models/../chat/completions",
        "/v1/chat%2fcompletions",
        "/v1/chat%2Fcompletions",
        "/%76%31/chat/completions",
        "/v1/chat/completions%00",
        "/v1/chat/completions;x=y",
        "/v1/chat/completions?key=",
        "/v1/chat/completions#x",
        "/V1/CHAT/COMPLETIONS",
        "/v1/chat/completions%20",
        "/livez/../v1/chat/completions",
        "http://localhost/v1/chat/completions",
        "http://evil.example/v1/chat/completions",
        "/\\v1/chat/completions",
        "/v1/embeddings",
        "/v1/completions",
        "/v1/models",
        "/v1/models/small",
        "*",
    ];
    for spelling in spellings {
        for host in ["x", "localhost", "169.254.169.254", "admin:9901", "x/../livez"] {
            let mut raw = Client::new(front).connect().await;
            let request =
                format!("POST {spelling} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            raw.write(request.as_bytes()).await.unwrap();
            if let Ok(told) = raw.answer().await {
                assert!((400..500).contains(&told.status()), "{spelling} {host}: {}", told.status());
            }
            let mut raw = Client::new(front).connect().await;
            raw.write(format!("GET {spelling} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).await.unwrap();
            if let Ok(told) = raw.answer().await {
                assert!(
                    (400..500).contains(&told.status()),
                    "GET {spelling} {host}: {} {}",
                    told.status(),
                    told.text()
                );
            }
        }
    }
    assert_eq!(upstream.seen().len(), 0);
    // With a key, only the plain spelling is the plain path.
    for spelling in
        ["/v1//chat/completions", "/v1/chat%2fcompletions", "/v1/models/../chat/completions", "/V1/CHAT/COMPLETIONS"]
    {
        let told = cluster.caller().post(spelling, &body).await;
        assert!([400, 404, 405].contains(&told.status()), "{spelling}: {}", told.status());
    }
}

#[tokio::test]
async fn operations_and_administration_are_not_on_the_traffic_port() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    for path in [
        "/metrics",
        "/snapshot",
        "/readyz",
        "/livez",
        "/v1/keys",
        "/v1/providers",
        "/v1/apply",
        "/v1/export",
        "/openapi.json",
    ] {
        let told = cluster.caller().get(path).await;
        assert_eq!(told.status(), 404, "{path}: {}", told.text());
    }
    for path in ["/metrics", "/v1/snapshot"] {
        let told = Client::new(cluster.control_planes[0].front).get(path).await;
        assert!([401, 404].contains(&told.status()), "{path}");
    }
}

#[tokio::test]
async fn no_caller_chooses_the_host() {
    let (upstream, canary) = (Upstream::start().await, Upstream::start().await);
    let cluster = Cluster::serving(&upstream).await;
    let url = format!("http://{}/v1", canary.address);
    let names = [
        "x-portkey-custom-host",
        "x-portkey-provider",
        "x-portkey-config",
        "x-turnpike-base-url",
        "x-turnpike-provider",
        "x-forwarded-host",
        "forwarded",
        "x-original-url",
        "x-rewrite-url",
        "x-upstream",
        "x-base-url",
        "api-base",
        "via",
    ];
    for name in names {
        let told = cluster.caller().with(name, &url).chat("small").await;
        assert_eq!(told.status(), 200, "{name}: {}", told.text());
        let seen = text(&upstream.last().message);
        assert!(!seen.contains(&canary.address.to_string()), "{name} is passed on: {seen}");
    }
    let host = canary.address.to_string();
    for (target, host) in [(CHATS.to_string(), host.clone()), (format!("http://{host}{CHATS}"), host.clone())] {
        let body = chat_body("small");
        let request = format!(
            "POST {target} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut raw = cluster.caller().connect().await;
        raw.write(request.as_bytes()).await.unwrap();
        let told = raw.answer().await.unwrap();
        assert!([200, 400, 404, 421].contains(&told.status()), "{}", told.status());
    }
    let body =
        format!(r#"{{"model":"small","api_base":"{url}","base_url":"{url}","baseUrl":"{url}","custom_host":"{url}"}}"#);
    assert_eq!(cluster.caller().post(CHATS, body).await.status(), 200);
    for name in ["small@evil", "http://evil/small", "mock/../small", "//evil/x"] {
        assert_eq!(cluster.caller().chat(name).await.status(), 404);
    }
    for seen in upstream.seen() {
        assert_eq!(seen.message.header("host"), Some(upstream.address.to_string().as_str()));
    }
    assert_eq!(canary.seen().len(), 0);
}

#[tokio::test]
async fn a_redirect_is_handed_to_the_caller_and_not_followed() {
    let (upstream, canary) = (Upstream::start().await, Upstream::start().await);
    let cluster = Cluster::serving(&upstream).await;
    for status in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let location = format!("location: http://{}/v1/chat/completions\r\n", canary.address);
        upstream.on("upstream-small", vec![Step::Send(answer(status, &location, "{}"))]);
        let told = cluster.caller().chat("small").await;
        assert!(told.0.first.contains(&status[..3]) || told.status() == 502, "{status}: {}", told.0.first);
    }
    assert_eq!(canary.seen().len(), 0);
}

#[tokio::test]
async fn link_local_and_metadata_addresses_are_refused_however_they_are_spelt() {
    let cluster = Cluster::builder().start().await;
    let spellings = [
        "http://169.254.169.254/v1",
        "http://169.254.0.1:8080/v1",
        "http://2852039166/v1",
        "http://0xa9fea9fe/v1",
        "http://0251.0376.0251.0376/v1",
        "http://169.254.43518/v1",
        "http://[::ffff:169.254.169.254]/v1",
        "http://[::ffff:a9fe:a9fe]/v1",
        "http://[fe80::1]/v1",
        "http://[64:ff9b::a9fe:a9fe]/v1",
        "http://[fd00:ec2::254]/v1",
        "http://169.254.169.254./v1",
    ];
    for url in spellings {
        let documents = json!([
            {"kind": "Provider", "name": "p", "dialect": "openai", "baseUrl": url, "credential": {"value": "sk-x"}, "timeouts": {"connectMs": 1000}},
            {"kind": "Model", "name": "m", "targets": [{"provider": "p", "model": "x"}]},
            {"kind": "Key", "name": "bench", "secret": KEY, "models": ["*"]},
        ]);
        let applied = cluster.api().post("apply", documents.to_string()).await;
        if applied.status() == 400 {
            continue;
        }
        cluster.caught_up(applied.ok()["revision"].as_u64().unwrap()).await;
        let began = std::time::Instant::now();
        let told = cluster.caller().chat("m").await;
        assert_eq!(told.status(), 502, "{url}: {}", told.text());
        let took = began.elapsed();
        assert!(took < std::time::Duration::from_millis(900), "{url} was tried for {took:?} and not refused");
    }
}

#[tokio::test]
async fn a_name_that_resolves_to_a_forbidden_address_is_refused_at_connect() {
    // `localhost` is private and the operator's word, so it is served: the rule is for link-local addresses only.
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let moved = json!({"baseUrl": format!("http://localhost:{}/v1", upstream.address.port())});
    let moved = cluster.api().patch("providers/mock", &moved).await.ok();
    cluster.caught_up(moved["revision"].as_u64().unwrap()).await;
    assert_eq!(cluster.caller().chat("small").await.status(), 200);
    for url in [
        "http://user:pass@127.0.0.1/v1",
        "http://127.0.0.1/v1?x=y",
        "http://127.0.0.1/v1#x",
        "file:///etc/passwd",
        "http:///v1",
        "//x/v1",
    ] {
        let refused = cluster.api().patch("providers/mock", &json!({"baseUrl": url})).await;
        assert_eq!(refused.refusal(), (400, "invalid_documents".into()), "{url}: {}", refused.text());
    }
}

#[tokio::test]
async fn a_credential_goes_to_its_own_provider_only() {
    let (first, second) = (Upstream::start().await, Upstream::start().await);
    let cluster = Cluster::serving(&first).await;
    let address = second.address;
    cluster
        .apply(&format!(
            "{{kind: Provider, name: other, dialect: openai, baseUrl: 'http://{address}/v1', credential: {{value: sk-other-marker}}}}\n---\n\
             {{kind: Provider, name: bare, dialect: openai, baseUrl: 'http://{address}/v1'}}\n---\n\
             {{kind: Model, name: both, targets: [{{provider: mock, model: x}}, {{provider: other, model: y}}]}}\n---\n\
             {{kind: Model, name: other, targets: [{{provider: other, model: y}}]}}\n---\n\
             {{kind: Model, name: bare, targets: [{{provider: bare, model: z}}]}}\n"
        ))
        .await;
    for model in ["small", "other", "both", "bare", "other"] {
        assert_eq!(cluster.caller().chat(model).await.status(), 200);
    }
    assert!(first.seen().iter().all(|seen| !text(&seen.message).contains("sk-other-marker")));
    assert!(second.seen().iter().all(|seen| !text(&seen.message).contains(CREDENTIAL)));
    let bare = second.seen().into_iter().find(|seen| seen.message.body == chat_body("z").into_bytes()).unwrap();
    assert_eq!(bare.message.header("authorization"), None, "without a credential nothing is sent in its place");
}

#[tokio::test]
async fn the_callers_key_stays_here_and_the_providers_key_does_not_come_back() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let front = cluster.proxies[0].front;
    let extra = [
        ("cookie", "session=sk-cookie-marker"),
        ("x-api-key", KEY),
        ("api-key", KEY),
        ("x-goog-api-key", KEY),
        ("proxy-authorization", "Basic marker"),
        ("x-litellm-api-key", KEY),
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "hop-marker"),
        ("te", "trailers"),
        ("upgrade", "websocket"),
        ("x-turnpike-team", "spoofed-marker"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-proto", "https"),
        ("x-real-ip", "6.6.6.6"),
        ("forwarded", "for=6.6.6.6"),
        ("x-forwarded-user", "spoofed-marker"),
    ];
    for name in ["authorization", "x-api-key", "api-key"] {
        let value = if name == "authorization" { format!("Bearer {KEY}") } else { KEY.into() };
        let mut caller = Client::new(front);
        for (name, value) in extra {
            caller = caller.with(name, value);
        }
        let told = caller.with(name, &value).post(&format!("{CHATS}?key={KEY}"), chat_body("small")).await;
        if told.status() != 200 {
            assert!([400, 401, 404].contains(&told.status()), "{}", told.text());
            continue;
        }
        let seen = text(&upstream.last().message);
        for marker in
            [KEY, "sk-cookie-marker", "marker", "hop-marker", "spoofed-marker", "6.6.6.6", "websocket", "trailers"]
        {
            let left = seen.replace(CREDENTIAL, "");
            assert!(!left.contains(marker), "{marker} reached the upstream: {seen}");
        }
        assert!(!seen.to_lowercase().contains("x-turnpike"), "{seen}");
        let credential = upstream.last().message.header("authorization").map(String::from);
        assert_eq!(credential, Some(format!("Bearer {CREDENTIAL}")));
    }
    assert!(!upstream.seen().is_empty());
    let leaky = format!(
        "content-type: application/json\r\nauthorization: Bearer {CREDENTIAL}\r\nx-echo-authorization: {CREDENTIAL}\r\n\
         set-cookie: k={CREDENTIAL}\r\nx-api-key: {CREDENTIAL}\r\nconnection: keep-alive, x-hop\r\nx-hop: hop-marker\r\n\
         x-turnpike-provider: forged\r\nserver: leaky\r\nx-request-id: req_1\r\nopenai-processing-ms: 5\r\n"
    );
    upstream.on("upstream-small", vec![Step::Send(answer("200 OK", &leaky, script::CHAT))]);
    let told = cluster.caller().chat("small").await;
    let head = String::from_utf8_lossy(&told.0.head).into_owned();
    for marker in [CREDENTIAL, "hop-marker", "forged"] {
        assert!(!head.contains(marker), "{marker} came back: {head}");
    }
    assert_eq!(told.header("x-turnpike-provider"), Some("mock"));
    assert_eq!(told.header("x-request-id"), Some("req_1"), "what helps and hurts nobody is kept: {head}");
}

#[tokio::test]
async fn nobody_becomes_somebody_else_by_a_header() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    cluster
        .apply("{kind: Team, name: rich}\n---\n{kind: Key, name: poor, secret: sk-poor-key-0, models: ['gpt-*']}\n")
        .await;
    let mut caller = Client::new(cluster.proxies[0].front).key("sk-poor-key-0");
    for name in [
        "x-turnpike-team",
        "x-turnpike-key",
        "x-turnpike-user",
        "x-forwarded-user",
        "x-team",
        "x-litellm-team-id",
        "x-portkey-virtual-key",
    ] {
        caller = caller.with(name, "rich");
    }
    assert_eq!(caller.chat("small").await.refusal(), (403, "model_not_allowed".into()));
    caller.chat("gpt-4o-mini").await.ok();
    let rows = crate::harness::eventually("the request is counted", async || {
        let rows = cluster.api().get("usage?groupBy=team,key").await.ok();
        let rows = rows["data"].as_array()?.clone();
        rows.iter().any(|row| row["key"] == "poor").then_some(rows)
    })
    .await;
    assert!(rows.iter().all(|row| row["team"] != "rich"), "{rows:?}");
}

#[tokio::test]
async fn a_sealed_credential_does_not_open_in_another_place() {
    let (upstream, thief) = (Upstream::start().await, Upstream::start().await);
    let cluster = Cluster::serving(&upstream).await;
    let export = cluster.api().client.with("accept", "application/json").get("/v1/export").await.ok();
    let provider = export.as_array().unwrap().iter().find(|document| document["kind"] == "Provider").unwrap();
    let sealed = provider["credential"]["sealed"].as_str().expect("exports hold sealed credentials");
    let stolen = json!([
        {"kind": "Provider", "name": "thief", "dialect": "openai", "baseUrl": format!("http://{}/v1", thief.address), "credential": {"sealed": sealed}},
        {"kind": "Model", "name": "thief", "targets": [{"provider": "thief", "model": "x"}]},
    ]);
    let applied = cluster.api().post("apply", stolen.to_string()).await;
    if applied.status() == 200 {
        cluster.apply("{kind: Team, name: later}").await;
        let told = cluster.caller().chat("thief").await;
        assert!([404, 502, 503].contains(&told.status()), "{} {}", told.status(), told.text());
    } else {
        assert_eq!(applied.refusal(), (400, "invalid_documents".into()), "{}", applied.text());
    }
    assert!(
        thief.seen().iter().all(|seen| !text(&seen.message).contains(CREDENTIAL)),
        "the credential was handed over"
    );
    assert_eq!(cluster.caller().chat("small").await.status(), 200, "and its rightful place still works");
}

#[tokio::test]
async fn a_stranger_gets_no_configuration() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let mut command = std::process::Command::new(crate::harness::process::binary("turnpike-dataplane"));
    command.args(["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--threads", "1", "--name", "stranger"]);
    command.arg("--control-plane").arg(format!("http://{}", cluster.control_planes[0].planes.unwrap()));
    command.args(["--join-token", "a-wrong-token-0123456789abcdef", "--seal-keys", crate::harness::cluster::SEAL_KEY]);
    let process = crate::harness::process::Process::start(&mut command, &cluster.dir.join("stranger.log"));
    crate::harness::eventually("the refusal is told to the operator", async || {
        let said = process.said().to_lowercase();
        (said.contains("token") || said.contains("unauthenticated")).then_some(())
    })
    .await;
    let line = process.lines().into_iter().find(|line| crate::harness::process::field(line, "message") == "ready");
    let ops = crate::harness::process::address(&line.expect("its sockets are open"), "ops");
    assert_eq!(Client::new(ops).get("/readyz").await.status(), 503, "it has nothing to serve with");
    let rows = cluster.api().get("proxies").await.ok();
    assert!(rows["data"].as_array().unwrap().iter().all(|row| row["name"] != "stranger"), "{rows}");
}
