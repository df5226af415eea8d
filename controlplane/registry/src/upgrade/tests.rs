use super::*;

const KEY: &str = r#"{"v":1,"kind":"Key","name":"bench","id":"0000000000001",
    "sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","models":["*"]"#;

#[test]
fn what_is_written_says_its_version_and_is_read_again() {
    let key = Resource::from_stored(format!("{KEY}}}").as_bytes()).unwrap();
    let written = key.to_stored();
    assert!(written.starts_with(br#"{"v":1,"kind":"Key","name":"bench""#), "{}", String::from_utf8_lossy(&written));
    assert_eq!(Resource::from_stored(&written), Ok(key));
}

#[test]
fn a_field_that_is_not_known_is_passed_over_and_not_kept() {
    let plain = Resource::from_stored(format!("{KEY}}}").as_bytes()).unwrap();
    let later = format!(r#"{KEY},"budget":{{"usd":5}},"previous":null,"metadata":{{}},"spare":[1,2]}}"#);
    let later = Resource::from_stored(later.as_bytes()).unwrap();
    assert_eq!(later, plain);
    assert_eq!(later.to_stored(), plain.to_stored());
}

#[test]
fn every_kind_is_read_as_the_first_version_wrote_it() {
    for (stored, name) in [
        (
            r#"{"v":1,"kind":"Provider","name":"mock","dialect":"openai","reach":{"http":{"baseUrl":"http://h/v1","credential":"AAAA","allowLinkLocal":true,"ca":"PEM","timeouts":{"connectMs":1,"idleMs":2}}},"keepLastGood":true}"#,
            "Provider/mock",
        ),
        (
            r#"{"v":1,"kind":"Provider","name":"demo","dialect":"openai","reach":{"demo":{"latencyMs":1,"chunkMs":2,"failPermille":3}}}"#,
            "Provider/demo",
        ),
        (
            r#"{"v":1,"kind":"Model","name":"gpt","targets":[{"provider":"mock","model":"gpt"}],"keepLastGood":true}"#,
            "Model/gpt",
        ),
        (r#"{"v":1,"kind":"Team","name":"search","description":"who searches"}"#, "Team/search"),
        (r#"{"v":1,"kind":"User","name":"ada","email":"ada@example.com","team":"search"}"#, "User/ada"),
        (
            r#"{"v":1,"kind":"Key","name":"bench","id":"0000000000001","sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","previous":{"sha256":"0000000000000000000000000000000000000000000000000000000000000000","until":"2030-01-01T00:00:00Z"},"team":"search","user":"ada","models":["*"],"expires":"2031-01-01T00:00:00Z","disabled":true,"metadata":{"env":"prod"}}"#,
            "Key/bench",
        ),
    ] {
        let resource = Resource::from_stored(stored.as_bytes()).unwrap();
        assert_eq!(resource.reference().to_string(), name);
        // Nothing was lost on the way in: what is written back is what was there.
        assert_eq!(String::from_utf8(resource.to_stored()).unwrap(), stored);
    }
}

#[test]
fn what_cannot_be_read_says_why() {
    for (stored, why) in [
        (&b""[..], Unreadable::Foreign),
        (b"\xff\x00", Unreadable::Foreign),
        (b"[]", Unreadable::Foreign),
        (br#"{"kind":"Key","name":"a"}"#, Unreadable::Foreign),
        (br#"{"v":1,"apiVersion":"v1"}"#, Unreadable::Foreign),
        (br#"{"v":"1","kind":"Key"}"#, Unreadable::Foreign),
        (br#"{"v":1,"kind":"Team","name":"a""#, Unreadable::Damaged("it is cut off".into())),
        (br#"{"v":0,"kind":"Team","name":"a"}"#, Unreadable::Foreign),
        (br#"{"v":2,"kind":"Team","name":"a"}"#, Unreadable::Newer(2)),
        (br#"{"v":1,"kind":"Budget","name":"a"}"#, Unreadable::Kind("Budget".into())),
    ] {
        assert_eq!(Resource::from_stored(stored), Err(why), "{}", String::from_utf8_lossy(stored));
    }
    for stored in
        [r#"{"v":1,"kind":"Team"}"#, r#"{"v":1,"kind":"Team","name":"a b"}"#, r#"{"v":1,"kind":"Team","name":7}"#]
    {
        let read = Resource::from_stored(stored.as_bytes());
        assert!(matches!(read, Err(Unreadable::Damaged(_))), "{stored}: {read:?}");
    }
}
