//! What crosses between the planes.
//!
//! The messages are generated from `proto/schema` and committed (`make proto`); nobody computes with them: they are
//! parsed at the border and left there. Client and server stubs exist only behind the features of those names, so
//! that a pure crate that takes `wire` takes only data.

mod convert;

pub use convert::{Malformed, SCHEMA, boot_of, digest_of, digest_resource, resource, row_usage, set_row_usage};

#[cfg_attr(any(feature = "client", feature = "server"), expect(unused_qualifications, reason = "generated"))]
#[cfg_attr(feature = "server", expect(clippy::allow_attributes, reason = "generated"))]
pub mod v1 {
    include!("gen/turnpike.v1.rs");
}

pub use v1::*;
