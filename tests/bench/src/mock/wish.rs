//! What a request wants of the mock, found without parsing it.

use std::time::Duration;

use memchr::memmem;

/// How far from either end of a body the wish may stand.
const REACH: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Unary,
    Stream { chunks: usize, pause: Duration, usage: bool },
}

/// The pace of streams that do not ask for one.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub chunks: usize,
    pub pause: Duration,
}

impl Wish {
    #[must_use]
    pub fn of(body: &[u8], pace: Pace) -> Wish {
        let (front, back) = (body.get(..REACH).unwrap_or(body), body.len().saturating_sub(REACH));
        let back = body.get(back..).unwrap_or_default();
        let says = |text: &str| [front, back].iter().any(|part| memmem::find(part, text.as_bytes()).is_some());
        if !says("\"stream\":true") && !says("\"stream\": true") {
            return Wish::Unary;
        }
        let member = |name: &str| [front, back].iter().find_map(|part| number_after(part, name));
        let chunks = member("chunks=").and_then(|number| usize::try_from(number).ok()).unwrap_or(pace.chunks);
        let pause = member("pause=").map_or(pace.pause, Duration::from_millis);
        let usage = says("\"include_usage\":true") || says("\"include_usage\": true");
        Wish::Stream { chunks, pause, usage }
    }
}

fn number_after(bytes: &[u8], name: &str) -> Option<u64> {
    let at = memmem::find(bytes, name.as_bytes())? + name.len();
    let digits = bytes.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit());
    digits.map(|byte| u64::from(byte - b'0')).reduce(|number, digit| number.saturating_mul(10).saturating_add(digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_read_from_either_end_of_a_large_body() {
        let pace = Pace { chunks: 3, pause: Duration::ZERO };
        let wish = |body: String| Wish::of(body.as_bytes(), pace);
        assert_eq!(wish(r#"{"model":"m","stream":false}"#.into()), Wish::Unary);
        let stream = |chunks, pause, usage| Wish::Stream { chunks, pause: Duration::from_millis(pause), usage };
        assert_eq!(wish(r#"{"model":"m","stream": true}"#.into()), stream(3, 0, false));
        let prompt = "x".repeat(9000);
        let body = format!(
            r#"{{"stream":true,"user":"chunks=64,pause=5","p":"{prompt}","stream_options":{{"include_usage":true}}}}"#
        );
        assert_eq!(wish(body), stream(64, 5, true));
    }
}
