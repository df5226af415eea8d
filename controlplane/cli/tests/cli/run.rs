//! Running the binary in a folder of its own, with nothing of our environment.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("turnpike-cli-test-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A test that fails has more important things to say.
        _ = fs::remove_dir_all(&self.0);
    }
}

#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// The binary without a byte of our environment.
pub(crate) fn command(program: &Path, folder: &Folder) -> Command {
    let mut command = Command::new(program);
    command.current_dir(&folder.0).env_clear().stdin(Stdio::null());
    command
}

pub(crate) fn turnpike(folder: &Folder) -> Command {
    command(Path::new(env!("CARGO_BIN_EXE_turnpike")), folder)
}

/// The words of the line, split at spaces, and then those that hold spaces themselves.
pub(crate) fn run(folder: &Folder, line: &str, more: &[&str]) -> Ran {
    turnpike(folder).args(line.split_whitespace()).args(more).output().unwrap().into()
}

pub(crate) fn run_with_input(folder: &Folder, line: &str, input: &str) -> Ran {
    let mut command = turnpike(folder);
    command.args(line.split_whitespace()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}
