//! What reading a head costs, in microseconds per KB, beside what serde_json takes for the same body.
//!
//! `cargo run --release -p dialect --example head_cost`

#![expect(clippy::print_stdout, reason = "an example shows what it found")]
#![expect(clippy::disallowed_methods, reason = "an example measures time")]

use std::borrow::Cow;
use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use dialect::{AskUsage, Edits, Endpoint, Malformed, peek, splice};
use serde::Deserialize;
use serde::de::IgnoredAny;
use vocab::{Dialect, UpstreamModel};

/// What one would write without a scanner of one's own; its fields stand last, where many clients put them.
#[derive(Debug, Deserialize)]
struct Probe<'b> {
    #[serde(borrow)]
    model: Cow<'b, str>,
    stream: Option<bool>,
    max_tokens: Option<u64>,
}

const PROSE: &str = "The quick brown fox jumps over the lazy dog, and then it rests in the shade. \\\"Why?\\\" asked the dog, \
    who had seen many foxes in its life and none of them in such a hurry.\\n\\n";
const LONG: &str = "Plain text without a single escape goes on and on, as in a retrieved document that was flattened. ";
const MIXED: &str = "The na\u{ef}ve caf\u{e9} \u{2013} \u{201c}quoted\u{201d} \u{2013} costs 10 \u{20ac} for a r\u{e9}sum\u{e9}; \
    the rest is plain text for a good while.\\n";
const CHINESE: &str = "\u{654f}\u{6377}\u{7684}\u{68d5}\u{8272}\u{72d0}\u{72f8}\u{8df3}\u{8fc7}\u{4e86}\u{61d2}\u{60f0}\u{7684}\u{72d7}\u{3002}";
fn body(text: &str, size: usize) -> Vec<u8> {
    let mut messages = Vec::new();
    // Turns of some 4 KB, as in a conversation, or one short one.
    let turn = text.repeat((size.min(4096) / text.len()).max(1));
    let turn = turn.get(..4096).unwrap_or(&turn).trim_end_matches('\\');
    while messages.iter().map(String::len).sum::<usize>() < size {
        messages.push(format!(r#"{{"role":"user","content":"{turn}"}}"#));
    }
    let messages = messages.join(",");
    format!(r#"{{"messages":[{messages}],"temperature":0.7,"model":"gpt-4o-mini","stream":true,"max_tokens":100}}"#)
        .into_bytes()
}

/// The best of many runs, in microseconds.
fn best(mut run: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..300 {
        let start = Instant::now();
        (0..8).for_each(|_| run());
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / 8.0);
    }
    best
}

fn row(name: &str, body: &Bytes, edits: &Edits<'_>) -> Result<(), Malformed> {
    let kb = body.len() as f64 / 1024.0;
    let head = peek(Dialect::Openai, Endpoint::ChatCompletions, body)?;
    let ours = best(|| drop(black_box(peek(Dialect::Openai, Endpoint::ChatCompletions, black_box(body)))));
    let ignored = best(|| drop(black_box(serde_json::from_slice::<IgnoredAny>(black_box(body)))));
    let probe = best(|| {
        let probe = serde_json::from_slice::<Probe<'_>>(black_box(body));
        black_box(probe.map(|probe| (probe.model.len(), probe.stream, probe.max_tokens)).ok());
    });
    let splice = best(|| drop(black_box(splice(body, &head, edits))));
    let per_kb = ours / kb;
    println!("{name:>8} {kb:>6.1} {ours:>8.2} {per_kb:>8.3} {ignored:>8.2} {probe:>8.2} {splice:>10.3}");
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Source code has a line feed or a quote to escape every few words.
    let code = serde_json::to_string(include_str!("../src/json.rs"))?;
    let code = code.trim_matches('"');
    let model = UpstreamModel::new("openai/gpt-4o-mini-2024-07-18")?;
    let edits = Edits { model: &model, usage: AskUsage::Always };
    println!(
        "{:>8} {:>6} {:>8} {:>8} {:>8} {:>8} {:>10}",
        "text", "KB", "peek", "per KB", "ignored", "probe", "splice"
    );
    for (name, text) in [("prose", PROSE), ("long", LONG), ("mixed", MIXED), ("chinese", CHINESE), ("code", code)] {
        for size in [1, 32, 200] {
            row(name, &Bytes::from(body(text, size * 1024)), &edits)?;
        }
    }
    // Not text at all: what embeddings are asked for in tokens, and a chat of many short turns.
    let tokens: Vec<String> = (0..30_000).map(|n: u64| (n * 7919 % 100_000).to_string()).collect();
    row("tokens", &Bytes::from(format!(r#"{{"input":[{}],"model":"m"}}"#, tokens.join(","))), &edits)?;
    let turns = vec![r#"{"role": "user", "content": "Yes, please."}"#; 4000].join(", ");
    row("turns", &Bytes::from(format!(r#"{{"messages": [{turns}], "model": "m"}}"#)), &edits)?;
    Ok(())
}
