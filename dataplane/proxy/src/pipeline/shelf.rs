//! The shelf of models: which ones this key may ask for. Answered from the snapshot alone.

use dialect::ModelRow;
use http::{Response, StatusCode};
use policy::{Key, Model, Snapshot};
use vocab::Dialect;

use crate::error::Error;
use crate::pipeline::record::{Ending, Record};
use crate::pipeline::relay::{self, Answer};

pub(super) fn list(snapshot: &Snapshot, caller: &Key, record: &mut Record) -> Result<Response<Answer>, Error> {
    let rows = snapshot.models().filter(|model| caller.may_use(&model.name)).map(|model| row(model));
    let body = dialect::write_models(Dialect::Openai, rows);
    record.ended(Ending::Answered);
    Ok(relay::own(StatusCode::OK, body, record.hand_over()))
}

pub(super) fn one(
    snapshot: &Snapshot,
    caller: &Key,
    name: &str,
    record: &mut Record,
) -> Result<Response<Answer>, Error> {
    // A model that this key may not use does not show itself.
    let model = snapshot.model(name).filter(|model| caller.may_use(&model.name)).ok_or(Error::NoSuchModel)?;
    let body = dialect::write_model(Dialect::Openai, row(model));
    record.ended(Ending::Answered);
    Ok(relay::own(StatusCode::OK, body, record.hand_over()))
}

/// Who made a model and when is not the gateway's to say.
fn row(model: &Model) -> ModelRow<'_> {
    ModelRow { name: model.name.as_str(), owner: "turnpike", created_s: 0 }
}
