//! The data plane: sockets, time and dice live here; what is decided is decided in `policy` and `dialect`.
//!
//! A request comes in at an `edge`, walks through the `pipeline` (read `pipeline.rs` first: it is the whole story),
//! leaves through an `upstream`, and its answer is relayed back. A snapshot comes in through the `plane` and is swapped
//! into the `gateway`; usage goes out the same way.
//!
//! One thread a core: each has its own listener, runtime, upstream pools and tally, and shares nothing on the
//! request's way but the snapshot it looks at. One more thread speaks to the control plane and to operators.

mod config;
mod edge;
mod error;
mod gateway;
mod pipeline;
mod plane;
mod run;
pub mod telemetry;
mod upstream;

pub use config::{BadBootstrap, Bootstrap};
pub use run::run;
