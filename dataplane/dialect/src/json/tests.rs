use proptest::collection::vec;
use proptest::prelude::{Strategy, any, proptest};

use super::*;
use crate::testing::{damage, string, value};

fn scan(text: &[u8]) -> Result<(), Flaw> {
    let mut scanner = Scanner::new(text);
    scanner.value(0)?;
    scanner.end()
}

fn check(text: &str, expected: Result<(), (usize, What)>) {
    assert_eq!(scan(text.as_bytes()).map_err(|flaw| (flaw.at, flaw.what)), expected, "{text}");
}

#[test]
fn what_is_json_passes() {
    let huge = format!("{}.{}e{}", "9".repeat(500), "1".repeat(500), "9".repeat(50));
    for text in [
        "0",
        "-0",
        " 1.5e+10 ",
        "1E-7",
        &huge,
        "null",
        "true",
        "false",
        "\"\"",
        "[]",
        "{}",
        "[ ]",
        "{ }",
        "[[],{}]",
        r#"{"a":[1,{"b":null}],"a":2}"#,
        r#""\ud83d\ude00\u0000\/""#,
        "\"\u{7f}\u{10ffff}\"",
        "\r\n\t {\"\":\"\"}\n",
    ] {
        check(text, Ok(()));
    }
}

#[test]
fn what_is_not_json_is_refused_at_the_byte_where_it_goes_wrong() {
    check("", Err((0, What::End)));
    check(" ", Err((1, What::End)));
    check("{", Err((1, What::End)));
    check("[1", Err((2, What::End)));
    check("[1,]", Err((3, What::Value)));
    check("[1 2]", Err((3, What::InArray)));
    check("[1}", Err((2, What::InArray)));
    check("{1:2}", Err((1, What::Key)));
    check(r#"{"a" 1}"#, Err((5, What::Colon)));
    check(r#"{"a":1]"#, Err((6, What::InObject)));
    check(r#"{"a":1,}"#, Err((7, What::Key)));
    check("{} {}", Err((3, What::Trailing)));
    check("\u{feff}{}", Err((0, What::Value)));
    check("nul", Err((0, What::End)));
    check("nulL", Err((0, What::Value)));
    check("NaN", Err((0, What::Value)));
    for (text, at) in [("01", 1), ("-x", 1), ("1.x", 2), (".5", 0), ("1e+ ", 3), ("+1", 0)] {
        let what = if at == 0 { What::Value } else { What::Number };
        check(text, Err((at, what)));
    }
    for text in ["-", "1.", "1e", "1e-"] {
        check(text, Err((text.len(), What::End)));
    }
}

#[test]
fn strings_hold_no_control_characters_no_unknown_escapes_and_no_half_pairs() {
    check("\"a\nb\"", Err((2, What::Control)));
    check(&format!("\"{}\u{1f}\"", "long".repeat(60)), Err((241, What::Control)));
    check(r#""\x41""#, Err((1, What::Escape)));
    check(r#""\u00g0""#, Err((1, What::Escape)));
    check(r#""\u00"#, Err((1, What::End)));
    check(r#""abc\"#, Err((4, What::End)));
    for text in [r#""a\ud800""#, r#""a\udc00""#, r#""a\ud800\u0041""#, r#""a\ud800x""#, r#""a\ud800\ud800""#] {
        check(text, Err((2, What::Surrogate)));
    }
}

#[test]
fn what_is_not_utf8_is_refused_at_its_first_wrong_byte() {
    for (text, at) in [
        (&b"\"ok \xff\""[..], 4),
        (b"\"\xc3\"", 1),
        (b"\"\xed\xa0\x80\"", 1),
        (b"\"\xc0\xaf\"", 1),
        (b"{\"\xc3\xa4\":\"\xf5\"}", 7),
    ] {
        assert_eq!(scan(text), Err(Flaw { at, what: What::Utf8 }));
    }
    assert_eq!(scan(b"\xc3\xa4"), Err(Flaw { at: 0, what: What::Value }));
}

#[test]
fn sixty_four_levels_pass_and_one_more_does_not() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        let levels = usize::try_from(DEPTH_MAX).unwrap() / open.matches(['[', '{']).count();
        let nested = |n: usize| format!("{}0{}", open.repeat(n), close.repeat(n));
        assert_eq!(scan(nested(levels).as_bytes()), Ok(()));
        assert_eq!(scan(nested(levels + 1).as_bytes()).map_err(|flaw| flaw.what), Err(What::TooDeep));
    }
    // Not even a body of nothing but brackets overflows anything.
    assert_eq!(scan(&vec![b'['; 1_000_000]), Err(Flaw { at: 64, what: What::TooDeep }));
}

#[test]
fn a_million_values_pass_and_one_more_does_not() {
    let most = usize::try_from(VALUES_MAX).unwrap();
    let array = |n: usize| format!("[{}0]", "0,".repeat(n - 1));
    assert_eq!(scan(array(most - 1).as_bytes()), Ok(()));
    assert_eq!(scan(array(most).as_bytes()).map_err(|flaw| flaw.what), Err(What::TooMany));
}

#[test]
fn a_quoted_text_says_the_text() {
    for text in ["", "a", "a\"b\\c", "\n\r\t\u{0}\u{1f}\u{7f}", "h\u{e4}\u{1f600}"] {
        assert_eq!(serde_json::from_slice::<String>(&quote(text)).unwrap(), text);
    }
}

/// What serde_json says to the same bytes, where it has a say: it would make floats of all numbers, and some are
/// too large for that.
fn oracle(text: &[u8]) -> Option<bool> {
    match serde_json::from_slice::<serde_json::Value>(text) {
        Ok(_) => Some(true),
        Err(error) if error.to_string().starts_with("number out of range") => None,
        Err(_) => Some(false),
    }
}

proptest! {
    #[test]
    fn any_json_passes(text in value()) {
        assert_eq!(oracle(text.as_bytes()), Some(true));
        assert_eq!(scan(text.as_bytes()), Ok(()));
    }

    #[test]
    fn damaged_json_passes_if_and_only_if_serde_json_lets_it_pass(text in value(), hits in vec(damage(), 1..4)) {
        let mut text = text.into_bytes();
        hits.iter().for_each(|hit| hit.done_to(&mut text));
        if let Some(passes) = oracle(&text) {
            assert_eq!(scan(&text).is_ok(), passes, "{:?} {:?}", scan(&text), String::from_utf8_lossy(&text));
        }
    }

    #[test]
    fn any_bytes_pass_if_and_only_if_serde_json_lets_them_pass(inside in vec(any::<u8>(), 0..60)) {
        for text in [inside.clone(), [b"\"", inside.as_slice(), b"\""].concat()] {
            if let Some(passes) = oracle(&text) {
                assert_eq!(scan(&text).is_ok(), passes);
            }
        }
    }

    #[test]
    fn a_string_says_what_serde_json_reads_in_it(text in string()) {
        let mut scanner = Scanner::new(text.as_bytes());
        let token = scanner.value(0).unwrap();
        let Shape::String(spelling) = token.shape else { panic!("{token:?}") };
        let expected: String = serde_json::from_str(&text).unwrap();
        assert_eq!(scanner.text(&token.span, spelling).unwrap(), expected);
        assert_eq!(spelling == Spelling::Escaped, text.contains('\\'));
    }

    #[test]
    fn any_quoted_text_says_the_text(text in any::<String>().prop_map(|text| text + "\u{1}\"\\")) {
        assert_eq!(serde_json::from_slice::<String>(&quote(&text)).unwrap(), text);
    }

    #[test]
    fn a_special_byte_is_found_wherever_it_stands(
        before in "[ a-z\u{e4}\u{4e00}]{0,400}",
        special in proptest::sample::select(b"\"\\\x00\x1f\n".to_vec()),
        behind in vec(any::<u8>(), 0..80),
    ) {
        let bytes = [before.as_bytes(), &[special], &behind].concat();
        let (length, is_ascii) = text::run_of(&bytes);
        assert_eq!(length, before.len());
        assert_eq!(is_ascii, before.is_ascii());
    }
}
