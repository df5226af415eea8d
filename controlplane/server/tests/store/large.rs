//! Transactions too large for one etcd transaction, and writers that die half-way.

use std::time::{Duration, Instant};

use etcd_client::{Compare, CompareOp, DeleteOptions, TxnOp};
use server::store::etcd::{Etcd, Options};
use server::store::{Store, StoreError};
use vocab::Revision;

use crate::etcd::{keys, large, open_etcd};
use crate::scratch::eventually;
use crate::shared::{key, next_commit, put};
use crate::world::{EtcdServer, Mode, Relay, fresh_prefix};

/// The writer's wire is cut after so many bytes, for as many places as there are; then it is gone for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_dies_in_a_large_commit_leaves_all_of_it_or_nothing() {
    const DOCS: usize = 400;
    let server = EtcdServer::start();
    let relay = Relay::to(server.port).await;
    let prefix = fresh_prefix();
    let store = Etcd::open(&relay.options(&prefix)).await.unwrap();
    store.commit(large(Revision(0), DOCS)).await.unwrap();
    eventually("it is written in", || async {
        keys(&server, &format!("{prefix}/v1/redo/")).await.is_empty().then_some(())
    })
    .await;
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
            tokio::time::timeout(Duration::from_millis(400), commit).await
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
        let docs = survivor.load().await.unwrap().docs;
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
    eventually("it is written in", || async {
        keys(&server, &format!("{prefix}/v1/redo/")).await.is_empty().then_some(())
    })
    .await;
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
    eventually("the orphan is gone", || async {
        keys(&server, &format!("{prefix}/v1/redo/")).await.is_empty().then_some(())
    })
    .await;
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
