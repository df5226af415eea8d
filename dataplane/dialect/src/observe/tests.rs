use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, proptest};
use proptest::sample::select;
use vocab::Tokens;

use super::*;
use crate::testing::chunked;

fn observe(hide: HideUsage, chunks: &[&[u8]], event_bytes_max: usize) -> (String, Observed) {
    let mut observer = StreamObserver::new(Dialect::Openai, Endpoint::ChatCompletions, hide);
    observer.event_bytes_max = event_bytes_max;
    let mut out: Vec<Bytes> = Vec::new();
    for chunk in chunks {
        observer.feed(Bytes::copy_from_slice(chunk), &mut out);
    }
    let observed = observer.finish();
    (String::from_utf8(out.concat()).unwrap(), observed)
}

fn seen(hide: HideUsage, stream: &str) -> (String, Observed) {
    let (mut out, mut observed) = observe(hide, &[stream.as_bytes()], EVENT_BYTES_MAX);
    out.push_str(std::str::from_utf8(&observed.leftover).unwrap());
    observed.leftover = Bytes::new();
    (out, observed)
}

const FIRST: &str =
    r#"data: {"choices":[{"delta":{"content":"\"usage\":{ \"error\""},"finish_reason":null}],"usage":null}"#;
const LAST: &str = r#"data: {"choices":[{"delta":{},"finish_reason": "stop"}],"usage":null}"#;
const USAGE: &str = r#"data: {"choices": [ ],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
const DONE: &str = "data: [DONE]";

fn report(input: u64, output: u64) -> Option<Usage> {
    Some(Usage { input: Tokens(input), output: Tokens(output), ..Usage::default() })
}

#[test]
fn the_report_that_was_not_asked_for_is_taken_out_and_nothing_else() {
    for end in ["\n", "\r\n", "\r"] {
        let join = |events: &[&str]| events.iter().map(|event| format!("{event}{end}{end}")).collect::<String>();
        let stream = join(&[FIRST, LAST, USAGE, DONE]);
        let expected = Observed {
            usage: report(3, 4),
            done: true,
            finished: true,
            error: false,
            events: 3,
            leftover: Bytes::new(),
        };
        assert_eq!(seen(HideUsage::Yes, &stream), (join(&[FIRST, LAST, DONE]), expected.clone()));
        assert_eq!(seen(HideUsage::No, &stream), (stream, expected));
    }
}

#[test]
fn usage_beside_content_is_read_and_stays() {
    let stream = "data: {\"choices\":[{\"delta\":{}}],\"usage\":{\"prompt_tokens\":1}}\n\ndata: {\"usage\":{\"prompt_tokens\":2}}\n\n";
    let (out, observed) = seen(HideUsage::Yes, stream);
    assert_eq!((out.as_str(), observed.usage, observed.events), (stream, report(2, 0), 2));
    let filters = "data: {\"choices\":[],\"prompt_filter_results\":[],\"usage\":null}\n\n";
    assert_eq!(seen(HideUsage::Yes, filters).0, filters);
}

#[test]
fn a_later_report_counts_and_a_broken_one_does_not() {
    let stream = "data: {\"usage\":{\"prompt_tokens\":1}}\n\ndata: {\"usage\":{\"prompt_tokens\":5}}\n\ndata: {\"usage\":{}}\n\ndata: {\"usage\":{\"prompt_tokens\":7}\n\n";
    assert_eq!(seen(HideUsage::No, stream).1.usage, report(5, 0));
}

#[test]
fn text_about_usage_is_no_usage() {
    for data in [
        r#"{"choices":[{"delta":{"content":"\"usage\":{\"prompt_tokens\":9}"}}]}"#,
        r#"{"choices":[{"usage":{"prompt_tokens":9}}]}"#,
        r#"{"x\"usage":{"prompt_tokens":9}}"#,
        r#"{"a":"usage","b":{"prompt_tokens":9}}"#,
    ] {
        assert_eq!(
            seen(HideUsage::Yes, &format!("data: {data}\n\n")),
            (format!("data: {data}\n\n"), Observed { events: 1, ..Observed::default() })
        );
    }
}

#[test]
fn an_error_in_mid_stream_is_noticed() {
    for (stream, error) in [
        ("data: {\"error\":{\"message\":\"overloaded\"}}\n\n", true),
        ("data: {\"error\":\"overloaded\"}\n\n", true),
        ("event: error\ndata: overloaded\n\n", true),
        ("data: {\"error\":null,\"choices\":[]}\n\n", false),
        ("data: {\"choices\":[{\"error\":{\"code\":1}}]}\n\n", false),
        ("event: error\n\n", false),
    ] {
        let (out, observed) = seen(HideUsage::Yes, stream);
        assert_eq!((out.as_str(), observed.error), (stream, error), "{stream}");
    }
}

#[test]
fn when_nothing_is_hidden_a_chunk_passes_at_once_and_untouched() {
    let mut observer = StreamObserver::new(Dialect::Openai, Endpoint::ChatCompletions, HideUsage::No);
    let chunk = Bytes::from_static(b"data: {\"cho");
    let mut out: Vec<Bytes> = Vec::new();
    observer.feed(chunk.clone(), &mut out);
    assert_eq!((out.len(), out[0].as_ptr()), (1, chunk.as_ptr()));
    assert_eq!(observer.finish().events, 1);
}

#[test]
fn what_has_arrived_whole_goes_out_as_one_piece_of_the_chunk_and_the_rest_waits() {
    let mut observer = StreamObserver::new(Dialect::Openai, Endpoint::ChatCompletions, HideUsage::Yes);
    let chunk = Bytes::from(format!("{FIRST}\n\n{FIRST}\n\n{FIRST}\n\ndata: {{"));
    let mut out: Vec<Bytes> = Vec::new();
    observer.feed(chunk.clone(), &mut out);
    assert_eq!((out.len(), out[0].as_ptr(), out[0].len()), (1, chunk.as_ptr(), chunk.len() - 7));
    observer.feed(Bytes::from_static(b"}\n"), &mut out);
    assert_eq!(out.len(), 1);
    observer.feed(Bytes::from_static(b"\n"), &mut out);
    assert_eq!(out[1], "data: {}\n\n");
}

#[test]
fn it_is_known_whether_another_event_may_follow_what_was_forwarded() {
    for (hide, chunk, expected) in [
        (HideUsage::No, "", true),
        (HideUsage::No, "data: 1\n\n", true),
        (HideUsage::No, "data: 1\n", false),
        (HideUsage::No, "data: 1\r\n\r", true),
        // What is held back has not been forwarded, unless it grew too long for that.
        (HideUsage::Yes, "data: 1\n\ndata", true),
        (HideUsage::Yes, "data: 1\n\ndata: 12345678901234567890", false),
        (HideUsage::Yes, "data: 12345678901234567890\n\n", true),
    ] {
        let mut observer = StreamObserver::new(Dialect::Openai, Endpoint::ChatCompletions, hide);
        observer.event_bytes_max = 20;
        observer.feed(Bytes::from_static(chunk.as_bytes()), &mut Vec::new());
        assert_eq!(observer.is_between_events(), expected, "{chunk:?}");
    }
}

#[test]
fn a_comment_that_keeps_the_line_open_does_not_wait() {
    let mut observer = StreamObserver::new(Dialect::Openai, Endpoint::ChatCompletions, HideUsage::Yes);
    let mut out: Vec<Bytes> = Vec::new();
    observer.feed(Bytes::from_static(b": PROCESSING\n"), &mut out);
    assert_eq!(out, [&b": PROCESSING\n"[..]]);
}

#[test]
fn a_stream_that_breaks_off_gives_back_what_was_held() {
    let (out, observed) = observe(HideUsage::Yes, &[FIRST.as_bytes(), b"\n\ndata: {\"cho"], EVENT_BYTES_MAX);
    assert_eq!(out, format!("{FIRST}\n\n"));
    assert_eq!(observed.leftover, &b"data: {\"cho"[..]);
    assert_eq!(observed.events, 2);
}

#[test]
fn a_last_event_without_its_blank_line_is_an_event() {
    let (_, observed) = seen(HideUsage::Yes, &format!("{FIRST}\n\n{DONE}\n"));
    assert!(observed.done);
    let (out, observed) = seen(HideUsage::Yes, &format!("{FIRST}\n\n{USAGE}\n"));
    assert_eq!((out, observed.usage), (format!("{FIRST}\n\n"), report(3, 4)));
}

#[test]
fn an_endless_event_is_passed_on_unseen_and_not_kept() {
    let long = format!("data: {{\"usage\":{{\"prompt_tokens\":1}},\"choices\":[],\"x\":\"{}\"}}\n\n", "x".repeat(500));
    let stream = format!("{long}{USAGE}\n\n{long}{DONE}\n\n");
    for step in [1, 13, 300, 5000] {
        let chunks: Vec<&[u8]> = stream.as_bytes().chunks(step).collect();
        let (out, observed) = observe(HideUsage::Yes, &chunks, 200);
        assert_eq!(out, format!("{long}{long}{DONE}\n\n"), "{step}");
        assert_eq!((observed.usage, observed.events, observed.done), (report(3, 4), 1, true));
    }
}

fn stream() -> impl Strategy<Value = String> {
    let long: &'static str = Box::leak(format!("data: {{\"x\":\"{}\"}}", "y".repeat(120)).into_boxed_str());
    let line = select(vec![
        FIRST,
        LAST,
        USAGE,
        USAGE,
        DONE,
        ": ping",
        "event: error",
        "data: {\"error\":1}",
        "data: garbage",
        "",
        long,
        "\u{feff}",
    ]);
    let end = select(vec!["\n\n", "\n\n", "\r\n\r\n", "\r\r", "\n", "\r\n", "\r", "\n\r\n", "\r\n\n", ""]);
    vec((line, end).prop_map(|(line, end)| format!("{line}{end}")), 0..12).prop_map(|lines| lines.concat())
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_output_and_the_same_facts(
        stream in stream(),
        sizes in vec(1..120usize, 1..6),
        hide in select(vec![HideUsage::Yes, HideUsage::No]),
        event_bytes_max in select(vec![100, 110, 130, EVENT_BYTES_MAX]),
    ) {
        let (out, observed) = observe(hide, &[stream.as_bytes()], event_bytes_max);
        let whole = out.clone() + std::str::from_utf8(&observed.leftover).unwrap();
        for sizes in [sizes.as_slice(), &[1]] {
            let (out, again) = observe(hide, &chunked(stream.as_bytes(), sizes), event_bytes_max);
            assert_eq!(out + std::str::from_utf8(&again.leftover).unwrap(), whole);
            let (observed, again) = (Observed { leftover: Bytes::new(), ..observed.clone() }, Observed { leftover: Bytes::new(), ..again });
            assert_eq!(observed, again);
        }
        if hide == HideUsage::No {
            assert_eq!((out, observed.leftover), (stream, Bytes::new()));
        }
    }

    #[test]
    fn whatever_the_stream_only_reports_are_missing(
        events in vec(select(vec![FIRST, LAST, USAGE, DONE, ": ping"]), 0..10),
        end in select(vec!["\n", "\r\n", "\r"]),
        sizes in vec(1..200usize, 1..6),
        last in Just(DONE),
    ) {
        let written = |events: &[&str]| events.iter().chain([&last]).map(|event| format!("{event}{end}{end}")).collect::<String>();
        let visible: Vec<&str> = events.iter().copied().filter(|event| *event != USAGE).collect();
        let stream = written(&events);
        let (out, observed) = observe(HideUsage::Yes, &chunked(stream.as_bytes(), &sizes), EVENT_BYTES_MAX);
        assert_eq!(out + std::str::from_utf8(&observed.leftover).unwrap(), written(&visible));
    }
}
