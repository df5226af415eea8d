use proptest::collection::vec;
use proptest::prelude::{Strategy, prop_oneof, proptest};
use proptest::sample::select;
use serde_json::Value;

use super::*;
use crate::testing::{damage, key, object, value};

fn usage(body: &str) -> Option<(u64, u64, u64, u64)> {
    let usage = of_answer(Endpoint::ChatCompletions, body.as_bytes())?;
    Some((usage.input.0, usage.cached.0, usage.output.0, usage.reasoning.0))
}

const FULL: &str = r#"{"prompt_tokens":10,"completion_tokens":20,"total_tokens":30,"prompt_tokens_details":{"cached_tokens":4,
    "audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":5,"accepted_prediction_tokens":0}}"#;

#[test]
fn usage_is_read_wherever_it_stands_on_the_top_level() {
    let far = "x".repeat(10_000);
    for body in [
        format!(r#"{{"id":"1","choices":[{{"message":{{"content":"hi"}}}}],"usage":{FULL}}}"#),
        format!(r#"{{"choices":[],"usage" : {FULL} , "system_fingerprint":null}} "#),
        format!(r#"{{"usage":{FULL},"data":[{{"usage":{{"prompt_tokens":1}}}}]}}"#),
        format!(r#"{{"usage":{FULL},"data":["{far}"],"model":"m"}}"#),
        format!(r#"{{"data":["{far}"],"usage":{FULL},"model":"m"}}"#),
        format!(r#"{{"usage":null,"data":[{{"usage":3}}],"usage":{FULL},"x":"\"usage\":","y":"usage"}}"#),
        format!(r#"{{"x":"\"usage","usage":{FULL}}}"#),
    ] {
        assert_eq!(usage(&body), Some((10, 4, 20, 5)), "{body}");
    }
}

#[test]
fn what_is_not_on_the_top_level_is_not_the_usage_of_the_answer() {
    for body in [
        r#"{"choices":[{"usage":{"prompt_tokens":1}}]}"#,
        r#"{"x":{"usage":{"prompt_tokens":1}}}"#,
        r#"[{"usage":{"prompt_tokens":1}}]"#,
        r#"{"a\"usage":{"prompt_tokens":1}}"#,
        r#"{"a":"usage"}"#,
        r#"{"a":",\"usage\":{\"prompt_tokens\":1}"}"#,
        "",
        "usage",
        "\"usage\"",
        "<html>\"usage\":1</html>",
    ] {
        assert_eq!(usage(body), None, "{body}");
    }
}

#[test]
fn embeddings_have_no_output() {
    assert_eq!(
        usage(r#"{"object":"list","data":[],"usage":{"prompt_tokens":8,"total_tokens":8}}"#),
        Some((8, 0, 0, 0))
    );
}

#[test]
fn numbers_that_are_none_count_as_not_said() {
    for (object, expected) in [
        ("null", None),
        ("{}", None),
        ("[]", None),
        ("7", None),
        (r#"{"prompt_tokens":null}"#, None),
        (r#"{"prompt_tokens":-1,"completion_tokens":1.5}"#, None),
        (r#"{"prompt_tokens":"9"}"#, None),
        (r#"{"prompt_tokens":0,"completion_tokens":0}"#, Some((0, 0, 0, 0))),
        (r#"{"prompt_tokens":99999999999999999999999,"completion_tokens":3}"#, Some((0, 0, 3, 0))),
        (r#"{"prompt_tokens":1000000001,"completion_tokens":1000000000}"#, Some((0, 0, 1_000_000_000, 0))),
        (r#"{"prompt_tokens":18446744073709551615}"#, None),
        (r#"{"total_tokens":9,"completion_tokens":3}"#, Some((6, 0, 3, 0))),
        (r#"{"total_tokens":9}"#, Some((9, 0, 0, 0))),
        (r#"{"total_tokens":1,"completion_tokens":3}"#, Some((0, 0, 3, 0))),
        (r#"{"prompt_tokens":5,"prompt_tokens_details":{"cached_tokens":1e3}}"#, Some((5, 0, 0, 0))),
        (r#"{"prompt_tokens":5,"prompt_tokens_details":[],"completion_tokens_details":null}"#, Some((5, 0, 0, 0))),
    ] {
        assert_eq!(usage(&format!(r#"{{"usage":{object}}}"#)), expected, "{object}");
    }
}

#[test]
fn a_part_is_never_more_than_its_whole() {
    let body = r#"{"usage":{"prompt_tokens":5,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":50},
        "completion_tokens_details":{"reasoning_tokens":900000000}}}"#;
    assert_eq!(usage(body), Some((5, 5, 2, 2)));
}

/// Slowly, by values.
fn by_value(body: &str) -> Option<(u64, u64, u64, u64)> {
    let body: Value = serde_json::from_str(body).ok()?;
    let usage = body.as_object()?.get("usage")?.as_object()?;
    let number = |value: Option<&Value>| value.and_then(Value::as_u64);
    let detail =
        |of: &str, part: &str| number(usage.get(of).and_then(|details| details.as_object()?.get(part))).unwrap_or(0);
    let (prompt, completion) = (number(usage.get("prompt_tokens")), number(usage.get("completion_tokens")));
    let output = completion.unwrap_or(0);
    let input = match (prompt, number(usage.get("total_tokens"))) {
        (Some(prompt), _) => prompt,
        (None, Some(total)) => total.saturating_sub(output),
        (None, None) => completion.map(|_| 0)?,
    };
    let (cached, reasoning) =
        (detail("prompt_tokens_details", "cached_tokens"), detail("completion_tokens_details", "reasoning_tokens"));
    Some((input, cached.min(input), output, reasoning.min(output)))
}

fn usage_value() -> impl Strategy<Value = String> {
    let number = select(vec!["0", "7", "12", "null", "-3", "1.5", "\"3\""]);
    let details = number.clone().prop_map(|n| format!(r#"{{"cached_tokens":{n},"reasoning_tokens":{n}}}"#));
    let member = prop_oneof![
        (select(vec!["prompt_tokens", "completion_tokens", "total_tokens"]), number.prop_map(String::from)),
        (select(vec!["prompt_tokens_details", "completion_tokens_details"]), prop_oneof![details, value()]),
    ];
    vec(member.prop_map(|(key, value)| (format!("\"{key}\""), value)), 0..6).prop_flat_map(object)
}

fn answer() -> impl Strategy<Value = String> {
    let usage = usage_value().prop_map(|value| (String::from("\"usage\""), value));
    let nested = usage_value().prop_map(|value| (String::from("\"x\""), format!(r#"[{{"usage":{value}}}]"#)));
    // Keys spelled with escapes are left out: no upstream writes them, and they are not looked for.
    let other = (key(), value()).prop_filter("plain", |(key, _)| !key.contains('\\'));
    vec(prop_oneof![usage, nested, other], 0..7).prop_flat_map(object)
}

proptest! {
    #[test]
    fn the_quick_reading_says_what_the_slow_one_says(answer in answer()) {
        assert_eq!(usage(&answer), by_value(&answer), "{answer}");
    }

    #[test]
    fn garbage_is_read_without_harm(answer in answer(), hits in vec(damage(), 1..4)) {
        let mut answer = answer.into_bytes();
        hits.iter().for_each(|hit| hit.done_to(&mut answer));
        if let Some(usage) = of_answer(Endpoint::Embeddings, &answer) {
            assert!(usage.cached <= usage.input && usage.reasoning <= usage.output);
        }
    }
}
