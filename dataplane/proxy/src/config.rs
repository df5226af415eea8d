//! Bootstrap configuration: sockets, names and keys. Everything else arrives in snapshots.

mod check;
mod flags;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};
use http::Uri;
use trust::{Identity, Keyring};
use vocab::{ProxyName, Secret};

use check::check;
use flags::Flags;

/// Checked and loaded: nothing in here can turn out to be wrong later.
#[derive(Debug)]
pub struct Bootstrap {
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) ops_listen: SocketAddr,
    pub(crate) tls: Option<Identity>,
    pub(crate) planes: Planes,
    pub(crate) keyring: Keyring,
    pub(crate) name: ProxyName,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) threads: usize,
    pub(crate) upstream_ca: Option<Vec<u8>>,
    pub(crate) limits: Limits,
    pub(crate) drain: Duration,
    pub(crate) exit_with_parent: bool,
    pub log: String,
}

/// How to reach the control plane, and what to show it.
#[derive(Debug)]
pub(crate) struct Planes {
    pub(crate) uris: Vec<Uri>,
    pub(crate) ca: Option<Vec<u8>>,
    pub(crate) identity: Option<Identity>,
    pub(crate) token: Option<Secret>,
}

/// What a caller may cost before it is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) body_bytes_max: usize,
    pub(crate) connections_max: usize,
    pub(crate) head: Duration,
    pub(crate) idle: Duration,
}

/// Why there is no bootstrap configuration.
#[derive(Debug)]
pub enum BadBootstrap {
    /// The parser's own answer: an unknown flag, or the help that was asked for.
    Flags(clap::Error),
    Faults(Vec<String>),
}

impl BadBootstrap {
    #[must_use]
    #[expect(clippy::print_stderr, reason = "nothing is set up yet that could log")]
    pub fn explain(self) -> ExitCode {
        match self {
            BadBootstrap::Flags(error) => {
                _ = error.print();
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
            }
            BadBootstrap::Faults(faults) => {
                eprintln!("turnpike-dataplane cannot start:");
                for fault in faults {
                    eprintln!("  - {fault}");
                }
                ExitCode::from(2)
            }
        }
    }
}

impl Bootstrap {
    pub fn read() -> Result<Bootstrap, BadBootstrap> {
        let explicit: Vec<String> = std::env::args().collect();
        // The file's name may itself come from a flag, so the flags are read twice.
        let config = Flags::try_parse_from(&explicit).map_err(BadBootstrap::Flags)?.config;
        let flags = match config {
            None => Flags::try_parse_from(explicit),
            Some(path) => {
                let from_file = file_arguments(&path).map_err(BadBootstrap::Faults)?;
                let (program, rest) = explicit.split_at(explicit.len().min(1));
                Flags::try_parse_from(program.iter().chain(&from_file).chain(rest))
            }
        };
        check(flags.map_err(BadBootstrap::Flags)?).map_err(BadBootstrap::Faults)
    }
}

fn file_arguments(path: &PathBuf) -> Result<Vec<String>, Vec<String>> {
    let text = std::fs::read_to_string(path).map_err(|why| vec![format!("--config {}: {why}", path.display())])?;
    let command = Flags::command();
    let is_flag = |name: &str| command.get_arguments().any(|arg| arg.get_long() == Some(name));
    vocab::bootstrap::arguments(&text, is_flag, |name| std::env::var_os(name).is_some())
        .map_err(|faults| faults.into_iter().map(|fault| format!("{}: {fault}", path.display())).collect())
}
