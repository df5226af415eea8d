//! What was used: reports counted once, kept by the minute, read back in groups.
//!
//! A proxy numbers its reports from 1 in each run, and sends one again until it has a receipt. The log remembers per
//! run how far it has counted, and writes that down together with the rows: what is counted is never counted again,
//! whichever control plane it is sent to.

pub mod embedded;
pub mod etcd;
pub mod query;
mod sums;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use vocab::Timestamp;

pub use query::{Dimension, Filter, Page, Query, Row, Span};

use crate::store::{Place, StoreError};

/// How long minutes are remembered where a disk is all they cost.
pub const DAYS_EMBEDDED: u32 = 400;
/// etcd keeps everything in memory, too.
pub const DAYS_ETCD: u32 = 8;

#[async_trait]
pub trait UsageLog: Send + Sync + fmt::Debug {
    /// Counts what was not counted before. Durable when it returns; the answers stand in the order of the reports.
    /// Reports of one run are taken in the order given. Many in one call cost little more than one.
    async fn append(&self, reports: &[wire::UsageReport]) -> Result<Vec<Appended>, StoreError>;

    async fn query(&self, query: &Query) -> Result<Page, StoreError>;

    /// Forgets what is older than the log's days. To be called about once an hour; of several callers one does it.
    async fn prune(&self, now: Timestamp) -> Result<Pruned, StoreError>;
}

/// What became of one report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Every report of that run that came is counted up to this one: what a receipt says.
    pub durable_seq: u64,
    /// It had been counted before and was not counted again.
    pub repeated: bool,
    /// So many reports before it never came.
    pub gap: u64,
}

impl Appended {
    /// The rule, for a run that is counted up to `counted`.
    fn rule(counted: u64, seq: u64) -> Appended {
        let repeated = seq <= counted;
        let gap = seq.saturating_sub(counted).saturating_sub(1);
        Appended { durable_seq: counted.max(seq), repeated, gap }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Rows, or values that hold rows.
    pub rows: u64,
    /// Runs of proxies that had been silent for as long.
    pub boots: u64,
}

/// Opens the log next to the store of that place, and makes it if nothing is there.
pub async fn open(place: &Place, days: u32) -> Result<Arc<dyn UsageLog>, StoreError> {
    match place {
        Place::Embedded { dir } => Ok(Arc::new(embedded::Embedded::open(dir, days).await?)),
        Place::Etcd(options) => Ok(Arc::new(etcd::Etcd::open(options, days).await?)),
    }
}

/// The first minute that is still remembered.
fn cutoff(now: Timestamp, days: u32) -> u64 {
    now.minute().saturating_sub(u64::from(days) * 24 * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_new_repeated_or_behind_a_gap() {
        assert_eq!(Appended::rule(0, 1), Appended { durable_seq: 1, repeated: false, gap: 0 });
        assert_eq!(Appended::rule(7, 7), Appended { durable_seq: 7, repeated: true, gap: 0 });
        assert_eq!(Appended::rule(7, 3), Appended { durable_seq: 7, repeated: true, gap: 0 });
        assert_eq!(Appended::rule(7, 10), Appended { durable_seq: 10, repeated: false, gap: 2 });
    }
}
