//! Any bytes to the demo: an answer of bearable size, or a fault.
#![no_main]

use dialect::Endpoint;
use dialect::demo::{DemoAnswer, answer};
use libfuzzer_sys::fuzz_target;
use vocab::Timestamp;

fuzz_target!(|body: &[u8]| {
    for endpoint in Endpoint::ALL {
        let said = match answer(endpoint, body, 1, Timestamp::from_ms(2)) {
            Ok(DemoAnswer::Whole(bytes)) => bytes.len(),
            Ok(DemoAnswer::Events(events)) => events.iter().map(|event| event.len()).sum(),
            Err(fault) => fault.message.len(),
        };
        assert!(0 < said && said < 64 * 1024 * 1024, "{said} bytes");
    }
});
