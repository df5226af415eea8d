//! Three control planes on one etcd, while wires break, answers get lost, history is compacted and etcd is killed.
//! How they are interleaved is up to the machine; what goes wrong is up to a seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use server::store::etcd::{Etcd, Options};
use server::store::{Doc, DocKey, Event, Loaded, Store, StoreError, Txn};
use vocab::Revision;

use crate::scratch::soon;
use crate::world::{EtcdServer, Mode, Relay};

const SECONDS: &str = "TURNPIKE_CHAOS_SECONDS";
const SEED: &str = "TURNPIKE_CHAOS_SEED";

/// What the writers were told became of their transactions.
#[derive(Default)]
struct Ledger {
    acknowledged: BTreeMap<u64, DocKey>,
    unsure: BTreeSet<DocKey>,
    refused: BTreeSet<DocKey>,
}

/// xorshift: chance that can be had again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Every transaction leaves one document of its own, and changes some that all of them change.
fn transaction(expect: Revision, own: &DocKey, dice: &mut Dice) -> Txn {
    let mut txn = Txn::new(expect);
    let n_changes = if dice.roll(12) == 0 { 300 + dice.roll(600) } else { dice.roll(5) };
    for _ in 0..n_changes {
        let key = DocKey::new("Key", format!("k{}", dice.roll(1000)));
        if dice.roll(3) == 0 {
            txn.delete(key);
        } else {
            txn.put(key, format!("{own} {}", "x".repeat(1500)));
        }
    }
    txn.put(own.clone(), "own");
    txn
}

async fn write(store: Arc<dyn Store>, writer: usize, ledger: Arc<Mutex<Ledger>>, done: Arc<AtomicBool>, seed: u64) {
    let mut dice = Dice(seed);
    let mut n = 0;
    while !done.load(Ordering::SeqCst) {
        let Ok(mut head) = store.head().await else { continue };
        // A few on top of each other without asking in between, as long as nobody else is faster.
        for _ in 0..5 {
            n += 1;
            let own = DocKey::new("Log", format!("{writer}-{n:06}"));
            let answer = store.commit(transaction(head, &own, &mut dice)).await;
            let mut ledger = ledger.lock().unwrap();
            match answer {
                Ok(revision) => {
                    assert_eq!(revision, head.next());
                    assert_eq!(
                        ledger.acknowledged.insert(revision.0, own),
                        None,
                        "revision {revision} was given twice"
                    );
                    head = revision;
                    continue;
                }
                Err(StoreError::Unsure(_)) => ledger.unsure.insert(own),
                Err(StoreError::Conflict { .. } | StoreError::Unavailable(_)) => ledger.refused.insert(own),
                Err(error) => panic!("{error}"),
            };
            break;
        }
    }
}

async fn load(store: &dyn Store) -> Loaded {
    loop {
        match store.load().await {
            Ok(loaded) => return loaded,
            Err(StoreError::Unavailable(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Holds what it was told, until that is `last`.
async fn follow(store: Arc<dyn Store>, last: tokio::sync::watch::Receiver<u64>) -> (BTreeMap<DocKey, Doc>, usize) {
    let by_key = |loaded: Loaded| loaded.docs.into_iter().map(|doc| (doc.key.clone(), doc)).collect::<BTreeMap<_, _>>();
    let loaded = load(&*store).await;
    let (mut held, mut watch, mut n_relists) = (loaded.head, store.watch(loaded.head), 0);
    let mut docs = by_key(loaded);
    while held.0 != *last.borrow() {
        let Ok(event) = tokio::time::timeout(Duration::from_millis(100), watch.next()).await else { continue };
        match event.unwrap() {
            Event::Committed(told) if told.revision <= held => {}
            Event::Committed(told) => {
                assert_eq!(told.revision, held.next());
                held = told.revision;
                told.deletes.iter().for_each(|key| _ = docs.remove(key));
                docs.extend(told.puts.iter().map(|doc| (doc.key.clone(), doc.clone())));
            }
            Event::Relist { .. } => {
                let loaded = load(&*store).await;
                assert!(held <= loaded.head);
                held = loaded.head;
                docs = by_key(loaded);
                n_relists += 1;
            }
            Event::Down(_) | Event::Up => {}
        }
    }
    (docs, n_relists)
}

async fn meddle(server: &Arc<EtcdServer>, relays: &[Relay], mut dice: Dice, until: tokio::time::Instant) {
    while tokio::time::Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20 + dice.roll(150))).await;
        let relay = &relays[usize::try_from(dice.roll(relays.len() as u64)).unwrap()];
        match dice.roll(10) {
            n @ 0..6 => {
                relay.set([Mode::Cut, Mode::Mute, Mode::Swallow][usize::try_from(n / 2).unwrap()]);
                tokio::time::sleep(Duration::from_millis(dice.roll(500))).await;
                // What was swallowed is lost, and a wire that loses something is a broken one.
                relay.set(Mode::Cut);
                tokio::time::sleep(Duration::from_millis(10)).await;
                relay.set(Mode::Pass);
            }
            6..9 => {
                let mut client = server.client().await;
                let Ok(now) = client.get("x", None).await else { continue };
                client.compact(now.header().unwrap().revision(), None).await.ok();
            }
            _ => {
                let server = Arc::clone(server);
                let again = move || {
                    server.kill();
                    server.run();
                    server.wait_until_healthy();
                };
                tokio::task::spawn_blocking(again).await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_or_done_twice_whatever_breaks() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number(SEED).unwrap_or_else(|| u64::from(std::process::id()) + 1);
    println!("{SEED}={seed}");
    let server = Arc::new(EtcdServer::start());
    let mut relays = Vec::new();
    for _ in 0..3 {
        relays.push(Relay::to(server.port).await);
    }
    let (ledger, done) = (Arc::new(Mutex::new(Ledger::default())), Arc::new(AtomicBool::new(false)));
    let (last, is_last) = tokio::sync::watch::channel(u64::MAX);
    let (mut writers, mut followers) = (Vec::new(), Vec::new());
    for (n, relay) in relays.iter().enumerate() {
        let tidy_every = Duration::from_millis(300);
        let options = Options { request_timeout: Duration::from_secs(2), tidy_every, ..relay.options("/chaos") };
        let store: Arc<dyn Store> = Arc::new(Etcd::open(&options).await.unwrap());
        let (ledger, done) = (Arc::clone(&ledger), Arc::clone(&done));
        writers.push(tokio::spawn(write(Arc::clone(&store), n, ledger, done, seed + 1000 * (n as u64 + 1))));
        followers.push(tokio::spawn(follow(store, is_last.clone())));
    }
    let until = tokio::time::Instant::now() + Duration::from_secs(number(SECONDS).unwrap_or(6));
    meddle(&server, &relays, Dice(seed), until).await;
    done.store(true, Ordering::SeqCst);
    for writer in writers {
        soon("a writer", writer).await.unwrap();
    }

    let witness = Etcd::open(&server.options("/chaos")).await.unwrap();
    let loaded = witness.load().await.unwrap();
    last.send(loaded.head.0).unwrap();
    let ledger = std::mem::take(&mut *ledger.lock().unwrap());
    let logged: BTreeMap<_, _> =
        loaded.docs.iter().filter(|doc| doc.key.kind == "Log").map(|doc| (&doc.key, doc.revision.0)).collect();
    for (revision, own) in &ledger.acknowledged {
        assert_eq!(logged.get(own), Some(revision), "{own} was acknowledged");
    }
    for own in logged.keys() {
        assert!(!ledger.refused.contains(own), "{own} was refused and yet is there");
    }
    assert_eq!(logged.values().copied().collect::<Vec<_>>().len() as u64, loaded.head.0, "one transaction a revision");
    let docs: BTreeMap<_, _> = loaded.docs.iter().map(|doc| (doc.key.clone(), doc.clone())).collect();
    let mut relists = Vec::new();
    for follower in followers {
        let (told, n_relists) = soon("a follower", follower).await.unwrap();
        assert!(told == docs, "what was told is not what is there");
        relists.push(n_relists);
    }
    println!(
        "{} acknowledged, {} unsure, {} refused, relists {relists:?}",
        ledger.acknowledged.len(),
        ledger.unsure.len(),
        ledger.refused.len()
    );
    assert!(20 < ledger.acknowledged.len(), "hardly anything was tried");
}
