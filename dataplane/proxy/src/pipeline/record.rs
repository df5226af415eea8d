//! record: one set of facts about one request. Sums, metrics and the log line are views of it.
//!
//! It closes by itself: when a caller leaves, the whole story is dropped in mid-sentence, and that request counts too.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use policy::{Key, Plan, Policy};
use tokio::time::Instant;
use vocab::{KeyId, ModelName, ProviderName, RequestId, UpstreamModel, Usage};

use crate::error::{Error, Verdict};
use crate::gateway::{Core, now};
use crate::pipeline::accept::Call;
use crate::pipeline::send::Reply;
use crate::upstream::Trouble;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) enum Ending {
    /// Its caller left before there was an answer, or in the middle of it.
    #[default]
    Left,
    /// We said no.
    Refused,
    /// The answer went out whole.
    Answered,
    /// The provider broke off in the middle of its answer.
    BrokeOff,
}

/// What is known of a request when it has ended.
#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) id: RequestId,
    pub(crate) key: Option<(KeyId, Arc<Policy>)>,
    pub(crate) model: Option<ModelName>,
    pub(crate) target: Option<(ProviderName, UpstreamModel)>,
    pub(crate) attempts: u32,
    pub(crate) status: u16,
    pub(crate) first_byte: Option<Duration>,
    pub(crate) whole: Duration,
    pub(crate) usage: Option<Usage>,
    /// Of a stream: a lower bound of its output tokens, for one that never told its usage.
    pub(crate) pieces: u64,
    pub(crate) ending: Ending,
    /// Whether a provider was asked, so that there is something to account for.
    pub(crate) asked: bool,
}

pub(super) struct Record {
    core: Rc<Core>,
    started: Instant,
    /// How long we waited for providers, which is not our doing.
    waited: Duration,
    facts: Option<Box<Facts>>,
}

impl Record {
    pub(super) fn open(core: &Rc<Core>) -> Record {
        core.gateway.life.requests.fetch_add(1, Ordering::Relaxed);
        let facts = Facts { id: core.request_id(), ..Facts::default() };
        Record { core: Rc::clone(core), started: Instant::now(), waited: Duration::ZERO, facts: Some(Box::new(facts)) }
    }

    /// Gives the facts to whoever tells the rest of the story.
    pub(super) fn hand_over(&mut self) -> Record {
        Record { core: Rc::clone(&self.core), started: self.started, waited: self.waited, facts: self.facts.take() }
    }

    fn note(&mut self, note: impl FnOnce(&mut Facts)) {
        if let Some(facts) = self.facts.as_mut() {
            note(facts);
        }
    }

    pub(super) fn id(&self) -> RequestId {
        self.facts.as_ref().map(|facts| facts.id).unwrap_or_default()
    }

    pub(super) fn caller(&mut self, caller: &Key) {
        self.note(|facts| facts.key = Some((caller.id, Arc::clone(&caller.policy))));
    }

    pub(super) fn call(&mut self, call: &Call) {
        tracing::debug!(request = %self.id(), model = call.head.model(), bytes = call.body.len(), "asked");
    }

    pub(super) fn plan(&mut self, plan: &Plan<'_>) {
        self.note(|facts| facts.model = Some(plan.model.name.clone()));
    }

    /// One more provider is asked.
    pub(super) fn attempt(&mut self, provider: &ProviderName, model: &UpstreamModel) {
        self.note(|facts| {
            facts.attempts += 1;
            facts.target = Some((provider.clone(), model.clone()));
        });
    }

    pub(super) fn waited(&mut self, waited: Duration) {
        self.waited += waited;
    }

    pub(super) fn reply(&mut self, reply: &Reply) {
        let status = reply.head.status.as_u16();
        let first_byte = self.started.elapsed();
        self.note(|facts| {
            facts.asked = true;
            facts.status = status;
            facts.first_byte = Some(first_byte);
        });
    }

    pub(super) fn refused(&mut self, error: &Error) {
        let verdict = error.verdict();
        let status = verdict.status.as_u16();
        let id = self.id();
        match &verdict.private {
            Some(why) if verdict.status.is_server_error() => {
                tracing::warn!(request = %id, status, code = verdict.fault.code, %why, "refused");
            }
            _ => tracing::debug!(request = %id, status, code = verdict.fault.code, "refused"),
        }
        self.note(|facts| {
            facts.status = status;
            facts.ending = Ending::Refused;
        });
    }

    /// What the caller is to be told of trouble in the middle of an answer.
    pub(super) fn broke_off(&mut self, trouble: &Trouble) -> Verdict {
        let verdict = crate::error::upstream(self.provider().unwrap_or_default(), trouble);
        tracing::warn!(request = %self.id(), code = verdict.fault.code, why = %trouble, "the provider broke off");
        verdict
    }

    pub(super) fn usage(&mut self, usage: Option<Usage>) {
        self.note(|facts| facts.usage = usage);
    }

    /// So many pieces were streamed: what is known of the output when the provider does not say, or cannot any more.
    pub(super) fn at_least(&mut self, pieces: u64) {
        self.note(|facts| facts.pieces = pieces);
    }

    pub(super) fn ended(&mut self, ending: Ending) {
        self.note(|facts| facts.ending = ending);
    }

    pub(super) fn provider(&self) -> Option<&str> {
        self.facts.as_ref()?.target.as_ref().map(|(provider, _)| provider.as_str())
    }

    pub(super) fn model(&self) -> Option<&str> {
        self.facts.as_ref()?.model.as_ref().map(ModelName::as_str)
    }

    pub(super) fn attempts(&self) -> u32 {
        self.facts.as_ref().map_or(0, |facts| facts.attempts)
    }

    /// What this gateway itself cost so far.
    pub(super) fn overhead(&self) -> Duration {
        self.started.elapsed().saturating_sub(self.waited)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let Some(mut facts) = self.facts.take() else { return };
        facts.whole = self.started.elapsed();
        self.core.gateway.life.requests.fetch_sub(1, Ordering::Relaxed);
        self.core.gateway.tally(self.core.index, |tally| tally.count(&facts, now()));
    }
}
