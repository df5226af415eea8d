//! What the operator said, and what it compiles to.
//!
//! ```text
//! document -> read -> Draft -> settle -> Resource -> check -> (the store commits) -> commit -> Delta
//! ```
//!
//! `read` finds every fault of a document at once; `settle` lets the shell seal, hash and mint what must not stay
//! plain; `State` holds what is in force and tells what a transaction would break; `commit` compiles what changed into
//! what a proxy must be told. The same resources give the same bytes, hence the same digest, whatever the way there.
//!
//! This crate never asks the time, rolls dice, opens anything or knows a cipher: the shell brings them as a `Sealer`.
#![deny(clippy::float_arithmetic)]

mod fault;
mod nearest;

mod draft;
mod patch;
mod read;
pub mod resource;
mod settle;

mod compile;
mod diff;
mod proposal;
mod state;
mod validate;

mod render;
mod upgrade;

pub use diff::{Change, Delta, merge};
pub use draft::{Draft, Source};
pub use fault::{Fault, Faults};
pub use patch::patch;
pub use proposal::{Entry, Outcome, Proposal, propose, validate_documents};
pub use read::{env_name, read};
pub use render::{document, export};
pub use resource::{Key, Model, Provider, Ref, Resource, ResourceKind, Team, User};
pub use settle::{Sealer, Settled, credential_place};
pub use state::{State, Stored};
pub use upgrade::Unreadable;
