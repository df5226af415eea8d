//! What can be said on the command line, in the environment and in a file. Values are texts here, so that all that is
//! wrong with them can be told at once.

use std::path::PathBuf;

use clap::{CommandFactory as _, Parser};

use super::BadBootstrap;

/// The control plane of Turnpike: takes resources over REST, and streams what they compile to to the proxies.
///
/// Every flag can also be given as an environment variable (TURNPIKE_ and the name in capitals) or as a line
/// `name: value` in the file that --config names. A flag goes before the environment, the environment before the file.
#[derive(Parser, Debug)]
#[command(name = "turnpike-controlplane", version, args_override_self = true)]
pub(super) struct Flags {
    /// A file with one `name: value` a line.
    #[arg(long, env = "TURNPIKE_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Where operators connect: the REST API.
    #[arg(long, env = "TURNPIKE_API_LISTEN", default_value = "127.0.0.1:8090", value_name = "ADDR")]
    pub(super) api_listen: String,
    /// Where proxies connect: gRPC.
    #[arg(long, env = "TURNPIKE_PLANES_LISTEN", default_value = "127.0.0.1:8091", value_name = "ADDR")]
    pub(super) planes_listen: String,
    /// Where machines look: /livez /readyz /metrics.
    #[arg(long, env = "TURNPIKE_OPS_LISTEN", default_value = "127.0.0.1:9902", value_name = "ADDR")]
    pub(super) ops_listen: String,
    /// Where resources are kept: in a file of this process, or in etcd.
    #[arg(long, env = "TURNPIKE_STORE", default_value = "embedded", value_name = "KIND")]
    pub(super) store: String,
    /// Where the embedded store and the usage log are kept.
    #[arg(long, env = "TURNPIKE_DATA_DIR", value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// The members of etcd, with commas between.
    #[arg(long, env = "TURNPIKE_ETCD_ENDPOINTS", value_delimiter = ',', value_name = "URL")]
    pub(super) etcd_endpoints: Vec<String>,
    /// Everything we write to etcd begins with this.
    #[arg(long, env = "TURNPIKE_ETCD_PREFIX", default_value = "/turnpike", value_name = "PREFIX")]
    pub(super) etcd_prefix: String,
    /// Who we are to etcd, when it asks for a user.
    #[arg(long, env = "TURNPIKE_ETCD_USER", requires = "etcd_password_file", value_name = "USER")]
    pub(super) etcd_user: Option<String>,
    /// A file that holds the password of --etcd-user.
    #[arg(long, env = "TURNPIKE_ETCD_PASSWORD_FILE", requires = "etcd_user", value_name = "FILE")]
    pub(super) etcd_password_file: Option<PathBuf>,
    /// Trust etcd members whose certificates are signed by these authorities (PEM).
    #[arg(long, env = "TURNPIKE_ETCD_CA", value_name = "FILE")]
    pub(super) etcd_ca: Option<PathBuf>,
    /// Show etcd this certificate (PEM).
    #[arg(long, env = "TURNPIKE_ETCD_CERT", requires = "etcd_key", value_name = "FILE")]
    pub(super) etcd_cert: Option<PathBuf>,
    /// The key of --etcd-cert (PEM).
    #[arg(long, env = "TURNPIKE_ETCD_KEY", requires = "etcd_cert", value_name = "FILE")]
    pub(super) etcd_key: Option<PathBuf>,
    /// The token every call of the API must show; better given by file or environment.
    #[arg(long, env = "TURNPIKE_ADMIN_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(super) admin_token: Option<String>,
    /// A file that holds the admin token.
    #[arg(long, env = "TURNPIKE_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub(super) admin_token_file: Option<PathBuf>,
    /// The token that lets a proxy join; better given by file or environment.
    #[arg(long, env = "TURNPIKE_JOIN_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(super) join_token: Option<String>,
    /// A file that holds the join token.
    #[arg(long, env = "TURNPIKE_JOIN_TOKEN_FILE", value_name = "FILE")]
    pub(super) join_token_file: Option<PathBuf>,
    /// The seal keys, the same on every plane; better given by file.
    #[arg(long, env = "TURNPIKE_SEAL_KEYS", hide_env_values = true, value_name = "KEYS")]
    pub(super) seal_keys: Option<String>,
    /// A file that holds the seal keys, one a line.
    #[arg(long, env = "TURNPIKE_SEAL_KEYS_FILE", value_name = "FILE")]
    pub(super) seal_keys_file: Option<PathBuf>,
    /// Serve the API over TLS with this certificate chain (PEM).
    #[arg(long, env = "TURNPIKE_API_TLS_CERT", requires = "api_tls_key", value_name = "FILE")]
    pub(super) api_tls_cert: Option<PathBuf>,
    /// The key of --api-tls-cert (PEM).
    #[arg(long, env = "TURNPIKE_API_TLS_KEY", requires = "api_tls_cert", value_name = "FILE")]
    pub(super) api_tls_key: Option<PathBuf>,
    /// Serve proxies over TLS with this certificate chain (PEM).
    #[arg(long, env = "TURNPIKE_PLANES_TLS_CERT", requires = "planes_tls_key", value_name = "FILE")]
    pub(super) planes_tls_cert: Option<PathBuf>,
    /// The key of --planes-tls-cert (PEM).
    #[arg(long, env = "TURNPIKE_PLANES_TLS_KEY", requires = "planes_tls_cert", value_name = "FILE")]
    pub(super) planes_tls_key: Option<PathBuf>,
    /// Let in only proxies that show a certificate of these authorities (PEM); it must carry the proxy's name.
    #[arg(long, env = "TURNPIKE_PLANES_CLIENT_CA", requires = "planes_tls_cert", value_name = "FILE")]
    pub(super) planes_client_ca: Option<PathBuf>,
    /// Serve proxies on other machines without TLS.
    #[arg(long, env = "TURNPIKE_PLANES_INSECURE", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub(super) planes_insecure: bool,
    /// Let documents name environment variables and files of this process as credentials.
    #[arg(long, env = "TURNPIKE_CREDENTIALS_FROM_ENVIRONMENT", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub(super) credentials_from_environment: bool,
    /// The one directory whose files documents may name as credentials.
    #[arg(long, env = "TURNPIKE_CREDENTIAL_DIR", requires = "credentials_from_environment", value_name = "DIR")]
    pub(super) credential_dir: Option<PathBuf>,
    /// How long calls may go on after the signal to stop.
    #[arg(long, env = "TURNPIKE_DRAIN_SECONDS", default_value = "10", value_name = "SECONDS")]
    pub(super) drain_seconds: String,
    /// Stop when standard input ends: for a parent that wants no orphans.
    #[arg(long, env = "TURNPIKE_EXIT_WITH_PARENT", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub(super) exit_with_parent: bool,
    /// What is logged: error, warn, info, debug, or a filter such as `info,server::stream=debug`.
    #[arg(long, env = "TURNPIKE_LOG", default_value = "info", value_name = "FILTER")]
    pub(super) log: String,
}

impl Flags {
    /// The file's name may itself come from a flag, so the flags are read twice.
    pub(super) fn read(explicit: &[String]) -> Result<Flags, BadBootstrap> {
        let parse = |arguments: &[String]| Flags::try_parse_from(arguments).map_err(BadBootstrap::Flags);
        let Some(path) = parse(explicit)?.config else { return parse(explicit) };
        let from_file = file_arguments(&path).map_err(BadBootstrap::Faults)?;
        let (program, rest) = explicit.split_at(explicit.len().min(1));
        parse(&[program, &from_file, rest].concat())
    }
}

fn file_arguments(path: &PathBuf) -> Result<Vec<String>, Vec<String>> {
    let text = std::fs::read_to_string(path).map_err(|why| vec![format!("--config {}: {why}", path.display())])?;
    let command = Flags::command();
    let is_flag = |name: &str| command.get_arguments().any(|arg| arg.get_long() == Some(name));
    vocab::bootstrap::arguments(&text, is_flag, |name| std::env::var_os(name).is_some())
        .map_err(|faults| faults.into_iter().map(|fault| format!("{}: {fault}", path.display())).collect())
}
