//! docs/reference/cli.md is what `--help` says. UPDATE_GENERATED=1 writes it anew.

use std::path::Path;
use std::process::Command;

const HEAD: &str = "\
# The command line

<!-- Generated from `turnpike --help` by controlplane/cli/tests/cli/reference.rs; do not edit. UPDATE_GENERATED=1 writes it anew. -->

For whoever operates a Turnpike from a shell or a script.
`turnpike` is a client of the control plane's API and nothing more; `turnpike up` starts both planes on one machine.
";

fn help(path: &[String]) -> String {
    let program = env!("CARGO_BIN_EXE_turnpike");
    let output = Command::new(program).args(path).arg("--help").env_clear().output().unwrap();
    assert!(output.status.success(), "{path:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The words in the first column below `Commands:`.
fn commands(help: &str) -> Vec<String> {
    let list = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    let lines = list.lines().take_while(|line| !line.is_empty());
    lines.filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next().map(str::to_owned)).collect()
}

fn section(path: &[String], text: &mut String) {
    let help = help(path);
    let title = ["turnpike".to_owned()].iter().chain(path).cloned().collect::<Vec<_>>().join(" ");
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    text.push_str(&format!("\n## {title}\n\n```text\n{}\n```\n", lines.join("\n").trim_end()));
    for command in commands(&help) {
        let mut inner = path.to_vec();
        inner.push(command);
        section(&inner, text);
    }
}

#[test]
fn the_reference_says_what_the_help_says() {
    let mut text = HEAD.to_owned();
    section(&[], &mut text);
    assert!(text.contains("## turnpike keys rotate"), "sub-commands are found");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/cli.md");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &text).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(written, text, "run: UPDATE_GENERATED=1 cargo test -p cli --test cli reference");
}
