//! Bootstrap configuration: sockets, tokens, keys and the store. Everything else is a resource.

mod flags;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use trust::{Identity, Keyring};
use vocab::Secret;

use crate::store::{Place, etcd};
use flags::Flags;

const RANDOM_LINE: &str = "`openssl rand -base64 32 > FILE`";

/// Checked and loaded: nothing in here can turn out to be wrong later.
#[derive(Debug)]
pub struct Bootstrap {
    pub listen: Listen,
    pub store: Place,
    pub admin_token: Secret,
    pub api_tls: Option<Identity>,
    pub planes: Planes,
    pub keyring: Keyring,
    pub credentials: Credentials,
    pub drain: Duration,
    pub exit_with_parent: bool,
    pub log: String,
}

/// The three doors.
#[derive(Clone, Copy, Debug)]
pub struct Listen {
    pub api: SocketAddr,
    pub planes: SocketAddr,
    pub ops: SocketAddr,
}

/// How proxies are let in. At least one of token and client authority is there; what is there is demanded.
#[derive(Clone, Debug)]
pub struct Planes {
    pub tls: Option<Identity>,
    pub client_ca: Option<Vec<u8>>,
    pub token: Option<Secret>,
}

/// Where the credentials of providers may come from, besides the documents themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    DocumentsOnly,
    Environment { dir: Option<PathBuf> },
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
                eprintln!("turnpike-controlplane cannot start:");
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
        Bootstrap::from_arguments(&explicit)
    }

    /// The first argument is the program's name.
    pub fn from_arguments(arguments: &[String]) -> Result<Bootstrap, BadBootstrap> {
        check(Flags::read(arguments)?).map_err(BadBootstrap::Faults)
    }
}

/// Collects what is wrong, so that an operator mends a list and not a drip.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn note<T, E: std::fmt::Display>(&mut self, what: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|why| self.0.push(format!("{what}: {why}"))).ok()
    }

    fn parse<T: std::str::FromStr>(&mut self, flag: &str, text: &str, meant: &str) -> Option<T> {
        text.parse().map_err(|_| self.0.push(format!("{flag} {text:?}: write {meant}"))).ok()
    }

    fn miss<T>(&mut self, what: Option<T>, sentence: &str) -> Option<T> {
        if what.is_none() {
            self.0.push(sentence.to_string());
        }
        what
    }

    fn file(&mut self, what: &str, path: Option<&Path>) -> Option<Vec<u8>> {
        path.and_then(|path| self.note(&format!("{what} {}", path.display()), std::fs::read(path)))
    }

    /// A secret given directly or by file.
    fn secret(&mut self, what: &str, direct: Option<&String>, path: Option<&Path>) -> Option<Secret> {
        let what = format!("{what}-file");
        let from_file = self.file(&what, path).and_then(|bytes| self.note(&what, String::from_utf8(bytes)));
        let text = direct.cloned().or(from_file)?;
        Some(Secret::new(text.trim().to_string())).filter(|secret| !secret.expose().is_empty())
    }

    fn identity(&mut self, what: &str, cert: Option<&Path>, key: Option<&Path>) -> Option<Identity> {
        let chain = self.file(&format!("{what}-cert"), cert);
        let key_what = format!("{what}-key");
        let key = self.file(&key_what, key);
        let (chain, key) = chain.zip(key)?;
        let key = self.note(&key_what, String::from_utf8(key))?;
        Some(Identity { chain, key: Secret::new(key) })
    }
}

fn check(flags: Flags) -> Result<Bootstrap, Vec<String>> {
    let mut faults = Faults::default();
    let store = check_store(&flags, &mut faults);
    let admin_token = faults.secret("--admin-token", flags.admin_token.as_ref(), flags.admin_token_file.as_deref());
    let admin_token = faults.miss(
        admin_token,
        &format!("--admin-token-file: give the token that API calls must show; make one with {RANDOM_LINE}"),
    );
    let keys = faults.secret("--seal-keys", flags.seal_keys.as_ref(), flags.seal_keys_file.as_deref());
    let keys = faults.miss(
        keys,
        &format!("--seal-keys-file: give the keys that credentials are sealed with; make one with {RANDOM_LINE}"),
    );
    let keyring = keys.and_then(|keys| faults.note("--seal-keys", Keyring::parse(&keys)));
    let api_tls = faults.identity("--api-tls", flags.api_tls_cert.as_deref(), flags.api_tls_key.as_deref());
    if let Some(identity) = &api_tls {
        faults.note("--api-tls-cert", trust::server_config(identity, None));
    }
    let listen = check_listen(&flags, &mut faults);
    let planes = check_planes(&flags, listen.as_ref(), &mut faults);
    let drain = faults.parse("--drain-seconds", &flags.drain_seconds, "a whole number").map(Duration::from_secs);
    faults.note("--log", EnvFilter::try_new(&flags.log));
    match (listen, store, admin_token, keyring, drain) {
        (Some(listen), Some(store), Some(admin_token), Some(keyring), Some(drain)) if faults.0.is_empty() => {
            Ok(Bootstrap {
                listen,
                store,
                admin_token,
                api_tls,
                planes,
                keyring,
                credentials: match flags.credentials_from_environment {
                    true => Credentials::Environment { dir: flags.credential_dir },
                    false => Credentials::DocumentsOnly,
                },
                drain,
                exit_with_parent: flags.exit_with_parent,
                log: flags.log,
            })
        }
        _ => Err(faults.0),
    }
}

fn check_listen(flags: &Flags, faults: &mut Faults) -> Option<Listen> {
    const ADDRESS: &str = "an address and a port, as in 127.0.0.1:8090 or [::1]:8090";
    let api = faults.parse("--api-listen", &flags.api_listen, ADDRESS);
    let planes = faults.parse("--planes-listen", &flags.planes_listen, ADDRESS);
    let ops = faults.parse("--ops-listen", &flags.ops_listen, ADDRESS);
    Some(Listen { api: api?, planes: planes?, ops: ops? })
}

fn check_store(flags: &Flags, faults: &mut Faults) -> Option<Place> {
    match flags.store.as_str() {
        "embedded" => {
            let dir = flags.data_dir.clone();
            let dir = faults.miss(dir, "--data-dir: say where the embedded store is kept, or use --store etcd");
            dir.map(|dir| Place::Embedded { dir })
        }
        "etcd" => {
            if flags.etcd_endpoints.is_empty() {
                faults.0.push("--etcd-endpoints: say where etcd is, e.g. http://127.0.0.1:2379".into());
            }
            let mut options = etcd::Options::new(flags.etcd_endpoints.clone());
            options.prefix = flags.etcd_prefix.clone();
            let password = faults.secret("--etcd-password", None, flags.etcd_password_file.as_deref());
            options.user = flags.etcd_user.clone().zip(password);
            options.ca = faults.file("--etcd-ca", flags.etcd_ca.as_deref());
            let identity = faults.identity("--etcd", flags.etcd_cert.as_deref(), flags.etcd_key.as_deref());
            faults.note("--etcd-ca", trust::client_config(options.ca.as_deref(), identity.as_ref()));
            options.identity = identity.map(|identity| (identity.chain, identity.key));
            Some(Place::Etcd(Box::new(options)))
        }
        other => {
            faults.0.push(format!("--store {other:?}: write embedded or etcd"));
            None
        }
    }
}

fn check_planes(flags: &Flags, listen: Option<&Listen>, faults: &mut Faults) -> Planes {
    let tls = faults.identity("--planes-tls", flags.planes_tls_cert.as_deref(), flags.planes_tls_key.as_deref());
    let client_ca = faults.file("--planes-client-ca", flags.planes_client_ca.as_deref());
    if let Some(identity) = &tls {
        faults.note("--planes-tls-cert", trust::server_config(identity, client_ca.as_deref()));
    }
    let token = faults.secret("--join-token", flags.join_token.as_ref(), flags.join_token_file.as_deref());
    if token.is_none() && client_ca.is_none() {
        faults.0.push(format!(
            "--join-token-file: give the token that lets proxies join (make one with {RANDOM_LINE}), or --planes-client-ca"
        ));
    }
    let is_exposed = listen.is_some_and(|listen| !listen.planes.ip().is_loopback());
    if tls.is_none() && is_exposed && !flags.planes_insecure {
        faults.0.push(format!(
            "--planes-listen {}: proxies on other machines need TLS, since keys and credentials travel there: \
             give --planes-tls-cert and --planes-tls-key (or say --planes-insecure)",
            flags.planes_listen
        ));
    }
    Planes { tls, client_ca, token }
}

#[cfg(test)]
mod tests;
