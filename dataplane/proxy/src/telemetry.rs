//! What operators see: log lines, and sums of what the records said.

mod series;
mod tally;
mod text;

use tracing_subscriber::EnvFilter;

pub(crate) use series::{Histogram, Series};
pub(crate) use tally::{Labels, ReportKey, Tally};
pub(crate) use text::exposition;

/// One JSON line an event, to standard error. A filter that does not parse falls back to `info`, and says so.
pub fn log_to_stderr(filter: &str) {
    let parsed = EnvFilter::try_new(filter);
    let bad = parsed.is_err();
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(std::io::stderr)
        .with_env_filter(parsed.unwrap_or_else(|_| EnvFilter::new("info")))
        .init();
    if bad {
        tracing::warn!(filter, "not a log filter; using info");
    }
}
