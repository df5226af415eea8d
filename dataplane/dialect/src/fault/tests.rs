use serde_json::{Value, json};
use vocab::Dialect;

use super::*;
use crate::{write_fault, write_fault_event};

#[test]
fn an_openai_error_has_four_members_and_says_null_where_there_is_nothing() {
    let fault = Fault::new(FaultKind::NotFound, "model_not_found", "The model `x\"\n\u{1}` does not exist.");
    let expected = br#"{"error":{"message":"The model `x\"\n\u0001` does not exist.","type":"not_found_error","param":null,"code":"model_not_found"}}"#;
    assert_eq!(write_fault(Dialect::Openai, &fault), &expected[..]);
    let error: Value = serde_json::from_slice(&write_fault(Dialect::Openai, &fault.with_param("model"))).unwrap();
    assert_eq!(error["error"]["param"], "model");
}

#[test]
fn an_error_within_a_stream_is_one_event_that_clients_know_for_an_error() {
    let fault = Fault::new(FaultKind::Timeout, "upstream_timeout", "line\nbreak\r\n");
    let event = write_fault_event(Dialect::Openai, &fault);
    let data = event.strip_prefix(b"data: ").and_then(|event| event.strip_suffix(b"\n\n")).unwrap();
    assert!(!data.contains(&b'\n') && !data.contains(&b'\r'));
    let said: Value = serde_json::from_slice(data).unwrap();
    assert_eq!(
        said,
        json!({"error": {"message": "line\nbreak\r\n", "type": "timeout_error", "param": null, "code": "upstream_timeout"}})
    );
}

#[test]
fn every_kind_has_a_type_that_says_it_is_an_error() {
    for kind in FaultKind::ALL {
        let fault: Value = serde_json::from_slice(&write_fault(Dialect::Openai, &Fault::new(kind, "c", "m"))).unwrap();
        assert!(fault["error"]["type"].as_str().unwrap().ends_with("_error"), "{kind:?}");
    }
}
