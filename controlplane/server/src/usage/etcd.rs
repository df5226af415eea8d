//! The usage log that several control planes share.
//!
//! ```text
//! <prefix>/v1/usage/mark/<proxy>-<boot>               how far the reports of one run are counted
//! <prefix>/v1/usage/min/<minute>/<proxy>-<boot>/<n>   rows of one minute out of one run
//! <prefix>/v1/usage/pruned                            the minute of the last pruning
//! ```
//!
//! Rows and mark go in together, guarded by the mark as it was: whoever else counts the same report loses, looks, and
//! finds it counted. Values of a minute that are small yet take up the rows of later reports.

mod append;
mod value;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use etcd_client::{Compare, CompareOp, DeleteOptions, GetOptions, Txn, TxnOp, TxnOpResponse};
use prost::Message;
use vocab::Timestamp;
use wire::UsageReport;

use super::query::{Page, Query};
use super::sums::{Groups, MINUTE_MAX};
use super::{Appended, Pruned, UsageLog, cutoff};
use crate::store::StoreError;
use crate::store::etcd::Options;
use crate::store::etcd::cluster::Cluster;
use crate::store::etcd::layout::{Layout, OPS_MAX};
use crate::store::etcd::meta;
use append::Run;
use value::Mark;

const VALUES_PER_PAGE: i64 = 200;
const MARKS_PER_PAGE: i64 = 1000;
const PRUNE_MINUTES: u64 = 60;
/// Runs whose marks are remembered to spare a read. More are forgotten, and read again.
const RUNS_MAX: usize = 4096;

#[derive(Debug)]
pub struct Etcd {
    cluster: Cluster,
    layout: Layout,
    meta: Vec<u8>,
    days: u32,
    runs: Mutex<BTreeMap<Vec<u8>, Run>>,
}

impl Etcd {
    pub async fn open(options: &Options, days: u32) -> Result<Etcd, StoreError> {
        let faults = options.faults();
        if !faults.is_empty() {
            return Err(StoreError::Misconfigured(faults.join("; ")));
        }
        let (cluster, layout) = (Cluster::new(options.clone()), Layout::new(&options.prefix));
        let (_, meta) = meta::open(&cluster, &layout).await?;
        Ok(Etcd { cluster, layout, meta, days, runs: Mutex::default() })
    }

    fn mark(&self, run: &str) -> Vec<u8> {
        self.layout.at(&format!("usage/mark/{run}"))
    }

    /// The beginning of all values of that minute.
    fn minute(&self, minute: u64) -> Vec<u8> {
        self.layout.at(&format!("usage/min/{:010}/", minute.min(MINUTE_MAX)))
    }

    fn is_ours(&self) -> Compare {
        Compare::value(self.layout.meta(), CompareOp::Equal, self.meta.clone())
    }

    fn minute_of(&self, key: &[u8]) -> Option<u64> {
        let place = std::str::from_utf8(key).ok()?.strip_prefix(self.layout.root())?;
        place.strip_prefix("usage/min/")?.split_once('/')?.0.parse().ok()
    }

    fn recall(&self, run: &[u8]) -> Option<Run> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).get(run).cloned()
    }

    fn remember(&self, key: &[u8], run: Option<Run>) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        match run {
            Some(run) => _ = runs.insert(key.to_vec(), run),
            None => _ = runs.remove(key),
        }
        if RUNS_MAX < runs.len() {
            runs.pop_first();
        }
    }
}

#[async_trait]
impl UsageLog for Etcd {
    async fn append(&self, reports: &[UsageReport]) -> Result<Vec<Appended>, StoreError> {
        self.append_all(reports).await
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        let mut groups = Groups::new(query)?;
        let (mut from, end) = (self.minute(query.from), self.minute(query.to));
        // A minute that cannot be told apart from the last one has no minutes behind it.
        while from < end {
            let options = GetOptions::new().with_range(end.clone()).with_limit(VALUES_PER_PAGE);
            let page = self.cluster.get(from, options, self.cluster.deadline()).await?;
            for kv in page.kvs() {
                // What is not ours is not counted.
                let Some((minute, rows)) = self.minute_of(kv.key()).zip(value::read_rows(kv.value())) else { continue };
                rows.iter().for_each(|(who, sums)| groups.add(minute, who, sums));
            }
            from = match page.kvs().last() {
                Some(last) if page.more() => [last.key(), b"\0"].concat(),
                Some(_) | None => break,
            };
        }
        Ok(groups.page())
    }

    async fn prune(&self, now: Timestamp) -> Result<Pruned, StoreError> {
        let key = self.layout.at("usage/pruned");
        let found = self.cluster.get(key.clone(), GetOptions::new(), self.cluster.deadline()).await?;
        let (last, version) = found.kvs().first().map_or((0, 0), |kv| {
            let minute = std::str::from_utf8(kv.value()).ok().and_then(|minute| minute.parse().ok());
            (minute.unwrap_or(0), kv.mod_revision())
        });
        if now.minute() < last + PRUNE_MINUTES {
            return Ok(Pruned::default());
        }
        let before = cutoff(now, self.days);
        let everything = DeleteOptions::new().with_range(self.minute(before));
        let txn =
            Txn::new().when([Compare::mod_revision(key.clone(), CompareOp::Equal, version), self.is_ours()]).and_then(
                [TxnOp::put(key, now.minute().to_string(), None), TxnOp::delete(self.minute(0), Some(everything))],
            );
        let answer = self.cluster.txn(txn, self.cluster.deadline()).await?.value;
        if !answer.succeeded() {
            return Ok(Pruned::default());
        }
        let rows = answer.op_responses().into_iter().map(|response| match response {
            TxnOpResponse::Delete(deleted) => u64::try_from(deleted.deleted()).unwrap_or_default(),
            TxnOpResponse::Put(_) | TxnOpResponse::Get(_) | TxnOpResponse::Txn(_) => 0,
        });
        Ok(Pruned { rows: rows.sum(), boots: self.prune_marks(before).await? })
    }
}

impl Etcd {
    /// Forgets runs that have been silent for as long, unless they speak up in this very moment.
    async fn prune_marks(&self, before: u64) -> Result<u64, StoreError> {
        let (mut from, end) = (self.mark(""), self.layout.at("usage/mark0"));
        let mut boots = 0;
        loop {
            let options = GetOptions::new().with_range(end.clone()).with_limit(MARKS_PER_PAGE);
            let page = self.cluster.get(from, options, self.cluster.deadline()).await?;
            let silent: Vec<_> = page
                .kvs()
                .iter()
                .filter(|kv| Mark::decode(kv.value()).is_ok_and(|mark| 0 < mark.minute && mark.minute < before))
                .collect();
            for some in silent.chunks(OPS_MAX - 1) {
                let unchanged =
                    some.iter().map(|kv| Compare::mod_revision(kv.key(), CompareOp::Equal, kv.mod_revision()));
                let deletes: Vec<_> = some.iter().map(|kv| TxnOp::delete(kv.key(), None)).collect();
                let txn = Txn::new().when(unchanged.chain([self.is_ours()]).collect::<Vec<_>>()).and_then(deletes);
                if self.cluster.txn(txn, self.cluster.deadline()).await?.value.succeeded() {
                    boots += u64::try_from(some.len()).unwrap_or_default();
                }
            }
            from = match page.kvs().last() {
                Some(last) if page.more() => [last.key(), b"\0"].concat(),
                Some(_) | None => return Ok(boots),
            };
        }
    }
}
