//! The embedded store's process is killed in mid-commit: what was acknowledged is there.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use server::store::{DocKey, Place, Txn, open};
use vocab::Revision;

use crate::scratch::Scratch;

const DIRECTORY: &str = "TURNPIKE_STORE_TEST_DIRECTORY";
const BODY: usize = 20_000;

fn big(expect: Revision) -> Txn {
    let mut txn = Txn::new(expect);
    let number = expect.next().0;
    // Several pages each, so that a kill meets half-written ones.
    for n in 0..5 {
        txn.put(DocKey::new("Key", format!("{number}-{n}")), vec![b'a' + u8::try_from(number % 26).unwrap(); BODY]);
    }
    txn.put(DocKey::new("Model", "last"), number.to_string());
    txn
}

/// The process that is killed. It says each revision once it is acknowledged.
async fn write_until_killed(dir: PathBuf) -> ! {
    let store = open(&Place::Embedded { dir }).await.unwrap();
    let mut head = store.load().await.unwrap().head;
    loop {
        head = store.commit(big(head)).await.unwrap();
        let mut out = std::io::stdout();
        writeln!(out, "acknowledged {head}").unwrap();
        out.flush().unwrap();
    }
}

/// Runs itself as the process that is killed.
#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    if let Some(dir) = std::env::var_os(DIRECTORY) {
        write_until_killed(dir.into()).await;
    }
    let scratch = Scratch::new();
    let dir = scratch.path().join("data");
    for round in 1..=4_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::what_was_acknowledged_survives_a_kill", "--nocapture"])
            .env(DIRECTORY, &dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = lines.map_while(Result::ok).filter_map(|line| line.split_once("acknowledged ")?.1.parse().ok());
        let mut acknowledged: Vec<u64> = Vec::new();
        for revision in said {
            acknowledged.push(revision);
            if acknowledged.len() == 10 * usize::try_from(round).unwrap() {
                // The next commit is under way; what it still says before it dies counts as well.
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let last = *acknowledged.last().unwrap();

        let store = open(&Place::Embedded { dir: dir.clone() }).await.unwrap();
        let loaded = store.load().await.unwrap();
        assert!(loaded.head == Revision(last) || loaded.head == Revision(last + 1), "{} after {last}", loaded.head);
        assert!(loaded.undecodable.is_empty());
        let head = usize::try_from(loaded.head.0).unwrap();
        assert_eq!(loaded.docs.len(), 5 * head + 1, "each transaction is there with all its documents");
        assert_eq!(loaded.docs.last().unwrap().body, loaded.head.to_string());
        let whole = |doc: &server::store::Doc| doc.key.kind == "Model" || doc.body.len() == BODY;
        assert!(loaded.docs.iter().all(whole));
    }
}
