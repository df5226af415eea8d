//! The one request of a run, made once and sent as often as needed.

use std::fmt::Write as _;

use crate::mock::answers;

/// What the answer must be, to the byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// This body.
    Body(&'static str),
    /// A stream of so many events and as many bytes of payload.
    Stream { events: u64, bytes: u64 },
}

#[derive(Debug)]
pub struct Ask {
    pub bytes: Vec<u8>,
    pub expect: Expect,
}

/// What the caller wants.
#[derive(Debug, Clone)]
pub struct Letter {
    pub path: String,
    pub host: String,
    pub key: String,
    pub model: String,
    pub prompt_bytes: usize,
    /// Chunks and milliseconds between them.
    pub stream: Option<(usize, u64)>,
}

impl Ask {
    #[must_use]
    pub fn new(letter: &Letter) -> Ask {
        let body = body(letter);
        let Letter { path, host, key, .. } = letter;
        let length = body.len();
        let mut bytes = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\naccept: application/json\r\n\
             content-type: application/json\r\nuser-agent: loadgen\r\ncontent-length: {length}\r\n\r\n"
        );
        bytes.push_str(&body);
        let expect = match letter.stream {
            None => Expect::Body(answers::UNARY),
            Some((chunks, _)) => Expect::Stream {
                events: u64::try_from(chunks).unwrap_or_default() + 1,
                bytes: answers::stream_length(chunks),
            },
        };
        Ask { bytes: bytes.into_bytes(), expect }
    }
}

fn body(letter: &Letter) -> String {
    let mut body = format!(r#"{{"model":"{}","#, letter.model);
    if let Some((chunks, pause)) = letter.stream {
        // Writing to a String cannot fail.
        _ = write!(body, r#""stream":true,"user":"chunks={chunks},pause={pause}","#);
    }
    body.push_str(r#""temperature":0.2,"messages":[{"role":"system","content":"You keep the gate."},"#);
    body.push_str(r#"{"role":"user","content":""#);
    let words = ["the ", "traveller ", "asked, \\\"how far\\\" ", "is it to the coast?\\n", "toll 42 "];
    let mut prompt = words.iter().cycle();
    let start = body.len();
    while body.len() < start + letter.prompt_bytes {
        body.push_str(prompt.next().copied().unwrap_or("x"));
    }
    body.push_str(r#""}]}"#);
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_valid_and_of_the_size_asked_for() {
        let mut letter = Letter {
            path: "/v1/chat/completions".into(),
            host: "h".into(),
            key: "k".into(),
            model: "m".into(),
            prompt_bytes: 32 * 1024,
            stream: Some((64, 5)),
        };
        let text = body(&letter);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["user"], "chunks=64,pause=5");
        assert!((32 * 1024..33 * 1024).contains(&text.len()));
        letter.stream = None;
        let ask = Ask::new(&letter);
        let head = crate::http1::head(&ask.bytes).unwrap().unwrap();
        assert_eq!(head.length, crate::http1::Length::Fixed(ask.bytes.len() - head.size));
    }

    #[test]
    fn the_answers_are_json_and_of_the_sizes_they_claim() {
        assert!(serde_json::from_str::<serde_json::Value>(answers::UNARY).is_ok());
        for event in [answers::EVENT, answers::USAGE] {
            let json = event.strip_prefix("data: ").unwrap();
            assert!(serde_json::from_str::<serde_json::Value>(json).is_ok());
        }
        assert!((280..340).contains(&answers::EVENT.len()), "{}", answers::EVENT.len());
        assert!((500..800).contains(&answers::UNARY.len()), "{}", answers::UNARY.len());
    }
}
