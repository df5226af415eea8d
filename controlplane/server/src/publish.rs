//! From the store's commits to what is in force here, and to what proxies must be told.
//!
//! Every commit comes by here, our own and those of other replicas, in the order of the store. When the store is away,
//! what is in force stays in force.

mod follow;
mod ring;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use registry::{Change, Delta, Ref, Resource, State, Stored, merge};
use tokio::sync::{Notify, watch};
use vocab::Revision;

pub(crate) use follow::{follow, load};
pub(crate) use ring::{Bounds, Point};

use crate::stop::Stop;
use crate::store::{Doc, DocKey};
use ring::Ring;

/// Changes that come within so long of each other travel as one update.
const COMPANY: Duration = Duration::from_millis(5);

/// What is in force, and the way there.
///
/// Locks are held for as long as it takes to look something up or to put one transaction into force; where both are
/// taken, the state's is first.
#[derive(Debug)]
pub(crate) struct Latest {
    store: String,
    state: RwLock<State>,
    /// Of the store, that the state is of. Written together with the state.
    history: AtomicU64,
    ring: Mutex<Ring>,
    bounds: Bounds,
    /// Documents in the store that this control plane cannot read, and why. They are never overwritten.
    unreadable: Mutex<BTreeMap<DocKey, String>>,
    is_store_up: AtomicBool,
    applied: watch::Sender<Revision>,
    announced: watch::Sender<Point>,
    pending: Notify,
}

/// What came of an attempt to put a commit into force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Taken,
    /// It was in force already.
    Known,
    /// Something before it is missing: everything must be read again.
    Gap,
}

impl Latest {
    pub(crate) fn new(store: &str, docs: Docs, bounds: Bounds) -> Arc<Latest> {
        let history = AtomicU64::new(docs.history);
        let state = State::load(docs.head, docs.readable);
        let point = Point { epoch: 0, revision: state.revision(), digest: state.digest() };
        Arc::new(Latest {
            store: store.to_owned(),
            applied: watch::Sender::new(state.revision()),
            state: RwLock::new(state),
            history,
            ring: Mutex::new(Ring::new(point, bounds)),
            bounds,
            unreadable: Mutex::new(docs.unreadable),
            is_store_up: AtomicBool::new(true),
            announced: watch::Sender::new(point),
            pending: Notify::new(),
        })
    }

    /// The identity of the store.
    pub(crate) fn store(&self) -> &str {
        &self.store
    }

    /// To look something up; never across an await.
    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store's, that the state is of; ask while you hold the state.
    pub(crate) fn history(&self) -> u64 {
        self.history.load(Ordering::Relaxed)
    }

    /// Where proxies should be. It lags a little behind what is in force, so that changes find company.
    pub(crate) fn announced(&self) -> watch::Receiver<Point> {
        self.announced.subscribe()
    }

    pub(crate) fn is_store_up(&self) -> bool {
        self.is_store_up.load(Ordering::Relaxed)
    }

    fn set_store_up(&self, up: bool) {
        self.is_store_up.store(up, Ordering::Relaxed);
    }

    pub(crate) fn unreadable(&self) -> BTreeMap<DocKey, String> {
        lock(&self.unreadable).clone()
    }

    /// How far it has come here, announced or not.
    pub(crate) fn head(&self) -> Point {
        lock(&self.ring).head()
    }

    /// What a holder of `from` must be told, and where it is then.
    pub(crate) fn since(&self, from: Point) -> Option<(Vec<Arc<Delta>>, Point)> {
        let ring = lock(&self.ring);
        Some((ring.since(from)?, ring.head()))
    }

    /// Everything, and where a holder of it is.
    pub(crate) fn full(&self) -> (Delta, Point) {
        let state = self.state();
        (state.full(), lock(&self.ring).head())
    }

    /// Returns when at least this revision is in force here.
    pub(crate) async fn reached(&self, revision: Revision) {
        let mut applied = self.applied.subscribe();
        // It ends only with `self`.
        _ = applied.wait_for(|applied| revision <= *applied).await;
    }

    /// Puts one transaction into force.
    pub(crate) fn advance(&self, revision: Revision, changes: &[Change]) -> Step {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if revision <= state.revision() {
            return Step::Known;
        }
        if revision != state.revision().next() {
            return Step::Gap;
        }
        let delta = state.commit(revision, changes);
        self.publish(revision, delta);
        Step::Taken
    }

    /// Puts everything that a store holds into force: as one step where that is possible. `anew` when it is known not to
    /// go on from what is in force.
    fn catch_up(&self, docs: Docs, anew: bool) {
        *lock(&self.unreadable) = docs.unreadable.clone();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        self.history.store(docs.history, Ordering::Relaxed);
        let goes_on = match docs.head.cmp(&state.revision()) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => docs.is_held(&state),
            std::cmp::Ordering::Greater => true,
        };
        if anew || !goes_on {
            tracing::warn!(held = %state.revision(), found = %docs.head, "the store went back in time, everything is sent anew");
            *state = State::load(docs.head, docs.readable);
            self.begin_anew(&state);
        } else if state.revision() < docs.head {
            let deltas = commit_missed(&mut state, docs);
            let revision = state.revision();
            self.publish(revision, merge(&deltas));
        }
    }

    fn begin_anew(&self, state: &State) {
        let epoch = lock(&self.ring).head().epoch.saturating_add(1);
        let point = Point { epoch, revision: state.revision(), digest: state.digest() };
        *lock(&self.ring) = Ring::new(point, self.bounds);
        self.applied.send_replace(point.revision);
        self.announced.send_replace(point);
    }

    fn publish(&self, revision: Revision, delta: Delta) {
        let at_once = ring::revokes(&delta);
        let head = {
            let mut ring = lock(&self.ring);
            ring.push(revision, delta);
            ring.head()
        };
        self.applied.send_replace(revision);
        if at_once {
            self.announced.send_replace(head);
        } else {
            self.pending.notify_one();
        }
    }

    /// Announces what was put into force a little while ago.
    pub(crate) async fn announce(&self, stop: Stop) {
        while !stop.is_wanted() {
            tokio::select! {
                () = self.pending.notified() => {}
                () = stop.wanted() => return,
            }
            tokio::time::sleep(COMPANY).await;
            // The head is looked up where the announcement is made, so that a later one is not overwritten.
            self.announced.send_if_modified(|announced| {
                let head = lock(&self.ring).head();
                std::mem::replace(announced, head) != head
            });
        }
    }
}

/// Each resource keeps the revision of its own last change, so there is one step for each of those.
fn commit_missed(state: &mut State, docs: Docs) -> Vec<Delta> {
    let mut steps: BTreeMap<Revision, Vec<Change>> = BTreeMap::new();
    let mut gone: std::collections::BTreeSet<_> = state.iter().map(|stored| stored.resource.reference()).collect();
    for stored in docs.readable {
        let reference = stored.resource.reference();
        gone.remove(&reference);
        if state.get(&reference) != Some(&stored) {
            steps.entry(stored.revision).or_default().push(Change::Put(stored.resource));
        }
    }
    // What cannot be read is not gone: the last version that could be read stays.
    gone.retain(|reference| !docs.unreadable.contains_key(&doc_key(reference)));
    steps.entry(docs.head).or_default().extend(gone.into_iter().map(Change::Delete));
    steps.into_iter().map(|(revision, changes)| state.commit(revision, &changes)).collect()
}

/// What a store holds, read.
#[derive(Debug, Default)]
pub(crate) struct Docs {
    head: Revision,
    history: u64,
    readable: Vec<Stored>,
    unreadable: BTreeMap<DocKey, String>,
}

impl Docs {
    /// Whether this is what is in force already.
    fn is_held(&self, state: &State) -> bool {
        let is_held = |stored: &Stored| state.get(&stored.resource.reference()) == Some(stored);
        let is_stale = |held: &Ref| self.unreadable.contains_key(&doc_key(held));
        let n_unreadable = state.iter().filter(|held| is_stale(&held.resource.reference())).count();
        self.readable.iter().all(is_held) && self.readable.len().saturating_add(n_unreadable) == state.iter().count()
    }

    fn read(head: Revision, docs: Vec<Doc>) -> Docs {
        let mut read = Docs { head, ..Docs::default() };
        for doc in docs {
            match resource(&doc) {
                Ok(resource) => read.readable.push(Stored { resource, revision: doc.revision }),
                Err(why) => {
                    tracing::error!(document = %doc.key, %why, "cannot be read and is not in force");
                    read.unreadable.insert(doc.key, why);
                }
            }
        }
        read
    }
}

fn doc_key(reference: &Ref) -> DocKey {
    DocKey::new(reference.kind.as_str(), &*reference.name)
}

fn resource(doc: &Doc) -> Result<Resource, String> {
    let resource = Resource::from_stored(&doc.body).map_err(|why| why.to_string())?;
    if resource.kind().as_str() != doc.key.kind || resource.name() != doc.key.name {
        return Err(format!("says it is {}", resource.reference()));
    }
    Ok(resource)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
