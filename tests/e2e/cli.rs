//! The command line: what the API offers, from a shell, with exit codes scripts can rely on.

use std::process::{Command, Output};

use crate::harness::cluster::{ADMIN_TOKEN, CREDENTIAL, KEY};
use crate::harness::process::binary;
use crate::harness::temp::Temp;
use crate::harness::{Client, Cluster, Upstream};

struct Shell {
    dir: Temp,
    api: String,
}

impl Shell {
    fn new(cluster: &Cluster) -> Shell {
        Shell { dir: Temp::new(), api: format!("http://{}", cluster.control_planes[0].front) }
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary("turnpike"));
        command.args(arguments).current_dir(self.dir.path()).env("NO_COLOR", "1");
        command.env("TURNPIKE_API", &self.api).env("TURNPIKE_TOKEN", ADMIN_TOKEN).env("SOME_CREDENTIAL", CREDENTIAL);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    async fn good(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// Exit code, and everything it said.
    async fn bad(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments).await;
        assert!(!output.status.success(), "{arguments:?}: {}", text(&output.stdout));
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(!said.contains("panicked"), "{said}");
        (output.status.code().unwrap(), said)
    }

    fn file(&self, name: &str, content: &str) {
        std::fs::write(self.dir.join(name), content).unwrap();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn documents_and_keys_are_managed_from_the_shell() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::builder().start().await;
    let shell = Shell::new(&cluster);
    let documents = crate::harness::cluster::documents(upstream.address);
    // The credential is looked up here, on the operator's machine.
    shell.file("all.yaml", &documents.replace(&format!("{{value: {CREDENTIAL}}}"), "{env: SOME_CREDENTIAL}"));
    shell.good(&["validate", "-f", "all.yaml"]).await;
    shell.good(&["apply", "-f", "all.yaml", "--dry-run"]).await;
    assert_eq!(cluster.api().get("models").await.ok()["data"].as_array().unwrap().len(), 0);
    shell.good(&["apply", "-f", "all.yaml", "--wait"]).await;
    assert_eq!(cluster.caller().chat("small").await.status(), 200, "--wait has waited for the proxy");
    assert_eq!(upstream.last().message.header("authorization"), Some(format!("Bearer {CREDENTIAL}").as_str()));
    let secret = shell.good(&["keys", "create", "mine", "--model", "*", "--team", "search", "--quiet"]).await;
    shell.good(&["status", "--wait"]).await;
    let mine = Client::new(cluster.proxies[0].front).key(secret.trim());
    assert_eq!(mine.chat("small").await.status(), 200);
    let second = shell.good(&["keys", "rotate", "mine", "--quiet"]).await;
    shell.good(&["status", "--wait"]).await;
    assert_eq!(mine.chat("small").await.status(), 401);
    let mine = Client::new(cluster.proxies[0].front).key(second.trim());
    assert_eq!(mine.chat("small").await.status(), 200);
    shell.good(&["keys", "revoke", "mine", "--wait"]).await;
    assert_eq!(mine.chat("small").await.status(), 401);
    let list = shell.good(&["keys", "list"]).await;
    assert!(list.contains("mine") && list.contains("bench"), "{list}");
    let got = shell.good(&["get", "keys", "bench"]).await;
    assert!(got.contains("prod") && !got.contains(KEY), "{got}");
    let exported = shell.good(&["export"]).await;
    shell.file("exported.yaml", &exported);
    shell.good(&["validate", "-f", "exported.yaml"]).await;
    shell.good(&["delete", "keys", "mine"]).await;
    shell.good(&["apply", "-f", "exported.yaml"]).await;
    assert_eq!(cluster.api().get("keys/mine").await.ok()["disabled"], true);
}

#[tokio::test]
async fn faults_are_found_offline_and_all_at_once() {
    let cluster = Cluster::builder().proxies(0).start().await;
    let shell = Shell::new(&cluster);
    shell.file(
        "bad.yaml",
        "kind: Model\nname: m\ntargets: [{provider: nowhere, model: x}]\n---\nkind: Team\nname: t\ncolour: blue\n",
    );
    for verb in ["validate", "apply"] {
        let (code, said) = shell.bad(&[verb, "-f", "bad.yaml"]).await;
        assert_eq!(code, 1, "{verb}: {said}");
        for word in ["bad.yaml", "nowhere", "colour"] {
            assert!(said.contains(word), "{verb}: {word} is not in {said}");
        }
    }
    let (code, said) = shell.bad(&["apply", "-f", "no-such-file.yaml"]).await;
    assert_eq!(code, 2, "{said}");
    let (code, said) = shell.bad(&["get", "spaceships"]).await;
    assert!([1, 2].contains(&code) && said.contains("providers"), "{said}");
    let (code, said) = shell.bad(&["delete", "teams", "nobody"]).await;
    assert_eq!(code, 1, "{said}");
    let mut stranger = Command::new(binary("turnpike"));
    stranger
        .args(["get", "keys"])
        .env("TURNPIKE_API", &shell.api)
        .env("TURNPIKE_TOKEN", "wrong")
        .current_dir(shell.dir.path());
    let output = stranger.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let nowhere = format!("http://127.0.0.1:{}", crate::harness::process::free_port());
    let (code, said) = shell.bad(&["status", "--api", &nowhere]).await;
    assert_eq!(code, 3, "{said}");
    assert!(said.contains(&nowhere), "{said}");
}
