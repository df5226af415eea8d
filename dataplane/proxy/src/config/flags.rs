//! The flags as they are given. Values are texts here, so that all that is wrong with them can be told at once.

use std::path::PathBuf;

use clap::Parser;

/// The proxy of Turnpike: serves LLM traffic by the configuration it is sent.
///
/// Every flag can also be given as an environment variable (TURNPIKE_ and the name in capitals) or as a line
/// `name: value` in the file that --config names. A flag goes before the environment, the environment before the file.
#[derive(Parser, Debug)]
#[command(name = "turnpike-dataplane", version, args_override_self = true)]
pub(super) struct Flags {
    /// A file with one `name: value` a line.
    #[arg(long, env = "TURNPIKE_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Where callers connect; several with commas between.
    #[arg(long, env = "TURNPIKE_LISTEN", value_delimiter = ',', default_value = "127.0.0.1:8080", value_name = "ADDR")]
    pub(super) listen: Vec<String>,
    /// Where operators look: /livez /readyz /metrics /snapshot.
    #[arg(long, env = "TURNPIKE_OPS_LISTEN", default_value = "127.0.0.1:9901", value_name = "ADDR")]
    pub(super) ops_listen: String,
    /// Serve TLS with this certificate chain (PEM).
    #[arg(long, env = "TURNPIKE_TLS_CERT", requires = "tls_key", value_name = "FILE")]
    pub(super) tls_cert: Option<PathBuf>,
    /// The key of --tls-cert (PEM).
    #[arg(long, env = "TURNPIKE_TLS_KEY", requires = "tls_cert", value_name = "FILE")]
    pub(super) tls_key: Option<PathBuf>,
    /// The control plane to take configuration from; several with commas between are tried in turn.
    #[arg(
        long,
        env = "TURNPIKE_CONTROL_PLANE",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:8091",
        value_name = "URL"
    )]
    pub(super) control_plane: Vec<String>,
    /// Trust a control plane whose certificate is signed by these authorities (PEM).
    #[arg(long, env = "TURNPIKE_CONTROL_PLANE_CA", value_name = "FILE")]
    pub(super) control_plane_ca: Option<PathBuf>,
    /// Show the control plane this certificate (PEM).
    #[arg(long, env = "TURNPIKE_CLIENT_CERT", requires = "client_key", value_name = "FILE")]
    pub(super) client_cert: Option<PathBuf>,
    /// The key of --client-cert (PEM).
    #[arg(long, env = "TURNPIKE_CLIENT_KEY", requires = "client_cert", value_name = "FILE")]
    pub(super) client_key: Option<PathBuf>,
    /// Speak to a control plane that is not on this machine without TLS.
    #[arg(long, env = "TURNPIKE_PLANES_INSECURE", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub(super) planes_insecure: bool,
    /// The token that lets this proxy join; better given by file or environment.
    #[arg(long, env = "TURNPIKE_JOIN_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(super) join_token: Option<String>,
    /// A file that holds the join token.
    #[arg(long, env = "TURNPIKE_JOIN_TOKEN_FILE", value_name = "FILE")]
    pub(super) join_token_file: Option<PathBuf>,
    /// The seal keys, the same as the control plane's; better given by file.
    #[arg(long, env = "TURNPIKE_SEAL_KEYS", hide_env_values = true, value_name = "KEYS")]
    pub(super) seal_keys: Option<String>,
    /// A file that holds the seal keys, one a line.
    #[arg(long, env = "TURNPIKE_SEAL_KEYS_FILE", value_name = "FILE")]
    pub(super) seal_keys_file: Option<PathBuf>,
    /// What this proxy calls itself, unique in its fleet. Default: host name and first port.
    #[arg(long, env = "TURNPIKE_NAME", value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Where the last good snapshot is kept, so that a restart needs nobody.
    #[arg(long, env = "TURNPIKE_DATA_DIR", value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// How many cores serve. Default: all there are.
    #[arg(long, env = "TURNPIKE_THREADS", value_name = "N")]
    pub(super) threads: Option<String>,
    /// Trust providers whose certificates are signed by these authorities, besides the public ones (PEM).
    #[arg(long, env = "TURNPIKE_UPSTREAM_CA", value_name = "FILE")]
    pub(super) upstream_ca: Option<PathBuf>,
    /// The largest body a caller may send.
    #[arg(long, env = "TURNPIKE_BODY_BYTES_MAX", default_value = "10485760", value_name = "BYTES")]
    pub(super) body_bytes_max: String,
    /// How many connections of callers are open at once; more are closed at the door.
    #[arg(long, env = "TURNPIKE_CONNECTIONS_MAX", default_value = "20000", value_name = "N")]
    pub(super) connections_max: String,
    /// A caller has this long for the head of a request, and for each kilobyte of its body after that.
    #[arg(long, env = "TURNPIKE_HEAD_TIMEOUT_MS", default_value = "10000", value_name = "MS")]
    pub(super) head_timeout_ms: String,
    /// A connection without a request is closed after this long.
    #[arg(long, env = "TURNPIKE_IDLE_TIMEOUT_MS", default_value = "75000", value_name = "MS")]
    pub(super) idle_timeout_ms: String,
    /// How long requests may go on after the signal to stop.
    #[arg(long, env = "TURNPIKE_DRAIN_SECONDS", default_value = "30", value_name = "SECONDS")]
    pub(super) drain_seconds: String,
    /// Stop when standard input ends: for a parent that wants no orphans.
    #[arg(long, env = "TURNPIKE_EXIT_WITH_PARENT", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub(super) exit_with_parent: bool,
    /// What is logged: error, warn, info, debug, or a filter such as `info,proxy::plane=debug`.
    #[arg(long, env = "TURNPIKE_LOG", default_value = "info", value_name = "FILTER")]
    pub(super) log: String,
}
