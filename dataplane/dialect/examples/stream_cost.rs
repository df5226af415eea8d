//! What watching a stream costs, in microseconds per event: chunks as they come at full speed, and one at a time;
//! and what it takes to find the usage of a large answer.
//!
//! `cargo run --release -p dialect --example stream_cost`

#![expect(clippy::print_stdout, reason = "an example shows what it found")]
#![expect(clippy::disallowed_methods, reason = "an example measures time")]

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use dialect::{Endpoint, HideUsage, StreamObserver, read_usage};
use vocab::Dialect;

const USAGE: &str = r#"{"prompt_tokens":12,"completion_tokens":34,"total_tokens":46,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}"#;

fn event(usage: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-B8zYj0h7Qy1dRkGq0y2LQW8m9Xv3t\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,\
         \"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_0123456789\",\
         \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" and then some\"}},\"logprobs\":null,\"finish_reason\":null}}],\
         \"usage\":{usage}}}\n\n"
    )
}

/// The best of many runs, in microseconds.
fn best(mut run: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..400 {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64() * 1e6);
    }
    best
}

fn per_event(hide: HideUsage, chunk: &Bytes, n_events: usize) -> f64 {
    let n_chunks = 2000 / n_events;
    let all = best(|| {
        let mut observer = StreamObserver::new(Dialect::Openai, Endpoint::ChatCompletions, hide);
        let mut out: Vec<Bytes> = Vec::new();
        for _ in 0..n_chunks {
            observer.feed(black_box(chunk.clone()), &mut out);
            out.clear();
        }
        black_box(observer.finish());
    });
    all / (n_chunks * n_events) as f64
}

fn main() {
    println!("{:>30} {:>7} {:>10} {:>10}", "us per event", "bytes", "hide", "pass");
    for (name, usage) in [("usage: null", "null"), ("usage in every event", USAGE)] {
        let event = event(usage);
        for n_events in [1, 50] {
            let chunk = Bytes::from(event.repeat(n_events));
            let (hide, pass) =
                (per_event(HideUsage::Yes, &chunk, n_events), per_event(HideUsage::No, &chunk, n_events));
            println!("{:>30} {:>7} {hide:>10.3} {pass:>10.3}", format!("{name}, {n_events} a chunk"), event.len());
        }
        // Cut in mid-event, as reads of a fixed size do.
        let cut = Bytes::from(event.repeat(50)).slice(100..);
        let pass = per_event(
            HideUsage::Yes,
            &Bytes::from([cut.as_ref(), event.as_bytes().get(..100).unwrap_or_default()].concat()),
            50,
        );
        println!("{:>30} {:>7} {pass:>10.3}", format!("{name}, 50 and a cut"), event.len());
    }
    let row = format!(r#"{{"object":"embedding","index":0,"embedding":[{}]}}"#, "-0.0123456789,".repeat(1535) + "0.5");
    for (name, body) in [
        (
            "chat answer, 1 KB",
            format!(
                r#"{{"choices":[{{"message":{{"content":"{}"}}}}],"usage":{USAGE},"system_fingerprint":null}}"#,
                "text ".repeat(150)
            ),
        ),
        ("embeddings, usage last", format!(r#"{{"data":[{}],"usage":{USAGE}}}"#, vec![row.as_str(); 100].join(","))),
        ("embeddings, usage first", format!(r#"{{"usage":{USAGE},"data":[{}]}}"#, vec![row.as_str(); 100].join(","))),
    ] {
        let cost = best(|| {
            black_box(read_usage(Dialect::Openai, Endpoint::Embeddings, black_box(body.as_bytes())));
        });
        println!("{name:>30} {:>7} {cost:>10.3} us", body.len());
    }
}
