//! apply, export, validate, delete.

use serde_json::json;

use crate::run::{Folder, run, run_with_input, turnpike};
use crate::script::{Answer, Script};

const GOOD: &str = "\
kind: Provider
name: mock
dialect: openai
baseUrl: http://127.0.0.1:18080/v1
credential: {value: sk-upstream}
---
kind: Model
name: gpt-4o-mini
targets: [{provider: mock, model: gpt-4o-mini}]
---
kind: Team
name: search
---
kind: Key
name: bench
team: search
secret: sk-bench-key
models: [\"*\"]
expires: 2030-01-01T00:00:00Z
metadata: {env: prod}
";

#[test]
fn apply_sends_all_files_as_one_list_and_shows_each_change() {
    let folder = Folder::new();
    folder.write("conf/b.yaml", "kind: Team\nname: b\n---\nkind: Key\nname: k\nmodels: ['*']\n");
    folder.write("conf/a/a.json", r#"{"kind": "Team", "name": "a"}"#);
    let script = Script::play(vec![Answer::new(
        200,
        &json!({"revision": 3, "results": [
            {"kind": "Team", "name": "a", "change": "unchanged"},
            {"kind": "Team", "name": "b", "change": "updated"},
            {"kind": "Key", "name": "k", "change": "created", "secret": "sk-tp-once"},
        ]}),
    )]);
    let ran = run(&folder, &format!("{} apply -f conf", script.args()), &[]);
    let expected = "\
Team/a  unchanged
Team/b  updated
Key/k   created

The secret of Key/k, shown this once:

  sk-tp-once

in force as revision 3
";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, expected, ""));
    let asked = script.asked();
    assert_eq!((asked[0].line.as_str(), asked[0].token.as_str()), ("POST /v1/apply", "t"));
    let sent = json!([{"kind": "Team", "name": "a"}, {"kind": "Team", "name": "b"}, {"kind": "Key", "name": "k", "models": ["*"]}]);
    assert_eq!(asked[0].body, sent);
}

#[test]
fn credentials_are_looked_up_here_and_sent_as_values() {
    let folder = Folder::new();
    folder.write("conf/p.yaml", "kind: Provider\nname: a\ncredential: {env: UPSTREAM}\n---\nkind: Provider\nname: b\ncredential: {file: secret}\n");
    folder.write("conf/secret", "sk-file\n");
    let script = Script::play(vec![Answer::new(200, &json!({"revision": 1, "results": []}))]);
    let output = turnpike(&folder)
        .args(["--api", &script.url, "--token", "t", "apply", "-f", "conf"])
        .env("UPSTREAM", "sk-env")
        .output();
    assert!(output.unwrap().status.success());
    let body = &script.asked()[0].body;
    assert_eq!(body[0]["credential"], json!({"value": "sk-env"}));
    assert_eq!(body[1]["credential"], json!({"value": "sk-file"}));
}

#[test]
fn a_credential_that_is_not_there_is_told_with_its_line_and_nothing_is_sent() {
    let folder = Folder::new();
    folder.write("p.yaml", "kind: Provider\nname: a\ncredential: {env: UPSTREAM}\n");
    let ran = run(&folder, "--api http://127.0.0.1:1 --token t apply -f p.yaml", &[]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.err
            .starts_with("p.yaml:3:14: Provider/a.credential.env: the environment variable UPSTREAM is not set here"),
        "{}",
        ran.err
    );
    assert!(ran.err.ends_with("error: 1 fault; nothing was sent\n"), "{}", ran.err);
}

#[test]
fn every_fault_of_the_server_stands_at_its_line() {
    let folder = Folder::new();
    folder.write("a.yaml", GOOD);
    let faults = json!({"error": {"code": "invalid_documents", "message": "two faults", "faults": [
        {"document": 1, "path": "Model/gpt-4o-mini.targets[0].provider", "message": "there is no Provider `mock`"},
        {"document": 3, "path": "Key/bench.expires", "message": "is over"},
    ], "faultsOmitted": 9}});
    let script = Script::play(vec![Answer::new(400, &faults)]);
    let ran = run(&folder, &format!("{} apply -f a.yaml", script.args()), &[]);
    let expected = "\
a.yaml:9:12: Model/gpt-4o-mini.targets[0].provider: there is no Provider `mock`
a.yaml:19:1: Key/bench.expires: is over
error: 2 faults; nothing was changed (invalid_documents)
  and 9 more
";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (1, "", expected));
}

#[test]
fn a_dry_run_asks_for_one_and_says_so() {
    let folder = Folder::new();
    let answer = json!({"revision": 1, "results": [{"kind": "Team", "name": "a", "change": "created"}]});
    let script = Script::play(vec![Answer::new(200, &answer)]);
    let ran = run_with_input(&folder, &format!("{} apply --dry-run -f -", script.args()), "kind: Team\nname: a\n");
    assert_eq!((ran.code, ran.out.as_str()), (0, "Team/a  created\n\nnothing was changed: this was a dry run\n"));
    assert_eq!(script.asked()[0].line, "POST /v1/apply?dryRun=true");
}

#[test]
fn apply_waits_until_every_connected_proxy_has_it() {
    let folder = Folder::new();
    folder.write("a.yaml", "kind: Team\nname: a\n");
    let proxies = |applied: u64| {
        Answer::new(
            200,
            &json!({"revision": 5, "data": [
                {"name": "p", "applied": applied, "connected": true},
                {"name": "gone", "applied": 1, "connected": false},
            ]}),
        )
    };
    let applied = json!({"revision": 5, "results": [{"kind": "Team", "name": "a", "change": "created"}]});
    let script = Script::play(vec![Answer::new(200, &applied), proxies(4), proxies(4), proxies(5)]);
    let ran = run(&folder, &format!("{} apply --wait -f a.yaml", script.args()), &[]);
    let expected = "\
revision 5: applied by 0 of 1; behind: p at 4
revision 5: applied by 1 connected proxy
";
    assert_eq!((ran.code, ran.err.as_str()), (0, expected));
    assert_eq!(script.asked().len(), 4);
}

#[test]
fn a_document_that_a_proxy_rejects_is_no_success() {
    let folder = Folder::new();
    folder.write("a.yaml", "kind: Team\nname: a\n");
    let applied = json!({"revision": 5, "results": []});
    let proxies = json!({"revision": 5, "data": [{"name": "p", "applied": 5, "connected": true, "rejected": [
        {"kind": "Provider", "name": "x", "why": "does not open", "kept": true}]}]});
    let script = Script::play(vec![Answer::new(200, &applied), Answer::new(200, &proxies)]);
    let ran = run(&folder, &format!("{} apply --wait -f a.yaml", script.args()), &[]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains("warning: p rejects Provider/x: does not open; its last good version is still in force\n"),
        "{}",
        ran.err
    );
}

#[test]
fn an_export_is_documents_again_and_can_be_narrowed() {
    let folder = Folder::new();
    let all = json!([
        {"kind": "Team", "name": "a"},
        {"kind": "Key", "name": "k", "sha256": "0".repeat(64), "models": ["*"], "expires": "2030-01-01T00:00:00Z"},
    ]);
    let script = Script::play(vec![Answer::new(200, &all), Answer::new(200, &all), Answer::new(200, &all)]);
    let args = script.args();
    let yaml = run(&folder, &format!("{args} export"), &[]);
    folder.write("all.yaml", &yaml.out);
    let validated = run(&folder, "validate -f all.yaml", &[]);
    assert_eq!(
        (validated.code, validated.out.as_str()),
        (0, "2 documents in 1 file: no faults\n"),
        "{validated:?}\n{}",
        yaml.out
    );
    let narrow = run(&folder, &format!("{args} export --kind key -o json"), &[]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&narrow.out).unwrap(), json!([all[1]]));
    let teams = run(&folder, &format!("{args} export --kind Team"), &[]);
    assert_eq!(teams.out, "kind: Team\nname: a\n");
    assert_eq!(script.asked()[0].line, "GET /v1/export");
}

#[test]
fn validate_needs_nobody() {
    let folder = Folder::new();
    folder.write("good.yaml", GOOD);
    let ran = run(&folder, "validate -f good.yaml", &[]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "4 documents in 1 file: no faults\n", ""));
}

#[test]
fn validate_finds_every_fault_with_its_line_and_what_was_meant() {
    let folder = Folder::new();
    folder.write("a.yaml", "kind: Modle\nname: x\n---\nkind: Model\nname: gpt\ntargets:\n  - provider: mok\n    model: a\n---\nkind: Provider\nname: mock\ndialect: openai\nbaseurl: http://h/v1\n");
    folder.write("b.yaml", "kind: [\n");
    folder.write("c.yaml", "kind: Team\nname: t\n---\nkind: Team\nname: t\n");
    let ran = run(&folder, "validate -f .", &[]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    let has = |start: &str, words: &str| {
        assert!(
            ran.err.lines().any(|line| line.starts_with(start) && line.contains(words)),
            "{start} {words}\n{}",
            ran.err
        );
    };
    has("./a.yaml:1:1: kind: ", "did you mean `Model`?");
    has("./a.yaml:13:1: Provider/mock.baseurl: ", "did you mean `baseUrl`?");
    has("./a.yaml:7:5: Model/gpt.targets[0].provider: ", "there is no Provider `mok`");
    has("./b.yaml:1:7: ", "unclosed bracket");
    has("./c.yaml:4:1: Team/t: ", "the first time at ./c.yaml:1:1");
    assert!(ran.err.contains("in 3 files.\n"), "{}", ran.err);
}

#[test]
fn validate_tells_machines_too() {
    let folder = Folder::new();
    let ran = run_with_input(&folder, "validate -f - -o json", "kind: Team\nnam: t\n");
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &report["documents"]), (1, &json!(1)));
    assert!(report["faults"].as_array().unwrap().iter().any(|fault| fault["at"] == "-:2:1"), "{report}");
}

#[test]
fn what_is_in_use_is_not_deleted_and_who_uses_it_is_told() {
    let folder = Folder::new();
    let refusal = json!({"error": {"code": "conflict", "message": "Provider/a is in use", "faults": [
        {"document": 0, "path": "Model/gpt", "message": "refers to it"}]}});
    let script = Script::play(vec![Answer::text(204, ""), Answer::new(409, &refusal)]);
    let args = script.args();
    let done = run(&folder, &format!("{args} delete model openai/gpt-4o"), &[]);
    assert_eq!((done.code, done.out.as_str()), (0, "Model/openai/gpt-4o deleted\n"));
    let refused = run(&folder, &format!("{args} delete providers a"), &[]);
    assert_eq!(refused.code, 1);
    assert_eq!(refused.err, "error: Provider/a is in use (conflict)\n  Model/gpt: refers to it\n");
    let asked = script.asked();
    assert_eq!(asked[0].line, "DELETE /v1/models/openai%2Fgpt-4o");
}
