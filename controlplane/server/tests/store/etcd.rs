//! What an etcd that several share brings with it: compaction, and strangers.

use std::sync::Arc;

use etcd_client::{DeleteOptions, GetOptions};
use server::store::etcd::Options;
use server::store::{Event, Place, Store, StoreError, Txn, open};
use server::usage;
use vocab::Revision;

use crate::scratch::soon;
use crate::shared::{key, next_commit, put};
use crate::world::{EtcdServer, Mode, Relay, fresh_prefix};

pub(crate) async fn open_etcd(options: Options) -> Arc<dyn Store> {
    open(&Place::Etcd(Box::new(options))).await.unwrap()
}

pub(crate) async fn refused(options: Options) -> StoreError {
    open(&Place::Etcd(Box::new(options))).await.unwrap_err()
}

pub(crate) async fn keys(server: &EtcdServer, prefix: &str) -> Vec<String> {
    let options = GetOptions::new().with_prefix().with_keys_only();
    let found = server.client().await.get(prefix, Some(options)).await.unwrap();
    found.kvs().iter().map(|kv| kv.key_str().unwrap().to_owned()).collect()
}

pub(crate) fn large(expect: Revision, n_docs: usize) -> Txn {
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
    assert_eq!(told, Event::Relist { anew: false });
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
    assert!(
        matches!(&error, StoreError::Foreign(why) if why.contains("config/thing") && why.contains("--etcd-prefix")),
        "{error}"
    );
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
    assert!(
        matches!(&error, StoreError::Foreign(why) if why.contains("layout 2") && why.contains("upgrade")),
        "{error}"
    );
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
