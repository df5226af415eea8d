//! What the programs can say, and what the documents say that they can: the same.

use std::collections::BTreeSet;

use crate::tree::{File, file, files, hold};

/// The quoted strings of the code before its tests, without those in comments.
fn literals(file: &File) -> impl Iterator<Item = &str> {
    let code = file.text.lines().take_while(|line| *line != "#[cfg(test)]");
    let code = code.filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.split('"').skip(1).step_by(2))
}

/// What stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Words like `model_not_found`.
fn is_code(text: &str) -> bool {
    text.contains('_')
        && text
            .split('_')
            .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()))
}

fn compare(said: &BTreeSet<String>, written: &BTreeSet<String>, document: &str) -> Vec<String> {
    let missing = said.difference(written).map(|word| format!("{document}: say what `{word}` means"));
    let stale = written.difference(said).map(|word| format!("{document}: no program says `{word}`; take it out"));
    missing.chain(stale).collect()
}

#[test]
fn every_error_code_is_explained() {
    const DOCUMENT: &str = "docs/reference/errors.md";
    let sources = [
        "dataplane/dialect/src/head.rs",
        "dataplane/policy/src/refusal.rs",
        "dataplane/proxy/src/edge/misfit.rs",
        "dataplane/proxy/src/error.rs",
        "controlplane/server/src/api/error.rs",
    ];
    let said = sources.iter().flat_map(|source| literals(file(source))).filter(|word| is_code(word));
    let rows = file(DOCUMENT).text.lines().filter_map(|line| line.split('|').nth(2));
    // Some codes are one plain word; those are looked for in one direction only.
    let written = rows.flat_map(quoted).filter(|word| word.contains('_'));
    hold(&compare(&said.map(str::to_string).collect(), &written.map(str::to_string).collect(), DOCUMENT));
}

#[test]
fn every_setting_is_explained() {
    const DOCUMENT: &str = "docs/operate/configuration.md";
    let is_variable = |word: &&str| word.starts_with("TURNPIKE_") && !word.ends_with('_');
    let is_config = |path: &str| path.contains("/src/config") && !path.starts_with("controlplane/cli/");
    let sources = files().iter().filter(|file| is_config(&file.path));
    let said = sources.flat_map(literals).filter(is_variable);
    let written = quoted(&file(DOCUMENT).text).filter(is_variable);
    hold(&compare(&said.map(str::to_string).collect(), &written.map(str::to_string).collect(), DOCUMENT));
}

#[test]
fn every_metric_is_explained() {
    const DOCUMENT: &str = "docs/reference/metrics.md";
    let is_metric = |word: &&str| word.starts_with("turnpike_") && is_code(word);
    let data = files().iter().filter(|file| file.path.starts_with("dataplane/proxy/src/telemetry/"));
    let data = data.flat_map(literals).filter(is_metric).map(str::to_string);
    let control = &file("controlplane/server/src/telemetry/metrics.rs").text;
    let control = control.lines().filter_map(|line| {
        let calls = ["page.gauge(\"", "page.counter(\"", "page.figure(\"", "page.head(\""];
        let rest = calls.iter().find_map(|call| line.trim_start().strip_prefix(call))?;
        rest.split('"').next().map(|name| format!("turnpike_controlplane_{name}"))
    });
    let said: BTreeSet<_> = data.chain(control).collect();
    let rows = file(DOCUMENT).text.lines().filter_map(|line| line.split('|').nth(1));
    hold(&compare(&said, &rows.flat_map(quoted).map(str::to_string).collect(), DOCUMENT));
}

#[test]
fn a_word_too_many_and_a_word_too_few_are_found() {
    let set = |words: &[&str]| words.iter().map(ToString::to_string).collect();
    assert_eq!(compare(&set(&["a_b"]), &set(&["a_b"]), "x").len(), 0);
    assert_eq!(compare(&set(&["a_b", "c_d"]), &set(&["a_b", "e_f"]), "x").len(), 2);
    assert!(is_code("model_not_found") && !is_code("reason") && !is_code("Model_x") && !is_code("a b_c"));
}
