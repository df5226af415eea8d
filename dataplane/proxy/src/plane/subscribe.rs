//! Configuration coming in: subscribe, apply, swap, acknowledge, for ever.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use policy::{Applied, Snapshot};
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use trust::Keyring;
use vocab::Revision;
use wire::config_client::ConfigClient;
use wire::{Ack, FromProxy, Hello, ToProxy, Update, from_proxy, to_proxy};

use crate::gateway::Gateway;
use crate::plane::channel::{Dialer, MESSAGE_BYTES_MAX};
use crate::plane::shelf::open_credential;

/// The other side beats every few seconds; after this long without a word it is gone.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// A session that lasted this long was a good one.
const GOOD_SESSION: Duration = Duration::from_secs(5);

/// Runs until the process ends. Whoever holds the receiver of `applied` learns of each new revision.
pub(crate) async fn keep_subscribed(
    gateway: Arc<Gateway>,
    mut dialer: Dialer,
    keyring: Arc<Keyring>,
    applied: watch::Sender<Revision>,
    mut roll: impl FnMut() -> u64,
) {
    let mut subscriber = Subscriber { gateway, keyring, applied, start_over: false, retired: None };
    loop {
        let began = Instant::now();
        let why = subscriber.session(&mut dialer).await;
        subscriber.gateway.life.subscribed.store(false, Ordering::Release);
        if began.elapsed() > GOOD_SESSION {
            dialer.went_well();
        }
        let pause = dialer.pause(roll());
        tracing::warn!(%why, pause_ms = u64::try_from(pause.as_millis()).unwrap_or_default(), "not subscribed");
        sleep(pause).await;
    }
}

struct Subscriber {
    gateway: Arc<Gateway>,
    keyring: Arc<Keyring>,
    applied: watch::Sender<Revision>,
    /// What is held does not fit what comes: ask for everything.
    start_over: bool,
    /// The snapshot before the last. Letting go of a whole table takes a while, and should not fall to a request that
    /// happens to hold the last reference.
    retired: Option<Arc<Snapshot>>,
}

impl Subscriber {
    /// One stream from hello to its end; the answer is why it ended.
    async fn session(&mut self, dialer: &mut Dialer) -> String {
        let channel = match dialer.dial().await {
            Ok(channel) => channel,
            Err(why) => return why,
        };
        let mut client = ConfigClient::with_interceptor(channel, dialer.show())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let (up, outgoing) = mpsc::channel(16);
        if up.send(self.hello()).await.is_err() {
            return "the stream closed before it opened".into();
        }
        let mut down = match timeout(SILENCE_MAX, client.subscribe(ReceiverStream::new(outgoing))).await {
            Ok(Ok(response)) => response.into_inner(),
            Ok(Err(status)) => return format!("refused: {}", status.message()),
            Err(_) => return "no answer to the subscription".into(),
        };
        self.gateway.life.subscribed.store(true, Ordering::Release);
        let mut parts = Parts::default();
        loop {
            let message = match timeout(SILENCE_MAX, down.message()).await {
                Ok(Ok(Some(message))) => message,
                Ok(Ok(None)) => return "the control plane ended the stream".into(),
                Ok(Err(status)) => return format!("the stream broke: {}", status.message()),
                Err(_) => return "the control plane fell silent".into(),
            };
            match self.heard(message, &mut parts) {
                Ok(None) => {}
                Ok(Some(ack)) => {
                    if up.send(ack).await.is_err() {
                        return "the control plane hung up".into();
                    }
                }
                Err(why) => return why,
            }
        }
    }

    fn hello(&self) -> FromProxy {
        let snapshot = self.gateway.snapshot.load();
        let nothing = self.start_over || snapshot.revision() == Revision::NONE;
        let hello = Hello {
            proxy: self.gateway.name.to_string(),
            boot: self.gateway.boot.0,
            build: env!("CARGO_PKG_VERSION").into(),
            schema: wire::SCHEMA,
            store: if nothing { String::new() } else { snapshot.store().to_string() },
            have: if nothing { 0 } else { snapshot.revision().0 },
            digest: if nothing { Vec::new() } else { snapshot.digest().to_bytes().to_vec() }.into(),
        };
        FromProxy { kind: Some(from_proxy::Kind::Hello(hello)) }
    }

    fn heard(&mut self, message: ToProxy, parts: &mut Parts) -> Result<Option<FromProxy>, String> {
        match message.kind {
            Some(to_proxy::Kind::Update(bytes)) => {
                let part = Update::decode(bytes).map_err(|why| format!("an update does not decode: {why}"))?;
                match parts.add(part)? {
                    None => Ok(None),
                    Some(update) => self.apply(&update).map(Some),
                }
            }
            // A beat, or something newer than we are: both mean that the other side lives.
            Some(to_proxy::Kind::Beat(_)) | None => Ok(None),
        }
    }

    fn apply(&mut self, update: &Update) -> Result<FromProxy, String> {
        let held = self.gateway.snapshot.load_full();
        let open = |place: &str, sealed: &[u8]| open_credential(&self.keyring, place, sealed);
        match held.apply(update, &open) {
            Ok(Applied { snapshot, rejected_new }) => {
                self.start_over = false;
                for rejected in rejected_new {
                    tracing::warn!(
                        kind = rejected.kind_name(), name = %rejected.id_text(), why = %rejected.why, kept = rejected.kept,
                        "a resource is not understood"
                    );
                }
                let ack = acknowledge(&snapshot);
                let revision = snapshot.revision();
                tracing::debug!(%revision, from = update.from, "applied");
                self.gateway.snapshot.store(Arc::new(snapshot));
                self.retired = Some(held);
                self.gateway.life.configured.store(true, Ordering::Release);
                self.applied.send_replace(revision);
                Ok(ack)
            }
            Err(out_of_step) => {
                self.start_over = true;
                Err(format!("out of step: {out_of_step}; asking for everything"))
            }
        }
    }
}

fn acknowledge(snapshot: &Snapshot) -> FromProxy {
    let rejected = snapshot.rejected().map(policy::Rejected::to_wire).collect();
    let ack = Ack { to: snapshot.revision().0, digest: snapshot.digest().to_bytes().to_vec().into(), rejected };
    FromProxy { kind: Some(from_proxy::Kind::Ack(ack)) }
}

/// The parts of an update that is not complete yet.
#[derive(Default)]
struct Parts(Option<Update>);

impl Parts {
    fn add(&mut self, mut part: Update) -> Result<Option<Update>, String> {
        let more = std::mem::take(&mut part.more);
        let whole = match self.0.take() {
            None => part,
            Some(mut begun) => {
                if (begun.from, begun.to) != (part.from, part.to) {
                    return Err("the parts of an update do not belong together".into());
                }
                begun.upserts.append(&mut part.upserts);
                begun.removals.append(&mut part.removals);
                begun.digest = part.digest;
                begun
            }
        };
        if more {
            self.0 = Some(whole);
            return Ok(None);
        }
        Ok(Some(whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(from: u64, removals: usize, more: bool) -> Update {
        Update { from, to: 9, removals: vec![wire::Ref::default(); removals], more, ..Update::default() }
    }

    #[test]
    fn parts_become_one_update_when_the_last_has_come() {
        let mut parts = Parts::default();
        assert_eq!(parts.add(part(0, 2, true)), Ok(None));
        assert_eq!(parts.add(part(0, 1, true)), Ok(None));
        assert_eq!(parts.add(part(0, 3, false)).unwrap().unwrap().removals.len(), 6);
        assert_eq!(parts.add(part(9, 1, false)).unwrap().unwrap().removals.len(), 1);
    }

    #[test]
    fn parts_of_two_updates_are_refused() {
        let mut parts = Parts::default();
        assert_eq!(parts.add(part(0, 2, true)), Ok(None));
        assert!(parts.add(part(3, 1, false)).is_err());
    }
}
