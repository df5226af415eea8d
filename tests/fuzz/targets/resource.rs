//! Any JSON as an operator's document: a draft or its faults, never neither.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|text: &[u8]| {
    let Ok(document) = serde_json::from_slice::<Value>(text) else { return };
    let (draft, faults) = registry::read(0, &document);
    assert_eq!(draft.is_none(), !faults.is_empty());
    assert!(faults.iter().all(|fault| !fault.message.is_empty()));
});
