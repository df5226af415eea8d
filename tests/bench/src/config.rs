//! The config plane under measurement: many keys, one of them changed, many changed, some revoked.

pub mod change;
pub mod fleet;
pub mod revoke;
