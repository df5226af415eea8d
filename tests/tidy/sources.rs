//! What stands in source files, and what must not.

use crate::tree::{File, files, hold, sources};

const LINES_MAX: usize = 500;

/// Files that are longer for now. The list is empty, and a name in it is a debt: it may only be taken out.
const LONGER_FOR_NOW: [&str; 0] = [];

/// A test may be ignored only if another one runs it, and says so.
fn skipped(line: &str) -> bool {
    line.contains("#[ignore =") && !line.contains("#[ignore = \"run by ")
}

/// Never in code. The test for them is the one file that has to spell them.
const UNFINISHED: [(&str, &str); 8] = [
    ("#[allow(", "write #[expect(…, reason = \"…\")], which says when it is no longer needed"),
    ("#![allow(", "write #![expect(…, reason = \"…\")], which says when it is no longer needed"),
    ("todo!(", "finish it"),
    ("unimplemented!(", "finish it"),
    ("#[ignore]", "a test that is skipped guards nothing: make it run"),
    ("TODO", "do it, or say as a fact what is not there"),
    ("FIXME", "mend it, or say as a fact what does not hold"),
    ("// XXX", "mend it, or say as a fact what does not hold"),
];

/// A comment speaks of this project, and must be true in five years.
const NOT_IN_COMMENTS: [&str; 14] = [
    "litellm",
    "portkey",
    "openrouter",
    "aisix",
    "agentgateway",
    "bifrost",
    "helicone",
    "tensorzero",
    "linkerd",
    "pingora",
    "jira",
    "ticket",
    "as of today",
    "used to be",
];

/// Paths and hosts of the machine something was written on.
const OF_ONE_MACHINE: [&str; 10] = [
    "/work/main",
    "/work/shared",
    "/work/target",
    "/root/",
    "index.crates.io",
    "static.crates.io",
    "registry.npmjs.org",
    "pypi.org",
    "files.pythonhosted.org",
    "deb.debian.org",
];

fn spells_the_rules(file: &File) -> bool {
    file.path == "tests/tidy/sources.rs"
}

#[test]
fn every_file_says_what_it_is() {
    // A module's tests in a file of their own need no introduction.
    let introduced = |file: &&File| file.text.starts_with("//! ") || file.path.ends_with("/tests.rs");
    let silent = sources().filter(|file| !introduced(file));
    hold(&silent.map(|file| format!("{}: begin with `//!` and one sentence", file.path)).collect::<Vec<_>>());
}

#[test]
fn modules_are_files_named_after_themselves() {
    let nameless = files().iter().filter(|file| file.path.ends_with("/mod.rs"));
    hold(&nameless.map(|file| format!("{}: call it after its directory, one level up", file.path)).collect::<Vec<_>>());
}

#[test]
fn a_file_fits_in_one_sitting() {
    let mut findings = Vec::new();
    for file in sources() {
        let lines = lines_before_tests(&file.text);
        let excused = LONGER_FOR_NOW.contains(&file.path.as_str());
        if lines > LINES_MAX && !excused {
            findings.push(format!("{}: {lines} lines before its tests; what is the second file called?", file.path));
        }
        if lines <= LINES_MAX && excused {
            findings.push(format!("{}: fits now; take it out of LONGER_FOR_NOW", file.path));
        }
    }
    hold(&findings);
}

fn lines_before_tests(text: &str) -> usize {
    let whole = text.lines().count();
    let mut lines = text.lines().enumerate();
    // `#[cfg(test)]` before `mod tests;` opens nothing: the tests are in a file of their own.
    let opens = |line: &str, next: Option<&str>| line == "#[cfg(test)]" && next.is_some_and(|next| next.ends_with('{'));
    lines.find(|(at, line)| opens(line, text.lines().nth(at + 1))).map_or(whole, |(at, _)| at)
}

#[test]
fn tests_do_not_count_as_length() {
    assert_eq!(lines_before_tests("a\nb\n#[cfg(test)]\nmod tests {\n}\n"), 2);
    assert_eq!(lines_before_tests("a\n#[cfg(test)]\nmod tests;\nb\n"), 4);
}

#[test]
fn nothing_is_left_unfinished_or_silenced() {
    let mut findings = Vec::new();
    for file in sources().filter(|file| !spells_the_rules(file)) {
        for (number, line) in file.lines() {
            if skipped(line) {
                findings.push(format!("{}:{number}: a skipped test guards nothing: make it run", file.path));
            }
            for (word, advice) in UNFINISHED.iter().filter(|(word, _)| line.contains(word)) {
                findings.push(format!("{}:{number}: `{word}`: {advice}", file.path));
            }
        }
    }
    hold(&findings);
}

#[test]
fn comments_speak_of_this_project_alone() {
    let mut findings = Vec::new();
    let commented = files().iter().filter(|file| ["rs", "ts", "tsx", "proto"].iter().any(|kind| file.is(kind)));
    for file in commented.filter(|file| !spells_the_rules(file) && !file.is_generated()) {
        for (number, line) in file.lines() {
            if let Some(word) = comment(line).and_then(forbidden) {
                findings.push(format!(
                    "{}:{number}: `{word}` in a comment; say why the code is so, not whose it is",
                    file.path
                ));
            }
        }
    }
    hold(&findings);
}

/// What stands behind `//`, unless the `//` is part of a URL.
fn comment(line: &str) -> Option<&str> {
    let line = line.trim_start();
    line.strip_prefix("//").or_else(|| line.split_once(" //").map(|(_, comment)| comment))
}

fn forbidden(comment: &str) -> Option<String> {
    let comment = comment.to_lowercase();
    let numbered = comment
        .split_whitespace()
        .find(|word| word.strip_prefix('#').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit())));
    let word = NOT_IN_COMMENTS.into_iter().find(|word| comment.contains(word));
    word.or(numbered).map(str::to_string)
}

#[test]
fn a_name_or_a_number_in_a_comment_is_found() {
    assert_eq!(comment("let a = 1; // as LiteLLM does").and_then(forbidden).as_deref(), Some("litellm"));
    assert_eq!(comment("/// Mends #12.").and_then(forbidden).as_deref(), Some("#12."));
    assert_eq!(comment("    let url = \"http://litellm\";"), None);
    assert_eq!(comment("// `#[cfg(test)]` is fine, and so is # alone.").and_then(forbidden), None);
}

#[test]
fn nothing_depends_on_one_machine() {
    let mut findings = Vec::new();
    for file in files().iter().filter(|file| !spells_the_rules(file)) {
        for (number, line) in file.lines() {
            for place in OF_ONE_MACHINE.iter().filter(|place| line.contains(**place)) {
                findings.push(format!("{}:{number}: `{place}` exists on one machine only; take it out", file.path));
            }
        }
    }
    hold(&findings);
}

#[test]
fn generated_code_lives_in_its_own_place() {
    const MARK: &str = "@generated";
    let mut findings = Vec::new();
    for file in files().iter().filter(|file| file.is("rs") && !spells_the_rules(file)) {
        let marked = file.text.lines().next().is_some_and(|line| line.contains(MARK));
        let finding = match (file.is_generated(), marked) {
            (true, false) => "under gen/, but not generated: run `make proto`, or move it",
            (false, true) => "generated, but not under gen/",
            (true, true) | (false, false) => continue,
        };
        findings.push(format!("{}: {finding}", file.path));
    }
    hold(&findings);
}

/// Not in the house: whatever would make a newcomer ask at the door.
#[test]
fn the_top_level_is_the_drawing() {
    const TOP: [&str; 14] = [
        "Cargo.toml",
        "Cargo.lock",
        "Makefile",
        "README.md",
        "LICENSE",
        "clippy.toml",
        "deny.toml",
        "rustfmt.toml",
        "dataplane",
        "controlplane",
        "proto",
        "charts",
        "tests",
        "docs",
    ];
    let mut tops: Vec<_> = files().iter().map(|file| file.path.split('/').next().unwrap_or_default()).collect();
    tops.dedup();
    let strange = tops.iter().filter(|top| !TOP.contains(top) && !top.starts_with('.'));
    let mut findings: Vec<_> = strange.map(|top| format!("{top}: does not belong at the top")).collect();
    findings.extend(TOP.iter().filter(|top| !tops.contains(top)).map(|top| format!("{top}: is missing")));
    hold(&findings);
}
