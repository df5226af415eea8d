//! One proxy's stream, from hello to its end.
//!
//! At most one update is on its way to a proxy; what changes meanwhile is told as one when it has acknowledged.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};
use tonic::{Status, Streaming};
use vocab::{Digest, ProxyName, Revision};
use wire::{Ack, Beat, FromProxy, Hello, ToProxy, from_proxy, to_proxy};

use super::Streams;
use super::gate::Guest;
use super::updates::{Encoded, Need};
use crate::clock;
use crate::proxies::{Proxy, Session};
use crate::publish::Point;

const HELLO_LATE: Duration = Duration::from_secs(10);
const BEAT: Duration = Duration::from_secs(5);
/// To send an update and to hear that it was applied.
const ACK_LATE: Duration = Duration::from_secs(60);

pub(super) struct Subscriber {
    streams: Streams,
    guest: Guest,
    from: Option<SocketAddr>,
    inbound: Streaming<FromProxy>,
    out: mpsc::Sender<Result<ToProxy, Status>>,
}

/// Why a stream ends. `None` when nobody is there to be told.
type End = Option<Status>;

/// What the proxy holds, as far as we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// Nothing that we can build on.
    Nothing,
    At(Point),
    /// Something newer than is known here: nothing is sent until we know it too, for it would be a step back.
    Ahead {
        revision: Revision,
        digest: Digest,
    },
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    to: Point,
    everything: bool,
    deadline: Instant,
}

/// Everything about a stream whose proxy has said who it is.
struct Conversation<'s> {
    streams: &'s Streams,
    out: &'s mpsc::Sender<Result<ToProxy, Status>>,
    name: ProxyName,
    session: Session,
    announced: watch::Receiver<Point>,
    held: Held,
    in_flight: Option<InFlight>,
}

impl Subscriber {
    pub(super) fn new(
        streams: Streams,
        guest: Guest,
        from: Option<SocketAddr>,
        inbound: Streaming<FromProxy>,
        out: mpsc::Sender<Result<ToProxy, Status>>,
    ) -> Subscriber {
        Subscriber { streams, guest, from, inbound, out }
    }

    pub(super) async fn serve(mut self) {
        if let Err(Some(status)) = self.converse().await {
            tracing::debug!(why = status.message(), "stream ends");
            // Nobody may be there to hear it.
            _ = self.out.send(Err(status)).await;
        }
    }

    async fn converse(&mut self) -> Result<(), End> {
        let hello = self.hello().await?;
        let name = self.guest.name(&hello.proxy).inspect_err(|status| {
            self.streams.metrics.joins_refused.add(1);
            let from = self.from.map(tracing::field::display);
            tracing::warn!(event = "join refused", from, proxy = hello.proxy, why = status.message(), "audit");
        })?;
        let held = held_by(&hello, self.streams.latest.store())?;
        let session = self.streams.proxies.join(name.clone(), proxy(&hello));
        let from = self.from.map(tracing::field::display);
        tracing::info!(
            event = "joined", proxy = %name, boot = %wire::boot_of(hello.boot), build = hello.build, have = hello.have, from, "audit"
        );
        let (streams, out, announced) = (&self.streams, &self.out, self.streams.latest.announced());
        let conversation = Conversation { streams, out, name, session, announced, held, in_flight: None };
        let ended = conversation.go_on(&mut self.inbound).await;
        tracing::info!(event = "left", proxy = hello.proxy, boot = %wire::boot_of(hello.boot), "audit");
        ended
    }

    async fn hello(&mut self) -> Result<Hello, End> {
        let first = timeout(HELLO_LATE, self.inbound.message()).await;
        match first.map_err(|_| Status::deadline_exceeded("no hello came"))?? {
            Some(FromProxy { kind: Some(from_proxy::Kind::Hello(hello)) }) => Ok(hello),
            Some(_) => Err(Some(Status::invalid_argument("the first message must be a hello"))),
            None => Err(None),
        }
    }
}

fn proxy(hello: &Hello) -> Proxy {
    Proxy {
        boot: wire::boot_of(hello.boot),
        build: hello.build.chars().take(100).collect(),
        schema: hello.schema,
        applied: Revision(hello.have),
        digest: wire::digest_of(&hello.digest).unwrap_or_default(),
        is_connected: true,
        since: clock::now(),
        acked: None,
        rejected: Vec::new(),
    }
}

fn held_by(hello: &Hello, store: &str) -> Result<Held, Status> {
    if hello.schema < wire::SCHEMA {
        return Err(Status::failed_precondition(format!(
            "this proxy understands schema {}, and schema {} is spoken here: run a newer build of it",
            hello.schema,
            wire::SCHEMA
        )));
    }
    if hello.have == 0 || hello.store != store {
        return Ok(Held::Nothing);
    }
    let digest = wire::digest_of(&hello.digest).map_err(|why| Status::invalid_argument(why.to_string()))?;
    Ok(Held::Ahead { revision: Revision(hello.have), digest })
}

impl Conversation<'_> {
    async fn go_on(mut self, inbound: &mut Streaming<FromProxy>) -> Result<(), End> {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.tell().await?;
            let late = self.in_flight.map(|update| update.deadline);
            tokio::select! {
                () = self.streams.stop.wanted() => {
                    return Err(Some(Status::unavailable("this control plane is stopping")));
                }
                message = inbound.message() => match message? {
                    Some(FromProxy { kind: Some(from_proxy::Kind::Ack(ack)) }) => self.acknowledged(&ack)?,
                    Some(FromProxy { kind: Some(from_proxy::Kind::Hello(_)) }) => {
                        return Err(Some(Status::invalid_argument("a stream has one hello")));
                    }
                    // Something newer than we are.
                    Some(FromProxy { kind: None }) => {}
                    None => return Err(None),
                },
                // The sender lives as long as `latest`.
                _ = self.announced.changed() => {}
                _ = beat.tick() => self.beat().await?,
                () = until(late) => {
                    return Err(Some(Status::deadline_exceeded("an update was not acknowledged in time")));
                }
            }
        }
    }

    /// Sends what the proxy needs now, if it needs anything and nothing is on its way already.
    async fn tell(&mut self) -> Result<(), End> {
        let now = *self.announced.borrow_and_update();
        if self.in_flight.is_some() {
            return Ok(());
        }
        if let Held::Ahead { revision, digest } = self.held {
            // Not what is announced: a proxy may have been sent everything a moment before that.
            let head = self.streams.latest.head();
            if revision <= head.revision {
                self.held = Held::At(Point { epoch: head.epoch, revision, digest });
            }
        }
        match self.held {
            Held::Ahead { .. } => Ok(()),
            Held::At(point) if point == now => Ok(()),
            Held::At(point) => match self.streams.updates.need(point) {
                Need::Nothing => Ok(()),
                Need::Delta(update) => self.send(&update, false).await,
                Need::Everything => self.send_everything().await,
            },
            Held::Nothing => self.send_everything().await,
        }
    }

    async fn send_everything(&mut self) -> Result<(), End> {
        self.streams.metrics.full_syncs.add(1);
        let everything = self.streams.updates.everything().await;
        self.send(&everything, true).await
    }

    async fn send(&mut self, update: &Arc<Encoded>, everything: bool) -> Result<(), End> {
        let deadline = Instant::now() + ACK_LATE;
        for part in &update.parts {
            self.streams.metrics.update_bytes.add(u64::try_from(part.len()).unwrap_or_default());
            self.say(to_proxy::Kind::Update(part.clone()), deadline).await?;
        }
        self.streams.metrics.updates.add(1);
        self.in_flight = Some(InFlight { to: update.to, everything, deadline });
        Ok(())
    }

    async fn say(&self, kind: to_proxy::Kind, deadline: Instant) -> Result<(), End> {
        let sent = timeout_at(deadline, self.out.send(Ok(ToProxy { kind: Some(kind) })));
        tokio::select! {
            sent = sent => match sent {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(None),
                Err(_) => Err(Some(Status::deadline_exceeded("nothing was read for too long"))),
            },
            () = self.streams.stop.wanted() => Err(Some(Status::unavailable("this control plane is stopping"))),
        }
    }

    async fn beat(&mut self) -> Result<(), End> {
        self.streams.updates.tidy().await;
        if let Held::Ahead { revision, .. } = self.held
            && self.store_is_behind(revision).await
        {
            tracing::warn!(proxy = %self.name, have = %revision, "holds what the store has lost, and is sent everything");
            self.held = Held::Nothing;
        }
        let revision = self.streams.latest.head().revision.0;
        self.say(to_proxy::Kind::Beat(Beat { revision }), Instant::now() + ACK_LATE).await
    }

    /// Then it was restored from a backup: waiting for it to catch up would take for ever.
    async fn store_is_behind(&self, revision: Revision) -> bool {
        matches!(timeout(BEAT, self.streams.store.head()).await, Ok(Ok(head)) if head < revision)
    }

    fn acknowledged(&mut self, ack: &Ack) -> Result<(), End> {
        let digest = wire::digest_of(&ack.digest).map_err(|why| Status::invalid_argument(why.to_string()))?;
        self.session.note(|proxy| {
            proxy.applied = Revision(ack.to);
            proxy.digest = digest;
            proxy.acked = Some(clock::now());
            proxy.rejected.clone_from(&ack.rejected);
        });
        for wire::Rejected { resource, why, kept } in &ack.rejected {
            let id = resource.as_ref().map(|resource| resource.id.escape_ascii().to_string());
            tracing::debug!(proxy = %self.name, id, why, kept, "a proxy does not understand a resource");
        }
        let Some(update) = self.in_flight.filter(|update| update.to.revision.0 == ack.to) else { return Ok(()) };
        self.in_flight = None;
        if digest == update.to.digest {
            self.held = Held::At(update.to);
            return Ok(());
        }
        tracing::error!(proxy = %self.name, revision = ack.to, held = %digest, meant = %update.to.digest, "holds something else than it was sent");
        if update.everything {
            return Err(Some(Status::data_loss("what was applied differs from what was sent")));
        }
        self.held = Held::Nothing;
        Ok(())
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
