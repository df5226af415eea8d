//! What the scripted upstream does with a request: a list of steps, down to the single byte.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

/// The usage that every answer of the default script reports.
pub(crate) const USAGE: [u64; 2] = [11, 7];

#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// In one write.
    Send(Vec<u8>),
    /// Every byte in a write of its own.
    Trickle(Vec<u8>),
    /// Until the test opens the gate, or the other side hangs up.
    Wait(Gate),
    Pause(Duration),
    /// For ever, or until the other side hangs up.
    Stall,
    /// With a reset in place of a proper end.
    Reset,
    /// The proper end of the connection.
    Close,
}

/// Held by a test to decide when a script goes on. Opened before it is reached, it lets one script through.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<Semaphore>);

impl Gate {
    pub(crate) fn new() -> Gate {
        Gate(Arc::new(Semaphore::new(0)))
    }

    pub(crate) fn open(&self) {
        self.0.add_permits(1);
    }

    pub(crate) async fn pass(&self) {
        self.0.acquire().await.expect("the gate is never closed for good").forget();
    }
}

pub(crate) fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

pub(crate) fn json(body: &str) -> Vec<Step> {
    vec![Step::Send(answer("200 OK", "content-type: application/json\r\n", body))]
}

pub(crate) const CHAT: &str = concat!(
    r#"{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"up","choices":[{"index":0,"#,
    r#""message":{"role":"assistant","content":"Hello there."},"finish_reason":"stop"}],"#,
    r#""usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18},"system_fingerprint":null}"#
);

pub(crate) const EMBEDDING: &str = concat!(
    r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-0.25]}],"#,
    r#""model":"up","usage":{"prompt_tokens":11,"total_tokens":11}}"#
);

pub(crate) const COMPLETION: &str = concat!(
    r#"{"id":"cmpl-1","object":"text_completion","created":1,"model":"up","#,
    r#""choices":[{"index":0,"text":" there","logprobs":null,"finish_reason":"stop"}],"#,
    r#""usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}"#
);

/// The head of a stream in chunked framing.
pub(crate) fn stream_head() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec()
}

/// One chunk of chunked framing.
pub(crate) fn chunk(payload: &str) -> Vec<u8> {
    format!("{:x}\r\n{payload}\r\n", payload.len()).into_bytes()
}

pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

pub(crate) fn event(content: &str) -> String {
    format!(
        r#"data: {{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"up","choices":[{{"index":0,"delta":{{"content":"{content}"}},"finish_reason":null}}]}}"#
    ) + "\n\n"
}

/// The event that a provider adds when asked for usage.
pub(crate) fn usage_event() -> String {
    concat!(
        r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"up","choices":[],"#,
        r#""usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}"#,
        "\n\n"
    )
    .into()
}

pub(crate) const DONE: &str = "data: [DONE]\n\n";

/// A stream of these events as one provider would send it, each in its own chunk.
pub(crate) fn stream(events: &[String]) -> Vec<Step> {
    let mut bytes = stream_head();
    for event in events {
        bytes.extend_from_slice(&chunk(event));
    }
    bytes.extend_from_slice(LAST_CHUNK);
    vec![Step::Send(bytes)]
}
