//! The promises of every configuration store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use server::store::{Committed, DOC_BYTES_MAX, Doc, DocKey, Event, Store, StoreError, Txn, Watch};
use vocab::Revision;

use crate::scratch::soon;
use crate::world::World;

pub(crate) fn key(n: impl std::fmt::Display) -> DocKey {
    DocKey::new("Key", format!("k{n}"))
}

pub(crate) fn put(expect: Revision, key: DocKey, body: &str) -> Txn {
    let mut txn = Txn::new(expect);
    txn.put(key, body.to_owned());
    txn
}

/// The next commit, relists and outages apart.
pub(crate) async fn next_commit(watch: &mut Watch) -> Arc<Committed> {
    loop {
        match soon("a commit", watch.next()).await.unwrap() {
            Event::Committed(committed) => return committed,
            Event::Relist { .. } => panic!("relist"),
            Event::Down(_) | Event::Up => {}
        }
    }
}

/// Commits on whatever the head is, as a caller would.
pub(crate) async fn commit_on_top(store: &dyn Store, make: impl Fn(Revision) -> Txn) -> Revision {
    let mut head = store.head().await.unwrap();
    loop {
        match store.commit(make(head)).await {
            Ok(revision) => return revision,
            Err(StoreError::Conflict { head: newer }) => head = newer,
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) async fn a_commit_is_loaded_back_with_its_revision(world: World) {
    let store = world.open().await;
    let empty = store.load().await.unwrap();
    assert_eq!((empty.head, empty.docs.len(), empty.undecodable.len()), (Revision::NONE, 0, 0));

    let mut txn = Txn::new(Revision::NONE);
    txn.put(DocKey::new("Model", "openai/gpt-4o:free"), "{\"a\": \"\\u0000\n\"}");
    txn.put(key(1), "one");
    txn.put(key(2), "");
    assert_eq!(store.commit(txn).await, Ok(Revision(1)));
    let mut txn = Txn::new(Revision(1));
    txn.put(key(1), "uno");
    txn.delete(key(2));
    txn.delete(key("never there"));
    assert_eq!(store.commit(txn).await, Ok(Revision(2)));
    assert_eq!(store.commit(Txn::new(Revision(2))).await, Ok(Revision(3)));

    let loaded = store.load().await.unwrap();
    assert_eq!(loaded.head, Revision(3));
    let doc = |key, revision, body| Doc { key, revision: Revision(revision), body: Bytes::from_static(body) };
    let model = doc(DocKey::new("Model", "openai/gpt-4o:free"), 1, b"{\"a\": \"\\u0000\n\"}");
    assert_eq!(loaded.docs, [doc(key(1), 2, b"uno"), model]);
    assert_eq!(store.head().await, Ok(Revision(3)));
}

pub(crate) async fn of_two_commits_on_one_revision_the_second_is_refused(world: World) {
    let store = world.open().await;
    let beside = world.open_beside(&store).await;
    assert_eq!(store.commit(put(Revision(0), key(1), "first")).await, Ok(Revision(1)));
    assert_eq!(
        beside.commit(put(Revision(0), key(1), "second")).await,
        Err(StoreError::Conflict { head: Revision(1) })
    );
    assert_eq!(beside.commit(put(Revision(1), key(1), "second")).await, Ok(Revision(2)));
    assert_eq!(store.commit(put(Revision(1), key(2), "x")).await, Err(StoreError::Conflict { head: Revision(2) }));
    // From the future is as wrong as from the past.
    assert_eq!(store.commit(put(Revision(9), key(2), "x")).await, Err(StoreError::Conflict { head: Revision(2) }));
    let loaded = store.load().await.unwrap();
    assert_eq!(loaded.docs.len(), 1);
    assert_eq!(loaded.docs[0].body, "second");
}

pub(crate) async fn each_watcher_is_told_each_revision_once_and_in_order(world: World) {
    const COMMITS: usize = 200;
    let store = world.open().await;
    let beside = world.open_beside(&store).await;
    assert_eq!((store.load().await.unwrap().head, beside.load().await.unwrap().head), (Revision(0), Revision(0)));
    let watches = [store.watch(Revision(0)), beside.watch(Revision(0)), beside.watch(Revision(0))];
    let reading = watches.map(|mut watch| {
        tokio::spawn(async move {
            let mut told = Vec::new();
            while told.len() < COMMITS {
                told.push(next_commit(&mut watch).await);
            }
            told
        })
    });
    let writer = |store: Arc<dyn Store>, name: &'static str| {
        tokio::spawn(async move {
            for n in 0..COMMITS / 2 {
                commit_on_top(&*store, |head| {
                    let mut txn = put(head, key(n), name);
                    txn.put(DocKey::new("Model", name), n.to_string());
                    txn.delete(key(n + 1));
                    txn
                })
                .await;
            }
        })
    };
    let writers = [writer(Arc::clone(&store), "left"), writer(beside, "right")];
    for writer in writers {
        soon("a writer", writer).await.unwrap();
    }
    let mut all = Vec::new();
    for reading in reading {
        all.push(soon("a reader", reading).await.unwrap());
    }
    let revisions: Vec<_> = all[0].iter().map(|committed| committed.revision.0).collect();
    assert_eq!(revisions, (1..=COMMITS as u64).collect::<Vec<_>>());
    assert!(all.iter().all(|told| *told == all[0]));
    assert!(all[0].iter().all(|committed| committed.puts.len() == 2));

    // What was told adds up to what is there.
    let mut docs = BTreeMap::new();
    for committed in &all[0] {
        for key in &committed.deletes {
            docs.remove(key);
        }
        for doc in &committed.puts {
            assert_eq!(doc.revision, committed.revision);
            docs.insert(doc.key.clone(), doc.clone());
        }
    }
    assert_eq!(store.load().await.unwrap().docs, docs.into_values().collect::<Vec<_>>());
}

pub(crate) async fn a_watch_begins_where_a_load_ended(world: World) {
    let store = world.open().await;
    for n in 0..5 {
        store.commit(put(Revision(n), key(n), "before")).await.unwrap();
    }
    let loaded = store.load().await.unwrap();
    for n in 5..8 {
        store.commit(put(Revision(n), key(n), "between")).await.unwrap();
    }
    let mut watch = store.watch(loaded.head);
    for revision in 6..=8 {
        assert_eq!(next_commit(&mut watch).await.revision, Revision(revision));
    }
    store.commit(put(Revision(8), key(8), "after")).await.unwrap();
    assert_eq!(next_commit(&mut watch).await.revision, Revision(9));
}

pub(crate) async fn a_watch_from_a_revision_nobody_remembers_says_relist(world: World) {
    let store = world.open().await;
    for n in 0..3 {
        store.commit(put(Revision(n), key(n), "x")).await.unwrap();
    }
    drop(store);
    let store = world.open().await;
    for unknown in [1, 99] {
        let mut watch = store.watch(Revision(unknown));
        let told = soon("relist", watch.next()).await.unwrap();
        assert!(matches!(told, Event::Relist { .. }), "{told:?}");
        let head = store.load().await.unwrap().head;
        let revision = store.commit(put(head, key("new"), "x")).await.unwrap();
        assert_eq!(next_commit(&mut watch).await.revision, revision, "the watch goes on behind the relist");
    }
}

pub(crate) async fn a_large_transaction_is_seen_whole_or_not_at_all(world: World) {
    const DOCS: usize = 5000;
    let store = world.open().await;
    let beside = world.open_beside(&store).await;
    let mut watches = [store.watch(store.load().await.unwrap().head), beside.watch(beside.load().await.unwrap().head)];

    let done = Arc::new(AtomicBool::new(false));
    let until = Arc::clone(&done);
    let reading = tokio::spawn(async move {
        let mut seen = BTreeSet::new();
        while !until.load(Ordering::SeqCst) {
            let loaded = beside.load().await.unwrap();
            seen.insert((loaded.head.0, loaded.docs.len()));
        }
        seen
    });
    let mut txn = Txn::new(Revision(0));
    for n in 0..DOCS {
        txn.put(key(n), format!("{{\"n\": {n}, \"padding\": \"{}\"}}", "x".repeat(500)));
    }
    assert_eq!(store.commit(txn.clone()).await, Ok(Revision(1)));
    // Right on its heels, while the first is still being written in.
    let mut half = Txn::new(Revision(1));
    for n in (0..DOCS).step_by(2) {
        half.delete(key(n));
    }
    assert_eq!(store.commit(half).await, Ok(Revision(2)));
    assert_eq!(store.commit(put(Revision(2), key(1), "small")).await, Ok(Revision(3)));

    for watch in &mut watches {
        let [first, second, third] = [next_commit(watch).await, next_commit(watch).await, next_commit(watch).await];
        assert_eq!((first.revision, first.puts.len(), first.deletes.len()), (Revision(1), DOCS, 0));
        assert_eq!((second.revision, second.puts.len(), second.deletes.len()), (Revision(2), 0, DOCS / 2));
        assert_eq!((third.revision, third.puts.len()), (Revision(3), 1));
        let whole = first.puts.iter().all(|doc| txn.changes.get(&doc.key) == Some(&Some(doc.body.clone())));
        assert!(whole);
    }
    done.store(true, Ordering::SeqCst);
    let seen = soon("a reader", reading).await.unwrap();
    let possible = BTreeSet::from([(0, 0), (1, DOCS), (2, DOCS / 2), (3, DOCS / 2)]);
    assert!(seen.is_subset(&possible), "{seen:?}");
    let loaded = store.load().await.unwrap();
    assert_eq!((loaded.head, loaded.docs.len()), (Revision(3), DOCS / 2));
    assert_eq!(loaded.docs.iter().filter(|doc| doc.revision == Revision(1)).count(), DOCS / 2 - 1);
}

pub(crate) async fn two_writers_lose_no_change(world: World) {
    const EACH: u64 = 100;
    let store = world.open().await;
    let beside = world.open_beside(&store).await;
    let count = |store: Arc<dyn Store>| {
        tokio::spawn(async move {
            for _ in 0..EACH {
                loop {
                    let loaded = store.load().await.unwrap();
                    let counter =
                        loaded.docs.first().map_or(0, |doc| std::str::from_utf8(&doc.body).unwrap().parse().unwrap());
                    match store.commit(put(loaded.head, key("counter"), &(counter + 1_u64).to_string())).await {
                        Ok(_) => break,
                        Err(StoreError::Conflict { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        })
    };
    for writer in [count(Arc::clone(&store)), count(beside)] {
        soon("a writer", writer).await.unwrap();
    }
    let loaded = store.load().await.unwrap();
    assert_eq!((loaded.head, &*loaded.docs[0].body), (Revision(2 * EACH), (2 * EACH).to_string().as_bytes()));
}

pub(crate) async fn a_reopened_store_is_the_same_store(world: World) {
    let store = world.open().await;
    let id = store.id().to_owned();
    assert_eq!(id.len(), 32);
    store.commit(put(Revision(0), key(1), "kept")).await.unwrap();
    let before = store.load().await.unwrap();
    drop(store);
    let store = world.open().await;
    assert_eq!(store.id(), id);
    assert_eq!(store.load().await.unwrap(), before);
    assert_eq!(store.commit(put(Revision(1), key(2), "more")).await, Ok(Revision(2)));
}

pub(crate) async fn a_document_that_is_too_large_is_refused_and_nothing_is_written(world: World) {
    let store = world.open().await;
    let mut txn = put(Revision(0), key(1), "small");
    txn.put(key(2), vec![b'x'; DOC_BYTES_MAX + 1]);
    let refused =
        StoreError::TooLarge { what: "Key/k2".to_owned(), bytes: DOC_BYTES_MAX + 1, bytes_max: DOC_BYTES_MAX };
    assert_eq!(store.commit(txn).await, Err(refused));
    assert_eq!(store.load().await.unwrap().docs, []);

    // Three of the largest there may be are too much for one request to etcd, but not for a transaction.
    let mut txn = Txn::new(Revision(0));
    for n in 0..3 {
        txn.put(key(n), vec![b'x'; DOC_BYTES_MAX]);
    }
    assert_eq!(store.commit(txn).await, Ok(Revision(1)));
    assert_eq!(store.commit(put(Revision(1), key(7), "y")).await, Ok(Revision(2)));
    let loaded = store.load().await.unwrap();
    assert_eq!(loaded.docs.iter().map(|doc| doc.body.len()).sum::<usize>(), 3 * DOC_BYTES_MAX + 1);
}
