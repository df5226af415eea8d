//! What an etcd that several share brings with it: compaction, strangers, writers that die half-way, logins.

use std::sync::Arc;
use std::time::{Duration, Instant};

use etcd_client::{Compare, CompareOp, DeleteOptions, GetOptions, TxnOp};
use server::store::etcd::{Etcd, Options};
use server::store::{Event, Place, Store, StoreError, Txn, open};
use server::usage;
use vocab::{Revision, Secret};

use crate::scratch::{Scratch, eventually, soon};
use crate::shared::{key, next_commit, put};
use crate::world::{EtcdServer, Mode, Relay, fresh_prefix};

async fn open_etcd(options: Options) -> Arc<dyn Store> {
    open(&Place::Etcd(Box::new(options))).await.unwrap()
}

async fn refused(options: Options) -> StoreError {
    open(&Place::Etcd(Box::new(options))).await.unwrap_err()
}

async fn keys(server: &EtcdServer, prefix: &str) -> Vec<String> {
    let options = GetOptions::new().with_prefix().with_keys_only();
    let found = server.client().await.get(prefix, Some(options)).await.unwrap();
    found.kvs().iter().map(|kv| kv.key_str().unwrap().to_owned()).collect()
}

fn large(expect: Revision, n_docs: usize) -> Txn {
    let mut txn = Txn::new(expect);
    for n in 0..n_docs {
        txn.put(key(n), format!("{}{}", expect.0, "x".repeat(2000)));
    }
    txn
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_compaction_has_overtaken_says_relist_and_goes_on() {
    let (server, prefix) = (EtcdServer::start(), fresh_prefix());
    let relay = Relay::to(server.port).await;
    let far = open_etcd(relay.options(&prefix)).await;
    let near = open_etcd(server.options(&prefix)).await;
    let mut watch = far.watch(far.load().await.unwrap().head);
    near.commit(put(Revision(0), key(0), "x")).await.unwrap();
    assert_eq!(next_commit(&mut watch).await.revision, Revision(1));

    relay.set(Mode::Cut);
    for n in 1..10 {
        near.commit(put(Revision(n), key(n), "x")).await.unwrap();
    }
    let mut client = server.client().await;
    let now = client.get("x", None).await.unwrap().header().unwrap().revision();
    client.compact(now, None).await.unwrap();
    relay.set(Mode::Pass);
    let told = loop {
        match soon("an event", watch.next()).await.unwrap() {
            Event::Down(_) | Event::Up => {}
            told => break told,
        }
    };
    assert_eq!(told, Event::Relist);
    assert_eq!(far.load().await.unwrap().head, Revision(10));
    near.commit(put(Revision(10), key(10), "x")).await.unwrap();
    assert_eq!(next_commit(&mut watch).await.revision, Revision(11));

    // One that is not behind does not even notice.
    let now = client.get("x", None).await.unwrap().header().unwrap().revision();
    client.compact(now, None).await.unwrap();
    relay.set(Mode::Cut);
    relay.set(Mode::Pass);
    near.commit(put(Revision(11), key(11), "x")).await.unwrap();
    assert_eq!(next_commit(&mut watch).await.revision, Revision(12));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_across_a_compaction_is_still_one_revision() {
    let (server, prefix) = (EtcdServer::start(), fresh_prefix());
    let store = open_etcd(server.options(&prefix)).await;
    store.commit(large(Revision(0), 3000)).await.unwrap();
    let compacting = async {
        let mut client = server.client().await;
        for _ in 0..8 {
            let now = client.put("elsewhere", "x", None).await.unwrap().header().unwrap().revision();
            client.compact(now, None).await.unwrap();
        }
    };
    let loading = async {
        for _ in 0..5 {
            assert_eq!(store.load().await.unwrap().docs.len(), 3000);
        }
    };
    tokio::join!(compacting, loading);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_keys_are_left_alone() {
    let (server, prefix) = (EtcdServer::shared(), fresh_prefix());
    let mut client = server.client().await;
    client.put(format!("{prefix}/v1/config/thing"), "theirs", None).await.unwrap();
    let error = refused(server.options(&prefix)).await;
    assert!(matches!(&error, StoreError::Foreign(why) if why.contains("config/thing") && why.contains("--etcd-prefix")), "{error}");
    assert_eq!(keys(&server, &prefix).await, [format!("{prefix}/v1/config/thing")]);
    let log = usage::open(&Place::Etcd(Box::new(server.options(&prefix))), 8).await.unwrap_err();
    assert_eq!(log, error);

    let meta = format!("{prefix}/v1/meta");
    for theirs in ["", "hello", "[]", r#"{"product":"toll","layout":1,"id":"a"}"#, r#"{"layout":1}"#] {
        client.put(meta.clone(), theirs, None).await.unwrap();
        let error = refused(server.options(&prefix)).await;
        assert!(matches!(&error, StoreError::Foreign(why) if why.contains(&meta)), "{theirs}: {error}");
    }
    client.put(meta.clone(), r#"{"product":"turnpike","layout":2,"shards":7}"#, None).await.unwrap();
    let error = refused(server.options(&prefix)).await;
    assert!(matches!(&error, StoreError::Foreign(why) if why.contains("layout 2") && why.contains("upgrade")), "{error}");
    assert_eq!(keys(&server, &prefix).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbour_with_a_longer_prefix_is_no_stranger() {
    let (server, prefix) = (EtcdServer::shared(), fresh_prefix());
    let first = open_etcd(server.options(&format!("{prefix}/a"))).await;
    let second = open_etcd(server.options(&format!("{prefix}/ab"))).await;
    let third = open_etcd(server.options(&prefix)).await;
    first.commit(put(Revision(0), key(1), "x")).await.unwrap();
    assert_eq!((second.load().await.unwrap().head, third.load().await.unwrap().head), (Revision(0), Revision(0)));
    assert!(first.id() != second.id() && second.id() != third.id());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_document_is_skipped_named_and_kept() {
    let (server, prefix) = (EtcdServer::shared(), fresh_prefix());
    let store = open_etcd(server.options(&prefix)).await;
    store.commit(put(Revision(0), key("good"), "x")).await.unwrap();
    let mut client = server.client().await;
    for (place, value) in [("Key/kbad", "no revision"), ("lost", "1\n{}"), ("Key/knoutf8", "\0")] {
        client.put(format!("{prefix}/v1/doc/{place}"), value, None).await.unwrap();
    }
    let loaded = store.load().await.unwrap();
    assert_eq!(loaded.docs.len(), 1);
    let places: Vec<_> = loaded.undecodable.iter().map(|found| found.place.trim_start_matches(&prefix)).collect();
    assert_eq!(places, ["/v1/doc/Key/kbad", "/v1/doc/Key/knoutf8", "/v1/doc/lost"]);
    let refused = store.commit(put(Revision(1), key("bad"), "mine")).await;
    assert!(matches!(&refused, Err(StoreError::Corrupt(why)) if why.contains("Key/kbad")), "{refused:?}");
    store.commit(put(Revision(1), key("good"), "y")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_changed_hands_takes_nothing_from_us() {
    let (server, prefix) = (EtcdServer::shared(), fresh_prefix());
    let store = open_etcd(server.options(&prefix)).await;
    let log = usage::open(&Place::Etcd(Box::new(server.options(&prefix))), 8).await.unwrap();
    store.commit(put(Revision(0), key(1), "x")).await.unwrap();
    let mut client = server.client().await;
    client.delete(format!("{prefix}/v1/"), Some(DeleteOptions::new().with_prefix())).await.unwrap();
    let other = open_etcd(server.options(&prefix)).await;
    assert_ne!(other.id(), store.id());
    let before = keys(&server, &prefix).await;

    for result in [store.commit(put(Revision(1), key(2), "x")).await.map(|_| ()), store.load().await.map(|_| ())] {
        assert!(matches!(&result, Err(StoreError::Foreign(why)) if why.contains("restart")), "{result:?}");
    }
    let report = wire::UsageReport { proxy: "p".into(), boot: 1, seq: 1, rows: vec![wire::UsageRow::default()] };
    assert!(matches!(log.append(&[report]).await, Err(StoreError::Foreign(_))));
    assert_eq!(keys(&server, &prefix).await, before);
}

/// The writer's wire is cut after so many bytes, for as many places as there are; then it is gone for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_dies_in_a_large_commit_leaves_all_of_it_or_nothing() {
    const DOCS: usize = 400;
    let server = EtcdServer::start();
    let relay = Relay::to(server.port).await;
    let prefix = fresh_prefix();
    let store = Etcd::open(&relay.options(&prefix)).await.unwrap();
    store.commit(large(Revision(0), DOCS)).await.unwrap();
    eventually("it is written in", || async { keys(&server, &format!("{prefix}/v1/redo/")).await.is_empty().then_some(()) }).await;
    drop(store);
    let whole = relay.sent();
    drop(relay);

    let mut outcomes = Vec::new();
    for step in 0..16 {
        let prefix = fresh_prefix();
        let relay = Relay::to(server.port).await;
        let doomed = Etcd::open(&relay.options(&prefix)).await.unwrap();
        let survivor = open_etcd(Options { request_timeout: Duration::from_secs(5), ..server.options(&prefix) }).await;
        let mut watch = survivor.watch(survivor.load().await.unwrap().head);
        relay.cut_after(whole * step / 16);
        let answer = {
            let commit = doomed.commit(large(Revision(0), DOCS));
            tokio::time::timeout(Duration::from_millis(700), commit).await
        };
        drop(doomed);
        drop(relay);

        let loaded = survivor.load().await.unwrap();
        let is_committed = loaded.head == Revision(1);
        assert_eq!(loaded.docs.len(), if is_committed { DOCS } else { 0 }, "step {step}");
        if let Ok(answer) = answer {
            assert!(answer != Ok(Revision(1)) || is_committed, "acknowledged but gone, step {step}");
        }
        // Whoever comes next is not held up, and finds and leaves everything in order.
        let revision = survivor.commit(put(loaded.head, key("next"), "x")).await.unwrap();
        if is_committed {
            assert_eq!(next_commit(&mut watch).await.puts.len(), DOCS, "step {step}");
        }
        assert_eq!(next_commit(&mut watch).await.revision, revision);
        let docs = keys(&server, &format!("{prefix}/v1/doc/")).await;
        assert_eq!(docs.len(), if is_committed { DOCS + 1 } else { 1 }, "step {step}");
        outcomes.push(is_committed);
    }
    assert!(outcomes.contains(&true) && outcomes.contains(&false), "the cuts miss the commit: {outcomes:?}");
}

/// The head points at parts, and nobody writes them in until somebody has to.
async fn pending(server: &EtcdServer, prefix: &str) {
    let relay = Relay::to(server.port).await;
    let author = open_etcd(relay.options(prefix)).await;
    author.commit(large(Revision(0), 3000)).await.unwrap();
    relay.set(Mode::Cut);
    drop(author);
    let head = server.client().await.get(format!("{prefix}/v1/head"), None).await.unwrap();
    assert!(head.kvs()[0].value_str().unwrap().contains("redo"), "it was written in too quickly");
}

#[tokio::test(flavor = "multi_thread")]
async fn small_changes_go_on_top_of_a_large_one_that_is_not_yet_written_in() {
    let (server, prefix) = (EtcdServer::shared(), fresh_prefix());
    pending(&server, &prefix).await;
    let [one, two] = [open_etcd(server.options(&prefix)).await, open_etcd(server.options(&prefix)).await];
    let mut watch = two.watch(two.load().await.unwrap().head);
    let mut txn = put(Revision(1), key(0), "changed");
    txn.delete(key(1));
    txn.delete(key(2));
    txn.put(key("new"), "new");
    assert_eq!(one.commit(txn.clone()).await, Ok(Revision(2)));
    assert_eq!(two.commit(put(Revision(2), key(2), "again")).await, Ok(Revision(3)));
    let check = async |at: &str| {
        let loaded = two.load().await.unwrap();
        assert_eq!((loaded.head, loaded.docs.len()), (Revision(3), 3000), "{at}");
        let of = |n: &str| loaded.docs.iter().find(|doc| doc.key == key(n)).map(|doc| (doc.revision.0, doc.body.len()));
        assert_eq!([of("0"), of("1"), of("2"), of("3")], [Some((2, 7)), None, Some((3, 5)), Some((1, 2001))], "{at}");
    };
    check("while it is pending").await;
    assert!(!keys(&server, &format!("{prefix}/v1/redo/")).await.is_empty(), "it was not waited for");
    for (revision, n_puts, n_deletes) in [(2, 2, 2), (3, 1, 0)] {
        let told = next_commit(&mut watch).await;
        assert_eq!((told.revision.0, told.puts.len(), told.deletes.len()), (revision, n_puts, n_deletes));
    }

    // Both write in at once, and others go on meanwhile.
    let tidy = Options { tidy_every: Duration::from_millis(10), ..server.options(&prefix) };
    let tidiers = [open_etcd(tidy.clone()).await, open_etcd(tidy).await];
    eventually("it is written in", || async { keys(&server, &format!("{prefix}/v1/redo/")).await.is_empty().then_some(()) }).await;
    check("when it is written in").await;
    drop(tidiers);
    assert_eq!(keys(&server, &format!("{prefix}/v1/doc/")).await.len(), 3000);
    assert_eq!(one.commit(put(Revision(3), key(1), "back")).await, Ok(Revision(4)));
    assert_eq!(next_commit(&mut watch).await.revision, Revision(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_keep_coming_while_a_large_one_is_written_in() {
    let (server, prefix) = (EtcdServer::shared(), fresh_prefix());
    pending(&server, &prefix).await;
    let tidy = Options { tidy_every: Duration::from_millis(10), ..server.options(&prefix) };
    let store = open_etcd(tidy).await;
    let mut watch = store.watch(store.load().await.unwrap().head);
    // Far more than the head has room to remember.
    for n in 0..400 {
        let mut txn = put(Revision(n + 1), key(7 * n), "on top");
        txn.delete(key(7 * n + 1));
        assert_eq!(store.commit(txn).await, Ok(Revision(n + 2)));
        assert_eq!(next_commit(&mut watch).await.revision, Revision(n + 2));
    }
    let loaded = store.load().await.unwrap();
    let on_top = loaded.docs.iter().filter(|doc| doc.body == "on top").count();
    assert_eq!((on_top, loaded.docs.len()), (400, 3000 - 400), "of 3000, {} are left", loaded.docs.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_nobody_commits_are_thrown_away_and_a_pending_change_is_written_in() {
    let (server, prefix) = (EtcdServer::shared(), fresh_prefix());
    let store = open_etcd(server.options(&prefix)).await;
    store.commit(put(Revision(0), key(1), "x")).await.unwrap();
    let mut client = server.client().await;
    let orphan = format!("{prefix}/v1/redo/0badcafe/000000");
    client.put(orphan, "parts", None).await.unwrap();

    // A committed change whose author died at once: the head points at its parts.
    let beside = fresh_prefix();
    let author = open_etcd(server.options(&beside)).await;
    author.commit(large(Revision(0), 300)).await.unwrap();
    drop(author);

    let quick = |prefix: &str| Options {
        tidy_every: Duration::from_millis(50),
        orphaned_after: Duration::from_millis(200),
        ..server.options(prefix)
    };
    let began = Instant::now();
    let _tidier = open_etcd(quick(&prefix)).await;
    eventually("the orphan is gone", || async { keys(&server, &format!("{prefix}/v1/redo/")).await.is_empty().then_some(()) }).await;
    assert!(Duration::from_millis(200) <= began.elapsed(), "it was given its time");
    assert_eq!(store.load().await.unwrap().docs.len(), 1);

    let _tidier = open_etcd(quick(&beside)).await;
    eventually("it is written in", || async {
        let left = keys(&server, &format!("{beside}/v1/redo/")).await;
        let docs = keys(&server, &format!("{beside}/v1/doc/")).await;
        (left.is_empty() && docs.len() == 300).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_parts_were_thrown_away_is_not_committed() {
    let (server, prefix) = (EtcdServer::shared(), fresh_prefix());
    let store = open_etcd(server.options(&prefix)).await;
    let mut client = server.client().await;
    let redo = format!("{prefix}/v1/redo/");
    let deleting = async {
        // Somebody far too eager.
        loop {
            let txn = etcd_client::Txn::new()
                .when([Compare::mod_revision("nothing", CompareOp::Equal, 0)])
                .and_then([TxnOp::delete(redo.clone(), Some(DeleteOptions::new().with_prefix()))]);
            client.txn(txn).await.unwrap();
        }
    };
    let committed = tokio::select! {
        committed = store.commit(large(Revision(0), 3000)) => committed,
        () = deleting => unreachable!(),
    };
    assert!(matches!(&committed, Err(StoreError::Unavailable(why)) if why.contains("again")), "{committed:?}");
    assert_eq!(store.load().await.unwrap().head, Revision(0));
    assert_eq!(store.commit(large(Revision(0), 3000)).await, Ok(Revision(1)));
}

#[tokio::test]
async fn options_that_cannot_work_are_all_named() {
    let mut options = Options::new(vec!["https://a:1".into(), "http://b:1".into()]);
    options.prefix = "turnpike".into();
    assert_eq!(options.faults().len(), 2);
    options.ca = Some(Vec::new());
    assert_eq!(options.faults().len(), 2);
    assert!(matches!(refused(options).await, StoreError::Misconfigured(why) if why.contains("http://b:1")));
    assert_eq!(Options::new(Vec::new()).faults().len(), 1);
}

fn openssl(directory: &Scratch, script: &str) {
    let status = std::process::Command::new("sh")
        .args(["-ec", script])
        .current_dir(directory.path())
        .stderr(std::process::Stdio::null())
        .status();
    assert!(status.unwrap().success(), "these tests need openssl: on Debian `apt-get install openssl`");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_passwords_are_presented_and_wanted() {
    let pki = Scratch::new();
    openssl(
        &pki,
        r#"
        new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key -out $1.csr -subj /CN=$1; }
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -keyout ca.key -out ca.pem -subj /CN=ca
        printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n' > ext
        for name in server client; do
            new $name; openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out $name.pem
        done
        "#,
    );
    let file = |name: &str| pki.path().join(name);
    let server = EtcdServer::prepare(
        "https",
        &[
            format!("--cert-file={}", file("server.pem").display()),
            format!("--key-file={}", file("server.key").display()),
            format!("--trusted-ca-file={}", file("ca.pem").display()),
            "--client-cert-auth".to_owned(),
        ],
    );
    server.run();
    let etcdctl = |arguments: &str| {
        format!("ETCDCTL_API=3 etcdctl --endpoints=https://127.0.0.1:{} --cacert=ca.pem --cert=client.pem --key=client.key {arguments}", server.port)
    };
    openssl(&pki, &format!("for n in $(seq 100); do {} && exit 0; sleep 0.1; done; exit 1", etcdctl("endpoint health")));
    for setup in ["user add root:rootpw", "user add turnpike:pw", "role add turnpike", "user grant-role root root",
        "role grant-permission turnpike readwrite --prefix=true /turnpike/", "user grant-role turnpike turnpike", "auth enable"] {
        openssl(&pki, &etcdctl(setup));
    }
    let read = |name: &str| std::fs::read(file(name)).unwrap();
    let mut options = Options::new(vec![format!("https://127.0.0.1:{}", server.port)]);
    options.request_timeout = Duration::from_secs(3);
    options.ca = Some(read("ca.pem"));
    let key_pem = Secret::new(String::from_utf8(read("client.key")).unwrap());
    let uncertified = refused(options.clone()).await;
    assert!(matches!(uncertified, StoreError::Unavailable(_)), "{uncertified:?}");
    options.identity = Some((read("client.pem"), key_pem));
    options.user = Some(("turnpike".into(), Secret::new("wrong".into())));
    let error = refused(options.clone()).await;
    assert!(error.to_string().contains("invalid user ID or password"), "{error}");
    assert!(!format!("{options:?}{error}").contains("wrong"));

    options.user = Some(("turnpike".into(), Secret::new("pw".into())));
    let store = open_etcd(options.clone()).await;
    let mut watch = store.watch(store.load().await.unwrap().head);
    store.commit(put(Revision(0), key(1), "x")).await.unwrap();
    assert_eq!(next_commit(&mut watch).await.revision, Revision(1));
    // A login is worth nothing once anything about users has changed; ours is made again.
    openssl(&pki, &etcdctl("--user root:rootpw role add another"));
    assert_eq!(store.commit(put(Revision(1), key(2), "x")).await, Ok(Revision(2)));
    assert_eq!(next_commit(&mut watch).await.revision, Revision(2));
    // Logins do not outlive a restart of etcd; ours is made again.
    server.kill();
    server.run();
    let committed = eventually("a commit after the restart", || async { store.commit(put(Revision(2), key(3), "x")).await.ok() }).await;
    assert_eq!(committed, Revision(3));
    assert_eq!(next_commit(&mut watch).await.revision, Revision(3));

    options.prefix = "/elsewhere".into();
    let error = refused(options).await;
    assert!(error.to_string().contains("permission denied"), "{error}");
}
