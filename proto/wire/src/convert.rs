//! Between messages and nouns: fallible inward, infallible outward.

use bytes::Bytes;
use prost::Message;
use vocab::{Boot, Digest, Kind, Tokens, Usage};

use crate::v1;

/// The newest schema these messages can say.
pub const SCHEMA: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("a digest has 16 bytes, this one has {0}")]
    Digest(usize),
}

pub fn digest_of(bytes: &[u8]) -> Result<Digest, Malformed> {
    Digest::from_bytes(bytes).ok_or(Malformed::Digest(bytes.len()))
}

#[must_use]
pub fn boot_of(number: u64) -> Boot {
    Boot(number)
}

/// What this resource adds to the digest of a snapshot that holds it.
#[must_use]
pub fn digest_resource(resource: &v1::Resource) -> Digest {
    Digest::of(resource.kind, &resource.id, &resource.body)
}

/// Wraps a message up for the road.
#[must_use]
pub fn resource(kind: Kind, id: impl Into<Bytes>, body: &impl Message) -> v1::Resource {
    v1::Resource { kind: kind.number(), id: id.into(), body: body.encode_to_vec().into(), keep_last_good: false }
}

#[must_use]
pub fn row_usage(row: &v1::UsageRow) -> Usage {
    Usage {
        input: Tokens(row.tokens_input),
        cached: Tokens(row.tokens_cached),
        output: Tokens(row.tokens_output),
        reasoning: Tokens(row.tokens_reasoning),
    }
}

pub fn set_row_usage(row: &mut v1::UsageRow, usage: Usage) {
    row.tokens_input = usage.input.0;
    row.tokens_cached = usage.cached.0;
    row.tokens_output = usage.output.0;
    row.tokens_reasoning = usage.reasoning.0;
}
