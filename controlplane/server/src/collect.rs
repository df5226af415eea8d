//! From what proxies report to what the usage log holds: counted once, however often it is sent.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use vocab::ProxyName;
use wire::usage_server::Usage;
use wire::{Receipt, UsageReport, UsageRow};

use crate::stop::Stop;
use crate::stream::{Gate, Guest};
use crate::telemetry::Metrics;
use crate::usage::{Appended, UsageLog};

/// Reports that are written at once.
const BATCH: usize = 64;
const WAITING: usize = 256;
const RECEIPTS: usize = 64;
const ROWS_MAX: usize = 100_000;
/// No honest sum of a minute comes near, and millions of rows of such numbers are still within what a store can count.
const NUMBER_MAX: u64 = 1 << 40;

/// One report, and where its receipt goes.
#[derive(Debug)]
pub(crate) struct Posted {
    report: UsageReport,
    out: mpsc::Sender<Result<Receipt, Status>>,
    /// Says that a report of this stream was not taken. None after it may be taken then: it would look as if the lost
    /// one had been.
    broken: Arc<watch::Sender<bool>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Collector {
    pub(crate) gate: Arc<Gate>,
    pub(crate) posted: mpsc::Sender<Posted>,
    pub(crate) stop: Stop,
}

pub(crate) fn post_box() -> (mpsc::Sender<Posted>, mpsc::Receiver<Posted>) {
    mpsc::channel(WAITING)
}

#[tonic::async_trait]
impl Usage for Collector {
    type ReportStream = ReceiverStream<Result<Receipt, Status>>;

    async fn report(&self, request: Request<Streaming<UsageReport>>) -> Result<Response<Self::ReportStream>, Status> {
        let guest = self.gate.admit(&request)?;
        let (out, receipts) = mpsc::channel(RECEIPTS);
        let collector = self.clone();
        tokio::spawn(async move {
            if let Err(status) = collector.read(&guest, request.into_inner(), &out).await {
                tracing::warn!(why = status.message(), "a usage stream ends");
                // Nobody may be there to hear it.
                _ = out.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receipts)))
    }
}

impl Collector {
    async fn read(
        &self,
        guest: &Guest,
        mut inbound: Streaming<UsageReport>,
        out: &mpsc::Sender<Result<Receipt, Status>>,
    ) -> Result<(), Status> {
        let mut speaker: Option<(ProxyName, u64)> = None;
        let broken = Arc::new(watch::Sender::new(false));
        let mut is_broken = broken.subscribe();
        loop {
            let report = tokio::select! {
                report = inbound.message() => report?,
                () = self.stop.wanted() => return Err(Status::unavailable("this control plane is stopping")),
                _ = is_broken.wait_for(|broken| *broken) => {
                    return Err(Status::unavailable("usage cannot be made durable now, send it again"));
                }
                () = out.closed() => return Ok(()),
            };
            let Some(report) = report else { return Ok(()) };
            let (name, boot) = match &speaker {
                Some(speaker) => speaker,
                None => speaker.insert((guest.name(&report.proxy)?, report.boot)),
            };
            if name.as_str() != report.proxy || *boot != report.boot {
                return Err(Status::permission_denied("a usage stream speaks for one run of one proxy"));
            }
            let mut report = report;
            sift(&mut report).map_err(Status::invalid_argument)?;
            let posted = Posted { report, out: out.clone(), broken: Arc::clone(&broken) };
            self.posted.send(posted).await.map_err(|_| Status::unavailable("this control plane is stopping"))?;
        }
    }
}

/// A row that cannot be is left out, and said so: refusing the whole report for it would hold up all that comes after.
fn sift(report: &mut UsageReport) -> Result<(), String> {
    if report.seq == 0 {
        return Err("reports are numbered from 1".to_owned());
    }
    if ROWS_MAX < report.rows.len() {
        return Err(format!("a report has at most {ROWS_MAX} rows"));
    }
    let before = report.rows.len();
    report.rows.retain(is_plausible);
    let (left_out, seq) = (before - report.rows.len(), report.seq);
    if left_out > 0 {
        tracing::error!(proxy = report.proxy, seq, rows = left_out, "numbers or names that cannot be are left out");
    }
    Ok(())
}

fn is_plausible(row: &UsageRow) -> bool {
    let numbers = [
        row.minute,
        row.requests,
        row.errors,
        row.tokens_input,
        row.tokens_cached,
        row.tokens_output,
        row.tokens_reasoning,
        row.unreported,
    ];
    let names = [&row.team, &row.user, &row.model, &row.provider, &row.upstream_model];
    numbers.iter().all(|number| *number <= NUMBER_MAX)
        && row.cost_nanodollars <= NUMBER_MAX.saturating_mul(1 << 10)
        && names.iter().all(|name| name.len() <= vocab::name::NAME_BYTES_MAX && !name.contains(char::is_control))
}

/// Makes reports durable, many with one write, until nobody can post any more.
pub(crate) async fn collect(log: Arc<dyn UsageLog>, mut posted: mpsc::Receiver<Posted>, metrics: Arc<Metrics>) {
    let mut batch = Vec::with_capacity(BATCH);
    while posted.recv_many(&mut batch, BATCH).await > 0 {
        let (reports, streams): (Vec<_>, Vec<_>) = batch
            .drain(..)
            .filter(|posted| !*posted.broken.borrow())
            .map(|Posted { report, out, broken }| (report, (out, broken)))
            .unzip();
        if reports.is_empty() {
            continue;
        }
        match log.append(&reports).await {
            Ok(appended) => {
                for ((report, (out, _)), appended) in reports.iter().zip(&streams).zip(appended) {
                    note(&metrics, report, appended);
                    // A receipt covers those before it: one that finds no room, or nobody, is made up for by the next.
                    _ = out.try_send(Ok(Receipt { seq: appended.durable_seq }));
                }
            }
            Err(why) => {
                tracing::warn!(%why, reports = reports.len(), "usage cannot be made durable; proxies keep it and send it again");
                for (_, broken) in streams {
                    broken.send_replace(true);
                }
            }
        }
    }
}

fn note(metrics: &Metrics, report: &UsageReport, appended: Appended) {
    if appended.gap > 0 {
        let (proxy, seq, gap) = (&report.proxy, report.seq, appended.gap);
        tracing::warn!(proxy, seq, gap, "reports are missing before this one");
    }
    if appended.repeated {
        metrics.usage_repeated.add(1);
    } else {
        metrics.usage_reports.add(1);
        metrics.usage_rows.add(u64::try_from(report.rows.len()).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use vocab::Timestamp;

    use crate::store::StoreError;
    use crate::usage::{Page, Pruned, Query};

    fn report(row: UsageRow) -> UsageReport {
        UsageReport { proxy: "a".into(), boot: 1, seq: 1, rows: vec![row] }
    }

    #[test]
    fn what_cannot_be_is_not_counted() {
        let plain = UsageRow { requests: 2, errors: 1, model: "gpt".into(), ..UsageRow::default() };
        let rows = |row: UsageRow| {
            let mut report = report(row);
            sift(&mut report).map(|()| report.rows.len())
        };
        assert_eq!(rows(plain.clone()), Ok(1));
        for bad in [
            UsageRow { tokens_input: u64::MAX, ..plain.clone() },
            UsageRow { cost_nanodollars: u64::MAX, ..plain.clone() },
            UsageRow { model: "x".repeat(201), ..plain.clone() },
            UsageRow { team: "a\nb".into(), ..plain.clone() },
        ] {
            assert_eq!(rows(bad.clone()), Ok(0), "{bad:?}");
        }
        assert!(sift(&mut UsageReport { seq: 0, ..report(plain) }).is_err());
    }

    /// Away for the first call.
    #[derive(Debug, Default)]
    struct Flaky {
        calls: AtomicUsize,
        taken: Mutex<Vec<(u64, u64)>>,
    }

    #[tonic::async_trait]
    impl UsageLog for Flaky {
        async fn append(&self, reports: &[UsageReport]) -> Result<Vec<Appended>, StoreError> {
            if self.calls.fetch_add(1, Ordering::Relaxed) == 0 {
                return Err(StoreError::Unavailable("away".into()));
            }
            self.taken.lock().unwrap().extend(reports.iter().map(|report| (report.boot, report.seq)));
            let appended = |report: &UsageReport| Appended { durable_seq: report.seq, repeated: false, gap: 0 };
            Ok(reports.iter().map(appended).collect())
        }

        async fn query(&self, _: &Query) -> Result<Page, StoreError> {
            Ok(Page::default())
        }

        async fn prune(&self, _: Timestamp) -> Result<Pruned, StoreError> {
            Ok(Pruned::default())
        }
    }

    #[tokio::test]
    async fn after_a_report_that_was_not_taken_none_of_its_stream_is() {
        let log = Arc::new(Flaky::default());
        let (posted, posts) = post_box();
        let (out, mut receipts) = mpsc::channel(8);
        let stream = || Arc::new(watch::Sender::new(false));
        let (first, second) = (stream(), stream());
        let post = |boot, seq, broken: &Arc<watch::Sender<bool>>| {
            let report = UsageReport { boot, seq, ..report(UsageRow::default()) };
            posted.try_send(Posted { report, out: out.clone(), broken: Arc::clone(broken) }).unwrap();
        };
        post(1, 1, &first);
        let collecting = tokio::spawn(collect(Arc::clone(&log) as Arc<dyn UsageLog>, posts, Arc::default()));
        first.subscribe().wait_for(|broken| *broken).await.unwrap();
        // Were this one taken, the first would look as if it had been.
        post(1, 2, &first);
        post(2, 1, &second);
        drop(posted);
        collecting.await.unwrap();
        assert_eq!(*log.taken.lock().unwrap(), [(2, 1)]);
        assert_eq!(receipts.recv().await.unwrap().unwrap().seq, 1);
        assert!(receipts.try_recv().is_err());
    }
}
