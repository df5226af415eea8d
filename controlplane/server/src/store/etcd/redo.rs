//! Transactions too large for one etcd transaction: set aside, pointed at, written in.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex};

use etcd_client::{DeleteOptions, GetOptions, Txn, TxnOp};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Inner;
use super::cluster::Failure;
use super::layout::{self, Changes, Head, OPS_MAX, Redo, TXN_BYTES_MAX};
use super::meta::{Known, encode};
use crate::store::StoreError;

/// Enough to keep etcd's disk busy, few enough that others get their word in.
const AT_ONCE: usize = 4;
const CHUNKS_PER_PAGE: i64 = 8;

impl Inner {
    /// Writes the parts where nobody looks yet, the first one before all others. How many there are.
    pub(super) async fn set_aside(&self, txn: &str, chunks: Vec<Vec<u8>>) -> Result<usize, StoreError> {
        let n_chunks = chunks.len();
        let put = |(n, chunk): (usize, Vec<u8>)| {
            let put = TxnOp::put(self.layout.chunk(txn, n), chunk, None);
            async move { self.cluster.txn(Txn::new().and_then([put]), self.cluster.deadline()).await }
        };
        let mut numbered = chunks.into_iter().enumerate();
        let written = async {
            if let Some(first) = numbered.next() {
                put(first).await?;
            }
            side_by_side(numbered.map(put)).await
        };
        match written.await {
            Ok(()) => Ok(n_chunks),
            Err(failure) => {
                // If this fails as well, the parts are found and thrown away later.
                _ = self.throw_away(txn).await;
                Err(failure.error)
            }
        }
    }

    /// What was set aside, as of one revision of etcd. `None` when not all of it is there.
    pub(super) async fn set_aside_as(&self, redo: &Redo, at: i64) -> Result<Option<Changes>, Failure> {
        let mut from = self.layout.redo(&redo.txn);
        let end = self.layout.redo_end(&redo.txn);
        let mut changes = Changes::new();
        let mut n_chunks = 0;
        loop {
            let options = GetOptions::new().with_range(end.clone()).with_revision(at).with_limit(CHUNKS_PER_PAGE);
            let page = self.cluster.get(from.clone(), options, self.cluster.deadline()).await?;
            for chunk in page.kvs() {
                let Some(mut read) = layout::read_chunk(chunk.value()) else { return Ok(None) };
                changes.append(&mut read);
                n_chunks += 1;
                from = [chunk.key(), b"\0"].concat();
            }
            if !page.more() {
                return Ok((n_chunks == redo.chunks).then_some(changes));
            }
        }
    }

    /// Writes in what the head points at, and lets go of it. Several may do this at once: they write the same, and
    /// none can write it again once the head has let go.
    pub(super) async fn finish(&self) -> Result<Known, StoreError> {
        let _alone = self.finishing.lock().await;
        let known = self.look(self.cluster.deadline()).await?.known;
        let Some(redo) = known.head.redo.clone() else { return Ok(known) };
        let Some(changes) = self.set_aside_as(&redo, 0).await? else {
            let found = self.look(self.cluster.deadline()).await?.known;
            let is_gone = found.still_has(&redo).is_some();
            return if is_gone { Err(self.broken(&redo)) } else { Ok(found) };
        };
        let known = Mutex::new(known);
        let batches = layout::split(changes.into_iter(), OPS_MAX, TXN_BYTES_MAX, self.layout.root().len());
        side_by_side(batches.iter().map(|batch| self.write_batch(batch, &redo, &known))).await?;
        self.let_go(&redo, &known).await
    }

    /// Writes what was not changed since, as long as it has to be written at all. Commits on top of this one change the
    /// head, and then it has to be looked at again what they changed.
    async fn write_batch(&self, batch: &Changes, redo: &Redo, known: &Mutex<Known>) -> Result<(), StoreError> {
        loop {
            let current = super::locked(known).clone();
            let Some(now) = current.still_has(redo) else { return Ok(()) };
            let untouched = batch.iter().filter(|(key, _)| !now.touched.contains(&key.to_string()));
            let operations: Vec<_> =
                untouched.map(|(key, body)| self.write(redo.revision, key, body.as_ref())).collect();
            let txn = Txn::new().when(self.guards(&current)).and_then(operations).or_else(self.looks());
            let answer = self.cluster.txn(txn, self.cluster.deadline()).await?.value;
            if answer.succeeded() {
                return Ok(());
            }
            let found = self.seen(&answer)?.known;
            let mut known = super::locked(known);
            // Versions go back when etcd is set back.
            if known.version == current.version || known.version < found.version {
                *known = found;
            }
        }
    }

    async fn let_go(&self, redo: &Redo, known: &Mutex<Known>) -> Result<Known, StoreError> {
        let mut current = super::locked(known).clone();
        while current.still_has(redo).is_some() {
            let head = Head { redo: None, ..current.head.clone() };
            let everything = DeleteOptions::new().with_prefix();
            let operations = [
                TxnOp::put(self.layout.head(), encode(&head), None),
                TxnOp::delete(self.layout.redo(&redo.txn), Some(everything)),
            ];
            let txn = Txn::new().when(self.guards(&current)).and_then(operations).or_else(self.looks());
            let answer = self.cluster.txn(txn, self.cluster.deadline()).await?.value;
            current = if answer.succeeded() { Known::written(head, &answer) } else { self.seen(&answer)?.known };
        }
        self.remember(&current);
        Ok(current)
    }

    /// After a commit, when its author has been answered already.
    pub(super) async fn write_in(&self) {
        if let Err(error) = self.finish().await {
            tracing::warn!(%error, "a large change is committed, but not yet written in; it will be tried again");
        }
    }

    pub(super) fn broken(&self, redo: &Redo) -> StoreError {
        StoreError::Corrupt(format!(
            "parts of revision {} are missing under {}redo/{}/ in etcd; restore etcd from a backup",
            redo.revision,
            self.layout.root(),
            redo.txn
        ))
    }

    async fn throw_away(&self, txn: &str) -> Result<(), StoreError> {
        let known = self.look(self.cluster.deadline()).await?.known;
        let is_committed = known.head.redo.as_ref().is_some_and(|redo| redo.txn == txn);
        if !is_committed {
            let everything = DeleteOptions::new().with_prefix();
            let delete = TxnOp::delete(self.layout.redo(txn), Some(everything));
            let txn = Txn::new().when(self.guards(&known)).and_then([delete]);
            self.cluster.txn(txn, self.cluster.deadline()).await?;
        }
        Ok(())
    }

    async fn set_asides(&self) -> Result<BTreeSet<String>, StoreError> {
        let options = GetOptions::new().with_prefix().with_keys_only();
        let keys = self.cluster.get(self.layout.redos(), options, self.cluster.deadline()).await?;
        Ok(keys.kvs().iter().filter_map(|chunk| self.layout.txn_of(chunk.key())).map(str::to_owned).collect())
    }
}

/// Finishes what others left unfinished, and throws away what others never committed.
pub(super) async fn keep_tidy(inner: Arc<Inner>) {
    let options = inner.cluster.options();
    let mut ticks = interval(options.tidy_every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Time is counted from when we first saw them: no two clocks are compared.
    let mut since: BTreeMap<String, Instant> = BTreeMap::new();
    loop {
        ticks.tick().await;
        match inner.tidy(&mut since).await {
            Ok(()) => {}
            Err(error) => tracing::debug!(%error, "nothing tidied"),
        }
    }
}

impl Inner {
    async fn tidy(&self, since: &mut BTreeMap<String, Instant>) -> Result<(), StoreError> {
        let found = self.set_asides().await?;
        since.retain(|txn, _| found.contains(txn));
        let now = Instant::now();
        for txn in found {
            since.entry(txn).or_insert(now);
        }
        let known = self.look(self.cluster.deadline()).await?.known;
        // Its author is given one round to do it.
        if known.head.redo.is_some_and(|redo| since.get(&redo.txn).is_some_and(|seen| *seen < now)) {
            self.finish().await?;
        }
        for (txn, seen) in since {
            if self.cluster.options().orphaned_after <= now.duration_since(*seen) {
                self.throw_away(txn).await?;
            }
        }
        Ok(())
    }
}

/// Runs them all, a few at a time, in this task. Stops at the first that fails.
async fn side_by_side<T, E, F>(futures: impl Iterator<Item = F>) -> Result<(), E>
where
    F: Future<Output = Result<T, E>>,
{
    let futures = Mutex::new(futures);
    let lane = async || {
        loop {
            let next = super::locked(&futures).next();
            let Some(future) = next else { return Ok(()) };
            future.await?;
        }
    };
    let [one, two, three, four]: [_; AT_ONCE] = [lane(), lane(), lane(), lane()];
    tokio::try_join!(one, two, three, four).map(|_| ())
}
