use std::collections::VecDeque;
use std::path::PathBuf;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::api::Token;

/// What the scripted control plane is to be asked, and what it answers.
type Step = (&'static str, u16, Value);

struct Outcome {
    offered: Offered,
    key_file: String,
}

/// Runs the offer against a control plane that follows the script to its end and knows nothing else.
fn check(name: &str, held: Option<&str>, steps: Vec<Step>) -> Outcome {
    let folder = std::env::temp_dir().join(format!("turnpike-cli-demo-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let [token, key]: [PathBuf; 2] = ["admin.token", "demo.key"].map(|file| folder.join(file));
    std::fs::write(&token, "t").unwrap();
    if let Some(held) = held {
        std::fs::write(&key, held).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let offered = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = Api::local(listener.local_addr().unwrap().port(), Token::read(&token).unwrap());
        let (offered, ()) = tokio::join!(offer(&api, &key), play(listener, steps.into()));
        offered.unwrap()
    });
    let key_file = std::fs::read_to_string(&key).unwrap_or_default().trim().to_owned();
    std::fs::remove_dir_all(&folder).unwrap();
    Outcome { offered, key_file }
}

async fn play(listener: TcpListener, mut steps: VecDeque<Step>) {
    while let Some((expected, status, answer)) = steps.pop_front() {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 64 << 10];
        let length = stream.read(&mut asked).await.unwrap();
        let asked = String::from_utf8_lossy(&asked[..length]).into_owned();
        assert!(asked.starts_with(&format!("{expected} HTTP/1.1\r\n")), "expected {expected}: {asked}");
        let body = answer.to_string();
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).await.unwrap();
    }
}

fn providers(names: &[&str]) -> Step {
    let data: Vec<Value> = names.iter().map(|name| json!({"kind": "Provider", "name": name})).collect();
    ("GET /v1/providers?limit=1", 200, json!({"data": data, "next": null}))
}

fn model() -> Step {
    ("GET /v1/models/demo", 200, json!({"kind": "Model", "name": "demo"}))
}

fn key(secret: &str, disabled: bool) -> Step {
    let sha256 = trust::hash_key(secret).to_string();
    ("GET /v1/keys/demo", 200, json!({"kind": "Key", "name": "demo", "sha256": sha256, "disabled": disabled}))
}

fn missing(line: &'static str) -> Step {
    (line, 404, json!({"error": {"code": "not_found", "message": "no"}}))
}

fn revision(revision: u64) -> Step {
    ("GET /v1/proxies", 200, json!({"revision": revision, "data": []}))
}

fn applied(secret: Option<&str>) -> Step {
    let results = json!([{"kind": "Key", "name": "demo", "change": "created", "secret": secret}]);
    ("POST /v1/apply", 200, json!({"revision": 1, "results": results}))
}

fn rotated(secret: &str) -> Step {
    ("POST /v1/keys/demo/rotate", 200, json!({"name": "demo", "secret": secret}))
}

#[test]
fn an_empty_control_plane_gets_the_demo_and_the_key_is_kept() {
    let steps = vec![providers(&[]), applied(Some("sk-1")), model(), key("sk-1", false), revision(1)];
    let outcome = check("empty", None, steps);
    assert_eq!((outcome.offered.offer, outcome.offered.revision), (Offer::Demo, 1));
    assert_eq!(outcome.key_file, "sk-1");
}

#[test]
fn the_next_start_changes_nothing() {
    let steps = vec![providers(&["demo"]), model(), key("sk-1", false), revision(4)];
    let outcome = check("next", Some("sk-1\n"), steps);
    assert_eq!((outcome.offered.offer, outcome.offered.revision), (Offer::Demo, 4));
    assert_eq!(outcome.key_file, "sk-1");
}

#[test]
fn a_key_file_that_was_lost_or_no_longer_fits_is_made_good_by_a_rotation() {
    for (name, held) in [("lost", None), ("other", Some("sk-old"))] {
        let steps = vec![providers(&["demo"]), model(), key("sk-1", false), rotated("sk-2"), revision(5)];
        assert_eq!(check(name, held, steps).key_file, "sk-2");
    }
    let cut_short = vec![providers(&[]), applied(None), model(), key("sk-1", false), rotated("sk-2"), revision(5)];
    assert_eq!(check("cut-short", None, cut_short).key_file, "sk-2");
}

#[test]
fn what_the_operator_took_away_stays_away() {
    let deleted =
        vec![providers(&["openai"]), missing("GET /v1/models/demo"), missing("GET /v1/keys/demo"), revision(9)];
    assert_eq!(check("deleted", None, deleted).offered.offer, Offer::Own);
    let disabled = vec![providers(&["demo"]), model(), key("sk-1", true), revision(9)];
    let outcome = check("disabled", Some("sk-0"), disabled);
    assert_eq!((outcome.offered.offer, outcome.key_file.as_str()), (Offer::Own, "sk-0"));
}

#[test]
fn the_demo_is_valid() {
    let Value::Array(documents) = documents() else { panic!("a list") };
    assert_eq!(registry::validate_documents(&documents), []);
}
