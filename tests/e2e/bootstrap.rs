//! How a plane is told where to stand: by flags, environment or file, with all that is wrong said at once.

use crate::harness::Client;
use crate::harness::cluster::{ADMIN_TOKEN, JOIN_TOKEN, SEAL_KEY};
use crate::harness::process::{Process, binary};
use crate::harness::temp::Temp;

/// Runs one plane with these flags and says how it ended and what it said.
async fn bootstrap(name: &str, flags: &[&str]) -> (Option<i32>, String) {
    let dir = Temp::new();
    let mut command = std::process::Command::new(binary(name));
    command.args(flags);
    let mut process = Process::start(&mut command, &dir.join("log"));
    let status = process.ended(std::time::Duration::from_secs(20)).await;
    (status.code(), process.said())
}

#[tokio::test]
async fn a_bad_bootstrap_ends_with_all_faults_and_code_2() {
    let (code, said) = bootstrap(
        "turnpike-controlplane",
        &["--api-listen", "nowhere", "--store", "papyrus", "--seal-keys", "short", "--admin-token", ADMIN_TOKEN],
    )
    .await;
    assert_eq!(code, Some(2), "{said}");
    for word in ["api-listen", "store", "seal-keys"] {
        assert!(said.contains(word), "{word} is not named in: {said}");
    }
    let (code, said) = bootstrap(
        "turnpike-dataplane",
        &["--listen", "nowhere", "--control-plane", "not a url", "--threads", "none", "--seal-keys", SEAL_KEY],
    )
    .await;
    assert_eq!(code, Some(2), "{said}");
    for word in ["listen", "control-plane", "threads"] {
        assert!(said.contains(word), "{word} is not named in: {said}");
    }
}

#[tokio::test]
async fn nobody_serves_without_tokens_or_sends_them_over_the_network_in_the_clear() {
    let dir = Temp::new();
    let data = dir.path().to_string_lossy().into_owned();
    let (code, said) =
        bootstrap("turnpike-controlplane", &["--store", "embedded", "--data-dir", &data, "--seal-keys", SEAL_KEY])
            .await;
    assert_eq!(code, Some(2), "no admin token, no service: {said}");
    assert!(said.contains("admin-token"), "{said}");
    let far = ["--control-plane", "http://192.0.2.1:8091", "--join-token", JOIN_TOKEN, "--seal-keys", SEAL_KEY];
    let (code, said) = bootstrap("turnpike-dataplane", &far).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("https"), "it says what to do: {said}");
}

#[tokio::test]
async fn a_config_file_and_the_environment_say_the_same_as_flags() {
    let dir = Temp::new();
    let file = dir.join("turnpike.conf");
    let data = dir.join("data");
    std::fs::write(
        &file,
        format!(
            "api-listen: 127.0.0.1:0\nplanes-listen: 127.0.0.1:0\nops-listen: 127.0.0.1:0\nstore: embedded\n\
                 data-dir: {}\nadmin-token: from-the-file-0123456789abcdef\nseal-keys: {SEAL_KEY}\n",
            data.display()
        ),
    )
    .unwrap();
    let mut command = std::process::Command::new("env");
    command.args(["-u", "TURNPIKE_CONFIG", "TURNPIKE_JOIN_TOKEN=from-the-environment-0123456789"]);
    command.arg(binary("turnpike-controlplane")).arg("--config").arg(&file);
    let mut process = Process::start(&mut command, &dir.join("log"));
    let ready = process.ready().await;
    let api = crate::harness::process::address(&ready, "api");
    let client = Client::new(api).key("from-the-file-0123456789abcdef");
    assert_eq!(client.get("/v1/status").await.status(), 200);
    std::fs::write(&file, "api-listen: 127.0.0.1:0\ncolour: blue\nshape: round\n").unwrap();
    let (code, said) = bootstrap("turnpike-controlplane", &["--config", &file.to_string_lossy()]).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("colour") && said.contains("shape"), "{said}");
}
