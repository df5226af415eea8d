//! The bytes the mock answers with; the load generator checks that they come back unchanged.

/// Of ordinary size for a short answer.
pub const UNARY: &str = concat!(
    r#"{"id":"chatcmpl-Bq3mTn5sHkP0vXcZrY7aLw2d","object":"chat.completion","created":1763000000,"#,
    r#""model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":{"role":"assistant","content":"#,
    r#""Certainly. The toll was paid, the gate went up, and the road to the coast lay open in the morning sun.","#,
    r#""refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":212,"#,
    r#""completion_tokens":24,"total_tokens":236,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"#,
    r#""completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}},"service_tier":"default","#,
    r#""system_fingerprint":"fp_34a54ae93c"}"#
);

/// One streamed event of about 310 bytes.
pub const EVENT: &str = concat!(
    r#"data: {"id":"chatcmpl-Bq3mTn5sHkP0vXcZrY7aLw2d","object":"chat.completion.chunk","created":1763000000,"#,
    r#""model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_34a54ae93c","#,
    r#""choices":[{"index":0,"delta":{"content":" morning"},"logprobs":null,"finish_reason":null}],"#,
    r#""obfuscation":"k3Jd0sW9"}"#,
    "\n\n"
);

/// What follows the last event when the request asks for usage.
pub const USAGE: &str = concat!(
    r#"data: {"id":"chatcmpl-Bq3mTn5sHkP0vXcZrY7aLw2d","object":"chat.completion.chunk","created":1763000000,"#,
    r#""model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_34a54ae93c","choices":[],"#,
    r#""usage":{"prompt_tokens":212,"completion_tokens":64,"total_tokens":276}}"#,
    "\n\n"
);

pub const DONE: &str = "data: [DONE]\n\n";

pub const EMBEDDING: &str = concat!(
    r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.0123,-0.0456,0.0789,-0.1011]}],"#,
    r#""model":"text-embedding-3-small","usage":{"prompt_tokens":8,"total_tokens":8}}"#
);

/// Payload bytes of a stream whose caller did not ask for usage.
#[must_use]
pub fn stream_length(chunks: usize) -> u64 {
    u64::try_from(chunks * EVENT.len() + DONE.len()).unwrap_or(u64::MAX)
}
