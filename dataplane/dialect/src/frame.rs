//! Where one event of a stream ends and the next begins, whatever the chunks they came in.

pub mod sse;

/// Longer events are not held in memory to be looked at.
pub const EVENT_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is longer than {bytes_max} bytes")]
pub struct TooLong {
    pub bytes_max: usize,
}
