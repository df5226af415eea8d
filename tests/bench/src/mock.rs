//! The mock upstream: an OpenAI-compatible provider that costs next to nothing, so that its core is free for the load.
//!
//! It reads no JSON. A request's wish is looked up in the first and last bytes of its body: `"stream":true`, and the
//! length and pace of the stream in the member `"user":"chunks=64,pause=5"`, because every proxy forwards bodies but not
//! every proxy forwards unknown headers.

pub mod answers;
pub mod serve;
pub mod wish;
