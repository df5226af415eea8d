//! The doors: where callers come in, and where operators look.

pub(crate) mod doors;
pub(crate) mod drain;
pub(crate) mod listen;
mod misfit;
pub(crate) mod ops;
pub(crate) mod socket;
