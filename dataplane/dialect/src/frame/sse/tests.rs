use proptest::collection::vec;
use proptest::prelude::{Strategy, proptest};
use proptest::sample::select;

use super::*;
use crate::testing::chunked;

fn frames(chunks: &[&[u8]]) -> (Vec<String>, String) {
    let mut framer = Framer::new();
    let mut frames = Vec::new();
    for chunk in chunks {
        framer.feed(Bytes::copy_from_slice(chunk));
        while let Some(frame) = framer.frame().unwrap() {
            frames.push(String::from_utf8(frame.to_vec()).unwrap());
        }
    }
    (frames, String::from_utf8(framer.finish().to_vec()).unwrap())
}

/// All `(event, data)` of a stream.
fn events(chunks: &[&[u8]]) -> Vec<(String, String)> {
    let said = |frame: &String| {
        let event = Event::of(frame.as_bytes());
        let name = event.name.map(<[u8]>::to_vec).unwrap_or_default();
        event.data.map(|data| (String::from_utf8(name).unwrap(), String::from_utf8(data.to_vec()).unwrap()))
    };
    frames(chunks).0.iter().filter_map(said).collect()
}

#[test]
fn an_event_ends_with_a_blank_line_whatever_ends_its_lines() {
    for end in ["\n", "\r\n", "\r"] {
        let stream = "data: 1|event: x|data:  2||data:3||data|data:|id: 7|data : no||rest".replace('|', end);
        let expected = [("x", "1\n 2"), ("", "3"), ("", "\n")].map(|(name, data)| (name.into(), data.into()));
        assert_eq!(events(&[stream.as_bytes()]), expected, "{end:?}");
        let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        assert_eq!(events(&bytes), expected, "{end:?} byte by byte");
        assert_eq!(frames(&bytes).1, "rest");
    }
}

#[test]
fn a_comment_before_an_event_and_a_stray_blank_line_do_not_wait_for_the_event() {
    let (frames, rest) = frames(&[b": ping\n\n\ndata: 1\n: in between\ndata: 2\n\n:x\ndata"]);
    assert_eq!(frames, [": ping\n", "\n", "\n", "data: 1\n: in between\ndata: 2\n\n", ":x\n"]);
    assert_eq!(rest, "data");
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_event() {
    for chunks in [&[&b"\xef\xbb\xbfdata: 1\n\n"[..]][..], &[b"\xef", b"\xbb", b"\xbfdata: 1\n", b"\n"]] {
        assert_eq!(events(chunks), [(String::new(), String::from("1"))]);
    }
}

#[test]
fn a_frame_within_one_chunk_is_not_copied() {
    let chunk = Bytes::from_static(b"data: 1\n\ndata: 2\n\n");
    let mut framer = Framer::new();
    framer.feed(chunk.clone());
    assert_eq!(framer.frame().unwrap().unwrap().as_ptr(), chunk.as_ptr());
    assert_eq!(framer.frame().unwrap().unwrap().as_ptr(), chunk[9..].as_ptr());
    assert_eq!(framer.frame(), Ok(None));
}

#[test]
fn an_event_that_never_ends_is_an_error_and_not_a_full_memory() {
    for step in [1, 7, 1000] {
        let mut framer = Framer::with_max(64);
        let stream = format!("data: fits\n\ndata: {}", "x".repeat(100));
        let mut n_frames = 0;
        let error = stream.as_bytes().chunks(step).find_map(|chunk| {
            framer.feed(Bytes::copy_from_slice(chunk));
            loop {
                match framer.frame() {
                    Ok(Some(_)) => n_frames += 1,
                    Ok(None) => return None,
                    Err(error) => return Some(error),
                }
            }
        });
        assert_eq!((n_frames, error), (1, Some(TooLong { bytes_max: 64 })));
    }
}

/// The standard's own words, one byte at a time: the `(event, data)` of what would be dispatched.
fn by_the_book(stream: &str) -> Vec<(String, String)> {
    let unified = stream.strip_prefix('\u{feff}').unwrap_or(stream).replace("\r\n", "\n").replace('\r', "\n");
    let (mut name, mut data, mut events) = (String::new(), None::<String>, Vec::new());
    let mut lines: Vec<&str> = unified.split('\n').collect();
    // What follows the last end of a line is no line yet.
    lines.pop();
    for line in lines {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" if line.is_empty() => {
                events.extend(data.take().map(|data| (std::mem::take(&mut name), data)));
                name.clear();
            }
            "data" => data = Some(data.map_or(value.to_owned(), |data| format!("{data}\n{value}"))),
            "event" => value.clone_into(&mut name),
            _ => {}
        }
    }
    events
}

fn stream() -> impl Strategy<Value = String> {
    let line = select(vec![
        "data",
        "data:",
        "data: {\"a\":1}",
        "data:x",
        "event: error",
        "event",
        ": ping",
        ":",
        "id: 3",
        "",
        "",
        "",
        "datax: 1",
    ]);
    let end = select(vec!["\n", "\n", "\r\n", "\r"]);
    let lines = vec((line, end).prop_map(|(line, end)| format!("{line}{end}")), 0..20);
    (select(vec!["", "", "\u{feff}"]), lines, select(vec!["", "data: cut"]))
        .prop_map(|(bom, lines, rest)| format!("{bom}{}{rest}", lines.concat()))
}

proptest! {
    #[test]
    fn any_chunking_gives_the_events_of_the_standard(stream in stream(), sizes in vec(1..9usize, 1..6)) {
        let expected = by_the_book(&stream);
        assert_eq!(events(&[stream.as_bytes()]), expected);
        assert_eq!(events(&chunked(stream.as_bytes(), &sizes)), expected);
    }

    #[test]
    fn the_frames_and_the_rest_are_the_stream(stream in stream(), sizes in vec(1..9usize, 1..6)) {
        let (frames, rest) = frames(&chunked(stream.as_bytes(), &sizes));
        // But for the line feeds of carriage returns at which a frame had already ended.
        let given: String = frames.concat() + &rest;
        assert_eq!(given.replace(['\n', '\r'], ""), stream.replace(['\n', '\r'], ""));
    }
}
