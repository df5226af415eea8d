//! A change goes in once, or not at all, and its author learns which.

use bytes::Bytes;
use etcd_client::{Compare, CompareOp, EventType, Txn, TxnOp, WatchOptions};
use tokio::time::{Instant, timeout_at};
use vocab::Revision;

use super::Inner;
use super::layout::{self, Head, Redo};
use super::meta::{Known, encode, read_head};
use super::past::Start;
use crate::store::{DocKey, StoreError, Txn as Change};

/// Whether the documents of a commit are where they belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    In,
    Aside,
}

/// What moves the head.
struct Step<'c> {
    revision: Revision,
    txn: String,
    kind: Kind<'c>,
    guards: Vec<Compare>,
    operations: Vec<TxnOp>,
}

/// Small ones may go on top of a large one that is still being written in, so that a revocation never waits for it.
enum Kind<'c> {
    Small(&'c Change),
    Large(Redo),
}

impl Step<'_> {
    fn head(&self, known: &Known) -> Head {
        let (deletes, redo) = match &self.kind {
            Kind::Small(change) => {
                let deletes = change.changes.iter().filter(|(_, body)| body.is_none());
                let redo = known.head.redo.clone().map(|redo| redo.touch(change));
                (deletes.map(|(key, _)| key.to_string()).collect(), redo)
            }
            Kind::Large(redo) => (Vec::new(), Some(redo.clone())),
        };
        Head { revision: self.revision, txn: self.txn.clone(), deletes, redo }
    }
}

impl Inner {
    pub(super) async fn commit(&self, change: Change) -> Result<(Revision, Written), StoreError> {
        let deadline = self.cluster.deadline();
        let turn = timeout_at(deadline, self.turn.lock()).await;
        let _turn = turn.map_err(|_| StoreError::Unavailable("other changes are still being written".to_owned()))?;
        let is_small = layout::is_small(&change, self.layout.root());
        let known = self.stand_at(&change, is_small, deadline).await?;
        let revision = change.expect.next();
        let txn = trust::random_bytes::<12>().map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect());
        let txn: String =
            txn.ok_or_else(|| StoreError::Unavailable("the system has no randomness to give".to_owned()))?;
        if is_small {
            let operations =
                change.changes.iter().map(|(key, body)| self.write(revision, key, body.as_ref())).collect();
            let step = Step { revision, txn, kind: Kind::Small(&change), guards: Vec::new(), operations };
            self.step(known, step, deadline).await?;
            return Ok((revision, Written::In));
        }
        let chunks = self.set_aside(&txn, layout::write_chunks(&change)).await?;
        // It was written first, and whoever throws away orphans throws away all of them: if it is there, all are.
        let still_there = Compare::version(self.layout.chunk(&txn, 0), CompareOp::Greater, 0);
        let redo = Redo { txn: txn.clone(), revision, chunks, touched: Default::default() };
        let step = Step { revision, txn, kind: Kind::Large(redo), guards: vec![still_there], operations: Vec::new() };
        self.step(known, step, self.cluster.deadline()).await?;
        Ok((revision, Written::Aside))
    }

    /// The head at the revision that was validated against, ready to take this change.
    async fn stand_at(&self, change: &Change, is_small: bool, deadline: Instant) -> Result<Known, StoreError> {
        let maker = self.past.maker(change.expect, change.history).ok_or_else(set_back)?;
        let is_same = |known: &Known| maker.as_ref().is_none_or(|maker| *maker == known.head.txn);
        let is_ready = |known: &Known| {
            let redo = known.head.redo.as_ref();
            redo.is_none_or(|redo| is_small && redo.has_room_for(change))
        };
        let is_there = |known: &Known| known.head.revision == change.expect && is_same(known);
        let fresh = |known: &Known| is_there(known) && !self.cluster.is_troubled();
        let remembered = super::locked(&self.known).clone().filter(fresh);
        let mut known = match remembered {
            Some(known) => known,
            // While in trouble, this also tells apart "it is down" from "it went down in mid-commit".
            None => self.look(deadline).await?.known,
        };
        if is_there(&known) && !is_ready(&known) {
            let finished = timeout_at(deadline, self.finish()).await;
            let late = |_| StoreError::Unavailable("a large change is still being written in".to_owned());
            known = finished.map_err(late)??;
        }
        if is_there(&known) {
            Ok(known)
        } else if known.head.revision == change.expect {
            Err(set_back())
        } else {
            Err(StoreError::Conflict { head: known.head.revision })
        }
    }

    pub(super) fn write(&self, revision: Revision, key: &DocKey, body: Option<&Bytes>) -> TxnOp {
        match body {
            Some(body) => TxnOp::put(self.layout.doc(key), layout::write_doc(revision, body), None),
            None => TxnOp::delete(self.layout.doc(key), None),
        }
    }

    /// Moves the head. An attempt without an answer is simply made again: the guard lets only one of them through, and
    /// the name of the transaction tells whether it was ours.
    async fn step(&self, mut known: Known, step: Step<'_>, deadline: Instant) -> Result<(), StoreError> {
        let mut doubtful = false;
        loop {
            let head = step.head(&known);
            let guards = [self.guards(&known), step.guards.clone()].concat();
            let mut operations = step.operations.clone();
            operations.push(TxnOp::put(self.layout.head(), encode(&head), None));
            let txn = Txn::new().when(guards).and_then(operations).or_else(self.looks());
            let answer = match self.cluster.txn(txn, deadline).await {
                Ok(answer) => answer,
                Err(failure) if doubtful || failure.doubtful => {
                    return Err(StoreError::Unsure(failure.error.to_string()));
                }
                Err(failure) => return Err(failure.error),
            };
            doubtful |= answer.doubtful;
            if answer.value.succeeded() {
                let known = Known::written(head, &answer.value);
                self.past.note(step.revision, Start { next: known.version + 1, txn: step.txn });
                self.remember(&known);
                return Ok(());
            }
            let found = self.seen(&answer.value)?.known;
            self.remember(&found);
            if found.head.txn == step.txn {
                return Ok(());
            }
            let is_behind = found.head.revision < step.revision;
            if is_behind && found.head.txn != known.head.txn {
                return Err(set_back());
            }
            if found.version == known.version {
                return Err(StoreError::Unavailable(
                    "the parts of this change were taken for abandoned; send it again".to_owned(),
                ));
            }
            // It was only tidied.
            if is_behind {
                known = found;
                continue;
            }
            // Ours may lie further back, if somebody went on from it.
            let overtaken = doubtful && step.revision < found.head.revision;
            if overtaken && self.was_committed(&step, known.version, deadline).await? {
                return Ok(());
            }
            return Err(StoreError::Conflict { head: found.head.revision });
        }
    }

    /// Looks in etcd's history who committed that revision.
    async fn was_committed(&self, step: &Step<'_>, after: i64, deadline: Instant) -> Result<bool, StoreError> {
        let unsure = |why: String| StoreError::Unsure(why);
        let look = async {
            let (mut client, _) =
                self.cluster.watch_client(deadline).await.map_err(|error| unsure(error.to_string()))?;
            let options = WatchOptions::new().with_start_revision(after + 1);
            let watch = client.watch(self.layout.head(), Some(options)).await;
            let mut watch = watch.map_err(|error| unsure(error.to_string()))?;
            loop {
                let message = watch.message().await.map_err(|error| unsure(error.to_string()))?;
                let message = message.filter(|message| !message.canceled());
                let message = message.ok_or_else(|| unsure("its history is gone".to_owned()))?;
                let puts = message.events().iter().filter(|event| event.event_type() == EventType::Put);
                let mut heads = puts.filter_map(|event| event.kv().and_then(read_head));
                if let Some(found) = heads.find(|found| step.revision <= found.head.revision) {
                    return Ok(found.head.txn == step.txn);
                }
            }
        };
        timeout_at(deadline, look).await.unwrap_or_else(|_| Err(unsure("its history is not told in time".to_owned())))
    }
}

/// The same number, and another content than the change was validated against.
fn set_back() -> StoreError {
    StoreError::Unavailable(
        "etcd was set back to an earlier state, which is being read; nothing was changed".to_owned(),
    )
}
