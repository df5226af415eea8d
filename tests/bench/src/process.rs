//! Processes of the rig: started on a core of their own, asked of the kernel what they use, ended with their owner.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fail::{Context as _, Fail};

/// Where a program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Anywhere,
    Core(usize),
}

#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// What it says goes to `DIR/NAME.log`.
    pub fn start(command: &mut Command, name: &str, dir: &Path) -> Result<Process, Fail> {
        let log = dir.join(format!("{name}.log"));
        let file = File::create(&log).doing(log.display())?;
        let child = command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn();
        let child = child.doing(format!("starting {}", command.get_program().to_string_lossy()))?;
        Ok(Process { child, name: name.into(), log })
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The fields of the log line that says `ready`.
    pub fn ready(&mut self, patience: Duration) -> Result<Value, Fail> {
        self.wait_for("ready", patience, |log| {
            let lines = BufReader::new(File::open(log).ok()?).lines().map_while(Result::ok);
            lines
                .filter_map(|line| serde_json::from_str::<Value>(&line).ok())
                .find(|line| text(line, "message") == "ready")
        })
    }

    /// Until somebody listens there: for programs that say nothing.
    pub fn listening(&mut self, address: SocketAddr, patience: Duration) -> Result<(), Fail> {
        self.wait_for("listening", patience, |_| std::net::TcpStream::connect(address).ok().map(drop))
    }

    fn wait_for<T>(&mut self, what: &str, patience: Duration, look: impl Fn(&Path) -> Option<T>) -> Result<T, Fail> {
        let end = Instant::now() + patience;
        loop {
            if let Some(found) = look(&self.log) {
                return Ok(found);
            }
            let ended = self.child.try_wait()?;
            if ended.is_some() || end < Instant::now() {
                let said = fs::read_to_string(&self.log).unwrap_or_default();
                let how =
                    ended.map_or(format!("is not {what} after {patience:?}"), |status| format!("ended: {status}"));
                return Err(Fail(format!("{} {how}\n{said}", self.name)));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Until it has ended by itself; what it has said is in its log.
    pub fn ended(mut self) -> Result<String, Fail> {
        self.child.wait()?;
        fs::read_to_string(&self.log).doing(self.log.display())
    }

    pub fn end(mut self) {
        self.kill();
    }

    fn kill(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A field of a JSON log line, which may stand flat or below `fields`.
#[must_use]
pub fn text<'a>(line: &'a Value, name: &str) -> &'a str {
    line.get(name).or_else(|| line.get("fields")?.get(name)).and_then(Value::as_str).unwrap_or_default()
}

/// The first address of a field that may hold several.
pub fn address(line: &Value, name: &str) -> Result<SocketAddr, Fail> {
    let value = text(line, name);
    let first = value.split(',').next().unwrap_or_default().trim_matches(|c| "[] \"".contains(c));
    // An IPv6 address has brackets of its own; the rig uses IPv4 only.
    first.parse().doing(format!("the address {name:?} of {line}"))
}

/// A command that runs there, with enough files to open. It keeps its process id through the wrappers.
#[must_use]
pub fn command(place: Place, program: &Path) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg("ulimit -n 20000 2>/dev/null || ulimit -n \"$(ulimit -Hn)\"; exec \"$@\"").arg("sh");
    if let Place::Core(core) = place {
        command.args(["taskset", "-c"]).arg(core.to_string());
    }
    command.arg(program);
    command
}

/// Two places when there are two cores and `taskset`: one for what is measured, one for the rest.
#[must_use]
pub fn places() -> (Place, Place) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let taskset = Command::new("taskset").args(["-c", "0", "true"]).status().is_ok_and(|status| status.success());
    if 2 <= cores && taskset { (Place::Core(0), Place::Core(1)) } else { (Place::Anywhere, Place::Anywhere) }
}

/// While it lives, everything in this terminal session goes before the machine's other sessions, if that is allowed.
#[derive(Debug)]
pub struct Precedence(());

const AUTOGROUP: &str = "/proc/self/autogroup";

impl Precedence {
    #[must_use]
    pub fn take() -> Option<Precedence> {
        fs::write(AUTOGROUP, "-20").ok().map(|()| Precedence(()))
    }
}

impl Drop for Precedence {
    fn drop(&mut self) {
        // It is a courtesy to the other sessions; nothing here depends on it.
        _ = fs::write(AUTOGROUP, "0");
    }
}

/// Keeps this very process off the core of what is measured.
pub fn step_aside(rest: Place) {
    if let Place::Core(core) = rest {
        let own = std::process::id().to_string();
        // Without it the figures are a little noisier.
        _ = Command::new("taskset").args(["-a", "-cp", &core.to_string(), &own]).output();
    }
}

/// Time on a CPU of all threads of these processes. The scheduler counts it in nanoseconds.
#[must_use]
pub fn cpu_ns(pids: &[u32]) -> Option<u64> {
    pids.iter().map(|pid| threads_ns(*pid)).sum::<Option<u64>>().filter(|_| !pids.is_empty())
}

fn threads_ns(pid: u32) -> Option<u64> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    // A thread may end between the listing and the look.
    let times = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("schedstat")).ok());
    let times: Vec<u64> = times.filter_map(|text| text.split(' ').next()?.parse().ok()).collect();
    (!times.is_empty()).then(|| times.iter().sum())
}

/// Resident memory.
#[must_use]
pub fn rss_kib(pids: &[u32]) -> Option<u64> {
    pids.iter().map(|pid| one_rss_kib(*pid)).sum::<Option<u64>>().filter(|_| !pids.is_empty())
}

fn one_rss_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// A directory that goes away with its owner.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Result<Scratch, Fail> {
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_nanos());
        let path = std::env::temp_dir().join(format!("{name}-{}-{nanos}", std::process::id()));
        fs::create_dir_all(&path).doing(path.display())?;
        Ok(Scratch(path))
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to the operating system's housekeeping.
        _ = fs::remove_dir_all(&self.0);
    }
}

/// A port nobody listens on just now, for programs that cannot choose one themselves.
pub fn free_address() -> Result<SocketAddr, Fail> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
