use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, prop_oneof, proptest};
use proptest::sample::select;
use serde_json::Value;
use vocab::Dialect;

use super::*;
use crate::endpoint::Endpoint;
use crate::peek;
use crate::testing::{key, space, spelled, string, value};

fn spliced(body: &str, model: &str, usage: AskUsage) -> Spliced {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let head = peek(Dialect::Openai, Endpoint::ChatCompletions, &body).unwrap();
    splice(&body, &head, &Edits { model: &UpstreamModel::new(model).unwrap(), usage })
}

fn text(spliced: Spliced) -> String {
    let length = spliced.len();
    let bytes: Vec<u8> = spliced.into_segments().flatten().collect();
    assert_eq!(bytes.len(), length);
    String::from_utf8(bytes).unwrap()
}

#[track_caller]
fn check(body: &str, expected: &str) {
    let spliced = spliced(body, "up\"stream", AskUsage::Always);
    assert_eq!(spliced.hide_usage() == HideUsage::Yes, expected.matches("true").count() > body.matches("true").count());
    assert_eq!(text(spliced), expected);
}

#[test]
fn the_model_is_replaced_where_it_stands() {
    check(r#"{ "x" : 1, "model" : "m", "y": 2.0e5 }"#, r#"{ "x" : 1, "model" : "up\"stream", "y": 2.0e5 }"#);
    check(r#"{"\u006dodel":"m","a":{"model":"m"}}"#, r#"{"\u006dodel":"up\"stream","a":{"model":"m"}}"#);
}

#[test]
fn a_stream_that_does_not_ask_for_usage_is_made_to() {
    let on = r#""stream":true,"model":"up\"stream""#;
    check(r#"{"stream":true,"model":"m"}"#, &format!(r#"{{"stream_options":{{"include_usage":true}},{on}}}"#));
    check(
        r#" { "model":"m" ,"stream":true}"#,
        r#" { "stream_options":{"include_usage":true},"model":"up\"stream" ,"stream":true}"#,
    );
    for (before, after) in [
        ("null", r#"{"include_usage":true}"#),
        ("{}", r#"{"include_usage":true}"#),
        ("{ \n}", "{ \n\"include_usage\":true}"),
        (r#"{ "x":1}"#, r#"{ "include_usage":true,"x":1}"#),
        (r#"{"x":1, "include_usage" : false }"#, r#"{"x":1, "include_usage" : true }"#),
        (r#"{"include_usage":null}"#, r#"{"include_usage":true}"#),
        (r#"{"include_usage":true}"#, r#"{"include_usage":true}"#),
    ] {
        check(
            &format!(r#"{{"stream_options":{before},"stream":true,"model":"m"}}"#),
            &format!(r#"{{"stream_options":{after},{on}}}"#),
        );
        check(
            &format!(r#"{{"stream":true,"model":"m","stream_options":{before}}}"#),
            &format!(r#"{{{on},"stream_options":{after}}}"#),
        );
    }
}

#[test]
fn what_is_no_stream_or_not_to_be_asked_keeps_its_options() {
    check(
        r#"{"model":"m","stream":false,"stream_options":null}"#,
        r#"{"model":"up\"stream","stream":false,"stream_options":null}"#,
    );
    let body = r#"{"model":"m","stream":true}"#;
    let as_caller = spliced(body, "n", AskUsage::AsCaller);
    assert_eq!(as_caller.hide_usage(), HideUsage::No);
    assert_eq!(text(as_caller), r#"{"model":"n","stream":true}"#);
}

#[test]
fn a_body_without_edits_is_not_copied() {
    let body = Bytes::from_static(br#"{"model":"g\u0070t"}"#);
    let head = peek(Dialect::Openai, Endpoint::ChatCompletions, &body).unwrap();
    let edits = Edits { model: &UpstreamModel::new("gpt").unwrap(), usage: AskUsage::Always };
    let segments: Vec<Bytes> = splice(&body, &head, &edits).into_segments().collect();
    assert_eq!(segments.len(), 1);
    assert_eq!(segments[0].as_ptr(), body.as_ptr());
}

#[test]
fn a_large_body_is_not_copied_and_a_small_one_is_one_piece() {
    let body = |n: usize| format!(r#"{{"text":"{}","model":"m","stream":true}}"#, "x".repeat(n));
    let small: Vec<Bytes> = spliced(&body(100), "n", AskUsage::Always).into_segments().collect();
    assert_eq!(small.len(), 1);
    let whole = Bytes::from(body(100_000));
    let head = peek(Dialect::Openai, Endpoint::ChatCompletions, &whole).unwrap();
    let edits = Edits { model: &UpstreamModel::new("n").unwrap(), usage: AskUsage::Always };
    let large: Vec<Bytes> = splice(&whole, &head, &edits).into_segments().collect();
    assert_eq!(large.len(), 5);
    assert_eq!(large[2].as_ptr(), whole[1..].as_ptr());
}

/// A request in pieces, so that what it should become can be written down without asking the code under test.
#[derive(Debug, Clone)]
enum Piece {
    Other(String, String),
    Model(String, String),
    Stream(String, &'static str),
    Options(String, Options),
}

#[derive(Debug, Clone)]
enum Options {
    Null,
    /// The members, and where `include_usage` stands among them with its value.
    Object(&'static str, Vec<(String, String)>, Option<(usize, String, &'static str)>),
}

impl Options {
    fn asks(&self) -> bool {
        matches!(self, Options::Object(_, _, Some((_, _, "true"))))
    }

    fn render(&self, ask: bool) -> String {
        match self {
            Options::Null if ask => String::from(r#"{"include_usage":true}"#),
            Options::Null => String::from("null"),
            Options::Object(space, others, usage) => {
                let mut members: Vec<String> =
                    others.iter().map(|(key, value)| format!("{key}{space}:{value}")).collect();
                let mut added = "";
                match usage {
                    Some((at, key, value)) => {
                        let value = if ask { "true" } else { value };
                        members.insert((*at).min(members.len()), format!("{key}:{space}{value}"));
                    }
                    None if !ask => {}
                    None if others.is_empty() => added = r#""include_usage":true"#,
                    None => added = r#""include_usage":true,"#,
                }
                format!("{{{space}{added}{}}}", members.join(","))
            }
        }
    }
}

fn has_name(key: &str, names: &[&str]) -> bool {
    names.contains(&&*serde_json::from_str::<String>(key).unwrap())
}

const KNOWN: [&str; 5] = ["model", "stream", "stream_options", "max_tokens", "max_completion_tokens"];

fn options() -> impl Strategy<Value = Options> {
    let other = (key(), value()).prop_filter("another", |(key, _)| !has_name(key, &["include_usage"]));
    let usage = (0..3usize, spelled("include_usage"), select(vec!["true", "false", "null"]));
    prop_oneof![
        Just(Options::Null),
        (space(), vec(other, 0..3), option::of(usage))
            .prop_map(|(space, others, usage)| Options::Object(space, others, usage)),
    ]
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let other = (key(), value()).prop_filter("another", |(key, _)| !has_name(key, &KNOWN));
    let others = vec(other.prop_map(|(key, value)| Piece::Other(key, value)), 0..6);
    let name = string().prop_filter("a name", |text| text != "\"\"");
    let model = (spelled("model"), name).prop_map(|(key, value)| Piece::Model(key, value));
    let stream = (spelled("stream"), select(vec!["true", "true", "false", "null"]));
    let stream = option::of(stream.prop_map(|(key, value)| Piece::Stream(key, value)));
    let options =
        option::of((spelled("stream_options"), options()).prop_map(|(key, options)| Piece::Options(key, options)));
    let pieces = (others, model, stream, options);
    let pieces = pieces.prop_map(|(others, model, stream, options)| {
        others.into_iter().chain([model]).chain(stream).chain(options).collect::<Vec<Piece>>()
    });
    pieces.prop_shuffle()
}

fn render(pieces: &[Piece], spaces: &[&str], model: Option<&str>, ask: bool) -> String {
    let mut spaces = spaces.iter().cycle();
    let mut space = || *spaces.next().unwrap();
    let lead = space();
    let has_options = pieces.iter().any(|piece| matches!(piece, Piece::Options(..)));
    let added = if ask && !has_options { r#""stream_options":{"include_usage":true},"# } else { "" };
    let members = pieces.iter().enumerate().map(|(n, piece)| {
        let (key, value) = match piece {
            Piece::Other(key, value) => (key, value.clone()),
            Piece::Model(key, value) => (key, model.unwrap_or(value).to_owned()),
            Piece::Stream(key, value) => (key, String::from(*value)),
            Piece::Options(key, options) => (key, options.render(ask)),
        };
        // What is added comes right before the first key.
        let (before, added) = (space(), if n == 0 { added } else { "" });
        format!("{before}{added}{key}{}:{}{value}{}", space(), space(), space())
    });
    let members: Vec<String> = members.collect();
    format!("{lead}{{{}}}{lead}", members.join(","))
}

proptest! {
    #[test]
    fn the_upstream_gets_the_callers_bytes_but_for_the_edits(
        pieces in pieces(),
        spaces in vec(space(), 1..12),
        upstream in "[a-zA-Z0-9\"\\\\/\u{e4}\u{1f600} .:-]{1,30}",
        always in select(vec![AskUsage::Always, AskUsage::AsCaller]),
    ) {
        let body = render(&pieces, &spaces, None, false);
        let is_streamed = pieces.iter().any(|piece| matches!(piece, Piece::Stream(_, "true")));
        let asks = pieces.iter().any(|piece| matches!(piece, Piece::Options(_, options) if options.asks()));
        let ask = always == AskUsage::Always && is_streamed && !asks;
        let expected = render(&pieces, &spaces, Some(&serde_json::to_string(&upstream).unwrap()), ask);

        let spliced = spliced(&body, &upstream, always);

        assert_eq!(spliced.hide_usage() == HideUsage::Yes, ask);
        let result = text(spliced);
        assert_eq!(&result, &expected);
        let (mut before, mut after): (Value, Value) = (serde_json::from_str(&body).unwrap(), serde_json::from_str(&result).unwrap());
        assert_eq!(after["model"], upstream.as_str());
        after["model"] = before["model"].clone();
        if ask {
            assert_eq!(after["stream_options"]["include_usage"], true);
            for body in [&mut before, &mut after] {
                body.as_object_mut().unwrap().remove("stream_options");
            }
        }
        assert_eq!(after, before);
    }
}
