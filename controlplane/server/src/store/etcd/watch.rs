//! What is committed, told once, whole and in order, through reconnects and compactions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{EventType, WatchOptions, WatchResponse, WatchStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use vocab::Revision;

use super::Inner;
use super::cluster::jitter;
use super::layout::{Head, read_doc, read_key};
use super::meta::{Known, Seen, read_head};
use super::past::Start;
use crate::store::{Committed, Event, StoreError};

/// How often the head itself is asked whether the watch still tells everything.
const CHECK_EVERY: Duration = Duration::from_secs(2);
/// A watch that is behind for so long has stalled.
const STALLED: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(1);

pub(super) struct Watcher {
    inner: Arc<Inner>,
    /// The newest revision that was told.
    told: Revision,
    /// The transaction that made it, if that is known.
    txn: Option<String>,
    /// etcd's own revision to go on watching from. None when it is not known, or too old.
    next: Option<i64>,
    is_down: bool,
    /// The member that the watch goes to.
    member: usize,
}

/// Why one watch ended and another has to begin.
enum Broken {
    /// Whoever listened has gone.
    Unheard,
    /// Begin again where it broke.
    Off(String),
    /// What comes next cannot be told any more.
    Forgotten,
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Broken {
        Broken::Off(error.to_string())
    }
}

impl Watcher {
    pub(super) fn new(inner: Arc<Inner>, after: Revision) -> Watcher {
        let (next, txn) = inner.past.start(after).map(|start| (start.next, start.txn)).unzip();
        Watcher { inner, told: after, txn, next, is_down: false, member: 0 }
    }

    pub(super) async fn tell(mut self, listener: mpsc::Sender<Event>) {
        let mut retry = RETRY;
        loop {
            let began = Instant::now();
            let ended = match self.begin(&listener).await {
                Ok(stream) => self.follow(stream, &listener).await,
                Err(broken) => broken,
            };
            match ended {
                Broken::Unheard => return,
                Broken::Forgotten => self.next = None,
                Broken::Off(why) => {
                    tracing::debug!(why, "the watch broke off");
                    self.inner.cluster.leave(self.member);
                }
            }
            sleep(jitter(retry)).await;
            retry = if STALLED < began.elapsed() { RETRY } else { RETRY_MAX.min(retry * 2) };
        }
    }

    /// Finds out where to go on, and whether anything was missed for good.
    async fn begin(&mut self, listener: &mpsc::Sender<Event>) -> Result<WatchStream, Broken> {
        let seen = match self.inner.look(self.inner.cluster.deadline()).await {
            Ok(seen) => seen,
            Err(error) => {
                if !std::mem::replace(&mut self.is_down, true) {
                    hear(listener, Event::Down(error.to_string())).await?;
                }
                return Err(error.into());
            }
        };
        if std::mem::replace(&mut self.is_down, false) {
            hear(listener, Event::Up).await?;
        }
        let anew = !self.goes_on(&seen).await?;
        let next = match self.next.filter(|next| !anew && *next <= seen.at + 1) {
            Some(next) => next,
            None => {
                let head = seen.known.head;
                let is_relist = anew || self.next.is_some() || head.revision != self.told;
                (self.told, self.txn) = (head.revision, Some(head.txn));
                if is_relist {
                    hear(listener, Event::Relist { anew }).await?;
                }
                seen.at + 1
            }
        };
        self.next = Some(next);
        let (mut client, member) = self.inner.cluster.watch_client(self.inner.cluster.deadline()).await?;
        self.member = member;
        let options = WatchOptions::new().with_range(self.inner.layout.watched_end()).with_start_revision(next);
        let watching = client.watch(self.inner.layout.docs(), Some(options));
        let within = tokio::time::timeout_at(self.inner.cluster.deadline(), watching).await;
        let watching = within.map_err(|_| Broken::Off("no watch was begun in time".to_owned()))?;
        watching.map_err(|error| Broken::Off(error.to_string()))
    }

    /// Whether what is there now goes on from what was told, as far as that can be said. A store that was set back to an
    /// earlier state has another history, whatever its numbers are by now.
    async fn goes_on(&self, seen: &Seen) -> Result<bool, Broken> {
        let head = &seen.known.head;
        let is_told = |head: &Head| head.revision == self.told && self.txn.as_ref().is_none_or(|txn| *txn == head.txn);
        if head.revision <= self.told {
            return Ok(is_told(head));
        }
        let Some(next) = self.next else { return Ok(true) };
        if seen.at + 1 < next {
            return Ok(false);
        }
        match self.inner.head_at(next - 1).await {
            Ok(then) => Ok(then.is_some_and(|then| is_told(&then.head))),
            // The watch is told the same, and then everything is read and compared.
            Err(failure) if failure.compacted => Ok(true),
            Err(failure) => Err(failure.error.into()),
        }
    }

    async fn follow(&mut self, mut stream: WatchStream, listener: &mpsc::Sender<Event>) -> Broken {
        let mut checks = interval(CHECK_EVERY);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut behind_since = None;
        loop {
            let step = tokio::select! {
                message = stream.message() => match message {
                    Ok(Some(message)) => {
                        behind_since = None;
                        self.take(&message, listener).await
                    }
                    Ok(None) => Err(Broken::Off("etcd ended the watch".to_owned())),
                    Err(error) => Err(Broken::Off(error.to_string())),
                },
                _ = checks.tick() => self.check(&mut behind_since).await,
                () = listener.closed() => Err(Broken::Unheard),
            };
            if let Err(broken) = step {
                return broken;
            }
        }
    }

    /// Whether the head has been moving while the watch was silent.
    async fn check(&self, behind_since: &mut Option<Instant>) -> Result<(), Broken> {
        let head = self.inner.look(self.inner.cluster.deadline()).await?.known.head;
        if self.inner.cluster.current() != self.member {
            return Err(Broken::Off("requests have moved to another member".to_owned()));
        }
        let is_other = self.txn.as_ref().is_some_and(|txn| *txn != head.txn);
        if head.revision < self.told || (head.revision == self.told && is_other) {
            return Err(Broken::Forgotten);
        }
        if head.revision == self.told {
            *behind_since = None;
            return Ok(());
        }
        let now = Instant::now();
        let since = *behind_since.get_or_insert(now);
        if STALLED <= now.duration_since(since) {
            return Err(Broken::Off(format!(
                "the watch has told revision {}, but the head is {}",
                self.told, head.revision
            )));
        }
        Ok(())
    }

    async fn take(&mut self, message: &WatchResponse, listener: &mpsc::Sender<Event>) -> Result<(), Broken> {
        if message.canceled() {
            let compacted = 0 < message.compact_revision();
            return Err(if compacted { Broken::Forgotten } else { Broken::Off(message.cancel_reason().to_owned()) });
        }
        // One etcd transaction is one etcd revision, and comes in one message.
        let mut transactions: BTreeMap<i64, Vec<&etcd_client::Event>> = BTreeMap::new();
        for event in message.events() {
            if let Some(kv) = event.kv() {
                transactions.entry(kv.mod_revision()).or_default().push(event);
            }
        }
        for (at, events) in transactions {
            if let Some((committed, txn)) = self.read(&events).await? {
                self.inner.past.note(committed.revision, Start { next: at + 1, txn: txn.clone() });
                (self.told, self.txn) = (committed.revision, Some(txn));
                hear(listener, Event::Committed(Arc::new(committed))).await?;
            }
            self.next = Some(at + 1);
        }
        Ok(())
    }

    /// The commit among these events of one etcd transaction. Without a head that moves on, it is none: then documents
    /// of an earlier commit are being written in. With it comes who made it.
    async fn read(&self, events: &[&etcd_client::Event]) -> Result<Option<(Committed, String)>, Broken> {
        let at_head = |event: &&&etcd_client::Event| event.kv().is_some_and(|kv| kv.key() == self.inner.layout.head());
        let Some(head) = events.iter().find(at_head) else { return Ok(None) };
        let head = head.kv().filter(|_| head.event_type() == EventType::Put).and_then(read_head);
        let Some(Known { head, version, .. }) = head else { return Err(Broken::Forgotten) };
        if head.revision <= self.told {
            // Set back, or just the same head without its redo.
            return if head.revision == self.told { Ok(None) } else { Err(Broken::Forgotten) };
        }
        if head.revision != self.told.next() {
            return Err(Broken::Forgotten);
        }
        if let Some(redo) = head.redo.as_ref().filter(|redo| redo.revision == head.revision) {
            let redo = self.inner.set_aside_as(redo, version).await;
            let redo =
                redo.map_err(|failure| if failure.compacted { Broken::Forgotten } else { failure.error.into() })?;
            return Ok(Some((Committed::of(head.revision, redo.ok_or(Broken::Forgotten)?), head.txn)));
        }
        let docs = events.iter().filter_map(|event| event.kv()).filter(|kv| kv.key() != self.inner.layout.head());
        let puts = docs.filter_map(|kv| read_doc(self.inner.layout.key_of(kv.key())?, kv.value().to_vec()));
        let deletes = head.deletes.iter().filter_map(|key| read_key(key));
        let committed = Committed { revision: head.revision, puts: puts.collect(), deletes: deletes.collect() };
        Ok(Some((committed, head.txn)))
    }
}

async fn hear(listener: &mpsc::Sender<Event>, event: Event) -> Result<(), Broken> {
    listener.send(event).await.map_err(|_| Broken::Unheard)
}
