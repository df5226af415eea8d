//! TLS on every way: callers to the proxy, the proxy to its providers, the planes between themselves.

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::harness::cluster::{ADMIN_TOKEN, JOIN_TOKEN, KEY, SEAL_KEY};
use crate::harness::process::{Process, address, binary};
use crate::harness::temp::Temp;
use crate::harness::{Client, Cluster, Upstream, eventually};

/// An authority and what it has signed: for the server `localhost` and for the proxy `known`.
struct Authority {
    dir: Temp,
}

impl Authority {
    fn new() -> Authority {
        let authority = Authority { dir: Temp::new() };
        authority.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=ca -keyout ca.key -out ca.crt");
        let names = "subjectAltName=DNS:localhost,DNS:known,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n";
        std::fs::write(authority.dir.join("names"), names).unwrap();
        authority.openssl("req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -keyout own.key -out own.csr");
        authority.openssl(
            "x509 -req -in own.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile names -out own.crt",
        );
        authority
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(self.dir.path()).output();
        let output = output.expect("no `openssl` on the path: apt-get install openssl (nothing is skipped in silence)");
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }
}

/// What curl says of a chat through this URL: status and version of HTTP, or nothing when there was no answer.
async fn curl(url: &str, flags: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code} %{http_version}",
        "--max-time",
        "20",
    ]);
    command.args(flags).args(["-H", &format!("authorization: Bearer {KEY}"), "-H", "content-type: application/json"]);
    command.args(["-d", &crate::harness::client::chat_body("small"), &format!("{url}/v1/chat/completions")]);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    String::from_utf8_lossy(&output.expect("curl is installed").stdout).into_owned()
}

#[tokio::test]
async fn callers_are_served_over_tls_in_either_version_of_http() {
    let authority = Authority::new();
    let upstream = Upstream::start().await;
    let (cert, key, ca) = (authority.path("own.crt"), authority.path("own.key"), authority.path("ca.crt"));
    let cluster = Cluster::builder().proxy_flags(&["--tls-cert", &cert, "--tls-key", &key]).serving(&upstream).await;
    let url = format!("https://localhost:{}", cluster.proxies[0].front.port());
    assert_eq!(curl(&url, &["--cacert", &ca]).await, "200 2");
    assert_eq!(curl(&url, &["--cacert", &ca, "--http1.1"]).await, "200 1.1");
    assert_eq!(curl(&url, &["--cacert", &ca, "--tls-max", "1.2"]).await, "200 2");
    assert_eq!(curl(&url, &["--insecure", "--tls-max", "1.1"]).await, "000 0", "older TLS is not spoken");
    assert_eq!(curl(&url.replace("https", "http"), &[]).await.split(' ').next(), Some("000"), "nor is plain text");
}

#[tokio::test]
async fn providers_are_believed_only_with_a_certificate_that_was_signed_for_them() {
    let authority = Authority::new();
    let upstream = Upstream::start().await;
    let (cert, key) = (authority.path("own.crt"), authority.path("own.key"));
    // Another proxy with TLS stands in for a provider.
    let far = Cluster::builder().proxy_flags(&["--tls-cert", &cert, "--tls-key", &key]).serving(&upstream).await;
    let port = far.proxies[0].front.port();
    let near = Cluster::builder().start().await;
    let ca = std::fs::read_to_string(authority.dir.join("ca.crt")).unwrap();
    let cases = [
        (format!("https://localhost:{port}/v1"), Some(&ca), 200),
        (format!("https://127.0.0.1:{port}/v1"), Some(&ca), 200),
        (format!("https://localhost:{port}/v1"), None, 502),
        // Ours by address, but the certificate does not say so.
        (format!("https://127.0.0.2:{port}/v1"), Some(&ca), 502),
    ];
    for (url, ca, status) in cases {
        let documents = json!([
            {"kind": "Provider", "name": "far", "dialect": "openai", "baseUrl": url, "ca": ca, "credential": {"value": KEY}},
            {"kind": "Model", "name": "small", "targets": [{"provider": "far", "model": "small"}]},
            {"kind": "Key", "name": "bench", "secret": KEY, "models": ["*"]},
        ]);
        near.apply(&documents.to_string()).await;
        let told = near.caller().chat("small").await;
        assert_eq!(told.status(), status, "{url} with {}: {}", if ca.is_some() { "ca" } else { "none" }, told.text());
    }
}

struct Planes {
    _control_plane: Process,
    api: std::net::SocketAddr,
    planes: std::net::SocketAddr,
}

async fn mutual(authority: &Authority, dir: &Temp) -> Planes {
    let mut command = Command::new(binary("turnpike-controlplane"));
    command.args(["--api-listen", "127.0.0.1:0", "--planes-listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
    command.args(["--store", "embedded", "--admin-token", ADMIN_TOKEN, "--join-token", JOIN_TOKEN]);
    command.args(["--seal-keys", SEAL_KEY, "--planes-tls-cert", &authority.path("own.crt")]);
    command.args(["--planes-tls-key", &authority.path("own.key"), "--planes-client-ca", &authority.path("ca.crt")]);
    command.args(["--api-tls-cert", &authority.path("own.crt"), "--api-tls-key", &authority.path("own.key")]);
    command.arg("--data-dir").arg(dir.join("data"));
    let mut process = Process::start(&mut command, &dir.join("controlplane.log"));
    let ready = process.ready().await;
    Planes { api: address(&ready, "api"), planes: address(&ready, "planes"), _control_plane: process }
}

/// A proxy of that name whose sockets are open, and the way to its `/readyz`.
async fn proxy(planes: &Planes, dir: &Temp, name: &str, number: usize, flags: &[&str]) -> (Process, Client) {
    let mut command = Command::new(binary("turnpike-dataplane"));
    command.args(["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--threads", "1", "--name", name]);
    command.args(["--join-token", JOIN_TOKEN, "--seal-keys", SEAL_KEY]);
    command.arg("--control-plane").arg(format!("https://localhost:{}", planes.planes.port())).args(flags);
    let log: PathBuf = dir.join(&format!("{name}-{number}.log"));
    let mut process = Process::start(&mut command, &log);
    let ready = process.ready().await;
    (process, Client::new(address(&ready, "ops")))
}

#[tokio::test]
async fn the_planes_know_each_other_by_certificate() {
    let authority = Authority::new();
    let impostor = Authority::new();
    let dir = Temp::new();
    let planes = mutual(&authority, &dir).await;
    let ca = authority.path("ca.crt");
    let own = [
        "--control-plane-ca",
        &ca,
        "--client-cert",
        &authority.path("own.crt"),
        "--client-key",
        &authority.path("own.key"),
    ];
    let (_known, ops) = proxy(&planes, &dir, "known", 0, &own).await;
    eventually("the known proxy is served", async || (ops.get("/readyz").await.status() == 200).then_some(())).await;
    let cases = [
        ("without", vec!["--control-plane-ca", &ca]),
        ("known", vec!["--client-cert", own[3], "--client-key", own[5]]),
        // A certificate is for one name, and does not let its owner in under another.
        ("another", own.to_vec()),
    ];
    for (number, (name, flags)) in cases.iter().enumerate() {
        let (process, ops) = proxy(&planes, &dir, name, number + 1, flags).await;
        eventually("it says why not", async || process.said().contains("not subscribed").then_some(())).await;
        assert_eq!(ops.get("/readyz").await.status(), 503, "{name}: {}", process.said());
    }
    let theirs = [impostor.path("own.crt"), impostor.path("own.key")];
    let flags = ["--control-plane-ca", &ca, "--client-cert", &theirs[0], "--client-key", &theirs[1]];
    let (process, ops) = proxy(&planes, &dir, "known", 9, &flags).await;
    eventually("it says why not", async || process.said().contains("not subscribed").then_some(())).await;
    assert_eq!(ops.get("/readyz").await.status(), 503, "{}", process.said());
    // The API, too, and the command line can be told whom to trust.
    let mut command = Command::new(binary("turnpike"));
    command.args([
        "status",
        "--token",
        ADMIN_TOKEN,
        "--ca",
        &ca,
        "--api",
        &format!("https://localhost:{}", planes.api.port()),
    ]);
    let output = command.current_dir(dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("known") && !said.contains("another"), "{said}");
}
