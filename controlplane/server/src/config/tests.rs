use super::*;

fn read(flags: &[&str]) -> Result<Bootstrap, Vec<String>> {
    let arguments: Vec<String> = ["turnpike-controlplane"].iter().chain(flags).map(ToString::to_string).collect();
    Bootstrap::from_arguments(&arguments).map_err(|bad| match bad {
        BadBootstrap::Faults(faults) => faults,
        BadBootstrap::Flags(error) => vec![error.to_string()],
    })
}

const SEAL_KEYS: &str = "--seal-keys=AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

#[test]
fn nothing_said_is_answered_with_everything_that_must_be_said() {
    let faults = read(&[]).unwrap_err();
    for what in ["--data-dir", "--admin-token-file", "--seal-keys-file", "--join-token-file"] {
        assert!(faults.iter().any(|fault| fault.starts_with(what)), "{what} in {faults:?}");
    }
    assert!(faults.iter().any(|fault| fault.contains("openssl rand -base64 32")));
}

#[test]
fn the_least_that_must_be_said_is_enough() {
    let bootstrap = read(&["--data-dir=/x", "--admin-token=a", "--join-token=j", SEAL_KEYS]).unwrap();
    assert_eq!(bootstrap.listen.api.port(), 8090);
    assert_eq!(bootstrap.credentials, Credentials::DocumentsOnly);
    assert!(!format!("{bootstrap:?}").contains("AQEB"));
}

#[test]
fn a_file_says_what_flags_say_and_flags_go_first() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("controlplane.conf");
    let lines = format!(
        "data-dir: /from-file\nadmin-token: a\njoin-token: j\napi-listen: 127.0.0.1:1\n{}\n",
        &SEAL_KEYS[2..].replacen('=', ": ", 1)
    );
    std::fs::write(&file, lines).unwrap();
    let config = format!("--config={}", file.display());
    let bootstrap = read(&[&config, "--data-dir=/from-flag"]).unwrap();
    assert!(matches!(&bootstrap.store, Place::Embedded { dir } if dir == Path::new("/from-flag")));
    assert_eq!(bootstrap.listen.api.port(), 1);

    std::fs::write(&file, "data-dri: /x\nnonsense").unwrap();
    assert_eq!(read(&[&config]).unwrap_err().len(), 2);
}

#[test]
fn proxies_elsewhere_want_tls_or_a_word() {
    let said = ["--data-dir=/x", "--admin-token=a", "--join-token=j", SEAL_KEYS, "--planes-listen=0.0.0.0:8091"];
    let faults = read(&said).unwrap_err();
    assert!(faults.len() == 1 && faults[0].contains("--planes-insecure"), "{faults:?}");
    assert!(read(&[&said[..], &["--planes-insecure"]].concat()).is_ok());
}

#[test]
fn an_empty_token_is_no_token() {
    let faults = read(&["--data-dir=/x", "--admin-token= ", "--join-token=j", SEAL_KEYS]).unwrap_err();
    assert!(faults.len() == 1 && faults[0].starts_with("--admin-token-file"), "{faults:?}");
}

#[test]
fn etcd_needs_to_be_found() {
    let faults = read(&["--store=etcd", "--admin-token=a", "--join-token=j", SEAL_KEYS]).unwrap_err();
    assert!(faults.len() == 1 && faults[0].starts_with("--etcd-endpoints"), "{faults:?}");
}
