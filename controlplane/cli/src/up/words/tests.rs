use std::path::PathBuf;

use super::*;

fn told(folder: &str, offer: Offer) -> String {
    let path = std::env::temp_dir().join(format!("turnpike-cli-words-{}{folder}", std::process::id()));
    let home = Home::open(&path).unwrap();
    let ports = Ports { proxy: 8080, api: 8090, planes: 8091, proxy_ops: 9901, api_ops: 9902, notes: Vec::new() };
    let told =
        Told { home: &home, ports: &ports, offer, program: "turnpike".into(), took: Duration::from_millis(1234) };
    let text = text(&told, Paint::NONE);
    let folder = home.folder.display().to_string();
    std::fs::remove_dir_all(&path).unwrap();
    text.replace(&folder, "/data")
}

#[test]
fn with_the_demo_the_first_request_can_be_copied() {
    let expected = r#"
  turnpike 0.1.0  ready in 1.2 s; everything is kept in /data

  LLM API        http://127.0.0.1:8080/v1
  Control plane  http://127.0.0.1:8090
                 admin token in /data/admin.token
  Metrics        http://127.0.0.1:9901/metrics  http://127.0.0.1:9902/metrics
  Logs           /data/logs/*.log

  Try it:

curl http://127.0.0.1:8080/v1/chat/completions \
  -H "Authorization: Bearer $(cat /data/demo.key)" \
  -H 'content-type: application/json' \
  -d '{"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}'

  With an OpenAI SDK (model "demo"):

export OPENAI_BASE_URL=http://127.0.0.1:8080/v1
export OPENAI_API_KEY="$(cat /data/demo.key)"

  Your own provider: put its key in PROVIDER_KEY and

export TURNPIKE_API=http://127.0.0.1:8090 TURNPIKE_TOKEN_FILE=/data/admin.token
turnpike apply -f - <<'END'
kind: Provider
name: openai
dialect: openai
baseUrl: https://api.openai.com/v1
credential: {env: PROVIDER_KEY}
---
kind: Model
name: gpt-4o-mini
targets: [{provider: openai, model: gpt-4o-mini}]
END

  Ctrl-C stops both planes.

"#;
    assert_eq!(told("", Offer::Demo), expected);
}

#[test]
fn with_a_configuration_of_its_own_no_demo_is_mentioned() {
    let expected = "
  The command line, from another terminal:

export TURNPIKE_API=http://127.0.0.1:8090 TURNPIKE_TOKEN_FILE=/data/admin.token
turnpike get models
turnpike keys create NAME --model '*'

  Ctrl-C stops both planes.

";
    let text = told("-own", Offer::Own);
    assert!(text.ends_with(expected), "{text}");
    assert!(!text.contains("demo"), "{text}");
}

#[test]
fn the_documents_in_it_are_valid() {
    let text = told("-valid", Offer::Demo);
    let yaml = text.split("<<'END'\n").nth(1).and_then(|rest| rest.split("END\n").next()).unwrap();
    let documents = serde_saphyr::from_multiple::<serde_json::Value>(yaml).unwrap();
    assert_eq!(documents.len(), 2);
    assert_eq!(registry::validate_documents(&documents), []);
}

#[test]
fn a_shell_reads_every_path_as_one_word() {
    assert_eq!(quoted(&PathBuf::from("/home/me/data/demo.key")), "/home/me/data/demo.key");
    assert_eq!(quoted(&PathBuf::from("/my data/it's $HOME")), r"'/my data/it'\''s $HOME'");
    assert!(told(" with space", Offer::Demo).contains("$(cat '/data/demo.key')"));
}
