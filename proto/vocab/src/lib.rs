//! The nouns both planes speak.
//!
//! An operator's `Name`d resources carry ids; a caller presents a key, of which only the `KeyHash` is known;
//! it asks for a `ModelName`, and a provider is told an `UpstreamModel`; what it used is counted in `Tokens`
//! and paid in `Money`; configuration moves from `Revision` to `Revision`, and a `Digest` says whether both
//! sides hold the same. A noun lives here only if both planes say it aloud.
//!
//! This crate never asks the time, rolls dice, or opens anything.

#![deny(clippy::float_arithmetic)]

pub mod address;
pub mod bootstrap;
pub mod dialect;
pub mod id;
pub mod key;
pub mod money;
pub mod name;
pub mod pem;
pub mod revision;
pub mod secret;
pub mod time;
pub mod tokens;
pub mod url;

pub use dialect::Dialect;
pub use id::{Boot, KeyId, PolicyId, RequestId};
pub use money::{Money, Price};
pub use name::{KeyName, Kind, ModelName, ProviderName, ProxyName, TeamName, UpstreamModel, UserName};
pub use revision::{Digest, Revision};
pub use secret::{KeyHash, Secret};
pub use time::Timestamp;
pub use tokens::{Tokens, Usage};
