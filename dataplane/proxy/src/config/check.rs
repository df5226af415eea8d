//! From flags to a bootstrap configuration in which nothing can turn out to be wrong later.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use trust::{Identity, Keyring};
use vocab::{ProxyName, Secret};

use super::flags::Flags;
use super::{Bootstrap, Limits, Planes};

const ADDRESS: &str = "an address and a port, as in 127.0.0.1:8080 or [::1]:8080";
const NUMBER: &str = "a whole number";
const PLANE: &str = "http://HOST:PORT or https://HOST:PORT";

/// Collects what is wrong, so that an operator mends a list and not a drip.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn parse<T>(&mut self, flag: &str, text: &str, meant: &str) -> Option<T>
    where
        T: std::str::FromStr,
    {
        text.parse().map_err(|_| self.0.push(format!("{flag} {text:?}: write {meant}"))).ok()
    }

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

/// Every fault there is, or a configuration without one.
pub(super) fn check(flags: Flags) -> Result<Bootstrap, Vec<String>> {
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
    let listen = flags.listen.iter().filter_map(|text| faults.parse("--listen", text, ADDRESS)).collect::<Vec<_>>();
    let ops_listen = faults.parse("--ops-listen", &flags.ops_listen, ADDRESS);
    let name = flags.name.clone().unwrap_or_else(|| default_name(&listen));
    let name = faults.note("--name", ProxyName::new(&name));
    let threads = threads(flags.threads.as_deref(), &mut faults);
    let limits = limits(&flags, &mut faults);
    let drain = faults.parse("--drain-seconds", &flags.drain_seconds, NUMBER).map(Duration::from_secs);
    let planes = check_planes(&flags, &mut faults);
    match (keyring, name, ops_listen, threads, limits, drain) {
        (Some(keyring), Some(name), Some(ops_listen), Some(threads), Some(limits), Some(drain))
            if faults.0.is_empty() =>
        {
            Ok(Bootstrap {
                listen,
                ops_listen,
                tls,
                planes,
                keyring,
                name,
                data_dir: flags.data_dir,
                threads,
                upstream_ca,
                limits,
                drain,
                exit_with_parent: flags.exit_with_parent,
                log: flags.log,
            })
        }
        _ => Err(faults.0),
    }
}

fn threads(text: Option<&str>, faults: &mut Faults) -> Option<usize> {
    let Some(text) = text else { return Some(std::thread::available_parallelism().map_or(1, usize::from)) };
    let threads = text.parse().ok().filter(|threads| (1..=1024).contains(threads));
    if threads.is_none() {
        faults.0.push(format!("--threads {text:?}: write a number between 1 and 1024"));
    }
    threads
}

fn limits(flags: &Flags, faults: &mut Faults) -> Option<Limits> {
    let body_bytes_max = faults.parse("--body-bytes-max", &flags.body_bytes_max, NUMBER);
    let connections_max = faults.parse("--connections-max", &flags.connections_max, NUMBER);
    let head = faults.parse("--head-timeout-ms", &flags.head_timeout_ms, NUMBER).map(Duration::from_millis);
    let idle = faults.parse("--idle-timeout-ms", &flags.idle_timeout_ms, NUMBER).map(Duration::from_millis);
    Some(Limits { body_bytes_max: body_bytes_max?, connections_max: connections_max?, head: head?, idle: idle? })
}

fn check_planes(flags: &Flags, faults: &mut Faults) -> Planes {
    let ca = faults.file("--control-plane-ca", flags.control_plane_ca.as_ref());
    let identity = faults.identity("--client", flags.client_cert.as_ref(), flags.client_key.as_ref());
    faults.note("--control-plane-ca", trust::client_config(ca.as_deref(), identity.as_ref()));
    let token = faults.secret("--join-token", flags.join_token.clone(), flags.join_token_file.as_ref());
    if token.is_none() && identity.is_none() {
        faults.0.push("--join-token-file: give a join token, or a certificate with --client-cert".into());
    }
    let uris: Vec<Uri> =
        flags.control_plane.iter().filter_map(|text| faults.parse("--control-plane", text, PLANE)).collect();
    for uri in &uris {
        let host = uri.host().unwrap_or_default();
        let loopback = host == "localhost"
            || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if loopback || flags.planes_insecure => {}
            Some("http") => faults.0.push(format!(
                "--control-plane {uri}: use https, since configuration and tokens travel there (or say --planes-insecure)"
            )),
            _ => faults.0.push(format!("--control-plane {uri}: write {PLANE}")),
        }
    }
    Planes { uris, ca, identity, token }
}

fn default_name(listen: &[SocketAddr]) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let host = if host.is_empty() { "proxy" } else { host };
    listen.first().map_or_else(|| host.to_string(), |address| format!("{host}-{}", address.port()))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn every_fault_is_told_at_once() {
        let given =
            ["x", "--listen", "nowhere", "--control-plane", "not a url", "--threads", "none", "--seal-keys", "short"];
        let faults = check(Flags::try_parse_from(given).unwrap()).unwrap_err();
        for flag in ["--listen", "--control-plane", "--threads", "--seal-keys", "--join-token"] {
            assert!(faults.iter().any(|fault| fault.starts_with(flag)), "{flag} is not in {faults:?}");
        }
    }

    #[test]
    fn a_token_does_not_travel_in_the_clear_unless_it_is_said_to() {
        let keys = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let given = |more: &[&str]| {
            let flags = [&["x", "--seal-keys", keys, "--join-token", "t"], more].concat();
            check(Flags::try_parse_from(flags).unwrap())
        };
        assert!(given(&["--control-plane", "http://10.0.0.1:8091"]).is_err());
        assert!(given(&["--control-plane", "http://10.0.0.1:8091", "--planes-insecure"]).is_ok());
        for plane in ["https://10.0.0.1:8091", "http://127.0.0.1:8091", "http://[::1]:8091", "http://localhost:8091"] {
            assert!(given(&["--control-plane", plane]).is_ok(), "{plane}");
        }
    }
}
