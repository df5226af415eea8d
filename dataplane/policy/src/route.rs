//! Which way a request goes: the targets to try, in order, and those that are left out, with the reason.

use std::sync::Arc;

use vocab::{Kind, ModelName};

use crate::keys::Key;
use crate::model::{Model, Skipped, Target};
use crate::refusal::{Asked, Refusal};
use crate::snapshot::Snapshot;

/// Borrowed from the snapshot as it is: nothing is copied and nothing looked up.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'s> {
    pub model: &'s Arc<Model>,
    /// Never empty.
    pub attempts: &'s [Target],
    pub skipped: &'s [Skipped],
}

/// `asked` is what the caller says; it may be anything.
pub fn plan<'s>(snapshot: &'s Snapshot, key: &Key, asked: &str) -> Result<Plan<'s>, Refusal> {
    let Some(model) = snapshot.model(asked) else { return Err(why_not(snapshot, key, asked)) };
    if !key.may_use(&model.name) {
        return Err(Refusal::ModelNotAllowed { model: model.name.clone() });
    }
    if model.targets.is_empty() {
        return Err(Refusal::NoTarget { model: model.name.clone(), skipped: Arc::clone(&model.skipped) });
    }
    Ok(Plan { model, attempts: &model.targets, skipped: &model.skipped })
}

/// A model that is in quarantine is known, but not to be had.
fn why_not(snapshot: &Snapshot, key: &Key, asked: &str) -> Refusal {
    // First of all because it bounds the length: what is asked for may be as long as a body may be.
    let Ok(model) = ModelName::new(asked) else { return Refusal::UnknownModel { asked: Asked::new(asked) } };
    match snapshot.rejection(Kind::Model, asked.as_bytes()) {
        None => Refusal::UnknownModel { asked: Asked::new(asked) },
        Some(_) if !key.may_use(&model) => Refusal::ModelNotAllowed { model },
        Some(rejected) => Refusal::Quarantined { model, why: rejected.why.clone() },
    }
}
