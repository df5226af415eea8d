//! Documents: one title, whole links, one sentence a line.

use std::path::Path;

use crate::tree::{File, files, hold, top};

fn documents() -> impl Iterator<Item = &'static File> {
    files().iter().filter(|file| file.is("md"))
}

/// The lines that are prose: not in a code block.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fence && !fenced
    })
}

#[test]
fn a_document_has_one_title_and_begins_with_it() {
    let mut findings = Vec::new();
    for file in documents() {
        let titles = prose(&file.text).filter(|(_, line)| line.starts_with("# ")).count();
        if titles != 1 || !file.text.starts_with("# ") {
            findings.push(format!("{}: begin with `# Title`, and have no second one ({titles} found)", file.path));
        }
    }
    hold(&findings);
}

#[test]
fn no_link_is_dead() {
    let mut findings = Vec::new();
    for file in documents() {
        let here = top().join(&file.path);
        let here = here.parent().unwrap_or(Path::new("."));
        for (number, line) in prose(&file.text) {
            for link in links(line).filter(|link| !exists(here, link)) {
                findings.push(format!("{}:{number}: nothing is at `{link}`", file.path));
            }
        }
    }
    hold(&findings);
}

fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link)
}

/// Links to other places on the web are not followed: a test asks nobody.
fn exists(here: &Path, link: &str) -> bool {
    let (path, _section) = link.split_once('#').unwrap_or((link, ""));
    link.contains("://") || path.is_empty() || here.join(path).exists()
}

#[test]
fn a_dead_link_is_found() {
    let found: Vec<_> = links("see [a](tidy.rs), [b](none.md#x), [c](https://example.org) and [d](#here)").collect();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dead: Vec<_> = found.iter().filter(|link| !exists(here, link)).collect();
    assert_eq!((found.len(), dead), (4, vec![&"none.md#x"]));
}

#[test]
fn a_line_is_one_sentence() {
    let mut findings = Vec::new();
    for file in documents() {
        let is_sentence = |line: &str| !line.trim_start().starts_with(['|', '<']);
        for (number, line) in prose(&file.text).filter(|(_, line)| is_sentence(line)) {
            if let Some(second) = second_sentence(line) {
                findings.push(format!("{}:{number}: begin a new line at `{second}`", file.path));
            }
        }
    }
    hold(&findings);
}

/// Where a word of at least two letters ends with a full stop and a capital letter follows.
fn second_sentence(line: &str) -> Option<&str> {
    const SHORT: [&str; 4] = ["e.g", "i.e", "etc", "vs"];
    let mut ends = line.match_indices(['.', '?', '!']);
    ends.find_map(|(at, _)| {
        let (before, after) = (line.get(..at)?, line.get(at + 1..)?);
        let next = after.trim_start_matches([')', '"', '`', '*']).strip_prefix(' ')?;
        let word = before.rsplit([' ', '(']).next()?;
        let is_word = word.chars().any(char::is_alphabetic) && word.chars().count() > 1 && !SHORT.contains(&word);
        let begins = next.trim_start_matches(['`', '*', '"', '[', '(']).starts_with(char::is_uppercase);
        (is_word && begins).then(|| next.get(..20).unwrap_or(next))
    })
}

#[test]
fn a_second_sentence_is_found() {
    assert_eq!(second_sentence("It works. So we go on."), Some("So we go on."));
    assert_eq!(second_sentence("It works (mostly). `Then` it does not."), Some("`Then` it does not."));
    assert_eq!(second_sentence("1. A list of version 1.2 or e.g. Debian's; see turnpike.yaml for more."), None);
}
