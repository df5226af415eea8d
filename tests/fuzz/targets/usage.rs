//! Any bytes as an answer: what is read from its end is what serde_json reads from its start.
#![no_main]

use dialect::{Endpoint, read_usage};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use vocab::Dialect;

fuzz_target!(|body: &[u8]| {
    let Some(usage) = read_usage(Dialect::Openai, Endpoint::ChatCompletions, body) else { return };
    assert!(usage.cached <= usage.input && usage.reasoning <= usage.output);
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        // A count beyond all belief counts as not said.
        let said = |name: &str| value["usage"][name].as_u64().filter(|count| *count <= 1_000_000_000);
        assert_eq!(usage.output.0, said("completion_tokens").unwrap_or(0));
        if let Some(input) = said("prompt_tokens") {
            assert_eq!(usage.input.0, input);
        }
    }
});
