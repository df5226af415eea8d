//! etcd goes away, comes back, or keeps its answers to itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use server::store::etcd::{Etcd, Options};
use server::store::{Event, Place, Store, StoreError, Txn, Watch, open};
use server::usage::{self, Query, UsageLog};
use vocab::Revision;

use crate::scratch::{eventually, soon};
use crate::shared::{commit_on_top, key, next_commit, put};
use crate::world::{EtcdServer, Mode, Relay, fresh_prefix};

async fn until(watch: &mut Watch, wanted: impl Fn(&Event) -> bool) -> Event {
    loop {
        let event = soon("an event", watch.next()).await.unwrap();
        if wanted(&event) {
            return event;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_etcd_is_down_writes_fail_soon_and_afterwards_everything_goes_on() {
    let server = EtcdServer::start();
    let store = open(&Place::Etcd(Box::new(server.options("/t")))).await.unwrap();
    let mut watch = store.watch(store.load().await.unwrap().head);
    store.commit(put(Revision(0), key(1), "x")).await.unwrap();
    assert_eq!(next_commit(&mut watch).await.revision, Revision(1));

    server.kill();
    let began = Instant::now();
    // The first meets the dying connection, so it may be in doubt; the others are certain.
    assert!(store.commit(put(Revision(1), key(2), "x")).await.is_err());
    assert!(matches!(store.commit(put(Revision(1), key(2), "x")).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.load().await, Err(StoreError::Unavailable(_))));
    assert!(began.elapsed() < Duration::from_secs(3 * 3), "{:?}", began.elapsed());
    let down = until(&mut watch, |event| matches!(event, Event::Down(_))).await;
    assert!(format!("{down:?}").contains("refused"), "{down:?}");
    let opened = Etcd::open(&Options { request_timeout: Duration::from_millis(300), ..server.options("/t") }).await;
    assert!(matches!(opened, Err(StoreError::Unavailable(_))));

    server.run();
    assert_eq!(until(&mut watch, |event| matches!(event, Event::Up)).await, Event::Up);
    let head = store.load().await.unwrap().head;
    let revision = store.commit(put(head, key(3), "x")).await.unwrap();
    let told = until(&mut watch, |event| matches!(event, Event::Committed(told) if told.revision == revision)).await;
    assert!(matches!(told, Event::Committed(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_etcd_loses_nothing_and_tells_nothing_twice() {
    let server = Arc::new(EtcdServer::start());
    let [writer, reader] = [
        open(&Place::Etcd(Box::new(server.options("/t")))).await,
        open(&Place::Etcd(Box::new(server.options("/t")))).await,
    ];
    let (writer, reader) = (writer.unwrap(), reader.unwrap());
    let mut watch = reader.watch(reader.load().await.unwrap().head);
    let writing = tokio::spawn(async move {
        for n in 0..300 {
            eventually("a commit", || async {
                match writer.commit(put(Revision(n), key(n), &n.to_string())).await {
                    Ok(revision) => Some(revision),
                    // In doubt: then it says so, and looking tells which.
                    Err(StoreError::Conflict { head }) if head == Revision(n + 1) => Some(head),
                    Err(StoreError::Unavailable(_) | StoreError::Unsure(_)) => None,
                    Err(error) => panic!("{error}"),
                }
            })
            .await;
        }
    });
    for revision in 1..=300 {
        if revision == 100 || revision == 200 {
            let server = Arc::clone(&server);
            tokio::task::spawn_blocking(move || {
                server.kill();
                server.run();
            })
            .await
            .unwrap();
        }
        let told = next_commit(&mut watch).await;
        assert_eq!(told.revision, Revision(revision));
        assert_eq!(told.puts[0].body, (revision - 1).to_string());
    }
    soon("the writer", writing).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_made_once_and_acknowledged() {
    let (server, prefix) = (EtcdServer::shared(), fresh_prefix());
    let relay = Relay::to(server.port).await;
    let store: Arc<dyn Store> = Arc::new(Etcd::open(&relay.options(&prefix)).await.unwrap());
    let witness = open(&Place::Etcd(Box::new(server.options(&prefix)))).await.unwrap();
    store.commit(put(Revision(0), key(1), "x")).await.unwrap();

    relay.set(Mode::Mute);
    let committing = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.commit(put(Revision(1), key(2), "x")).await }
    });
    eventually("it went in", || async { (witness.head().await == Ok(Revision(2))).then_some(()) }).await;
    relay.set(Mode::Cut);
    relay.set(Mode::Pass);
    assert_eq!(soon("an answer", committing).await.unwrap(), Ok(Revision(2)));
    assert_eq!(witness.head().await, Ok(Revision(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_was_overtaken_while_its_answer_was_lost_is_still_acknowledged() {
    let (server, prefix) = (EtcdServer::shared(), fresh_prefix());
    let relay = Relay::to(server.port).await;
    let store: Arc<dyn Store> = Arc::new(Etcd::open(&relay.options(&prefix)).await.unwrap());
    let other = open(&Place::Etcd(Box::new(server.options(&prefix)))).await.unwrap();
    store.commit(put(Revision(0), key(1), "x")).await.unwrap();

    relay.set(Mode::Mute);
    let committing = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.commit(put(Revision(1), key(2), "mine")).await }
    });
    eventually("it went in", || async { (other.head().await == Ok(Revision(2))).then_some(()) }).await;
    other.commit(put(Revision(2), key(3), "theirs")).await.unwrap();
    other.commit(put(Revision(3), key(3), "theirs again")).await.unwrap();
    relay.set(Mode::Cut);
    relay.set(Mode::Pass);
    assert_eq!(soon("an answer", committing).await.unwrap(), Ok(Revision(2)));

    // And one that was not made, though it is in doubt, is a conflict and not an acknowledgement.
    relay.set(Mode::Swallow);
    let committing = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.commit(put(Revision(4), key(2), "mine")).await }
    });
    other.commit(put(Revision(4), key(3), "theirs")).await.unwrap();
    other.commit(put(Revision(5), key(3), "theirs again")).await.unwrap();
    relay.set(Mode::Cut);
    relay.set(Mode::Pass);
    assert_eq!(soon("an answer", committing).await.unwrap(), Err(StoreError::Conflict { head: Revision(6) }));
    assert_eq!(other.load().await.unwrap().docs.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_into_silence_says_that_it_is_unsure() {
    let (server, prefix) = (EtcdServer::shared(), fresh_prefix());
    let relay = Relay::to(server.port).await;
    let options = Options { request_timeout: Duration::from_secs(1), ..relay.options(&prefix) };
    let store = Etcd::open(&options).await.unwrap();
    store.commit(put(Revision(0), key(1), "x")).await.unwrap();
    relay.set(Mode::Mute);
    let began = Instant::now();
    let answer = store.commit(put(Revision(1), key(2), "x")).await;
    assert!(matches!(&answer, Err(StoreError::Unsure(_))), "{answer:?}");
    assert!(began.elapsed() < Duration::from_secs(2));
    // From now on it looks first, and then nothing is in doubt.
    let answer = store.commit(put(Revision(2), key(3), "x")).await;
    assert!(matches!(&answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    relay.set(Mode::Cut);
    relay.set(Mode::Pass);
    let head = eventually("it recovers", || async { store.head().await.ok() }).await;
    assert_eq!(head, Revision(2), "it had gone in");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_on_a_member_that_fell_silent_moves_to_another() {
    let (server, prefix) = (EtcdServer::shared(), fresh_prefix());
    let [one, two] = [Relay::to(server.port).await, Relay::to(server.port).await];
    let options = Options {
        endpoints: vec![format!("http://{}", one.address), format!("http://{}", two.address)],
        ..server.options(&prefix)
    };
    let store = open(&Place::Etcd(Box::new(options))).await.unwrap();
    let writer = open(&Place::Etcd(Box::new(server.options(&prefix)))).await.unwrap();
    let mut watch = store.watch(store.load().await.unwrap().head);
    writer.commit(put(Revision(0), key(1), "x")).await.unwrap();
    assert_eq!(next_commit(&mut watch).await.revision, Revision(1));
    one.set(Mode::Swallow);
    writer.commit(put(Revision(1), key(2), "x")).await.unwrap();
    let began = Instant::now();
    assert_eq!(next_commit(&mut watch).await.revision, Revision(2));
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_cluster_may_die_one_at_a_time() {
    let ports: Vec<_> = (0..3).map(|_| crate::world::free_port()).collect();
    let cluster: Vec<_> = ports.iter().enumerate().map(|(n, port)| format!("m{n}=http://127.0.0.1:{port}")).collect();
    let members: Vec<_> = ports
        .iter()
        .enumerate()
        .map(|(n, port)| {
            let peer = format!("http://127.0.0.1:{port}");
            let more = [
                format!("--name=m{n}"),
                format!("--listen-peer-urls={peer}"),
                format!("--initial-advertise-peer-urls={peer}"),
                format!("--initial-cluster={}", cluster.join(",")),
            ];
            EtcdServer::prepare("http", &more)
        })
        .collect();
    members.iter().for_each(EtcdServer::run);
    members.iter().for_each(EtcdServer::wait_until_healthy);
    let options = Options { endpoints: members.iter().map(EtcdServer::endpoint).collect(), ..members[0].options("/t") };
    let store = open(&Place::Etcd(Box::new(options.clone()))).await.unwrap();
    let reader = open(&Place::Etcd(Box::new(options))).await.unwrap();
    let mut watch = reader.watch(reader.load().await.unwrap().head);

    let leader = leader(&members).await;
    for (round, victim) in [(leader + 1) % 3, leader].into_iter().enumerate() {
        let done = 50 * u64::try_from(round).unwrap();
        for n in done..done + 50 {
            if n == done + 25 {
                members[victim].kill();
            }
            // No commit fails: an election is shorter than our patience.
            assert_eq!(store.commit(put(Revision(n), key(n), "x")).await, Ok(Revision(n + 1)));
        }
        for revision in done + 1..=done + 50 {
            assert_eq!(next_commit(&mut watch).await.revision, Revision(revision));
        }
        members[victim].run();
        members[victim].wait_until_healthy();
    }
    commit_on_top(&*store, |head| put(head, key("last"), "x")).await;
    assert_eq!(next_commit(&mut watch).await.revision, Revision(101));
}

async fn leader(members: &[EtcdServer]) -> usize {
    for (n, member) in members.iter().enumerate() {
        let status = member.client().await.status().await.unwrap();
        if status.leader() == status.header().unwrap().member_id() {
            return n;
        }
    }
    panic!("no leader")
}

/// One control plane does not see how etcd is set back to revision 1, and how others go on from there.
async fn set_back_unseen(found_to: u64) {
    const LOST_TO: u64 = 4;
    let server = EtcdServer::start();
    let relay = Relay::to(server.port).await;
    let reader: Arc<dyn Store> = Arc::new(Etcd::open(&relay.options("/t")).await.unwrap());
    let writer = open(&Place::Etcd(Box::new(server.options("/t")))).await.unwrap();
    writer.commit(put(Revision(0), key(1), "common")).await.unwrap();
    let mut watch = reader.watch(reader.load().await.unwrap().head);
    server.back_up();
    for n in 1..LOST_TO {
        commit_on_top(&*writer, |head| put(head, key(n), "lost")).await;
    }
    until(&mut watch, |event| matches!(event, Event::Committed(told) if told.revision == Revision(LOST_TO))).await;
    drop(writer);

    relay.set(Mode::Cut);
    server.set_back();
    let writer = open(&Place::Etcd(Box::new(server.options("/t")))).await.unwrap();
    for n in 1..found_to {
        writer.commit(put(Revision(n), key(n), "found")).await.unwrap();
    }
    relay.set(Mode::Pass);
    until(&mut watch, |event| *event == Event::Relist { anew: true }).await;

    // What was validated against the lost history is not taken for valid in this one.
    let stale = reader.commit(put(Revision(LOST_TO), key(1), "overwritten")).await;
    match stale {
        Err(StoreError::Unavailable(why)) if found_to == LOST_TO => assert!(why.contains("set back"), "{why}"),
        Err(StoreError::Conflict { head }) => assert_eq!(head, Revision(found_to)),
        other => panic!("{other:?}"),
    }
    let loaded = reader.load().await.unwrap();
    assert_eq!(loaded.head, Revision(found_to));
    assert!(loaded.docs.iter().all(|doc| doc.body == "found"), "{loaded:?}");
    if found_to == LOST_TO {
        assert!(matches!(reader.commit(put(loaded.head, key(1), "x")).await, Err(StoreError::Unavailable(_))));
    }
    let next = Txn { history: loaded.history, ..put(loaded.head, key(1), "next") };
    let revision = reader.commit(next).await.unwrap();
    assert_eq!(revision, Revision(found_to + 1));
    assert_eq!(next_commit(&mut watch).await.revision, revision, "the watch goes on in this history");
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_set_back_and_at_the_same_number_again_is_another_history() {
    set_back_unseen(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_set_back_and_at_a_higher_number_is_another_history() {
    set_back_unseen(6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_set_back_and_at_a_lower_number_is_another_history() {
    set_back_unseen(2).await;
}

fn report(seq: u64, n_rows: u64) -> wire::UsageReport {
    let row =
        |key| wire::UsageRow { minute: 29_900_000, key, requests: 1, team: "t".repeat(100), ..Default::default() };
    wire::UsageReport { proxy: "p".into(), boot: 1, seq, rows: (0..n_rows).map(row).collect() }
}

async fn requests(log: &dyn UsageLog) -> u64 {
    let page = log.query(&Query { to: u64::MAX, limit: 1, ..Query::default() }).await.unwrap();
    page.rows[0].requests
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_whose_answer_is_lost_is_counted_once() {
    let (server, prefix) = (EtcdServer::shared(), fresh_prefix());
    let relay = Relay::to(server.port).await;
    let log = usage::open(&Place::Etcd(Box::new(relay.options(&prefix))), 8).await.unwrap();
    let witness = usage::open(&Place::Etcd(Box::new(server.options(&prefix))), 8).await.unwrap();
    log.append(&[report(1, 5)]).await.unwrap();
    relay.set(Mode::Mute);
    let appending = tokio::spawn({
        let log = Arc::clone(&log);
        async move { log.append(&[report(2, 5)]).await }
    });
    eventually("it went in", || async { (requests(&*witness).await == 10).then_some(()) }).await;
    relay.set(Mode::Cut);
    relay.set(Mode::Pass);
    assert_eq!(soon("an answer", appending).await.unwrap().unwrap()[0].durable_seq, 2);
    assert!(witness.append(&[report(2, 5)]).await.unwrap()[0].repeated);
    assert_eq!(requests(&*witness).await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_report_that_broke_off_is_counted_once_when_it_comes_again() {
    const ROWS: u64 = 4000;
    let server = EtcdServer::shared();
    let relay = Relay::to(server.port).await;
    let log = usage::open(&Place::Etcd(Box::new(relay.options(&fresh_prefix()))), 8).await.unwrap();
    let before = relay.sent();
    log.append(&[report(1, ROWS)]).await.unwrap();
    let whole = relay.sent() - before;
    for step in 1..8 {
        let prefix = fresh_prefix();
        let relay = Relay::to(server.port).await;
        let options = Options { request_timeout: Duration::from_millis(300), ..relay.options(&prefix) };
        let log = usage::open(&Place::Etcd(Box::new(options)), 8).await.unwrap();
        let witness = usage::open(&Place::Etcd(Box::new(server.options(&prefix))), 8).await.unwrap();
        relay.cut_after(whole * step / 8);
        assert!(log.append(&[report(1, ROWS)]).await.is_err(), "step {step}: it was to break off");
        let appended = witness.append(&[report(1, ROWS)]).await.unwrap()[0];
        assert_eq!((appended.durable_seq, requests(&*witness).await), (1, ROWS), "step {step}");
    }
}
