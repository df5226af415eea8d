//! From what the operator typed after `-f` to the files it stands for.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::Source;

/// Far more than anybody writes, far less than memory.
const FILE_BYTES_MAX: u64 = 256 << 20;
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

#[derive(Debug, PartialEq, Eq)]
pub(super) enum File {
    Stdin,
    Path(PathBuf),
}

impl File {
    pub(super) fn source(&self) -> Source {
        match self {
            File::Stdin => Source { name: "-".to_owned(), folder: PathBuf::new() },
            File::Path(path) => Source {
                name: path.display().to_string(),
                folder: path.parent().map(Path::to_path_buf).unwrap_or_default(),
            },
        }
    }

    pub(super) fn text(&self) -> Result<String, String> {
        let mut bytes = Vec::new();
        let read = match self {
            File::Stdin => std::io::stdin().lock().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes),
            File::Path(path) => {
                std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
            }
        };
        let length = read.map_err(|why| format!("cannot be read: {why}"))?;
        if u64::try_from(length).is_ok_and(|length| FILE_BYTES_MAX < length) {
            return Err(format!("is larger than {} MiB", FILE_BYTES_MAX >> 20));
        }
        String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())
    }
}

/// One file, or all that a folder holds, in sorted order.
pub(super) fn find(given: &str) -> Result<Vec<File>, String> {
    if given == "-" {
        return Ok(vec![File::Stdin]);
    }
    let path = Path::new(given);
    let kind = std::fs::metadata(path).map_err(|why| format!("cannot be read: {why}"))?;
    if !kind.is_dir() {
        return Ok(vec![File::Path(path.to_path_buf())]);
    }
    let mut found = Vec::new();
    walk(path, &mut found)?;
    if found.is_empty() {
        return Err(format!("no file in it ends in .{}", ENDINGS.join(" or .")));
    }
    Ok(found.into_iter().map(File::Path).collect())
}

/// Links to files are followed, links to folders are not: they may lead in circles. Names that start with a dot are
/// left out, as they are by every shell.
fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let trouble = |why: std::io::Error| format!("{} cannot be read: {why}", folder.display());
    let mut entries = std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(trouble)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let wanted = path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known));
        if hidden {
            continue;
        }
        if entry.file_type().map_err(trouble)?.is_dir() {
            walk(&path, found)?;
        } else if wanted && path.is_file() {
            found.push(path);
        }
    }
    Ok(())
}
