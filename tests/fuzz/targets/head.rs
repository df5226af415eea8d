//! Any bytes as a request: a head and serde_json agree on what is JSON, and on what the model is called.
#![no_main]

use dialect::{Endpoint, Malformed, What, peek};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use vocab::Dialect;

fuzz_target!(|body: &[u8]| {
    let oracle = serde_json::from_slice::<Value>(body);
    for endpoint in Endpoint::ALL {
        match peek(Dialect::Openai, endpoint, body) {
            Ok(head) => match &oracle {
                Ok(value) => assert_eq!(value["model"], head.model()),
                Err(error) => assert!(error.to_string().starts_with("number out of range"), "{error}"),
            },
            Err(Malformed::NotJson(flaw)) if !matches!(flaw.what, What::TooDeep | What::TooMany) => {
                assert!(oracle.is_err(), "{flaw}");
            }
            Err(malformed) => assert!(!malformed.code().is_empty()),
        }
    }
});
