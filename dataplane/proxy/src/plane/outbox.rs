//! What is not known to be durable yet: usage in numbered batches, and what has not been cut into batches.
//!
//! While nobody takes them, what comes in later is summed up instead of queued: detail may be lost, a sum never. Batches
//! that wait are kept on the shelf too, under the run and number they will always have, so that the next run can hand
//! them in and they count once.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};

use prost::Message as _;
use wire::{UsageReport, UsageRow};

use crate::gateway::Gateway;
use crate::plane::shelf::Shelf;
use crate::telemetry::ReportKey;

const FILE: &str = "usage";
const PLACE: &str = "usage";
const BATCHES_MAX: usize = 16;
const BATCH_ROWS_MAX: usize = 5_000;
/// Above this many rows minutes are folded into hours.
const ROWS_MAX: usize = 200_000;

#[derive(Default)]
pub(crate) struct Outbox {
    pending: BTreeMap<ReportKey, UsageRow>,
    /// Batches of this run without a receipt.
    waiting: VecDeque<UsageReport>,
    /// Batches of runs before this one, found on the shelf.
    inherited: VecDeque<UsageReport>,
    seq: u64,
    /// The oldest batch that is on the shelf; none, if nothing is there.
    shelved: Option<u64>,
}

impl Outbox {
    /// With what runs before this one could not hand in.
    pub(crate) fn open(shelf: Option<&Shelf>) -> Outbox {
        let found = shelf.map_or(Ok(None), |shelf| shelf.get(FILE, PLACE));
        let inherited = match found.and_then(|bytes| read(&bytes.unwrap_or_default())) {
            Ok(inherited) => inherited,
            Err(why) => {
                tracing::error!(file = FILE, %why, "usage of an earlier run cannot be read");
                VecDeque::new()
            }
        };
        let shelved = inherited.front().map(|report| report.seq);
        Outbox { inherited, shelved, ..Outbox::default() }
    }

    /// Takes in what the cores have counted, and cuts it into batches as far as there is room.
    pub(crate) fn cut(&mut self, gateway: &Gateway) {
        for core in 0..gateway.tallies.len() {
            gateway.tally(core, |tally| tally.report_into(&mut self.pending));
        }
        if self.pending.len() > ROWS_MAX {
            self.fold_into_hours();
        }
        self.cut_until(gateway, BATCHES_MAX);
    }

    /// The last cut of a run leaves nothing uncut.
    pub(crate) fn cut_all(&mut self, gateway: &Gateway) {
        self.cut(gateway);
        self.cut_until(gateway, usize::MAX);
    }

    fn cut_until(&mut self, gateway: &Gateway, batches_max: usize) {
        while !self.pending.is_empty() && self.waiting.len() < batches_max {
            let mut rows = Vec::new();
            while rows.len() < BATCH_ROWS_MAX
                && let Some((_, row)) = self.pending.pop_first()
            {
                rows.push(row);
            }
            self.seq += 1;
            let (proxy, boot) = (gateway.name.to_string(), gateway.boot.0);
            self.waiting.push_back(UsageReport { proxy, boot, seq: self.seq, rows });
        }
    }

    fn fold_into_hours(&mut self) {
        for (_, mut row) in std::mem::take(&mut self.pending) {
            row.minute -= row.minute % 60;
            match self.pending.entry(ReportKey::of(&row)) {
                Entry::Vacant(slot) => {
                    slot.insert(row);
                }
                Entry::Occupied(mut slot) => add(slot.get_mut(), &row),
            }
        }
    }

    pub(crate) fn receipt(&mut self, seq: u64) {
        while self.waiting.front().is_some_and(|report| report.seq <= seq) {
            self.waiting.pop_front();
        }
    }

    /// The batches of the oldest run before this one.
    pub(crate) fn inherited(&self) -> Vec<UsageReport> {
        let boot = self.inherited.front().map(|report| report.boot);
        self.inherited.iter().filter(|report| Some(report.boot) == boot).cloned().collect()
    }

    pub(crate) fn receipt_inherited(&mut self, boot: u64, seq: u64) {
        self.inherited.retain(|report| report.boot != boot || seq < report.seq);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.waiting.is_empty() && self.inherited.is_empty()
    }

    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Batches from `next` on, which have not been sent in this session.
    pub(crate) fn from(&self, next: u64) -> impl Iterator<Item = &UsageReport> {
        self.waiting.iter().filter(move |report| report.seq >= next)
    }

    pub(crate) fn requests(&self) -> u64 {
        self.inherited.iter().chain(&self.waiting).flat_map(|report| &report.rows).map(|row| row.requests).sum()
    }

    /// Clears the shelf once nothing waits any more.
    pub(crate) fn clear_kept(&mut self, shelf: Option<&Shelf>) {
        if self.shelved.is_some() && self.waiting.is_empty() && self.inherited.is_empty() {
            self.keep(shelf);
        }
    }

    /// Puts on the shelf what waits, or clears it when nothing does.
    pub(crate) fn keep(&mut self, shelf: Option<&Shelf>) {
        let oldest = self.inherited.front().or(self.waiting.front()).map(|report| report.seq);
        let Some(shelf) = shelf.filter(|_| oldest.is_some() || self.shelved.is_some()) else { return };
        let kept = match oldest {
            None => shelf.remove(FILE),
            Some(_) => {
                let mut bytes = Vec::new();
                for report in self.inherited.iter().chain(&self.waiting) {
                    bytes.extend_from_slice(&report.encode_length_delimited_to_vec());
                }
                shelf.put(FILE, PLACE, &bytes, None)
            }
        };
        match kept {
            Ok(()) => self.shelved = oldest,
            Err(why) => tracing::warn!(%why, "usage that waits is not on disk"),
        }
    }
}

fn read(mut bytes: &[u8]) -> Result<VecDeque<UsageReport>, String> {
    let mut reports = VecDeque::new();
    while !bytes.is_empty() {
        reports.push_back(UsageReport::decode_length_delimited(&mut bytes).map_err(|why| why.to_string())?);
    }
    Ok(reports)
}

fn add(row: &mut UsageRow, other: &UsageRow) {
    row.requests += other.requests;
    row.errors += other.errors;
    row.unreported += other.unreported;
    row.cost_nanodollars = row.cost_nanodollars.saturating_add(other.cost_nanodollars);
    let usage = wire::row_usage(row).saturating_add(wire::row_usage(other));
    wire::set_row_usage(row, usage);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::shelf::tests::Borrowed;

    fn row(minute: u64, requests: u64) -> UsageRow {
        UsageRow { minute, requests, tokens_input: requests * 10, model: "m".into(), ..UsageRow::default() }
    }

    fn report(boot: u64, seq: u64) -> UsageReport {
        UsageReport { boot, seq, rows: vec![row(seq, 1)], ..UsageReport::default() }
    }

    #[test]
    fn a_receipt_forgets_what_it_covers_and_nothing_else() {
        let mut outbox = Outbox::default();
        outbox.waiting.extend((1..=3).map(|seq| report(9, seq)));
        outbox.receipt(2);
        assert_eq!(outbox.from(0).map(|report| report.seq).collect::<Vec<_>>(), [3]);
        outbox.receipt(1);
        assert_eq!(outbox.from(0).count(), 1);
    }

    #[test]
    fn folding_keeps_every_sum() {
        let mut outbox = Outbox::default();
        for minute in 0..180 {
            let row = row(minute, minute);
            outbox.pending.insert(ReportKey::of(&row), row);
        }
        outbox.fold_into_hours();
        assert_eq!(outbox.pending.len(), 3);
        assert_eq!(outbox.pending.values().map(|row| row.requests).sum::<u64>(), 16_110);
        assert_eq!(outbox.pending.values().map(|row| row.tokens_input).sum::<u64>(), 161_100);
    }

    #[test]
    fn what_waits_is_found_by_the_next_run_under_its_old_numbers() {
        let shelf = Borrowed::new("outbox", 1);
        let mut outbox = Outbox::open(Some(&shelf.0));
        outbox.waiting.extend([report(1, 4), report(1, 5)]);
        outbox.keep(Some(&shelf.0));

        let mut next = Outbox::open(Some(&shelf.0));
        next.waiting.push_back(report(2, 1));
        assert_eq!(next.inherited(), [report(1, 4), report(1, 5)]);
        next.keep(Some(&shelf.0));
        next.receipt_inherited(1, 4);
        assert_eq!(next.inherited(), [report(1, 5)]);

        let mut third = Outbox::open(Some(&shelf.0));
        assert_eq!(third.inherited.len(), 3, "nothing is forgotten before it is kept as handed in");
        third.receipt_inherited(1, 5);
        assert_eq!(third.inherited(), [report(2, 1)]);
        third.receipt_inherited(2, 1);
        third.keep(Some(&shelf.0));
        assert!(Outbox::open(Some(&shelf.0)).is_empty());
    }
}
