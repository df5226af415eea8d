//! Counting reports in etcd, each once.

use std::collections::{BTreeMap, BTreeSet};

use etcd_client::{Compare, CompareOp, GetOptions, ResponseHeader, Txn, TxnOp};
use prost::Message;
use wire::UsageReport;

use super::Etcd;
use super::value::{Mark, Open, read_rows, write_rows};
use crate::store::StoreError;
use crate::store::etcd::meta::still_ours;
use crate::usage::Appended;
use crate::usage::sums::{Minute, Minutes};

/// What goes into one etcd transaction: 500 rows with the longest texts stay well under its 1.5 MiB.
const ROWS_MAX: usize = 500;
const MINUTES_MAX: usize = 50;
/// Values as large as this take up no more rows, nor do any once so much is written in one go.
const VALUE_BYTES_MAX: usize = 64 * 1024;
const MERGED_BYTES_MAX: usize = 512 * 1024;
/// Rows mostly come for this minute and the last one.
const OPEN_MAX: usize = 4;
/// Others count the same run only while its proxy moves from one control plane to another.
const TRIES: usize = 8;

/// A run as we last saw it. It may be old: what is written is guarded by its version.
#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    mark: Mark,
    version: i64,
    /// The contents of what the mark calls open, as far as they are known.
    open: BTreeMap<u64, Minute>,
}

/// Some reports of one run that go into one transaction, and where they stand among all.
#[derive(Debug)]
struct Batch<'r> {
    reports: Vec<(usize, &'r UsageReport)>,
}

impl Etcd {
    pub(super) async fn append_all(&self, reports: &[UsageReport]) -> Result<Vec<Appended>, StoreError> {
        let mut answers = vec![Appended { durable_seq: 0, repeated: true, gap: 0 }; reports.len()];
        let mut runs: BTreeMap<(&str, u64), Vec<(usize, &UsageReport)>> = BTreeMap::new();
        for (n, report) in reports.iter().enumerate() {
            runs.entry((&report.proxy, report.boot)).or_default().push((n, report));
        }
        for ((proxy, boot), reports) in runs {
            let name = format!("{proxy}-{boot:016x}");
            for batch in batches(&reports) {
                for (n, appended) in self.append_batch(&name, &batch).await? {
                    if let Some(answer) = answers.get_mut(n) {
                        *answer = appended;
                    }
                }
            }
        }
        Ok(answers)
    }

    async fn append_batch(&self, name: &str, batch: &Batch<'_>) -> Result<Vec<(usize, Appended)>, StoreError> {
        let key = self.mark(name);
        let mut run = self.recall(&key);
        for _ in 0..TRIES {
            let (known, is_remembered) = match run.take() {
                Some(known) => (known, true),
                None => (self.read(name, &key).await?, false),
            };
            let (answers, fresh) = rule(batch, known.mark.seq);
            if fresh.is_empty() && is_remembered {
                // Nothing would be written that etcd could refuse: look before saying that it is counted.
                continue;
            }
            if fresh.is_empty() {
                self.remember(&key, Some(known));
                return Ok(answers);
            }
            let written = match fresh.as_slice() {
                [report] if is_large(report) => self.write_large(name, &key, &known, report).await?,
                fresh => self.write(name, &key, &known, fresh).await?,
            };
            self.remember(&key, written.clone());
            if written.is_some() {
                return Ok(answers);
            }
        }
        Err(StoreError::Unavailable(format!("several control planes count the reports of {name} at once")))
    }

    /// The run as etcd has it.
    async fn read(&self, name: &str, key: &[u8]) -> Result<Run, StoreError> {
        let found = self.cluster.get(key.to_vec(), GetOptions::new(), self.cluster.deadline()).await?;
        let Some(kv) = found.kvs().first() else { return Ok(Run::default()) };
        let mark = Mark::decode(kv.value()).map_err(|_| {
            StoreError::Corrupt(format!("{} in etcd is not ours; remove it", String::from_utf8_lossy(key)))
        })?;
        let mut run = Run { mark, version: kv.mod_revision(), open: BTreeMap::new() };
        for open in &run.mark.open {
            let found =
                self.cluster.get(self.value(name, *open, 0), GetOptions::new(), self.cluster.deadline()).await?;
            if let Some(rows) = found.kvs().first().and_then(|kv| read_rows(kv.value())) {
                run.open.insert(open.minute, rows.into_iter().collect());
            }
        }
        // Rows of a value that changed meanwhile are not lost: then the mark has changed as well, and guards it.
        Ok(run)
    }

    /// Adds the rows to open values where they fit. `None` when somebody else has moved the mark.
    async fn write(
        &self,
        name: &str,
        key: &[u8],
        run: &Run,
        reports: &[&UsageReport],
    ) -> Result<Option<Run>, StoreError> {
        let mut minutes = Minutes::default();
        reports.iter().flat_map(|report| &report.rows).for_each(|row| minutes.add(row));
        let seq = reports.iter().map(|report| report.seq).max().unwrap_or_default();
        let mut next =
            Run { mark: Mark { seq, minute: run.mark.minute.max(minutes.newest()), open: Vec::new() }, ..run.clone() };
        let mut bytes = 0;
        let mut operations = Vec::new();
        for (minute, rows) in minutes.0 {
            let (open, rows, value) = self.fit(run, minute, rows, seq, MERGED_BYTES_MAX.saturating_sub(bytes));
            bytes += value.len();
            operations.push(TxnOp::put(self.value(name, open, 0), value, None));
            next.open.insert(minute, rows);
            next.mark.open.push(open);
        }
        next.keep_open(&run.mark.open);
        self.put_mark(key, run, next, operations).await
    }

    /// Where the rows of a minute go: into its open value, or a new one.
    fn fit(&self, run: &Run, minute: u64, rows: Minute, seq: u64, bytes_max: usize) -> (Open, Minute, Vec<u8>) {
        let open = run.mark.open.iter().find(|open| open.minute == minute);
        if let Some((open, before)) = open.zip(run.open.get(&minute)) {
            let mut merged = before.clone();
            for (who, sums) in &rows {
                merged.entry(who.clone()).or_default().add(sums);
            }
            let value = write_rows(&merged);
            if value.len() <= VALUE_BYTES_MAX.min(bytes_max) {
                return (*open, merged, value);
            }
        }
        let value = write_rows(&rows);
        (Open { minute, seq }, rows, value)
    }

    /// Too much for one transaction: values of its own, cut the same way every time, and only then the mark. Whoever
    /// dies in between leaves values that the next attempt writes again under the same names.
    async fn write_large(
        &self,
        name: &str,
        key: &[u8],
        run: &Run,
        report: &UsageReport,
    ) -> Result<Option<Run>, StoreError> {
        let mut minutes = Minutes::default();
        report.rows.iter().for_each(|row| minutes.add(row));
        let newest = minutes.newest();
        let mut operations = Vec::new();
        let mut n_rows = 0;
        for (minute, rows) in minutes.0 {
            let rows: Vec<_> = rows.into_iter().collect();
            for (part, some) in rows.chunks(ROWS_MAX).enumerate() {
                let value = write_rows(&some.iter().cloned().collect());
                // Behind the value that other rows are added to, which is part 0.
                let place = self.value(name, Open { minute, seq: report.seq }, part + 1);
                if ROWS_MAX < n_rows + some.len() || operations.len() == MINUTES_MAX {
                    n_rows = 0;
                    if !self.put_values(key, run, std::mem::take(&mut operations)).await? {
                        return Ok(None);
                    }
                }
                n_rows += some.len();
                operations.push(TxnOp::put(place, value, None));
            }
        }
        let mark = Mark { seq: report.seq, minute: run.mark.minute.max(newest), open: run.mark.open.clone() };
        self.put_mark(key, run, Run { mark, ..run.clone() }, operations).await
    }

    fn guards(&self, key: &[u8], run: &Run) -> Vec<Compare> {
        vec![Compare::mod_revision(key, CompareOp::Equal, run.version), self.is_ours()]
    }

    async fn put_values(&self, key: &[u8], run: &Run, operations: Vec<TxnOp>) -> Result<bool, StoreError> {
        let txn = Txn::new().when(self.guards(key, run)).and_then(operations);
        Ok(self.cluster.txn(txn, self.cluster.deadline()).await?.value.succeeded())
    }

    async fn put_mark(
        &self,
        key: &[u8],
        run: &Run,
        mut next: Run,
        mut operations: Vec<TxnOp>,
    ) -> Result<Option<Run>, StoreError> {
        operations.push(TxnOp::put(key, next.mark.encode_to_vec(), None));
        let txn =
            Txn::new().when(self.guards(key, run)).and_then(operations).or_else([TxnOp::get(self.layout.meta(), None)]);
        let answer = match self.cluster.txn(txn, self.cluster.deadline()).await {
            Ok(answer) => answer.value,
            Err(failure) => {
                // It may have gone in nevertheless: look before the next time.
                self.remember(key, None);
                return Err(failure.error);
            }
        };
        if !answer.succeeded() {
            return still_ours(&self.layout, &self.meta, &answer).map(|_| None);
        }
        next.version = answer.header().map_or(0, ResponseHeader::revision);
        Ok(Some(next))
    }

    fn value(&self, name: &str, open: Open, part: usize) -> Vec<u8> {
        let mut place = self.minute(open.minute);
        place.extend_from_slice(format!("{name}/{:020}.{part:04}", open.seq).as_bytes());
        place
    }
}

impl Run {
    /// The newest ones, the new before those that were open already.
    fn keep_open(&mut self, before: &[Open]) {
        let open = &mut self.mark.open;
        let new: BTreeSet<_> = open.iter().map(|open| open.minute).collect();
        open.extend(before.iter().filter(|open| !new.contains(&open.minute)));
        open.sort_by_key(|open| std::cmp::Reverse(open.minute));
        open.truncate(OPEN_MAX);
        let kept: BTreeSet<_> = open.iter().map(|open| open.minute).collect();
        self.open.retain(|minute, _| kept.contains(minute));
    }
}

/// What becomes of each, and which of them have to be counted.
fn rule<'r>(batch: &Batch<'r>, counted: u64) -> (Vec<(usize, Appended)>, Vec<&'r UsageReport>) {
    let mut counted = counted;
    let mut fresh = Vec::new();
    let mut answers = Vec::new();
    for (n, report) in &batch.reports {
        let appended = Appended::rule(counted, report.seq);
        counted = appended.durable_seq;
        if !appended.repeated {
            fresh.push(*report);
        }
        answers.push((*n, appended));
    }
    (answers, fresh)
}

fn is_large(report: &UsageReport) -> bool {
    ROWS_MAX < report.rows.len() || MINUTES_MAX < minutes(report).count()
}

fn minutes(report: &UsageReport) -> impl Iterator<Item = u64> {
    report.rows.iter().map(|row| row.minute).collect::<BTreeSet<_>>().into_iter()
}

/// Large ones each by themselves, small ones together.
fn batches<'r>(reports: &[(usize, &'r UsageReport)]) -> Vec<Batch<'r>> {
    let mut batches: Vec<Batch<'r>> = Vec::new();
    let (mut n_rows, mut n_minutes) = (usize::MAX, usize::MAX);
    for (n, report) in reports {
        let (rows, minutes) = (report.rows.len(), minutes(report).count());
        let fits = n_rows.saturating_add(rows) <= ROWS_MAX && n_minutes.saturating_add(minutes) <= MINUTES_MAX;
        match batches.last_mut() {
            Some(batch) if fits => batch.reports.push((*n, report)),
            Some(_) | None => {
                batches.push(Batch { reports: vec![(*n, report)] });
                (n_rows, n_minutes) = (0, 0);
            }
        }
        n_rows = n_rows.saturating_add(rows);
        n_minutes = n_minutes.saturating_add(minutes);
    }
    batches
}
