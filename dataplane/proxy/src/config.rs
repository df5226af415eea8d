//! Bootstrap configuration: sockets, names and keys. Everything else arrives in snapshots.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser};
use http::Uri;
use trust::{Identity, Keyring};
use vocab::{ProxyName, Secret};

/// The proxy of Turnpike: serves LLM traffic by the configuration it is sent.
///
/// Every flag can also be given as an environment variable (TURNPIKE_ and the name in capitals) or as a line
/// `name: value` in the file that --config names. A flag goes before the environment, the environment before the file.
#[derive(Parser, Debug)]
#[command(name = "turnpike-dataplane", version, args_override_self = true)]
struct Flags {
    /// A file with one `name: value` a line.
    #[arg(long, env = "TURNPIKE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where callers connect; several with commas between.
    #[arg(long, env = "TURNPIKE_LISTEN", value_delimiter = ',', default_value = "127.0.0.1:8080", value_name = "ADDR")]
    listen: Vec<SocketAddr>,
    /// Where operators look: /livez /readyz /metrics /snapshot.
    #[arg(long, env = "TURNPIKE_OPS_LISTEN", default_value = "127.0.0.1:9901", value_name = "ADDR")]
    ops_listen: SocketAddr,
    /// Serve TLS with this certificate chain (PEM).
    #[arg(long, env = "TURNPIKE_TLS_CERT", requires = "tls_key", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The key of --tls-cert (PEM).
    #[arg(long, env = "TURNPIKE_TLS_KEY", requires = "tls_cert", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// The control plane to take configuration from; several with commas between are tried in turn.
    #[arg(
        long,
        env = "TURNPIKE_CONTROL_PLANE",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:8091",
        value_name = "URL"
    )]
    control_plane: Vec<Uri>,
    /// Trust a control plane whose certificate is signed by these authorities (PEM).
    #[arg(long, env = "TURNPIKE_CONTROL_PLANE_CA", value_name = "FILE")]
    control_plane_ca: Option<PathBuf>,
    /// Show the control plane this certificate (PEM).
    #[arg(long, env = "TURNPIKE_CLIENT_CERT", requires = "client_key", value_name = "FILE")]
    client_cert: Option<PathBuf>,
    /// The key of --client-cert (PEM).
    #[arg(long, env = "TURNPIKE_CLIENT_KEY", requires = "client_cert", value_name = "FILE")]
    client_key: Option<PathBuf>,
    /// Speak to a control plane that is not on this machine without TLS.
    #[arg(long, env = "TURNPIKE_PLANES_INSECURE", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    planes_insecure: bool,
    /// The token that lets this proxy join; better given by file or environment.
    #[arg(long, env = "TURNPIKE_JOIN_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    join_token: Option<String>,
    /// A file that holds the join token.
    #[arg(long, env = "TURNPIKE_JOIN_TOKEN_FILE", value_name = "FILE")]
    join_token_file: Option<PathBuf>,
    /// The seal keys, the same as the control plane's; better given by file.
    #[arg(long, env = "TURNPIKE_SEAL_KEYS", hide_env_values = true, value_name = "KEYS")]
    seal_keys: Option<String>,
    /// A file that holds the seal keys, one a line.
    #[arg(long, env = "TURNPIKE_SEAL_KEYS_FILE", value_name = "FILE")]
    seal_keys_file: Option<PathBuf>,
    /// What this proxy calls itself, unique in its fleet. Default: host name and first port.
    #[arg(long, env = "TURNPIKE_NAME", value_name = "NAME")]
    name: Option<String>,
    /// Where the last good snapshot is kept, so that a restart needs nobody.
    #[arg(long, env = "TURNPIKE_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// How many cores serve. Default: all there are.
    #[arg(long, env = "TURNPIKE_THREADS", value_name = "N")]
    threads: Option<usize>,
    /// Trust providers whose certificates are signed by these authorities, besides the public ones (PEM).
    #[arg(long, env = "TURNPIKE_UPSTREAM_CA", value_name = "FILE")]
    upstream_ca: Option<PathBuf>,
    /// The largest body a caller may send.
    #[arg(long, env = "TURNPIKE_BODY_BYTES_MAX", default_value_t = 10 << 20, value_name = "BYTES")]
    body_bytes_max: usize,
    /// How many connections of callers are open at once; more are closed at the door.
    #[arg(long, env = "TURNPIKE_CONNECTIONS_MAX", default_value_t = 20_000, value_name = "N")]
    connections_max: usize,
    /// A caller has this long for the head of a request, and for each kilobyte of its body after that.
    #[arg(long, env = "TURNPIKE_HEAD_TIMEOUT_MS", default_value_t = 10_000, value_name = "MS")]
    head_timeout_ms: u64,
    /// A connection without a request is closed after this long.
    #[arg(long, env = "TURNPIKE_IDLE_TIMEOUT_MS", default_value_t = 75_000, value_name = "MS")]
    idle_timeout_ms: u64,
    /// How long requests may go on after the signal to stop.
    #[arg(long, env = "TURNPIKE_DRAIN_SECONDS", default_value_t = 30, value_name = "SECONDS")]
    drain_seconds: u64,
    /// Stop when standard input ends: for a parent that wants no orphans.
    #[arg(long, env = "TURNPIKE_EXIT_WITH_PARENT", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    exit_with_parent: bool,
    /// What is logged: error, warn, info, debug, or a filter such as `info,proxy::plane=debug`.
    #[arg(long, env = "TURNPIKE_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
}

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

/// Collects what is wrong, so that an operator mends a list and not a drip.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn note<T, E: std::fmt::Display>(&mut self, what: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|why| self.0.push(format!("{what}: {why}"))).ok()
    }

    fn file(&mut self, what: &str, path: Option<&PathBuf>) -> Option<Vec<u8>> {
        path.and_then(|path| self.note(&format!("{what} {}", path.display()), std::fs::read(path)))
    }

    /// A secret given directly or by file.
    fn secret(&mut self, what: &str, direct: Option<String>, path: Option<&PathBuf>) -> Option<Secret> {
        let from_file = self.file(&format!("{what}-file"), path);
        let text = from_file.and_then(|bytes| self.note(&format!("{what}-file"), String::from_utf8(bytes)));
        direct.or(text).map(|text| Secret::new(text.trim().to_string())).filter(|secret| !secret.expose().is_empty())
    }

    fn identity(&mut self, what: &str, cert: Option<&PathBuf>, key: Option<&PathBuf>) -> Option<Identity> {
        let chain = self.file(&format!("{what}-cert"), cert);
        let key = self.file(&format!("{what}-key"), key);
        let (chain, key) = chain.zip(key)?;
        let key = self.note(&format!("{what}-key"), String::from_utf8(key))?;
        Some(Identity { chain, key: Secret::new(key) })
    }
}

fn check(flags: Flags) -> Result<Bootstrap, Vec<String>> {
    let mut faults = Faults::default();
    let tls = faults.identity("--tls", flags.tls_cert.as_ref(), flags.tls_key.as_ref());
    if let Some(identity) = &tls {
        faults.note("--tls-cert", trust::server_config(identity, None));
    }
    let upstream_ca = faults.file("--upstream-ca", flags.upstream_ca.as_ref());
    faults.note("--upstream-ca", trust::client_config(upstream_ca.as_deref(), None));
    let keys = faults.secret("--seal-keys", flags.seal_keys.clone(), flags.seal_keys_file.as_ref());
    let keyring = match keys {
        None => {
            faults.0.push("--seal-keys-file: give the file with the control plane's seal keys".into());
            None
        }
        Some(keys) => faults.note("--seal-keys", Keyring::parse(&keys)),
    };
    let name = flags.name.clone().unwrap_or_else(|| default_name(&flags.listen));
    let name = faults.note("--name", ProxyName::new(&name));
    let threads = flags.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    if threads == 0 || threads > 1024 {
        faults.0.push("--threads: between 1 and 1024".into());
    }
    let planes = check_planes(&flags, &mut faults);
    match (keyring, name) {
        (Some(keyring), Some(name)) if faults.0.is_empty() => Ok(Bootstrap {
            listen: flags.listen,
            ops_listen: flags.ops_listen,
            tls,
            planes,
            keyring,
            name,
            data_dir: flags.data_dir,
            threads,
            upstream_ca,
            limits: Limits {
                body_bytes_max: flags.body_bytes_max,
                connections_max: flags.connections_max,
                head: Duration::from_millis(flags.head_timeout_ms),
                idle: Duration::from_millis(flags.idle_timeout_ms),
            },
            drain: Duration::from_secs(flags.drain_seconds),
            exit_with_parent: flags.exit_with_parent,
            log: flags.log,
        }),
        _ => Err(faults.0),
    }
}

fn check_planes(flags: &Flags, faults: &mut Faults) -> Planes {
    let ca = faults.file("--control-plane-ca", flags.control_plane_ca.as_ref());
    let identity = faults.identity("--client", flags.client_cert.as_ref(), flags.client_key.as_ref());
    faults.note("--control-plane-ca", trust::client_config(ca.as_deref(), identity.as_ref()));
    let token = faults.secret("--join-token", flags.join_token.clone(), flags.join_token_file.as_ref());
    if token.is_none() && identity.is_none() {
        faults.0.push("--join-token-file: give a join token, or a certificate with --client-cert".into());
    }
    for uri in &flags.control_plane {
        let host = uri.host().unwrap_or_default();
        let loopback = host == "localhost"
            || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if loopback || flags.planes_insecure => {}
            Some("http") => faults.0.push(format!(
                "--control-plane {uri}: use https, since configuration and tokens travel there (or say --planes-insecure)"
            )),
            _ => faults.0.push(format!("--control-plane {uri}: write http://HOST:PORT or https://HOST:PORT")),
        }
    }
    Planes { uris: flags.control_plane.clone(), ca, identity, token }
}

fn default_name(listen: &[SocketAddr]) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let host = if host.is_empty() { "proxy" } else { host };
    listen.first().map_or_else(|| host.to_string(), |address| format!("{host}-{}", address.port()))
}
