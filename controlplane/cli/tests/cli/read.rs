//! get, usage, status, version.

use serde_json::{Value, json};

use crate::run::{Folder, run};
use crate::script::{Answer, Script};

#[test]
fn one_document_is_shown_in_full_and_a_list_as_a_table() {
    let folder = Folder::new();
    let model = json!({"kind": "Model", "name": "gpt", "targets": [{"provider": "mock", "model": "x"}], "revision": 4});
    let list = json!({"data": [model], "next": null});
    let script = Script::play(vec![
        Answer::new(200, &model),
        Answer::new(200, &model),
        Answer::new(200, &list),
        Answer::new(200, &list),
    ]);
    let args = script.args();
    let yaml = run(&folder, &format!("{args} get model gpt"), &[]);
    assert_eq!(yaml.out, "kind: Model\nname: gpt\ntargets:\n- provider: mock\n  model: x\nrevision: 4\n");
    let json = run(&folder, &format!("{args} get models gpt -o json"), &[]);
    assert_eq!(serde_json::from_str::<Value>(&json.out).unwrap(), model);
    let table = run(&folder, &format!("{args} get models"), &[]);
    assert_eq!(table.out, "NAME  TARGETS  REVISION\ngpt   mock:x   4\n");
    let all = run(&folder, &format!("{args} get models -o json"), &[]);
    assert_eq!(serde_json::from_str::<Value>(&all.out).unwrap(), json!([model]));
    assert_eq!(script.asked()[0].line, "GET /v1/models/gpt");
}

#[test]
fn an_empty_collection_prints_nothing_and_says_so_beside() {
    let folder = Folder::new();
    let script = Script::play(vec![Answer::new(200, &json!({"data": [], "next": null}))]);
    let ran = run(&folder, &format!("{} get teams", script.args()), &[]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "", "there are no teams yet\n"));
}

#[test]
fn usage_is_grouped_filtered_and_added_up() {
    let folder = Folder::new();
    let row = |day: &str, requests: u64| {
        json!({"day": day, "requests": requests, "errors": 0, "tokensInput": 5,
        "tokensCached": 0, "tokensOutput": 7, "tokensReasoning": 0, "cost": "0.000000001", "unreported": 0})
    };
    let page = json!({"data": [row("2026-06-01", 1), row("2026-06-02", 2)], "next": null});
    let script = Script::play(vec![Answer::new(200, &page)]);
    let ran =
        run(&folder, &format!("{} usage --by day --since 2026-06-01T00:00:00Z --team search", script.args()), &[]);
    let expected = "\
DAY         REQUESTS  ERRORS  INPUT  CACHED  OUTPUT  REASONING          COST
2026-06-01         1       0      5       0       7          0  $0.000000001
2026-06-02         2       0      5       0       7          0  $0.000000001
total              3       0     10       0      14          0  $0.000000002
";
    assert_eq!((ran.code, ran.out.as_str()), (0, expected), "{}", ran.err);
    assert_eq!(
        script.asked()[0].line,
        "GET /v1/usage?from=2026-06-01T00%3A00%3A00Z&groupBy=day&team=search&limit=1000"
    );
}

#[test]
fn the_status_is_shown_and_can_be_waited_for() {
    let folder = Folder::new();
    let proxies = |applied: u64| {
        Answer::new(
            200,
            &json!({"revision": 3, "data": [{"name": "p", "build": "0.1.0", "applied": applied, "connected": true,
            "since": "2026-06-01T00:00:00Z", "rejected": []}]}),
        )
    };
    let status = json!({"store": {"kind": "embedded", "id": "01"}, "revision": 3, "digest": "0", "version": "0.1.0",
        "resources": {"providers": 1}, "proxies": {"connected": 1, "current": 1}});
    let script = Script::play(vec![proxies(2), proxies(2), proxies(3), Answer::new(200, &status), proxies(3)]);
    let ran = run(&folder, &format!("{} status --wait", script.args()), &[]);
    assert_eq!(ran.code, 0);
    assert!(ran.out.contains("p      0.1.0         3  current  2026-06-01T00:00:00Z\n"), "{}", ran.out);
    assert_eq!(ran.err, "revision 3: applied by 0 of 1; behind: p at 2\nrevision 3: applied by 1 connected proxy\n");
    script.asked();
}

#[test]
fn a_wait_ends_with_who_was_late() {
    let folder = Folder::new();
    let behind = || Answer::new(200, &json!({"revision": 3, "data": [{"name": "p", "applied": 2, "connected": true}]}));
    let script = Script::play(vec![behind(), behind()]);
    let ran = run(&folder, &format!("{} status --wait --timeout 0s", script.args()), &[]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains("error: not applied everywhere after 0 s: revision 3: applied by 0 of 1; behind: p at 2.\n"),
        "{}",
        ran.err
    );
    script.asked();
}

#[test]
fn the_version_needs_nobody() {
    let ran = run(&Folder::new(), "version", &[]);
    assert_eq!((ran.code, ran.out), (0, format!("turnpike {}\n", env!("CARGO_PKG_VERSION"))));
}
