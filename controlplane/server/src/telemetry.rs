//! What operators and machines are told: log lines and figures.

mod metrics;

pub(crate) use metrics::{Gauges, Metrics};

use tracing_subscriber::EnvFilter;

/// One line of JSON an event, to standard error. The filter was checked with the rest of the bootstrap configuration.
pub fn log_to_stderr(filter: &str) {
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(std::io::stderr)
        .with_env_filter(EnvFilter::new(filter));
    if subscriber.try_init().is_err() {
        tracing::warn!("somebody else logs already");
    }
}
