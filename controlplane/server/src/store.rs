//! Where configuration is kept: one trait, two stores, one counter of revisions.
//!
//! A store keeps documents by kind and name and knows nothing of what they say. Every change is a `Txn`: validated by
//! the caller against one revision, committed as the next one or refused because somebody else was first.
//! Whoever watches sees each revision once, whole, in order; whoever loads sees one revision, whole.

pub mod embedded;
pub mod etcd;
pub(crate) mod sqlite;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use vocab::Revision;

/// What one document may weigh at most, in either store.
pub const DOC_BYTES_MAX: usize = 1024 * 1024;

#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    fn kind(&self) -> &'static str;

    /// Random, made when the store was first opened and kept in it: revisions of another store mean nothing here.
    fn id(&self) -> &str;

    /// Asks the store itself, not a memory of it.
    async fn head(&self) -> Result<Revision, StoreError>;

    /// Everything, as of one revision.
    async fn load(&self) -> Result<Loaded, StoreError>;

    /// Durable when it returns. The answer is the new head: `txn.expect` and one more.
    async fn commit(&self, txn: Txn) -> Result<Revision, StoreError>;

    /// What is committed after `after`, by whomever. Call it within a tokio runtime.
    fn watch(&self, after: Revision) -> Watch;
}

/// Which document.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocKey {
    pub kind: String,
    pub name: String,
}

impl DocKey {
    #[must_use]
    pub fn new(kind: impl Into<String>, name: impl Into<String>) -> DocKey {
        DocKey { kind: kind.into(), name: name.into() }
    }
}

impl fmt::Display for DocKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// One document as it is kept. The body is the caller's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doc {
    pub key: DocKey,
    /// Of its last change.
    pub revision: Revision,
    pub body: Bytes,
}

/// All or nothing. Of two words on one document the later counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// The revision this was validated against.
    pub expect: Revision,
    /// And in which history, as it was loaded.
    pub history: u64,
    pub changes: BTreeMap<DocKey, Option<Bytes>>,
}

impl Txn {
    #[must_use]
    pub fn new(expect: Revision) -> Txn {
        Txn { expect, history: 0, changes: BTreeMap::new() }
    }

    pub fn put(&mut self, key: DocKey, body: impl Into<Bytes>) {
        self.changes.insert(key, Some(body.into()));
    }

    pub fn delete(&mut self, key: DocKey) {
        self.changes.insert(key, None);
    }

    /// What no store would take.
    fn check(&self, untouchable: &BTreeSet<DocKey>) -> Result<(), StoreError> {
        for (key, body) in &self.changes {
            let bytes = body.as_ref().map_or(0, Bytes::len);
            if DOC_BYTES_MAX < bytes {
                return Err(StoreError::TooLarge { what: key.to_string(), bytes, bytes_max: DOC_BYTES_MAX });
            }
            if untouchable.contains(key) {
                return Err(StoreError::Corrupt(format!(
                    "what is stored for {key} cannot be read and is not overwritten; save or remove it by hand, then load again"
                )));
            }
        }
        Ok(())
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    pub head: Revision,
    /// Grows when the store was set back to an earlier state and went on from there: then one number names two contents.
    pub history: u64,
    /// Sorted by kind and name.
    pub docs: Vec<Doc>,
    /// What lies among the documents and is none: skipped, and never overwritten.
    pub undecodable: Vec<Undecodable>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecodable {
    pub place: String,
    pub why: String,
}

/// One transaction, as watchers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    pub revision: Revision,
    pub puts: Vec<Doc>,
    pub deletes: Vec<DocKey>,
}

impl Committed {
    fn of(revision: Revision, changes: impl IntoIterator<Item = (DocKey, Option<Bytes>)>) -> Committed {
        let mut committed = Committed { revision, puts: Vec::new(), deletes: Vec::new() };
        for (key, body) in changes {
            match body {
                Some(body) => committed.puts.push(Doc { key, revision, body }),
                None => committed.deletes.push(key),
            }
        }
        committed
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Skip it when it is not newer than what you hold.
    Committed(Arc<Committed>),
    /// Some revisions cannot be told any more: `load` again. The watch goes on behind them. `anew` when the store was set
    /// back to an earlier state: then the numbers of the revisions that were told mean nothing any more.
    Relist {
        anew: bool,
    },
    /// The store does not answer. Nothing is lost: what is missed meanwhile follows after `Up`.
    Down(String),
    Up,
}

/// Events from one store. Dropping it ends the watching.
#[derive(Debug)]
pub struct Watch {
    events: mpsc::Receiver<Event>,
    task: AbortHandle,
}

impl Watch {
    /// Few enough that a slow reader holds back the watching, not the memory.
    const EVENTS_MAX: usize = 64;

    fn spawn<F>(watching: impl FnOnce(mpsc::Sender<Event>) -> F) -> Watch
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, events) = mpsc::channel(Watch::EVENTS_MAX);
        let task = tokio::spawn(watching(sender)).abort_handle();
        Watch { events, task }
    }

    /// `None` when the store is gone. May be dropped while it waits: no event is lost.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Validate against the new head and come again.
    #[error("the configuration has moved on to revision {head}")]
    Conflict { head: Revision },
    /// Nothing was changed. Come again later.
    #[error("the store does not answer: {0}")]
    Unavailable(String),
    /// The store fell silent in mid-commit: the change may be in force or not, now or in a moment. Look before repeating it.
    #[error("the store did not say whether it took the change; look before repeating it: {0}")]
    Unsure(String),
    #[error("{what} has {bytes} bytes and a store keeps at most {bytes_max}")]
    TooLarge { what: String, bytes: usize, bytes_max: usize },
    /// What is there is damaged. It was not touched.
    #[error("{0}")]
    Corrupt(String),
    /// What is there belongs to somebody else, or to a newer version of this program. It was not touched.
    #[error("{0}")]
    Foreign(String),
    /// Another process uses this directory.
    #[error("{0}")]
    Taken(String),
    #[error("{0}")]
    Misconfigured(String),
    #[error("this cursor belongs to another question")]
    BadCursor,
}

/// Where to find a store.
#[derive(Clone, Debug)]
pub enum Place {
    /// A directory that belongs to one process.
    Embedded { dir: PathBuf },
    /// A cluster that belongs to everybody.
    Etcd(Box<etcd::Options>),
}

/// Opens the store, and makes it if nothing is there. `Unavailable` may pass; every other error wants an operator.
pub async fn open(place: &Place) -> Result<Arc<dyn Store>, StoreError> {
    match place {
        Place::Embedded { dir } => Ok(Arc::new(embedded::Embedded::open(dir).await?)),
        Place::Etcd(options) => Ok(Arc::new(etcd::Etcd::open(options).await?)),
    }
}
