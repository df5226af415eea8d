//! Where the programs of the two planes are: next to this one, or on the path.

use std::env;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::trouble::Trouble;

pub(super) fn find(name: &str) -> Result<PathBuf, Trouble> {
    let own = env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent).map(Path::to_path_buf);
    let path = env::var_os("PATH").unwrap_or_default();
    let found =
        beside.iter().cloned().chain(env::split_paths(&path)).map(|folder| folder.join(name)).find(|file| runs(file));
    found.ok_or_else(|| {
        let beside = beside.unwrap_or_default();
        let advice = "Build all three with `make build`, or install the package that holds them.";
        Trouble::Local(format!("there is no {name} in {} and none on the PATH.\n{advice}", beside.display()))
    })
}

fn runs(file: &Path) -> bool {
    file.metadata().is_ok_and(|known| known.is_file() && known.permissions().mode() & 0o111 != 0)
}

/// How to call this program again, from any folder.
pub(super) fn own_name() -> String {
    let called = env::args_os().next().unwrap_or_else(|| "turnpike".into());
    let called_by_path = Path::new(&called).components().nth(1).is_some();
    let whole = if called_by_path { std::path::absolute(&called).ok() } else { None };
    whole.as_deref().map_or(called.as_os_str(), OsStr::new).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nowhere_is_told_with_what_to_do() {
        let why = find("turnpike-no-such-plane").unwrap_err().to_string();
        assert!(why.contains("no turnpike-no-such-plane in /") && why.contains("make build"), "{why}");
    }

    #[test]
    fn the_path_is_searched() {
        assert!(find("sh").unwrap().ends_with("sh"));
    }
}
