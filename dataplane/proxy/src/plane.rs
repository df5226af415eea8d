//! The wire to the control plane: configuration comes in, usage goes out, and neither is on a request's way.

mod channel;
pub(crate) mod last_good;
mod outbox;
pub(crate) mod report;
pub(crate) mod shelf;
pub(crate) mod subscribe;

pub(crate) use channel::Dialer;
