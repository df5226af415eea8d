//! The files of the project: found once, read once.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Made by tools or by running the thing; never read.
const NOT_OURS: [&str; 8] =
    ["target", "data", "node_modules", "dist", "__pycache__", "corpus", "artifacts", "coverage"];

/// Hidden entries that are part of the project all the same.
const HIDDEN_BUT_OURS: [&str; 3] = [".cargo", ".ci", ".gitignore"];

#[derive(Debug)]
pub(crate) struct File {
    /// From the top of the project, with `/`.
    pub path: String,
    pub text: String,
}

impl File {
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    pub(crate) fn is(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == extension)
    }

    pub(crate) fn is_generated(&self) -> bool {
        self.path.contains("/gen/")
    }
}

pub(crate) fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests have a parent directory").to_path_buf()
}

/// Every text file, sorted by path.
pub(crate) fn files() -> &'static [File] {
    static FILES: OnceLock<Vec<File>> = OnceLock::new();
    FILES.get_or_init(|| {
        let mut files = Vec::new();
        walk(&top(), "", &mut files);
        files.sort_by(|one, other| one.path.cmp(&other.path));
        assert!(files.len() > 50, "the walk found only {} files", files.len());
        files
    })
}

pub(crate) fn file(path: &str) -> &'static File {
    let found = files().iter().find(|file| file.path == path);
    found.unwrap_or_else(|| panic!("{path} is missing"))
}

pub(crate) fn sources() -> impl Iterator<Item = &'static File> {
    files().iter().filter(|file| file.is("rs") && !file.is_generated())
}

/// The one way a rule speaks: all findings at once.
pub(crate) fn hold(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n{} to mend", findings.join("\n"), findings.len());
}

fn walk(directory: &Path, prefix: &str, files: &mut Vec<File>) {
    for entry in fs::read_dir(directory).expect("a directory of the project can be listed") {
        let entry = entry.expect("an entry of the project can be listed");
        let name = entry.file_name().to_string_lossy().into_owned();
        let hidden = name.starts_with('.') && !HIDDEN_BUT_OURS.contains(&name.as_str());
        if hidden || NOT_OURS.contains(&name.as_str()) {
            continue;
        }
        let path = format!("{prefix}{name}");
        if entry.path().is_dir() {
            walk(&entry.path(), &format!("{path}/"), files);
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            files.push(File { path, text });
        }
    }
}
