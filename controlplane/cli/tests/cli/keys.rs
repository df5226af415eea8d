//! keys create, list, revoke, rotate.

use serde_json::json;

use crate::run::{Folder, run};
use crate::script::{Answer, Script};

#[test]
fn a_new_key_is_sent_whole_and_its_secret_shown_once() {
    let folder = Folder::new();
    let key = json!({"kind": "Key", "name": "ci", "models": ["*"], "secret": "sk-tp-once", "revision": 2});
    let script = Script::play(vec![Answer::new(201, &key)]);
    let line = format!(
        "{} keys create ci --model gpt-* --model o? --team search --user ann --expires 2030-01-01T00:00:00Z --metadata env=prod --metadata a=b=c",
        script.args()
    );
    let ran = run(&folder, &line, &[]);
    let expected = "\
Key ci is made; every proxy knows it within a second.
Its secret, shown this once:

  sk-tp-once
";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, expected, ""));
    let asked = script.asked();
    assert_eq!(asked[0].line, "POST /v1/keys");
    let sent = json!({"kind": "Key", "name": "ci", "team": "search", "user": "ann", "models": ["gpt-*", "o?"],
        "expires": "2030-01-01T00:00:00Z", "metadata": {"env": "prod", "a": "b=c"}});
    assert_eq!(asked[0].body, sent);
}

#[test]
fn a_script_gets_the_secret_and_nothing_else() {
    let folder = Folder::new();
    for flag in ["-q", "--quiet", "--output secret"] {
        let script = Script::play(vec![Answer::new(201, &json!({"name": "ci", "secret": "sk-tp-once"}))]);
        let ran = run(&folder, &format!("{} keys create ci --model a {flag}", script.args()), &[]);
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "sk-tp-once\n", ""), "{flag}");
    }
}

#[test]
fn a_key_is_rotated_with_a_grace_and_revoked_everywhere() {
    let folder = Folder::new();
    let proxies = json!({"revision": 9, "data": [{"name": "p", "applied": 9, "connected": true}]});
    let script = Script::play(vec![
        Answer::new(200, &json!({"name": "a/b", "secret": "sk-tp-new"})),
        Answer::new(200, &json!({"name": "a/b", "disabled": true, "revision": 9})),
        Answer::new(200, &proxies),
    ]);
    let args = script.args();
    let rotated = run(&folder, &format!("{args} keys rotate a/b --grace 1h30m"), &[]);
    assert!(
        rotated.out.starts_with("Key a/b has a new secret; the old one is good for another 5400 s.\n"),
        "{}",
        rotated.out
    );
    let revoked = run(&folder, &format!("{args} keys revoke a/b --wait"), &[]);
    assert_eq!((revoked.code, revoked.err.as_str()), (0, "revision 9: applied by 1 connected proxy\n"));
    let asked = script.asked();
    assert_eq!(
        (asked[0].line.as_str(), &asked[0].body),
        ("POST /v1/keys/a%2Fb/rotate", &json!({"graceSeconds": 5400}))
    );
    assert_eq!(asked[1].line, "POST /v1/keys/a%2Fb/revoke");
}

#[test]
fn keys_are_listed_page_by_page() {
    let folder = Folder::new();
    let page = |name: &str, next: Option<&str>| {
        Answer::new(
            200,
            &json!({"data": [{"kind": "Key", "name": name, "id": "01", "models": ["*"], "revision": 1}], "next": next}),
        )
    };
    let script = Script::play(vec![page("a", Some("a&1")), page("b", None)]);
    let ran = run(&folder, &format!("{} keys list", script.args()), &[]);
    let expected = "\
NAME  ID  TEAM  USER  MODELS  EXPIRES  DISABLED  REVISION
a     01  -     -     *       -        no        1
b     01  -     -     *       -        no        1
";
    assert_eq!((ran.code, ran.out.as_str()), (0, expected));
    let lines: Vec<_> = script.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(lines, ["GET /v1/keys?limit=1000", "GET /v1/keys?limit=1000&cursor=a%261"]);
}

#[test]
fn a_key_that_is_not_there_is_told_with_where_to_look() {
    let folder = Folder::new();
    let missing = json!({"error": {"code": "not_found", "message": "there is no Key/x"}});
    let script = Script::play(vec![Answer::new(404, &missing)]);
    let ran = run(&folder, &format!("{} keys revoke x", script.args()), &[]);
    assert_eq!((ran.code, ran.err.as_str()), (1, "error: there is no Key/x (not_found)\nSee `turnpike get keys`.\n"));
}
