use super::*;
use serde_json::json;

fn any(text: &str) -> Vec<Value> {
    read(text.as_bytes(), Format::Any).unwrap()
}

fn faults(text: &str) -> Vec<Fault> {
    invalid(read(text.as_bytes(), Format::Any).unwrap_err())
}

fn invalid(error: Error) -> Vec<Fault> {
    match error {
        Error::Invalid(faults) => faults.into_told(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_same_documents_come_out_of_every_format() {
    let wanted = vec![json!({"kind": "Team", "name": "a"}), json!({"kind": "Team", "name": "b"})];
    for text in [
        "kind: Team\nname: a\n---\nkind: Team\nname: b\n",
        "# first\n---\nkind: Team\nname: a\n---\n# nothing\n---\nkind: Team\nname: b\n---\n",
        "- {kind: Team, name: a}\n- {kind: Team, name: b}\n",
        r#"[{"kind":"Team","name":"a"},{"kind":"Team","name":"b"}]"#,
        "{\"kind\":\"Team\",\"name\":\"a\"}\n{\"kind\":\"Team\",\"name\":\"b\"}\n",
        "%YAML 1.2\n---\nkind: Team\nname: a\n--- {kind: Team, name: b}\n",
        "{kind: Team, name: a}\n--- {kind: Team, name: b}",
    ] {
        assert_eq!(any(text), wanted, "{text}");
    }
}

#[test]
fn scalars_are_what_they_look_like() {
    let document =
        &any("a: 2030-01-01T00:00:00Z\nb: 12\nc: true\nd: yes\ne: ~\nf: \"7\"\ng: [\"*\"]\nh: |\n  x\n  --- y\n")[0];
    let wanted = json!({"a": "2030-01-01T00:00:00Z", "b": 12, "c": true, "d": "yes", "e": null, "f": "7", "g": ["*"], "h": "x\n--- y\n"});
    assert_eq!(*document, wanted);
}

#[test]
fn every_document_that_cannot_be_read_is_named_with_its_line() {
    let faults = faults("kind: Team\nname: a\n---\nname: [\n---\nkind: Team\n---\na: b: c\n");
    assert_eq!(faults.iter().map(|fault| fault.document).collect::<Vec<_>>(), [1, 3]);
    assert!(faults[1].message.starts_with("line 8, column "), "{faults:?}");
}

#[test]
fn a_key_said_twice_is_a_fault() {
    for text in ["kind: Team\nkind: User\n", r#"{"kind":"Team","a":{"b":1,"b":2}}"#] {
        assert_eq!(faults(text).len(), 1, "{text}");
    }
}

#[test]
fn aliases_work_but_cannot_explode() {
    assert_eq!(any("a: &x {b: 1}\nc: *x\n")[0], json!({"a": {"b": 1}, "c": {"b": 1}}));
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
        bomb.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
    }
    assert_eq!(faults(&bomb).len(), 1);
}

#[test]
fn depth_is_bounded() {
    let deep = format!("a: {}{}", "[".repeat(1000), "]".repeat(1000));
    assert_eq!(faults(&deep).len(), 1);
    let deep = format!("{{\"a\": {}{}}}", "[".repeat(1000), "]".repeat(1000));
    assert_eq!(invalid(read(deep.as_bytes(), Format::Json).unwrap_err()).len(), 1);
}

#[test]
fn what_is_said_to_be_json_is_not_read_as_yaml() {
    assert!(read(b"kind: Team", Format::of(Some("application/json; charset=utf-8"))).is_err());
    assert!(read(b"kind: Team", Format::of(Some("application/x-www-form-urlencoded"))).is_ok());
    assert!(read(b"kind: Team", Format::of(None)).is_ok());
    assert!(read(&[0xff], Format::Any).is_err());
}

#[test]
fn one_document_is_one() {
    assert!(read_one(b"kind: Team", Format::Any).is_ok());
    for text in ["", "# nothing", "[]", "a: 1\n---\na: 2\n"] {
        assert_eq!(invalid(read_one(text.as_bytes(), Format::Any).unwrap_err()).len(), 1, "{text}");
    }
}

#[test]
fn documents_are_bounded_however_they_are_written() {
    let list = |n: usize| format!("[{}]", vec!["1"; n].join(","));
    assert_eq!(any(&list(DOCUMENTS_MAX)).len(), DOCUMENTS_MAX);
    let (half, n) = (list(DOCUMENTS_MAX / 2), DOCUMENTS_MAX + 1);
    for (text, format) in [
        (list(n), Format::Any),
        (format!("{half}\n{half}\n[1]"), Format::Json),
        ("1\n".repeat(n), Format::Json),
        (format!("{{\"kind\": {}}}", list(n)), Format::Json),
        ("---\n1\n".repeat(n), Format::Yaml),
        ("- 1\n".repeat(n), Format::Yaml),
    ] {
        let refused = read(text.as_bytes(), format);
        let start = text.chars().take(20).collect::<String>();
        assert!(matches!(&refused, Err(Error::TooLarge(why)) if why == TOO_MANY), "{start} {format:?}");
    }
}

#[test]
fn unreadable_documents_are_counted_and_no_more_told_than_anybody_reads() {
    let n = Faults::TOLD_MAX + 5;
    match read("---\n[\n".repeat(n).as_bytes(), Format::Yaml) {
        Err(Error::Invalid(faults)) => assert_eq!((faults.len(), faults.count()), (Faults::TOLD_MAX, n)),
        other => panic!("{other:?}"),
    }
}
