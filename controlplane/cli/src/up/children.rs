//! A plane as a child process: started, watched, started again when it dies, and stopped.
//!
//! Each has a process group of its own, so that Ctrl-C reaches only us and we decide the order. Each holds the reading
//! end of a pipe as standard input: should we be killed, it reads its end and stops by itself.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{ChildStdin, Command};
use tokio::time::Instant;

use crate::screen;
use crate::table::plain;
use crate::trouble::Trouble;

const DRAIN_TIME_MAX: Duration = Duration::from_secs(40);
const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// Whoever lived that long did not die of how it was started.
const LONG_LIFE: Duration = Duration::from_secs(60);
const LOG_BYTES_MAX: u64 = 16 << 20;
const LAST_LINES: usize = 12;
const LAST_BYTES: u64 = 16 << 10;

/// What a child may see of the operator's TURNPIKE_* variables: everything else is decided here.
const PASSED_ON: [&str; 8] = [
    "TURNPIKE_LOG",
    "TURNPIKE_STORE",
    "TURNPIKE_UPSTREAM_CA",
    "TURNPIKE_BODY_BYTES_MAX",
    "TURNPIKE_DRAIN_SECONDS",
    "TURNPIKE_THREADS",
    "TURNPIKE_CREDENTIAL_DIR",
    "TURNPIKE_CREDENTIALS_FROM_ENVIRONMENT",
];

#[derive(Debug)]
pub(super) struct Child {
    name: String,
    program: PathBuf,
    arguments: Vec<OsString>,
    log: PathBuf,
    /// Where in the log the present life begins.
    log_start: u64,
    started: Instant,
    backoff: Duration,
    running: Option<tokio::process::Child>,
    /// Our end of its standard input. Not left with the child: waiting for that would close it.
    lifeline: Option<ChildStdin>,
}

impl Child {
    pub(super) fn new(program: PathBuf, arguments: Vec<OsString>, log: PathBuf) -> Child {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (started, backoff) = (Instant::now(), BACKOFF_MIN);
        Child { name, program, arguments, log, log_start: 0, started, backoff, running: None, lifeline: None }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn start(&mut self) -> Result<(), Trouble> {
        let trouble = |why: io::Error| Trouble::Failed(format!("{} cannot be started: {why}", self.program.display()));
        let (out, start) = open_log(&self.log).map_err(trouble)?;
        let errors = out.try_clone().map_err(trouble)?;
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            let ours = name.to_string_lossy();
            if ours.starts_with("TURNPIKE_") && !ours.starts_with("TURNPIKE_ETCD_") && !PASSED_ON.contains(&&*ours) {
                command.env_remove(&name);
            }
        }
        command.args(&self.arguments).env("TURNPIKE_EXIT_WITH_PARENT", "true");
        command.stdin(Stdio::piped()).stdout(out).stderr(errors);
        let mut child = command.process_group(0).kill_on_drop(true).spawn().map_err(trouble)?;
        self.lifeline = child.stdin.take();
        (self.running, self.log_start, self.started) = (Some(child), start, Instant::now());
        Ok(())
    }

    /// Trouble, with its last words, if it is no longer there.
    pub(super) fn check(&mut self) -> Result<(), Trouble> {
        let Some(child) = &mut self.running else { return Ok(()) };
        match child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                self.running = None;
                Err(Trouble::Failed(format!("{} ended: {}.\n{}", self.name, ending(status), self.last_words())))
            }
            Err(why) => Err(Trouble::Failed(format!("{} cannot be watched: {why}", self.name))),
        }
    }

    /// Starts it again whenever it dies, for as long as this is polled.
    pub(super) async fn keep(&mut self) {
        loop {
            let ended = match &mut self.running {
                Some(child) => child.wait().await.map_or_else(|why| why.to_string(), ending),
                None => "it could not be started".to_owned(),
            };
            self.running = None;
            if LONG_LIFE <= self.started.elapsed() {
                self.backoff = BACKOFF_MIN;
            }
            let (seconds, log) = (self.backoff.as_secs(), self.log.display());
            screen::warn(format_args!(
                "{} ended: {ended}; starting it again in {seconds} s; its log is {log}",
                self.name
            ));
            tokio::time::sleep(self.backoff).await;
            self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
            if let Err(trouble) = self.start() {
                screen::warn(trouble);
            }
        }
    }

    /// Lets it finish what it does; kills it when that takes too long.
    pub(super) async fn stop(&mut self) {
        let Some(child) = &mut self.running else { return };
        if !terminate(child).await {
            // Its standard input ends, which it is told to take for the same.
            self.lifeline = None;
        }
        let seconds = DRAIN_TIME_MAX.as_secs();
        match tokio::time::timeout(DRAIN_TIME_MAX, child.wait()).await {
            Ok(_) => self.running = None,
            Err(_) => {
                screen::warn(format_args!("{} did not stop within {seconds} s: killing it", self.name));
                self.kill().await;
            }
        }
    }

    pub(super) async fn kill(&mut self) {
        if let Some(child) = &mut self.running {
            // It may have ended by itself, which is as good.
            _ = child.kill().await;
        }
        self.running = None;
    }

    /// The end of what it logged in its present life.
    pub(super) fn last_words(&self) -> String {
        let text = tail(&self.log, self.log_start).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.iter().rev().take(LAST_LINES).rev().map(|line| format!("  {}\n", plain(line)));
        let last: String = last.collect();
        let log = self.log.display();
        if last.is_empty() {
            format!("{} logged nothing to {log}.\n", self.name)
        } else {
            format!("The end of {log}:\n{last}")
        }
    }
}

/// The one way to send a signal without unsafe code or another dependency: every shell can.
async fn terminate(child: &tokio::process::Child) -> bool {
    let Some(pid) = child.id() else { return true };
    let sent = Command::new("/bin/sh").args(["-c", "kill -TERM \"$0\"", &pid.to_string()]).status().await;
    sent.is_ok_and(|status| status.success())
}

fn ending(status: ExitStatus) -> String {
    status.to_string()
}

/// Opened at its end, and how long it is already. A log that has grown large makes way for a new one.
fn open_log(path: &PathBuf) -> io::Result<(File, u64)> {
    if fs::metadata(path).is_ok_and(|known| LOG_BYTES_MAX < known.len()) {
        fs::rename(path, path.with_extension("log.old"))?;
    }
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

fn tail(path: &PathBuf, start: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(start.max(length.saturating_sub(LAST_BYTES))))?;
    let mut bytes = Vec::new();
    file.take(LAST_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A child that is this line of shell, with a log of its own.
    fn child(name: &str, script: &str) -> Child {
        let log = std::env::temp_dir().join(format!("turnpike-cli-child-{}-{name}.log", std::process::id()));
        Child::new("/bin/sh".into(), vec!["-c".into(), script.into()], log)
    }

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    #[test]
    fn a_child_that_is_watched_keeps_its_standard_input() {
        run(async {
            // Ends when its input does.
            let mut child = child("lifeline", "exec cat");
            child.start().unwrap();
            _ = tokio::time::timeout(Duration::from_millis(300), child.keep()).await;
            child.check().unwrap();
            child.lifeline = None;
            let ended = child.running.as_mut().unwrap().wait().await.unwrap();
            assert!(ended.success());
            fs::remove_file(&child.log).unwrap();
        });
    }

    #[test]
    fn a_child_that_dies_is_started_again() {
        run(async {
            let mut child = child("again", "echo life");
            let log = child.log.clone();
            child.start().unwrap();
            let twice = async {
                while fs::read_to_string(&log).is_ok_and(|text| text.lines().count() < 2) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::select! {
                () = child.keep() => {}
                () = twice => {}
                () = tokio::time::sleep(Duration::from_secs(30)) => panic!("it stayed dead"),
            }
            fs::remove_file(&log).unwrap();
        });
    }

    #[test]
    fn last_words_are_those_of_the_present_life_and_not_too_many() {
        run(async {
            let mut child = child("words", "seq 1 100; exit 3");
            fs::write(&child.log, "an earlier life\n").unwrap();
            child.start().unwrap();
            child.running.as_mut().unwrap().wait().await.unwrap();
            let why = child.check().unwrap_err().to_string();
            assert!(why.starts_with("sh ended: exit status: 3.\nThe end of "), "{why}");
            assert!(
                why.ends_with(":\n  89\n  90\n  91\n  92\n  93\n  94\n  95\n  96\n  97\n  98\n  99\n  100\n"),
                "{why}"
            );
            fs::write(&child.log, "").unwrap();
            assert!(child.last_words().starts_with("sh logged nothing"), "{}", child.last_words());
            fs::remove_file(&child.log).unwrap();
        });
    }

    #[test]
    fn a_log_that_has_grown_makes_way() {
        let path = std::env::temp_dir().join(format!("turnpike-cli-child-{}-large.log", std::process::id()));
        File::create(&path).unwrap().set_len(LOG_BYTES_MAX + 1).unwrap();
        let (_, length) = open_log(&path).unwrap();
        assert_eq!(length, 0);
        let old = path.with_extension("log.old");
        assert_eq!(fs::metadata(&old).unwrap().len(), LOG_BYTES_MAX + 1);
        fs::remove_file(&path).unwrap();
        fs::remove_file(&old).unwrap();
    }
}
