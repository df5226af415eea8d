//! Usage going out: numbered batches, kept until a receipt says that they are durable.
//!
//! While nobody takes them, what comes in later is summed up instead of queued: detail may be lost, a sum never.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use wire::usage_client::UsageClient;
use wire::{Receipt, UsageReport, UsageRow};

use crate::gateway::Gateway;
use crate::plane::channel::Dialer;
use crate::telemetry::ReportKey;

const PERIOD: Duration = Duration::from_secs(1);
const BATCHES_MAX: usize = 16;
const BATCH_ROWS_MAX: usize = 5_000;
/// Above this many rows minutes are folded into hours.
const ROWS_MAX: usize = 200_000;
const RECEIPT_LATE: Duration = Duration::from_secs(15);
/// How long a process that ends waits for its last receipts.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What is not known to be durable yet. Knows nothing of the wire.
#[derive(Default)]
pub(crate) struct Outbox {
    pending: BTreeMap<ReportKey, UsageRow>,
    unreceipted: VecDeque<UsageReport>,
    seq: u64,
}

impl Outbox {
    /// Cuts batches from what is pending, as far as there is room.
    fn cut(&mut self, gateway: &Gateway) {
        for core in 0..gateway.tallies.len() {
            gateway.tally(core, |tally| tally.report_into(&mut self.pending));
        }
        if self.pending.len() > ROWS_MAX {
            self.fold_into_hours();
        }
        while !self.pending.is_empty() && self.unreceipted.len() < BATCHES_MAX {
            let mut rows = Vec::new();
            while rows.len() < BATCH_ROWS_MAX
                && let Some((_, row)) = self.pending.pop_first()
            {
                rows.push(row);
            }
            self.seq += 1;
            let (proxy, boot) = (gateway.name.to_string(), gateway.boot.0);
            self.unreceipted.push_back(UsageReport { proxy, boot, seq: self.seq, rows });
        }
    }

    fn fold_into_hours(&mut self) {
        for (_, mut row) in std::mem::take(&mut self.pending) {
            row.minute -= row.minute % 60;
            match self.pending.entry(ReportKey::of(&row)) {
                std::collections::btree_map::Entry::Vacant(slot) => {
                    slot.insert(row);
                }
                std::collections::btree_map::Entry::Occupied(mut slot) => add(slot.get_mut(), &row),
            }
        }
    }

    fn receipt(&mut self, seq: u64) {
        while self.unreceipted.front().is_some_and(|report| report.seq <= seq) {
            self.unreceipted.pop_front();
        }
    }

    fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.unreceipted.is_empty()
    }

    /// Batches from `next` on, which have not been sent in this session.
    fn from(&self, next: u64) -> impl Iterator<Item = &UsageReport> {
        self.unreceipted.iter().filter(move |report| report.seq >= next)
    }
}

fn add(row: &mut UsageRow, other: &UsageRow) {
    row.requests += other.requests;
    row.errors += other.errors;
    row.unreported += other.unreported;
    row.cost_nanodollars = row.cost_nanodollars.saturating_add(other.cost_nanodollars);
    let usage = wire::row_usage(row).saturating_add(wire::row_usage(other));
    wire::set_row_usage(row, usage);
}

/// Runs until told to finish; then says what is left to say, for a bounded time.
pub(crate) async fn keep_reporting(
    gateway: Arc<Gateway>,
    mut dialer: Dialer,
    mut finish: oneshot::Receiver<()>,
    mut roll: impl FnMut() -> u64,
) {
    let mut outbox = Outbox::default();
    loop {
        let why = tokio::select! {
            why = session(&gateway, &mut dialer, &mut outbox, None) => why,
            _ = &mut finish => break,
        };
        let pause = dialer.pause(roll());
        tracing::debug!(%why, "usage waits");
        tokio::select! {
            () = sleep(pause) => {}
            _ = &mut finish => break,
        }
    }
    outbox.cut(&gateway);
    if !outbox.is_empty() {
        let deadline = Instant::now() + LAST_WORDS;
        // Whether it worked is seen from the outbox.
        _ = timeout(LAST_WORDS, session(&gateway, &mut dialer, &mut outbox, Some(deadline))).await;
    }
    let requests: u64 = outbox.unreceipted.iter().flat_map(|report| &report.rows).map(|row| row.requests).sum();
    if requests > 0 {
        tracing::warn!(requests, "ends without a receipt for its last usage");
    }
}

/// One stream: everything unreceipted is sent again, then new batches as they are cut. With `until`, ends when all is said.
async fn session(gateway: &Gateway, dialer: &mut Dialer, outbox: &mut Outbox, until: Option<Instant>) -> String {
    let channel = match dialer.dial().await {
        Ok(channel) => channel,
        Err(why) => return why,
    };
    let mut client = UsageClient::with_interceptor(channel, dialer.show());
    let (up, outgoing) = mpsc::channel(BATCHES_MAX);
    let opened = timeout(RECEIPT_LATE, client.report(ReceiverStream::new(outgoing))).await;
    let mut receipts = match opened {
        Ok(Ok(response)) => response.into_inner(),
        Ok(Err(status)) => return format!("refused: {}", status.message()),
        Err(_) => return "no answer".into(),
    };
    dialer.went_well();
    let mut tick = interval(PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next = 0;
    let mut waiting_since: Option<Instant> = None;
    loop {
        for report in outbox.from(next) {
            next = report.seq + 1;
            waiting_since.get_or_insert_with(Instant::now);
            if up.send(report.clone()).await.is_err() {
                return "the control plane hung up".into();
            }
        }
        if until.is_some() && outbox.is_empty() {
            return "all is said".into();
        }
        tokio::select! {
            _ = tick.tick() => {
                outbox.cut(gateway);
                if waiting_since.is_some_and(|since| since.elapsed() > RECEIPT_LATE) {
                    return "receipts do not come".into();
                }
            }
            received = take(&mut receipts) => match received {
                Ok(receipt) => {
                    outbox.receipt(receipt.seq);
                    waiting_since = (!outbox.unreceipted.is_empty()).then(Instant::now);
                }
                Err(why) => return why,
            }
        }
    }
}

async fn take(receipts: &mut Streaming<Receipt>) -> Result<Receipt, String> {
    let ended =
        |status: Option<Status>| status.map_or("the stream ended".into(), |status| status.message().to_string());
    match receipts.message().await {
        Ok(Some(receipt)) => Ok(receipt),
        Ok(None) => Err(ended(None)),
        Err(status) => Err(ended(Some(status))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(minute: u64, requests: u64) -> UsageRow {
        UsageRow { minute, requests, tokens_input: requests * 10, model: "m".into(), ..UsageRow::default() }
    }

    #[test]
    fn a_receipt_forgets_what_it_covers_and_nothing_else() {
        let mut outbox = Outbox::default();
        for seq in 1..=3 {
            outbox.unreceipted.push_back(UsageReport { seq, ..UsageReport::default() });
        }
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
}
