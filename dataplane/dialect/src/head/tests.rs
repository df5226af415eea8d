use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, proptest};

use crate::endpoint::Endpoint;
use crate::testing::{damage, key, object, value};
use crate::{Head, Malformed, peek};
use vocab::Dialect;

fn chat(body: &str) -> Result<Head<'_>, Malformed> {
    peek(Dialect::Openai, Endpoint::ChatCompletions, body.as_bytes())
}

#[test]
fn a_head_says_what_the_body_says() {
    let head =
        chat(r#" {"messages":[],"model":"gpt-4o","stream":true,"max_tokens":7,"max_completion_tokens":9} "#).unwrap();
    assert_eq!((head.model(), head.is_streamed(), head.output_tokens_max()), ("gpt-4o", true, Some(9)));
    let head = chat(r#"{"model":"a/b:free","stream":null,"max_tokens":null}"#).unwrap();
    assert_eq!((head.model(), head.is_streamed(), head.output_tokens_max()), ("a/b:free", false, None));
}

#[test]
fn keys_and_names_may_be_written_with_escapes() {
    let head = chat(r#"{"\u006dodel":"g\u0070t\/4","str\u0065am":true}"#).unwrap();
    assert_eq!((head.model(), head.is_streamed()), ("gpt/4", true));
}

#[test]
fn only_the_top_level_counts() {
    let head = chat(r#"{"a":{"model":"no","stream":true},"model":"yes","b":[{"model":"no"}],"c":"\"model\":\"no\""}"#);
    assert_eq!(head.unwrap().model(), "yes");
}

#[test]
fn usage_is_asked_for_only_by_true() {
    for (options, asks) in [
        (r#"{"include_usage":true}"#, true),
        (r#"{"x":{},"include_us\u0061ge": true }"#, true),
        (r#"{"include_usage":false}"#, false),
        (r#"{"include_usage":null}"#, false),
        (r#"{"x":{"include_usage":true}}"#, false),
        ("{}", false),
        ("null", false),
    ] {
        let body = format!(r#"{{"stream_options":{options},"model":"m"}}"#);
        assert_eq!(chat(&body).unwrap().asks_usage(), asks, "{options}");
    }
}

#[test]
fn each_endpoint_reads_its_own_fields_and_leaves_the_others_to_the_upstream() {
    let body = br#"{"model":"m","stream":"yes","max_tokens":-1,"max_completion_tokens":"x","stream_options":3}"#;
    let head = peek(Dialect::Openai, Endpoint::Embeddings, body).unwrap();
    assert_eq!((head.is_streamed(), head.output_tokens_max()), (false, None));
    let body = br#"{"model":"m","max_completion_tokens":"x","max_tokens":3}"#;
    assert_eq!(peek(Dialect::Openai, Endpoint::Completions, body).unwrap().output_tokens_max(), Some(3));
    assert!(peek(Dialect::Openai, Endpoint::ChatCompletions, body).is_err());
}

#[track_caller]
fn refused(body: &str, code: &str, param: Option<&str>, message: &str) {
    let malformed = chat(body).unwrap_err();
    assert_eq!((malformed.code(), malformed.param()), (code, param), "{body}");
    assert_eq!(malformed.to_string(), message);
}

#[test]
fn what_is_no_request_is_refused_with_a_reason() {
    refused("", "invalid_json", None, "The body is empty; it must be a JSON object.");
    refused("[]", "invalid_json", None, "The body must be a JSON object.");
    refused("[", "invalid_json", None, "The body is not valid JSON: the document ends too early at byte 1.");
    refused(
        r#"{"model":"m"}}"#,
        "invalid_json",
        None,
        "The body is not valid JSON: something follows the end of the document at byte 13.",
    );
    refused("{}", "missing_model", Some("model"), "You must provide a `model`.");
    refused(r#"{"Model":"m"}"#, "missing_model", Some("model"), "You must provide a `model`.");
    refused(r#"{"model":""}"#, "empty_model", Some("model"), "`model` must not be empty.");
    refused(r#"{"model":null}"#, "invalid_type", Some("model"), "`model` must be a string; see byte 9.");
    let twice = "`model` is given twice, the second time at byte 13; only one of them could be honoured.";
    refused(r#"{"model":"m","mode\u006C":"n"}"#, "duplicate_model", Some("model"), twice);
    refused(r#"{"model":"m","model":null}"#, "duplicate_model", Some("model"), twice);
    refused(
        r#"{"model":"m","stream":1}"#,
        "invalid_type",
        Some("stream"),
        "`stream` must be true or false; see byte 22.",
    );
    let deep = format!(r#"{{"model":"m","x":{}"#, "[".repeat(100));
    refused(
        &deep,
        "json_too_deep",
        None,
        "The body is not valid JSON: the document is nested more than 64 deep at byte 80.",
    );
}

#[test]
fn a_field_that_counts_may_not_stand_twice() {
    for field in ["stream", "stream_options", "max_tokens", "max_completion_tokens"] {
        let malformed = chat(&format!(r#"{{"{field}":null,"model":"m","{field}":null}}"#)).unwrap_err();
        assert_eq!((malformed.code(), malformed.param()), ("duplicate_field", Some(field)));
    }
    let body = r#"{"model":"m","stream_options":{"include_usage":true,"include_usage":false}}"#;
    assert_eq!(chat(body).unwrap_err().param(), Some("stream_options.include_usage"));
    assert!(chat(r#"{"model":"m","temperature":1,"temperature":2}"#).is_ok());
}

#[test]
fn a_field_of_the_wrong_type_is_refused_by_name() {
    for (field, values) in [
        ("model", &["1", "true", "{}", "[\"m\"]"][..]),
        ("stream", &["0", "\"true\"", "[]", "{}"]),
        ("stream_options", &["true", "\"\"", "[]", "1"]),
        ("max_tokens", &["-1", "1.5", "1.0", "1e3", "\"5\"", "true", "18446744073709551616", "{}"]),
        ("max_completion_tokens", &["-0", "[]"]),
    ] {
        for value in values {
            let rest = if field == "model" { "" } else { r#","model":"m""# };
            let malformed = chat(&format!(r#"{{"{field}":{value}{rest}}}"#)).unwrap_err();
            assert_eq!((malformed.code(), malformed.param()), ("invalid_type", Some(field)), "{field} {value}");
        }
    }
    let malformed = chat(r#"{"model":"m","stream_options":{"include_usage":"yes"}}"#).unwrap_err();
    assert_eq!(malformed.param(), Some("stream_options.include_usage"));
}

#[test]
fn a_head_can_outlive_its_body() {
    let head = chat(&String::from(r#"{"model":"m"}"#)).unwrap().into_owned();
    assert_eq!(head.model(), "m");
}

fn is_known(key: &str) -> bool {
    let name: String = serde_json::from_str(key).unwrap();
    ["model", "stream", "stream_options", "max_tokens", "max_completion_tokens"].contains(&&*name)
}

proptest! {
    #[test]
    fn any_object_with_one_model_has_a_head(
        (members, at, body) in (vec((key(), value()), 0..6), 0..6usize).prop_flat_map(|(mut members, at)| {
            members.retain(|(key, _)| !is_known(key));
            let at = at.min(members.len());
            members.insert(at, (String::from("\"model\""), String::from("\"m\\u0031\"")));
            (Just(members.clone()), Just(at), object(members))
        })
    ) {
        let head = chat(&body).unwrap();
        assert_eq!(head.model(), "m1");
        assert_eq!(&body[head.model_span], &members[at].1);
    }

    #[test]
    fn damage_is_never_worse_than_a_refusal(
        body in vec((key(), value()), 0..5).prop_flat_map(object),
        hits in vec(damage(), 0..3),
    ) {
        let mut body = body.into_bytes();
        hits.iter().for_each(|hit| hit.done_to(&mut body));
        for endpoint in Endpoint::ALL {
            if let Err(malformed) = peek(Dialect::Openai, endpoint, &body) {
                assert!(!malformed.code().is_empty() && !malformed.to_string().is_empty());
            }
        }
    }
}
