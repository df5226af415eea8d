//! The control plane: what an operator says becomes what every proxy holds.
//!
//! A document comes in at the `api`, is proposed at the `desk`, validated there against what is in force, and committed
//! to the `store` as one revision. Whoever committed it, `publish` puts it into force here, says what changed, and keeps
//! the last changes in a ring. The `stream` tells each proxy what it lacks, and hears what it could not understand,
//! which `proxies` remembers. What was used comes back through `collect` and lies in `usage`.
//!
//! What is decided is decided in `registry`. Sockets, time and dice live here; any number of replicas may run on one
//! store, and none of them holds anything that the store does not.

mod api;

mod desk;
mod sealer;

pub mod store;

mod publish;

mod proxies;
mod stream;

mod collect;
pub mod usage;

mod clock;
pub mod config;
mod door;
mod ops;
mod porch;
mod stop;
pub mod telemetry;

mod run;

pub use config::{BadBootstrap, Bootstrap};
pub use run::{Server, Trouble};
