//! The loads every target is put under, and how one of them is run.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::fail::{Context as _, Fail};
use crate::process::{self, Place};
use crate::target::{Ground, Running};

#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    pub what: &'static str,
    /// Arguments of the load generator.
    load: &'static str,
    seconds: f64,
    /// Latency is compared with the way without any proxy.
    pub direct: bool,
    /// The mock and the load generator go before everything else on their core: their own delays must not be seen in a
    /// tail of microseconds. The target has no such privilege, since its threads must compete as they do elsewhere.
    undisturbed: bool,
}

pub const SCENARIOS: [Scenario; 8] = [
    Scenario {
        name: "S1",
        what: "1 KB prompts, closed loop, 64 connections",
        load: "--prompt-bytes 1024 --connections 64",
        seconds: 4.0,
        direct: true,
        undisturbed: false,
    },
    Scenario {
        name: "S2",
        what: "32 KB prompts, closed loop, 64 connections",
        load: "--prompt-bytes 32768 --connections 64",
        seconds: 3.0,
        direct: false,
        undisturbed: false,
    },
    Scenario {
        name: "S2b",
        what: "200 KB prompts, closed loop, 16 connections",
        load: "--prompt-bytes 204800 --connections 16",
        seconds: 3.0,
        direct: false,
        undisturbed: false,
    },
    Scenario {
        name: "S4b",
        what: "32 streams of 64 chunks at full speed",
        load: "--stream --chunks 64 --pause-ms 0 --connections 32",
        seconds: 3.0,
        direct: false,
        undisturbed: false,
    },
    Scenario {
        name: "C1",
        what: "1 KB prompts, closed loop, one connection",
        load: "--prompt-bytes 1024 --connections 1",
        seconds: 3.0,
        direct: true,
        undisturbed: true,
    },
    Scenario {
        name: "S3",
        what: "1 KB prompts, Poisson arrivals at 500/s, latency from the scheduled time",
        load: "--prompt-bytes 1024 --rate 500",
        seconds: 8.0,
        direct: true,
        undisturbed: true,
    },
    Scenario {
        name: "S4",
        what: "32 streams of 64 chunks, 5 ms apart",
        load: "--stream --chunks 64 --pause-ms 5 --connections 32",
        seconds: 6.0,
        direct: true,
        undisturbed: true,
    },
    Scenario {
        name: "S5",
        what: "2,000 open streams, a chunk every 2 s",
        load: "--stream --hold --chunks 30 --pause-ms 2000 --connections 2000",
        seconds: 20.0,
        direct: false,
        undisturbed: false,
    },
];

impl Scenario {
    /// The load generator's line. An `Err` is a rig that does not work; failed requests stand in the line.
    pub fn run(&self, ground: &Ground, running: &Running, mock: u32, quick: bool) -> Result<Value, Fail> {
        let seconds = if quick && self.name != "S5" { (self.seconds / 4.0).max(1.0) } else { self.seconds };
        let mut command = process::command(ground.rest_place, &ground.home.binaries.join("loadgen"));
        command.args(self.load.split(' ')).arg("--seconds").arg(seconds.to_string());
        command.arg("--target").arg(running.address.to_string());
        if !running.watched.is_empty() {
            let pids: Vec<_> = running.watched.iter().map(u32::to_string).collect();
            command.arg("--watch").arg(pids.join(","));
        }
        let undisturbed = self.undisturbed && raise(mock);
        let command = if undisturbed { raised(&command) } else { command };
        let line = speak(command);
        if undisturbed {
            lower(mock);
        }
        line.doing(format!("{} {}", self.name, self.what))
    }
}

fn speak(mut command: Command) -> Result<Value, Fail> {
    let output = command.output().doing("starting loadgen")?;
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(said.trim()).map_err(|_| Fail(String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// Gives a running process precedence over everything ordinary; says whether it may.
#[must_use]
pub fn raise(pid: u32) -> bool {
    chrt(&["-a", "-r", "-p", "1"], pid)
}

pub fn lower(pid: u32) {
    chrt(&["-a", "-o", "-p", "0"], pid);
}

fn chrt(arguments: &[&str], pid: u32) -> bool {
    let output = Command::new("chrt").args(arguments).arg(pid.to_string()).output();
    output.is_ok_and(|output| output.status.success())
}

/// A command that has this precedence from the start.
#[must_use]
pub fn raised(command: &Command) -> Command {
    let mut raised = Command::new("chrt");
    raised.args(["-r", "1"]).arg(command.get_program()).args(command.get_args());
    raised
}

/// Whether latencies are measured with precedence over the machine's other work.
#[must_use]
pub fn may_raise() -> bool {
    let own = std::process::id();
    let may = raise(own);
    if may {
        lower(own);
    }
    may
}

/// A loop on each core that runs when nothing else wants to: the wake-up of a sleeping virtual core costs tens of
/// microseconds, which are the machine's and not the target's.
pub fn keep_awake(dir: &Path) -> Result<Vec<process::Process>, Fail> {
    let loop_on = |core: &usize| {
        let mut command = process::command(Place::Core(*core), Path::new("chrt"));
        command.args(["-i", "0", "sh", "-c", "while :; do :; done"]);
        process::Process::start(&mut command, &format!("awake-{core}"), dir)
    };
    [0, 1].iter().map(loop_on).collect()
}

/// The mock upstream, on the load generator's core.
pub fn mock(place: Place, binaries: &Path, dir: &Path) -> Result<(process::Process, SocketAddr), Fail> {
    let mut command = process::command(place, &binaries.join("mock-upstream"));
    command.args(["--listen", "127.0.0.1:0"]);
    let mut process = process::Process::start(&mut command, "mock", dir)?;
    let ready = process.ready(std::time::Duration::from_secs(10))?;
    Ok((process, process::address(&ready, "listen")?))
}
