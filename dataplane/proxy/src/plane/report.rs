//! Usage going out: numbered batches, sent again until a receipt says that they are durable.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tonic::Streaming;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use wire::usage_client::UsageClient;
use wire::{Receipt, UsageReport};

use crate::gateway::Gateway;
use crate::plane::channel::Dialer;
use crate::plane::outbox::Outbox;
use crate::plane::shelf::Shelf;

const PERIOD: Duration = Duration::from_secs(1);
const SENDING_MAX: usize = 16;
const RECEIPT_LATE: Duration = Duration::from_secs(15);
/// How long a process that ends tries to hand in its last usage.
const LAST_WORDS: Duration = Duration::from_secs(5);

pub(crate) struct Reporter {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) dialer: Dialer,
    pub(crate) shelf: Option<Arc<Shelf>>,
}

/// Why a session ended.
type Why = String;

/// Until when a session goes on.
#[derive(Clone, Copy, PartialEq)]
enum Until {
    Told,
    AllIsSaid,
}

impl Reporter {
    /// Runs until told to finish; then says what is left to say, for a bounded time.
    pub(crate) async fn keep_reporting(mut self, mut finish: oneshot::Receiver<()>, mut roll: impl FnMut() -> u64) {
        let mut outbox = Outbox::open(self.shelf.as_deref());
        loop {
            let why = tokio::select! {
                why = self.session(&mut outbox, Until::Told) => why,
                _ = &mut finish => break,
            };
            self.gateway.collect_series(|_| ());
            outbox.cut(&self.gateway);
            outbox.keep(self.shelf.as_deref());
            let pause = self.dialer.pause(roll());
            tracing::debug!(%why, "usage waits");
            tokio::select! {
                () = sleep(pause) => {}
                _ = &mut finish => break,
            }
        }
        outbox.cut_all(&self.gateway);
        let last_words = async {
            while !outbox.is_empty() {
                _ = self.session(&mut outbox, Until::AllIsSaid).await;
                sleep(Duration::from_millis(200)).await;
            }
        };
        // Whether it worked is seen from the outbox.
        _ = timeout(LAST_WORDS, last_words).await;
        outbox.keep(self.shelf.as_deref());
        match (outbox.requests(), &self.shelf) {
            (0, _) => {}
            (requests, Some(_)) => tracing::warn!(requests, "usage is kept for the next run to hand in"),
            (requests, None) => {
                tracing::error!(requests, "ends without a receipt for its last usage, and without --data-dir");
            }
        }
    }

    /// Everything that waits is sent again, then new batches as they are cut.
    async fn session(&mut self, outbox: &mut Outbox, until: Until) -> Why {
        while let reports = outbox.inherited()
            && let (Some(first), Some(last)) = (reports.first(), reports.last())
        {
            let (boot, seq) = (first.boot, last.seq);
            match self.hand_in(&reports).await {
                Ok(()) => outbox.receipt_inherited(boot, seq),
                // What is refused for good must not stand in the way of what comes after it.
                Err(why) => {
                    tracing::warn!(%why, "usage of an earlier run is not taken");
                    break;
                }
            }
        }
        match self.open().await {
            Ok((up, receipts)) => self.converse(outbox, until, up, receipts).await,
            Err(why) => why,
        }
    }

    async fn open(&mut self) -> Result<(mpsc::Sender<UsageReport>, Streaming<Receipt>), Why> {
        let channel = self.dialer.dial().await?;
        let mut client = UsageClient::with_interceptor(channel, self.dialer.show());
        let (up, outgoing) = mpsc::channel(SENDING_MAX);
        match timeout(RECEIPT_LATE, client.report(ReceiverStream::new(outgoing))).await {
            Ok(Ok(response)) => Ok((up, response.into_inner())),
            Ok(Err(status)) => Err(format!("refused: {}", status.message())),
            Err(_) => Err("no answer".into()),
        }
    }

    /// All batches of one run, until the last has its receipt.
    async fn hand_in(&mut self, reports: &[UsageReport]) -> Result<(), Why> {
        let (up, mut receipts) = self.open().await?;
        for report in reports {
            up.send(report.clone()).await.map_err(|_| "the control plane hung up".to_string())?;
            let taken = async {
                while next(&mut receipts).await?.seq < report.seq {}
                Ok::<(), Why>(())
            };
            timeout(RECEIPT_LATE, taken).await.unwrap_or_else(|_| Err("receipts do not come".into()))?;
        }
        Ok(())
    }

    async fn converse(
        &mut self,
        outbox: &mut Outbox,
        until: Until,
        up: mpsc::Sender<UsageReport>,
        mut receipts: Streaming<Receipt>,
    ) -> Why {
        let mut tick = interval(PERIOD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut unsent = 0;
        let mut waiting_since: Option<Instant> = None;
        loop {
            for report in outbox.from(unsent) {
                unsent = report.seq + 1;
                waiting_since.get_or_insert_with(Instant::now);
                if up.send(report.clone()).await.is_err() {
                    return "the control plane hung up".into();
                }
            }
            if until == Until::AllIsSaid && !outbox.has_waiting() {
                return "all is said".into();
            }
            tokio::select! {
                _ = tick.tick() => {
                    // A batch that waits for a whole period waits for somebody who is in trouble.
                    if outbox.has_waiting() {
                        outbox.keep(self.shelf.as_deref());
                    }
                    outbox.cut(&self.gateway);
                    if waiting_since.is_some_and(|since| since.elapsed() > RECEIPT_LATE) {
                        return "receipts do not come".into();
                    }
                }
                received = next(&mut receipts) => match received {
                    Ok(receipt) => {
                        self.dialer.went_well();
                        outbox.receipt(receipt.seq);
                        outbox.clear_kept(self.shelf.as_deref());
                        waiting_since = outbox.has_waiting().then(Instant::now);
                    }
                    Err(why) => return why,
                }
            }
        }
    }
}

async fn next(receipts: &mut Streaming<Receipt>) -> Result<Receipt, Why> {
    match receipts.message().await {
        Ok(Some(receipt)) => Ok(receipt),
        Ok(None) => Err("the stream ended".into()),
        Err(status) => Err(status.message().to_string()),
    }
}
