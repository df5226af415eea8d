//! What is allowed, and which way it goes.
//!
//! A `Snapshot` is a value: made by applying an `Update` to the one before, looked at by requests, never edited.
//! Of a presented key `caller` says whose it is, or why not; of a caller and a model `plan` says which targets to
//! try, in order, or why none. Whatever can be worked out when a snapshot is made is not worked out by a request.
//!
//! This crate never asks the time, rolls dice, waits, or opens anything: `now` is an argument, and credentials are
//! opened by whoever calls `apply`.

#![deny(clippy::float_arithmetic)]

mod apply;
mod caller;
mod glob;
mod keys;
mod model;
mod provider;
mod refusal;
mod rejected;
mod rights;
mod route;
mod snapshot;
mod table;

pub use apply::{Applied, Open, OutOfStep};
pub use caller::{caller, spelled};
pub use glob::{Glob, Globs};
pub use keys::{Key, Metadata};
pub use model::{Gap, Model, Skipped, Target};
pub use provider::{Demo, Http, Provider, Reach, Timeouts};
pub use refusal::{Denied, Refusal};
pub use rejected::Rejected;
pub use rights::Policy;
pub use route::{Plan, plan};
pub use snapshot::{Counts, Snapshot};
