//! Certificates and passwords, presented to an etcd that wants both.

use std::process::Command;
use std::time::Duration;

use server::store::StoreError;
use server::store::etcd::Options;
use vocab::{Revision, Secret};

use crate::etcd::{open_etcd, refused};
use crate::scratch::{Scratch, eventually};
use crate::shared::{key, next_commit, put};
use crate::world::EtcdServer;

const MAKE_CERTIFICATES: &str = r#"
    new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key -out $1.csr -subj /CN=$1; }
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -keyout ca.key -out ca.pem -subj /CN=ca
    printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n' > ext
    for name in server client; do
        new $name; openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out $name.pem
    done
"#;

/// An etcd that wants a certificate, and a password as soon as `lock` was called.
struct Guarded {
    files: Scratch,
    server: EtcdServer,
}

impl Guarded {
    fn start() -> Guarded {
        let files = Scratch::new();
        shell(&files, MAKE_CERTIFICATES);
        let file = |name: &str| files.path().join(name).display().to_string();
        let arguments = [
            format!("--cert-file={}", file("server.pem")),
            format!("--key-file={}", file("server.key")),
            format!("--trusted-ca-file={}", file("ca.pem")),
            "--client-cert-auth".to_owned(),
        ];
        let server = EtcdServer::prepare("https", &arguments);
        server.run();
        let guarded = Guarded { files, server };
        let ask = guarded.etcdctl("endpoint health");
        shell(&guarded.files, &format!("for n in $(seq 100); do {ask} && exit 0; sleep 0.1; done; exit 1"));
        guarded
    }

    fn lock(&self) {
        for setup in [
            "user add root:rootpw",
            "user add turnpike:pw",
            "role add turnpike",
            "user grant-role root root",
            "role grant-permission turnpike readwrite --prefix=true /turnpike/",
            "user grant-role turnpike turnpike",
            "auth enable",
        ] {
            self.run(setup);
        }
    }

    fn run(&self, command: &str) {
        shell(&self.files, &self.etcdctl(command));
    }

    fn etcdctl(&self, command: &str) -> String {
        let endpoint = format!("https://127.0.0.1:{}", self.server.port);
        format!(
            "ETCDCTL_API=3 etcdctl --endpoints={endpoint} --cacert=ca.pem --cert=client.pem --key=client.key {command}"
        )
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.files.path().join(name)).unwrap()
    }
}

fn shell(directory: &Scratch, script: &str) {
    let done = Command::new("sh").args(["-ec", script]).current_dir(directory.path()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "this needs openssl and etcdctl (on Debian openssl and etcd-client): {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_passwords_are_presented_and_wanted() {
    let etcd = Guarded::start();
    etcd.lock();
    let mut options = Options::new(vec![format!("https://127.0.0.1:{}", etcd.server.port)]);
    options.request_timeout = Duration::from_secs(3);
    options.ca = Some(etcd.read("ca.pem"));
    let key_pem = Secret::new(String::from_utf8(etcd.read("client.key")).unwrap());
    let uncertified = refused(options.clone()).await;
    assert!(matches!(uncertified, StoreError::Unavailable(_)), "{uncertified:?}");
    options.identity = Some((etcd.read("client.pem"), key_pem));
    options.user = Some(("turnpike".into(), Secret::new("wrong".into())));
    let error = refused(options.clone()).await;
    assert!(error.to_string().contains("invalid user ID or password"), "{error}");
    assert!(!format!("{options:?}{error}").contains("wrong"));

    options.user = Some(("turnpike".into(), Secret::new("pw".into())));
    let store = open_etcd(options.clone()).await;
    let mut watch = store.watch(store.load().await.unwrap().head);
    store.commit(put(Revision(0), key(1), "x")).await.unwrap();
    assert_eq!(next_commit(&mut watch).await.revision, Revision(1));
    // A login is worth nothing once anything about users has changed; ours is made again.
    etcd.run("--user root:rootpw role add another");
    assert_eq!(store.commit(put(Revision(1), key(2), "x")).await, Ok(Revision(2)));
    assert_eq!(next_commit(&mut watch).await.revision, Revision(2));
    // Logins do not outlive a restart of etcd; ours is made again.
    etcd.server.kill();
    etcd.server.run();
    let committed =
        eventually("a commit after the restart", || async { store.commit(put(Revision(2), key(3), "x")).await.ok() })
            .await;
    assert_eq!(committed, Revision(3));
    assert_eq!(next_commit(&mut watch).await.revision, Revision(3));

    options.prefix = "/elsewhere".into();
    let error = refused(options).await;
    assert!(error.to_string().contains("permission denied"), "{error}");
}
