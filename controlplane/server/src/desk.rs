//! The one writer: what the API proposes becomes a transaction of the store, or an answer why not.
//!
//! What waits together is committed together, so that a thousand small changes a second are a few dozen transactions.
//! Each proposal is validated by itself against what is in force, as if it were the first; those that go together
//! become one revision, those that do not wait for the next one. A proposal is in force as a whole or not at all.

mod sift;
mod work;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use registry::{Change, Faults, Ref};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use vocab::Revision;

pub(crate) use work::{Condition, Done, Must, Work, Written};

use crate::publish::{Latest, Step};
use crate::sealer::Vault;
use crate::store::{DocKey, Store, StoreError, Txn};
use crate::telemetry::Metrics;
use sift::{Batch, sift};

/// Proposals that are looked at together.
const BATCH: usize = 256;
const WAITING: usize = 4096;
/// For so long other replicas may be faster, time and again, before we give up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait for what other replicas have committed.
const CATCH_UP: Duration = Duration::from_secs(5);
/// A store that was away is asked whether it is back before anything is entrusted to it.
const PROBE: Duration = Duration::from_millis(500);
/// A log line names what changed when it is no more than this.
const NAMED_MAX: usize = 10;

/// Why a proposal is not in force.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("there is no {0}")]
    Missing(Ref),
    #[error("{0} exists already")]
    Exists(Ref),
    #[error("{of} is not at that revision: {}", now.map_or("it does not exist".to_owned(), |now| format!("it is at {now}")))]
    Stale { of: Ref, now: Option<Revision> },
    #[error("{}", summary(.0))]
    Invalid(Faults),
    #[error("{of} is used: delete or change first what uses it")]
    InUse { of: Ref, faults: Faults },
    #[error("what is stored for {0} was written by a newer control plane or is damaged, and is not overwritten")]
    Unreadable(Ref),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("the change was lost on the way; look whether it is in force before repeating it")]
    Lost,
}

pub(crate) fn summary(faults: &Faults) -> String {
    match &**faults {
        [fault] => fault.to_string(),
        _ => format!("{} faults, nothing was changed", faults.count()),
    }
}

/// Where proposals are handed in.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    inbox: mpsc::Sender<Proposal>,
    latest: Arc<Latest>,
    vault: Vault,
}

#[derive(Debug)]
pub(crate) struct Proposal {
    work: Arc<Work>,
    conditions: Arc<[Condition]>,
    since: Instant,
    /// Something that went with it was refused by the store: now each goes by itself.
    alone: bool,
    answer: oneshot::Sender<Result<Done, Refusal>>,
}

/// Who works on them.
#[derive(Debug)]
pub(crate) struct Writer {
    inbox: mpsc::Receiver<Proposal>,
    latest: Arc<Latest>,
    store: Arc<dyn Store>,
    vault: Vault,
    metrics: Arc<Metrics>,
}

pub(crate) fn desk(latest: Arc<Latest>, store: Arc<dyn Store>, vault: Vault, metrics: Arc<Metrics>) -> (Desk, Writer) {
    let (sender, inbox) = mpsc::channel(WAITING);
    let desk = Desk { inbox: sender, latest: Arc::clone(&latest), vault: vault.clone() };
    (desk, Writer { inbox, latest, store, vault, metrics })
}

impl Desk {
    /// Answers when it is in force here, or why it is not.
    pub(crate) async fn write(&self, work: Work, conditions: Vec<Condition>) -> Result<Done, Refusal> {
        let (answer, answered) = oneshot::channel();
        let proposal = Proposal {
            work: Arc::new(work),
            conditions: conditions.into(),
            since: Instant::now(),
            alone: false,
            answer,
        };
        self.inbox.send(proposal).await.map_err(|_| Refusal::Lost)?;
        answered.await.map_err(|_| Refusal::Lost)?
    }

    /// What `write` would answer, as far as that can be said without doing it.
    pub(crate) async fn rehearse(&self, work: Work, conditions: Vec<Condition>) -> Result<Done, Refusal> {
        let (latest, mut vault) = (Arc::clone(&self.latest), self.vault.clone());
        let rehearsed = tokio::task::spawn_blocking(move || {
            let unreadable = latest.unreadable();
            let state = latest.state();
            let prepared = work::prepare(&state, &unreadable, &work, &conditions, &mut vault)?;
            Ok(prepared.done(state.revision(), state.revision().next()))
        });
        rehearsed.await.map_err(|_| Refusal::Lost)?
    }
}

impl Writer {
    /// Works until nobody can hand in anything any more, and everything handed in is answered.
    pub(crate) async fn run(mut self) {
        let mut waiting = VecDeque::new();
        let mut fresh = Vec::with_capacity(BATCH);
        loop {
            let room = BATCH.saturating_sub(waiting.len());
            if waiting.is_empty() && self.inbox.recv_many(&mut fresh, room).await == 0 {
                return;
            }
            while fresh.len() < room
                && let Ok(proposal) = self.inbox.try_recv()
            {
                fresh.push(proposal);
            }
            self.metrics.proposals.add(u64::try_from(fresh.len()).unwrap_or_default());
            waiting.extend(fresh.drain(..));
            self.round(&mut waiting).await;
        }
    }

    /// One transaction, of as much of what waits as goes together.
    async fn round(&self, waiting: &mut VecDeque<Proposal>) {
        let (latest, vault, all) = (Arc::clone(&self.latest), self.vault.clone(), std::mem::take(waiting));
        let Ok(batch) = tokio::task::spawn_blocking(move || sift(&latest, vault, all)).await else {
            tracing::error!("proposals were lost: validating them failed");
            return;
        };
        let Batch { expect, accepted, txn, changes, later } = batch;
        waiting.extend(later);
        let committed = if changes.is_empty() { Ok(expect) } else { self.commit(txn, &changes).await };
        match committed {
            Ok(revision) => {
                for (proposal, prepared) in accepted {
                    // Whoever asked may have gone; it is in force all the same.
                    _ = proposal.answer.send(Ok(prepared.done(expect, revision)));
                }
            }
            Err(StoreError::Conflict { head }) => {
                self.metrics.conflicts.add(1);
                let caught_up = timeout(CATCH_UP, self.latest.reached(head)).await.is_ok();
                for (proposal, _) in accepted.into_iter().rev() {
                    if caught_up && proposal.since.elapsed() < PATIENCE {
                        waiting.push_front(proposal);
                    } else {
                        let why = "other control planes commit faster than this one can follow".to_owned();
                        _ = proposal.answer.send(Err(StoreError::Unavailable(why).into()));
                    }
                }
            }
            Err(StoreError::TooLarge { .. } | StoreError::Corrupt(_)) if accepted.len() > 1 => {
                for (proposal, _) in accepted.into_iter().rev() {
                    waiting.push_front(Proposal { alone: true, ..proposal });
                }
            }
            Err(why) => {
                tracing::warn!(%why, proposals = accepted.len(), "not committed");
                for (proposal, _) in accepted {
                    _ = proposal.answer.send(Err(why.clone().into()));
                }
            }
        }
    }

    async fn commit(&self, txn: Txn, changes: &[Change]) -> Result<Revision, StoreError> {
        if !self.latest.is_store_up() {
            match timeout(PROBE, self.store.head()).await {
                Ok(probed) => _ = probed?,
                Err(_) => return Err(StoreError::Unavailable("it has been away, and is not back yet".to_owned())),
            }
        }
        let revision = self.store.commit(txn).await?;
        self.metrics.commits.add(1);
        if self.latest.advance(revision, changes) == Step::Gap {
            // Somebody is loading everything anew; that brings this commit along.
            _ = timeout(CATCH_UP, self.latest.reached(revision)).await;
        }
        let named = changes.iter().take(NAMED_MAX).map(|change| change.reference().to_string());
        let named = named.collect::<Vec<_>>().join(" ");
        tracing::info!(event = "committed", %revision, changes = changes.len(), resources = named, "audit");
        Ok(revision)
    }
}

fn doc_key(reference: &Ref) -> DocKey {
    DocKey::new(reference.kind.as_str(), &*reference.name)
}

#[cfg(test)]
mod tests;
