//! Secrets go in, and do not come out.

use super::*;
use registry::{Resource, credential_place};

const PLANTED: &str = "sk-planted-0123456789";

fn provider(credential: Value) -> Value {
    json!([{"kind": "Provider", "name": "p", "dialect": "openai", "baseUrl": "https://h/v1", "credential": credential}])
}

fn sealed(house: &House) -> Vec<u8> {
    let stored = house.state.find(ResourceKind::Provider, "p").unwrap();
    match &stored.resource {
        Resource::Provider(registry::Provider { reach: registry::resource::Reach::Http(http), .. }) => {
            http.credential.as_ref().unwrap().as_bytes().to_vec()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_shows_a_planted_secret() {
    let Value::Array(mut documents) = provider(json!({"value": PLANTED})) else { unreachable!() };
    documents.push(key_with("k", json!({"secret": format!("{PLANTED}-key")})));
    for document in &documents {
        let (draft, _) = registry::read(0, document);
        assert!(!format!("{draft:?}").contains(PLANTED));
        assert!(!format!("{draft:#?}").contains(PLANTED));
    }
    let mut house = House::default();
    documents.push(key_with("minted", json!({})));
    let proposal = propose(&house.state, &documents, &mut house.shell).unwrap();
    let minted = proposal.entries[2].minted.as_ref().unwrap().expose().to_owned();
    let shown = format!("{proposal:?}");
    assert!(!shown.contains(PLANTED) && !shown.contains(&minted));
    let delta = house.commit(&proposal.changes());
    assert!(!format!("{delta:?}").contains(PLANTED));
    assert!(!format!("{:?}", house.state).contains(PLANTED));
    for stored in house.state.iter() {
        let written = String::from_utf8(stored.resource.to_stored()).unwrap();
        for text in [
            format!("{stored:?}"),
            written,
            registry::document(stored).to_string(),
            registry::export(&stored.resource).to_string(),
        ] {
            assert!(!text.contains(PLANTED) && !text.contains(&minted), "{text}");
        }
    }
}

#[test]
fn an_answer_says_that_there_is_a_credential_and_an_export_takes_it_along() {
    let house = House::with(provider(json!({"value": PLANTED})));
    let stored = house.state.find(ResourceKind::Provider, "p").unwrap();
    let expected = json!({"kind": "Provider", "name": "p", "dialect": "openai", "baseUrl": "https://h/v1",
        "credential": {"sealed": true}, "revision": 1});
    assert_eq!(registry::document(stored), expected);
    let base64 = registry::resource::Sealed::from_bytes(sealed(&house)).to_base64();
    assert_eq!(registry::export(&stored.resource)["credential"], json!({"sealed": base64}));
}

#[test]
fn documents_begin_with_kind_and_name() {
    let house = House::with(first_page());
    for stored in house.state.iter() {
        let text = registry::document(stored).to_string();
        let begin = format!(r#"{{"kind":"{}","name":"{}","#, stored.resource.kind(), stored.resource.name());
        assert!(text.starts_with(&begin), "{text}");
    }
    let key = house.state.find(ResourceKind::Key, "bench").unwrap();
    let Resource::Key(fields) = &key.resource else { panic!() };
    let expected = json!({"kind": "Key", "name": "bench", "id": fields.id.to_string(), "sha256": fields.sha256.to_string(),
        "team": "search", "models": ["*"], "expires": "2030-01-01T00:00:00Z", "metadata": {"env": "prod"}, "revision": 1});
    assert_eq!(registry::document(key).to_string(), expected.to_string());
}

#[test]
fn a_credential_is_sealed_again_only_when_it_is_another_or_moves() {
    let mut house = House::with(provider(json!({"value": PLANTED})));
    let was = sealed(&house);
    for same in [json!({"value": PLANTED}), json!({"sealed": true})] {
        house.apply(provider(same));
        assert_eq!(sealed(&house), was);
    }
    house.apply(provider(json!({"value": "sk-another"})));
    assert_ne!(sealed(&house), was);
    // What a document does not say is not there.
    let without = json!([{"kind": "Provider", "name": "p", "dialect": "openai", "baseUrl": "https://h/v1"}]);
    assert_eq!(house.outcomes(&without), [Outcome::Updated]);
    house.apply(without);
    assert_eq!(
        house.faults(&provider(json!({"sealed": true}))),
        ["0 Provider/p.credential.sealed: there is no credential yet that could stay: give `value`, `env` or `file`"]
    );
    assert_eq!(credential_place("a/b"), "Provider/a/b/credential");
}

#[test]
fn a_credential_from_elsewhere_is_fetched_by_the_shell() {
    let mut house = House::with(provider(json!({"env": "UPSTREAM_KEY"})));
    let was = sealed(&house);
    house.apply(provider(json!({"file": "/run/secrets/upstream"})));
    assert_eq!(sealed(&house), was, "a file's last line break is not part of it");
    for (credential, fault) in [
        (json!({"env": "MISSING"}), "credential.env: there is no such thing here; set it where the CLI runs"),
        (json!({"file": "/missing"}), "credential.file: there is no such thing here; set it where the CLI runs"),
        (
            json!({"file": "/run/secrets/binary"}),
            "credential.file: what was found there must be one line of printable ASCII, without space around it",
        ),
    ] {
        assert_eq!(house.faults(&provider(credential)), [format!("0 Provider/p.{fault}")]);
    }
    // Offline nobody can know.
    assert_eq!(registry::validate_documents(provider(json!({"env": "MISSING"})).as_array().unwrap()), []);
}

#[test]
fn a_key_keeps_its_secret_and_its_grace_until_another_is_given() {
    let mut house = House::with(first_page());
    let (id, first) = (house.key("bench").id, house.key("bench").sha256);
    let until = Some("2029-01-01T00:00:00Z".parse().unwrap());
    house.commit(&[Change::Put(Resource::Key(house.key("bench").rotated(shell::hash("sk-second"), until)))]);

    // Not said, or said the same: all stays.
    for more in [json!({}), json!({"secret": "sk-second"}), json!({"sha256": shell::hash("sk-second").to_string()})] {
        house.apply(json!([key_with("bench", more)]));
        let key = house.key("bench");
        assert_eq!((key.id, key.sha256), (id, shell::hash("sk-second")));
        assert_eq!(key.previous.unwrap().sha256, first);
    }
    // With another secret the grace of the one before the last is over.
    let another = json!([key_with("bench", json!({"secret": "sk-another"}))]);
    let proposal = propose(&house.state, another.as_array().unwrap(), &mut house.shell).unwrap();
    assert_eq!(proposal.entries[0].resource.as_key().unwrap().previous, None);
    // `previous: null` ends it, too.
    house.apply(json!([key_with("bench", json!({"previous": null}))]));
    assert_eq!(house.key("bench").previous, None);
    // Another secret is the same key.
    house.apply(json!([key_with("bench", json!({"secret": "sk-third-one"}))]));
    assert_eq!((house.key("bench").id, house.key("bench").sha256), (id, shell::hash("sk-third-one")));
}

#[test]
fn a_key_minted_elsewhere_brings_its_id() {
    let minted = vocab::key::mint(vocab::KeyId(77), [1; 32]);
    let house = House::with(json!([key_with("k", json!({"secret": minted.expose()}))]));
    assert_eq!(house.key("k").id, vocab::KeyId(77));
}

#[test]
fn a_patch_changes_what_it_says_and_keeps_the_secrets() {
    let mut house = House::with(first_page());
    let patched = |house: &House, kind, name: &str, change: Value| {
        json!([registry::patch(&registry::export(&house.state.find(kind, name).unwrap().resource), &change)])
    };
    let before = house.key("bench");
    let document = patched(
        &house,
        ResourceKind::Key,
        "bench",
        json!({"disabled": true, "expires": null, "metadata": {"tier": "a"}}),
    );
    house.apply(document);
    let after = house.key("bench");
    assert_eq!((after.sha256, after.id, after.disabled, after.expires), (before.sha256, before.id, true, None));
    assert_eq!(after.metadata.iter().collect::<Vec<_>>(), [("env", "prod"), ("tier", "a")]);
    assert_eq!(after.metadata.get("tier"), Some("a"));

    let document = patched(&house, ResourceKind::Provider, "mock", json!({"timeouts": {"idleMs": 5000}}));
    assert_eq!(house.outcomes(&document), [Outcome::Updated]);
    house.apply(document);
    let answer = registry::document(house.state.find(ResourceKind::Provider, "mock").unwrap());
    assert_eq!((&answer["credential"], &answer["timeouts"]), (&json!({"sealed": true}), &json!({"idleMs": 5000})));

    for (change, fault) in [
        (json!({"targets": null}), "0 Model/gpt-4o-mini.targets: is missing"),
        (
            json!({"targets": [{"provider": "gone", "model": "x"}]}),
            "0 Model/gpt-4o-mini.targets[0].provider: there is no Provider `gone`",
        ),
    ] {
        let document = patched(&house, ResourceKind::Model, "gpt-4o-mini", change);
        assert_eq!(house.faults(&document), [fault]);
    }
}
