//! Anything may be killed at any time: what is served goes on, and what was promised is kept.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Client, Cluster, Load, Store, Upstream, eventually, within};

#[tokio::test]
async fn kill_9_of_the_control_plane_fails_no_request_and_forgets_nothing() {
    let upstream = Upstream::start().await;
    let mut cluster = Cluster::builder().proxies(2).serving(&upstream).await;
    let revision = cluster.api().revision().await;
    let load = Load::start(cluster.callers(), "gpt-4o-mini");
    for _ in 0..3 {
        cluster.control_planes[0].kill();
        tokio::time::sleep(Duration::from_millis(300)).await;
        cluster.start_control_plane(0).await;
        assert_eq!(cluster.api().revision().await, revision);
        cluster.caught_up(revision).await;
    }
    load.nothing_failed().await;
    // And it goes on from there.
    cluster.apply("{kind: Key, name: after, secret: sk-after-key-0, models: ['*']}").await;
    for proxy in &cluster.proxies {
        assert_eq!(Client::new(proxy.front).key("sk-after-key-0").chat("small").await.status(), 200);
    }
}

#[tokio::test]
async fn what_the_embedded_store_has_confirmed_survives_kill_9_in_mid_write() {
    let mut cluster = Cluster::builder().proxies(0).start().await;
    for round in 0..3 {
        let api = cluster.api();
        let writer = tokio::spawn(async move {
            let mut confirmed = Vec::new();
            for n in 0.. {
                let name = format!("r{round}-{n}");
                match api.client.try_send("PUT", &format!("/v1/teams/{name}"), b"{}").await {
                    Ok(answer) if answer.status() == 201 => confirmed.push((name, answer.json()["revision"].clone())),
                    _ => break,
                }
            }
            confirmed
        });
        tokio::time::sleep(Duration::from_millis(200 + 50 * round)).await;
        cluster.control_planes[0].kill();
        let confirmed = writer.await.unwrap();
        assert!(!confirmed.is_empty(), "nothing was written at all");
        cluster.start_control_plane(0).await;
        for (name, revision) in confirmed {
            assert_eq!(cluster.api().get(&format!("teams/{name}")).await.ok()["revision"], revision, "{name}");
        }
    }
}

#[tokio::test]
async fn a_torn_store_file_is_refused_by_name_and_not_taken_for_an_empty_one() {
    let upstream = Upstream::start().await;
    let mut cluster = Cluster::serving(&upstream).await;
    cluster.control_planes[0].process().signal("TERM");
    cluster.control_planes[0].process().ended(Duration::from_secs(10)).await;
    cluster.control_planes[0].process = None;
    let files = crate::harness::temp::files_below(&cluster.control_plane_dir(0));
    let (path, content) = files.iter().max_by_key(|(_, content)| content.len()).expect("a store file").clone();
    let whole = content.clone();
    for (what, bytes) in [
        ("cut in half", content[..content.len() / 2].to_vec()),
        ("garbage in front", [b"garbage!".as_slice(), &content[8..]].concat()),
        ("zeros in the middle", {
            let mut bytes = content;
            let middle = bytes.len() / 4;
            bytes[middle..middle * 3].fill(0);
            bytes
        }),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let said = refused_start(&cluster, what).await;
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(said.contains(&name), "{what}: the file is named: {said}");
    }
    // Meanwhile the proxy goes on, and with the file restored all is well.
    assert_eq!(cluster.caller().chat("small").await.status(), 200);
    std::fs::write(&path, whole).unwrap();
    cluster.start_control_plane(0).await;
    assert_eq!(cluster.api().get("keys/bench").await.status(), 200);
}

/// Starts a control plane on the cluster's data, which must end by itself; says what it said.
async fn refused_start(cluster: &Cluster, what: &str) -> String {
    use crate::harness::cluster::{ADMIN_TOKEN, JOIN_TOKEN, SEAL_KEY};
    let mut command = std::process::Command::new(crate::harness::process::binary("turnpike-controlplane"));
    command.args(["--api-listen", "127.0.0.1:0", "--planes-listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
    command.args(["--admin-token", ADMIN_TOKEN, "--join-token", JOIN_TOKEN, "--seal-keys", SEAL_KEY]);
    command.args(["--store", "embedded", "--data-dir"]).arg(cluster.control_plane_dir(0));
    let mut process = crate::harness::process::Process::start(&mut command, &cluster.dir.join("torn.log"));
    let status = process.ended(Duration::from_secs(20)).await;
    assert!(!status.success(), "{what}: {}", process.said());
    assert!(!process.said().contains("panicked"), "{what}: {}", process.said());
    process.said()
}

#[tokio::test]
async fn a_proxy_restarts_from_its_last_good_while_the_control_plane_is_down() {
    let upstream = Upstream::start().await;
    let mut cluster = Cluster::serving(&upstream).await;
    last_good_is_written(&cluster).await;
    cluster.control_planes[0].kill();
    cluster.proxies[0].kill();
    let began = Instant::now();
    cluster.start_proxy(0).await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(cluster.proxies[0].ops().get("/readyz").await.status(), 200);
    assert_eq!(cluster.caller().chat("small").await.status(), 200);
    assert_eq!(Client::new(cluster.proxies[0].front).key("sk-none").chat("small").await.status(), 401);
    cluster.start_control_plane(0).await;
    cluster.api().post("keys/bench/revoke", "{}").await.ok();
    let caller = cluster.caller();
    eventually("it hears of changes again", async || (caller.chat("small").await.status() == 401).then_some(())).await;
}

/// The proxy writes what it has off the request path; waits until there is something and it has settled.
async fn last_good_is_written(cluster: &Cluster) {
    let mut last = Vec::new();
    within(Duration::from_secs(30), "the last good is on disk and settled", async || {
        let files = crate::harness::temp::files_below(&cluster.dir.join("dataplane-0"));
        let settled = !files.is_empty() && files == last;
        last = files;
        tokio::time::sleep(Duration::from_secs(3)).await;
        settled.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_broken_last_good_is_no_reason_not_to_start() {
    let upstream = Upstream::start().await;
    let mut cluster = Cluster::serving(&upstream).await;
    last_good_is_written(&cluster).await;
    cluster.proxies[0].kill();
    for (path, mut content) in crate::harness::temp::files_below(&cluster.dir.join("dataplane-0")) {
        content.truncate(content.len() / 2);
        std::fs::write(path, content).unwrap();
    }
    cluster.start_proxy(0).await;
    assert_eq!(cluster.caller().chat("small").await.status(), 200);
}

#[tokio::test]
async fn kill_9_of_an_etcd_member_and_of_the_leader_fails_no_request() {
    let upstream = Upstream::start().await;
    let builder = Cluster::builder().proxies(2).control_planes(2).store(Store::Etcd(3));
    let mut cluster = builder.serving(&upstream).await;
    let load = Load::start(cluster.callers(), "gpt-4o-mini");
    for round in 0..2 {
        let etcd = cluster.etcd.as_mut().unwrap();
        let leader = etcd.leader().await;
        // A follower first, then the leader.
        let victim = if round == 0 { (leader + 1) % 3 } else { leader };
        etcd.kill_member(victim);
        for number in 0..2 {
            let api = cluster.api_of(number);
            let name = format!("round-{round}-{number}");
            let written = within(Duration::from_secs(20), "writes go on", async || {
                let answer = api.put(&format!("teams/{name}"), &json!({})).await;
                let undecided = answer.status() == 503 && answer.header("retry-after").is_some();
                assert!(undecided || answer.status() < 300, "{} {}", answer.status(), answer.text());
                (!undecided).then_some(answer)
            })
            .await;
            cluster.caught_up(written.json()["revision"].as_u64().unwrap()).await;
        }
        let etcd = cluster.etcd.as_mut().unwrap();
        etcd.start_member(victim);
        etcd.healthy().await;
    }
    load.nothing_failed().await;
    for number in 0..2 {
        assert_eq!(cluster.api_of(number).get("teams").await.ok()["data"].as_array().unwrap().len(), 5);
    }
}

#[tokio::test]
async fn while_etcd_is_down_reads_are_served_and_writes_are_503_and_nothing_is_lost() {
    let upstream = Upstream::start().await;
    let mut cluster = Cluster::builder().store(Store::Etcd(1)).serving(&upstream).await;
    let revision = cluster.api().revision().await;
    let load = Load::start(cluster.callers(), "gpt-4o-mini");
    cluster.etcd.as_mut().unwrap().kill_all();
    let began = Instant::now();
    let mut refused = 0;
    while began.elapsed() < Duration::from_secs(8) {
        assert_eq!(cluster.api().get("keys/bench").await.ok()["name"], "bench");
        assert_eq!(cluster.api().get("models").await.ok()["data"].as_array().unwrap().len(), 2);
        assert_eq!(cluster.api().revision().await, revision);
        let answer = cluster.api().put("teams/lost", &json!({})).await;
        assert_eq!(answer.refusal(), (503, "store_unavailable".into()), "{}", answer.text());
        let after = answer.header("retry-after").expect("it says when to come back");
        assert!(after.parse::<u64>().is_ok(), "{after}");
        refused += 1;
    }
    assert!(0 < refused);
    cluster.etcd.as_mut().unwrap().start_all();
    let written = within(Duration::from_secs(30), "writes go on", async || {
        let answer = cluster.api().put("teams/found", &json!({})).await;
        (answer.status() == 201).then_some(answer)
    })
    .await;
    cluster.caught_up(written.json()["revision"].as_u64().unwrap()).await;
    assert_eq!(cluster.api().get("keys/bench").await.status(), 200);
    load.nothing_failed().await;
}

#[tokio::test]
async fn a_proxy_restarts_while_the_control_plane_and_etcd_are_down() {
    let upstream = Upstream::start().await;
    let mut cluster = Cluster::builder().store(Store::Etcd(1)).serving(&upstream).await;
    last_good_is_written(&cluster).await;
    cluster.etcd.as_mut().unwrap().kill_all();
    cluster.control_planes[0].kill();
    cluster.proxies[0].kill();
    let began = Instant::now();
    cluster.start_proxy(0).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(cluster.caller().chat("small").await.status(), 200);
}

#[tokio::test]
async fn control_planes_on_one_etcd_are_one() {
    let upstream = Upstream::start().await;
    let builder = Cluster::builder().proxies(2).control_planes(2).store(Store::Etcd(1));
    let mut cluster = builder.serving(&upstream).await;
    // Written through one, seen through the other and by the proxies of both.
    let made =
        cluster.api_of(1).post("keys", r#"{"kind":"Key","name":"b","secret":"sk-b-key-0","models":["*"]}"#).await.ok();
    cluster.caught_up(made["revision"].as_u64().unwrap()).await;
    for proxy in &cluster.proxies {
        assert_eq!(Client::new(proxy.front).key("sk-b-key-0").chat("small").await.status(), 200);
    }
    let digests = [0, 1].map(|number| cluster.api_of(number));
    let mut seen = Vec::new();
    for api in digests {
        let status = api.get("status").await.ok();
        seen.push((status["revision"].clone(), status["digest"].clone(), status["store"]["id"].clone()));
    }
    assert_eq!(seen[0], seen[1]);
    // Racing writers of one document: the revision decides, and nothing is overwritten unseen.
    cluster.api().put("teams/race", &json!({"description": "0"})).await.ok();
    let racer = |api: crate::harness::Api| async move {
        let mut written = 0;
        while written < 10 {
            let read = api.get("teams/race").await;
            let count: u64 = read.json()["description"].as_str().unwrap().parse().unwrap();
            let client = api.client.clone().with("if-match", read.header("etag").unwrap());
            let body = json!({"description": (count + 1).to_string()}).to_string();
            let answer = client.send("PATCH", "/v1/teams/race", body.as_bytes()).await;
            assert!([200, 412].contains(&answer.status()), "{}", answer.text());
            written += u64::from(answer.status() == 200);
        }
    };
    tokio::join!(racer(cluster.api_of(0)), racer(cluster.api_of(1)));
    assert_eq!(cluster.api_of(0).get("teams/race").await.json()["description"], "20");
    // One of them dies; the other does all.
    cluster.control_planes[0].kill();
    let made = cluster.api_of(1).put("teams/alone", &json!({})).await;
    assert_eq!(made.status(), 201, "{}", made.text());
}

#[tokio::test]
async fn an_etcd_with_another_projects_keys_is_neither_read_nor_harmed() {
    let upstream = Upstream::start().await;
    let mut cluster = Cluster::builder().store(Store::Etcd(1)).serving(&upstream).await;
    let etcd = cluster.etcd.as_ref().unwrap();
    for key in ["/registry/pods/default/x", "/turnpike2/keys/y", "/turnpike", "turnpike/z"] {
        etcd.put(key.as_bytes(), b"not ours").await;
    }
    // And below our own prefix: nothing a control plane wrote, so it is told and left alone.
    for key in ["/turnpike/resources/Key/odd", "/turnpike/what is this", "/turnpike/\u{ff}"] {
        etcd.put(key.as_bytes(), b"\x00\xff{not json").await;
    }
    cluster.apply("{kind: Team, name: still-works}").await;
    cluster.control_planes[0].kill();
    cluster.start_control_plane(0).await;
    assert_eq!(cluster.api().get("teams").await.ok()["data"].as_array().unwrap().len(), 2);
    assert_eq!(cluster.caller().chat("small").await.status(), 200);
    let all = cluster.etcd.as_ref().unwrap().everything().await;
    for key in ["/registry/pods/default/x = not ours", "/turnpike2/keys/y = not ours", "/turnpike/what is this"] {
        assert!(all.contains(key), "{key} is gone");
    }
}

#[tokio::test]
async fn a_control_plane_that_hangs_holds_up_nobody() {
    let upstream = Upstream::start().await;
    let mut cluster = Cluster::builder().proxies(2).serving(&upstream).await;
    let load = Load::start(cluster.callers(), "gpt-4o-mini");
    cluster.control_planes[0].process().signal("STOP");
    tokio::time::sleep(Duration::from_secs(3)).await;
    cluster.control_planes[0].process().signal("CONT");
    cluster.apply("{kind: Team, name: after}").await;
    load.nothing_failed().await;
}

#[tokio::test]
async fn a_control_plane_that_slept_through_a_compaction_misses_nothing() {
    let upstream = Upstream::start().await;
    let builder = Cluster::builder().proxies(2).control_planes(2).store(Store::Etcd(1));
    let mut cluster = builder.serving(&upstream).await;
    cluster.control_planes[1].process().signal("STOP");
    let api = cluster.api_of(0);
    for n in 0..200 {
        api.put("teams/busy", &json!({"description": n.to_string()})).await.ok();
    }
    api.post("keys/bench/revoke", "{}").await.ok();
    api.delete("teams/busy").await;
    let revision = api.put("teams/last", &json!({})).await.ok()["revision"].as_u64().unwrap();
    cluster.etcd.as_ref().unwrap().compact().await;
    cluster.control_planes[1].process().signal("CONT");
    cluster.caught_up(revision).await;
    let other = cluster.api_of(1);
    assert_eq!(other.get("teams/last").await.status(), 200);
    assert_eq!(other.get("teams/busy").await.status(), 404, "what was deleted meanwhile is gone");
    assert_eq!(cluster.callers()[1].chat("small").await.status(), 401, "what was revoked meanwhile is refused");
    let digests = [api.get("status").await.ok(), other.get("status").await.ok()];
    assert_eq!(digests[0]["digest"], digests[1]["digest"]);
}

#[tokio::test]
async fn etcd_may_ask_for_a_password() {
    let upstream = Upstream::start().await;
    let secret = crate::harness::temp::Temp::new();
    let file = secret.join("password");
    std::fs::write(&file, "etcd-password-marker\n").unwrap();
    let path = file.display().to_string();
    let mut cluster = Cluster::builder().store(Store::Etcd(1)).serving(&upstream).await;
    cluster.control_planes[0].kill();
    cluster.etcd.as_ref().unwrap().ask_for_password("turnpike", "etcd-password-marker").await;
    cluster.also_control_plane_flags(&["--etcd-user", "turnpike", "--etcd-password-file", &path]);
    cluster.start_control_plane(0).await;
    cluster.apply("{kind: Team, name: behind-a-password}").await;
    assert!(!cluster.logs().contains("etcd-password-marker"));
    std::fs::write(&file, "wrong\n").unwrap();
    cluster.control_planes[0].kill();
    let plane = &cluster.control_planes[0];
    let mut command = std::process::Command::new(crate::harness::process::binary("turnpike-controlplane"));
    command.arg("--api-listen").arg(plane.front.to_string()).args([
        "--planes-listen",
        "127.0.0.1:0",
        "--ops-listen",
        "127.0.0.1:0",
    ]);
    command.args([
        "--admin-token",
        crate::harness::cluster::ADMIN_TOKEN,
        "--join-token",
        crate::harness::cluster::JOIN_TOKEN,
    ]);
    command.args(["--seal-keys", crate::harness::cluster::SEAL_KEY, "--store", "etcd", "--etcd-user", "turnpike"]);
    command.args(["--etcd-endpoints", &cluster.etcd.as_ref().unwrap().endpoints(), "--etcd-password-file", &path]);
    let process = crate::harness::process::Process::start(&mut command, &cluster.dir.join("wrong.log"));
    eventually("the refusal is told to the operator", async || {
        let said = process.said().to_lowercase();
        (said.contains("password") || said.contains("auth")).then_some(())
    })
    .await;
    assert!(!process.lines().iter().any(|line| crate::harness::process::field(line, "message") == "ready"));
}
