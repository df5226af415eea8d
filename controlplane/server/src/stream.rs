//! From what is in force here to what each proxy holds: one long stream a proxy, deltas down, acknowledgements up.

mod gate;
mod subscriber;
mod updates;

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use wire::config_server::Config;
use wire::{FromProxy, ToProxy};

pub(crate) use gate::{Gate, Guest};
pub(crate) use updates::Updates;

use crate::proxies::Proxies;
use crate::publish::Latest;
use crate::stop::Stop;
use crate::store::Store;
use crate::telemetry::Metrics;
use subscriber::Subscriber;

/// What all streams share.
#[derive(Clone, Debug)]
pub(crate) struct Streams {
    pub(crate) latest: Arc<Latest>,
    pub(crate) updates: Arc<Updates>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) proxies: Arc<Proxies>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stop: Stop,
}

/// A few messages, so that the next one is there when the last has been written; what waits, waits in the ring.
const OUTGOING: usize = 2;

#[tonic::async_trait]
impl Config for Streams {
    type SubscribeStream = ReceiverStream<Result<ToProxy, Status>>;

    async fn subscribe(
        &self,
        request: Request<Streaming<FromProxy>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let guest = self.gate.admit(&request).inspect_err(|status| {
            self.metrics.joins_refused.add(1);
            let from = request.remote_addr().map(tracing::field::display);
            tracing::warn!(event = "join refused", from, why = status.message(), "audit");
        })?;
        let from = request.remote_addr();
        let (out, outgoing) = mpsc::channel(OUTGOING);
        let subscriber = Subscriber::new(self.clone(), guest, from, request.into_inner(), out);
        // It ends when its stream does, or when it is time to stop: the server waits for its streams.
        tokio::spawn(subscriber.serve());
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }
}

#[cfg(test)]
mod tests;
