//! The way out: connections to providers, kept warm, and the demo provider that needs none.

pub(crate) mod connect;
pub(crate) mod demo;
pub(crate) mod letter;
pub(crate) mod link;
pub(crate) mod patience;
pub(crate) mod pool;
pub(crate) mod post;
pub(crate) mod source;

pub(crate) use letter::Letter;
pub(crate) use link::Trouble;
pub(crate) use pool::Upstreams;
pub(crate) use source::Source;
