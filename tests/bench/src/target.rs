//! What is measured: a program between the load and the mock, started anew for every round.

pub mod nginx;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::fail::Fail;
use crate::process::{self, Place, Process};
use crate::stack::{self, Home};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The load generator straight to the mock: what "added" is measured from.
    Direct,
    Nginx,
    Turnpike,
    /// Any other proxy: a shell command with `{listen}` and `{upstream}` in it.
    Also {
        name: String,
        command: String,
    },
}

/// A target that serves; it ends when this is dropped.
#[derive(Debug)]
pub struct Running {
    pub address: SocketAddr,
    /// What is measured, which is not all that runs.
    pub watched: Vec<u32>,
    _processes: Vec<Process>,
}

/// What every target needs to know to start.
#[derive(Debug, Clone)]
pub struct Ground {
    pub home: Home,
    pub upstream: SocketAddr,
    pub target_place: Place,
    pub rest_place: Place,
}

impl Target {
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Target::Direct => "direct",
            Target::Nginx => "nginx",
            Target::Turnpike => "turnpike",
            Target::Also { name, .. } => name,
        }
    }

    pub fn start(&self, ground: &Ground, round: usize) -> Result<Running, Fail> {
        match self {
            Target::Direct => Ok(Running { address: ground.upstream, watched: Vec::new(), _processes: Vec::new() }),
            Target::Nginx => nginx::start(ground, round),
            Target::Turnpike => turnpike(ground, round),
            Target::Also { name, command } => also(ground, &format!("{name}-{round}"), command),
        }
    }
}

fn turnpike(ground: &Ground, round: usize) -> Result<Running, Fail> {
    let control_plane = ground.home.control_plane(ground.rest_place, &format!("controlplane-{round}"))?;
    let documents = stack::documents(ground.upstream);
    control_plane.api().call("POST", "/v1/apply", documents.as_bytes())?;
    let proxy = ground.home.proxy(ground.target_place, &format!("dataplane-{round}"), &control_plane)?;
    proxy.serves(stack::KEY)?;
    let watched = vec![proxy.process.pid()];
    Ok(Running { address: proxy.listen, watched, _processes: vec![proxy.process, control_plane.process] })
}

fn also(ground: &Ground, name: &str, command: &str) -> Result<Running, Fail> {
    let address = process::free_address()?;
    let command = command.replace("{listen}", &address.to_string());
    let command = command.replace("{upstream}", &ground.upstream.to_string());
    let mut shell = process::command(ground.target_place, Path::new("sh"));
    // The shell hands its process over, so that the one that is watched is the one that works.
    shell.arg("-c").arg(format!("exec env {command}"));
    let mut process = Process::start(&mut shell, name, &ground.home.dir)?;
    process.listening(address, Duration::from_secs(10))?;
    Ok(Running { address, watched: vec![process.pid()], _processes: vec![process] })
}
