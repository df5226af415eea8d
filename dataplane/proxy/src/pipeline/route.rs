//! route: which targets, in which order.

use policy::{Key, Plan, Snapshot};

use crate::error::Error;
use crate::pipeline::accept::Call;

pub(super) fn plan<'s>(snapshot: &'s Snapshot, caller: &Key, call: &Call) -> Result<Plan<'s>, Error> {
    policy::plan(snapshot, caller, call.head.model()).map_err(Error::Refused)
}
