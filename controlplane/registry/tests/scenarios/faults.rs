//! What is wrong with documents, as operators are told.

use super::*;

/// Faults of one document, without its number.
#[track_caller]
fn check(document: Value, expected: &[&str]) {
    let found: Vec<_> = registry::read(0, &document).1.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "{document}");
}

/// A document without a fault.
#[track_caller]
fn fine(document: Value) {
    let (draft, faults) = registry::read(0, &document);
    assert_eq!(faults, [], "{document}");
    assert!(draft.is_some());
}

/// A provider with these members besides the needed ones.
fn provider(more: Value) -> Value {
    let mut document = json!({"kind": "Provider", "name": "p", "dialect": "openai", "baseUrl": "https://h/v1"});
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    document
}

#[test]
fn the_first_page_of_the_manual_is_without_fault() {
    assert_eq!(registry::validate_documents(first_page().as_array().unwrap()), []);
}

#[test]
fn what_is_no_document_at_all() {
    let kinds = "Provider, Model, Team, User, Key";
    check(json!(null), &["a document must be an object with `kind` and `name`, not null"]);
    check(json!([{}]), &["a document must be an object with `kind` and `name`, not a list"]);
    check(json!({}), &[&format!("kind: is missing: one of {kinds}")]);
    check(json!({"kind": 7, "name": "x"}), &["kind: must be text, not a number"]);
    check(
        json!({"kind": "provider"}),
        &[&format!("kind: there is no kind `provider` among {kinds}; did you mean `Provider`?")],
    );
    check(json!({"kind": "Route"}), &[&format!("kind: there is no kind `Route` among {kinds}")]);
    check(json!({"kind": "Team"}), &["name: is missing"]);
    check(json!({"kind": "Team", "name": ""}), &["name: a name must not be empty"]);
    check(json!({"kind": "Team", "name": ["a"]}), &["name: must be text, not a list"]);
    check(json!({"kind": "Team", "name": "x".repeat(201)}), &["name: a name has at most 200 bytes"]);
}

#[test]
fn every_fault_of_a_document_is_told_at_once() {
    check(
        json!({"kind": "Provider", "name": "mock", "dialect": "opena", "baseurl": "x", "credential": "sk-planted",
               "timeouts": {"connectMs": 0, "idleMs": "1s", "readMs": 5}, "keepLastGood": "yes", "baseUrl": "ftp://h"}),
        &[
            "Provider/mock.baseurl: there is no such field; did you mean `baseUrl`?",
            "Provider/mock.dialect: there is no dialect `opena` among openai; did you mean `openai`?",
            "Provider/mock.keepLastGood: must be true or false, not text",
            "Provider/mock.baseUrl: it must start with http:// or https://",
            "Provider/mock.credential: must be an object, not text",
            "Provider/mock.timeouts.readMs: there is no such field",
            "Provider/mock.timeouts.connectMs: must be a whole number from 1 to 60000",
            "Provider/mock.timeouts.idleMs: must be a whole number from 1 to 3600000, not text",
        ],
    );
    check(
        json!({"kind": "Model", "name": "gpt", "target": [], "keepLastGood": 1,
               "targets": [{"provider": "a b", "model": ""}, 7, {"modle": "x", "provider": "p"}, {"provider": "p", "model": "m"}]}),
        &[
            "Model/gpt.target: there is no such field; did you mean `targets`?",
            "Model/gpt.keepLastGood: must be true or false, not a number",
            "Model/gpt.targets[0].provider: a name starts with a letter or digit and goes on with letters, digits and \
             ._:/@+- ; ' ' is not among them",
            "Model/gpt.targets[0].model: a name must not be empty",
            "Model/gpt.targets[1]: must be an object {provider, model}, not a number",
            "Model/gpt.targets[2].modle: there is no such field; did you mean `model`?",
            "Model/gpt.targets[2].model: is missing",
        ],
    );
    check(
        json!({"kind": "Key", "name": "k", "secret": "short", "sha256": "abc", "id": "1", "expires": "tomorrow",
               "disabled": "no", "previous": {"sha256": 1}, "models": ["gpt-*", "^gpt", 7, ""], "team": "", "mdels": []}),
        &[
            "Key/k.mdels: there is no such field; did you mean `models`?",
            "Key/k.id: an id is 13 characters of 0-9 and a-z without i, l, o and u",
            "Key/k.secret: must be 8 to 1024 printable ASCII characters without space",
            "Key/k.sha256: must be a SHA-256: 64 hexadecimal digits",
            "Key/k.sha256: the secret says it already: take either `secret` or `sha256` away",
            "Key/k.previous.sha256: must be text, not a number",
            "Key/k.previous.until: is missing",
            "Key/k.team: a name must not be empty",
            "Key/k.expires: an instant is written like 2030-01-31T23:59:59Z or 2030-01-31T23:59:59.999+02:00",
            "Key/k.disabled: must be true or false, not text",
            "Key/k.models[1]: a pattern is made of the characters of model names, `*` and `?`; '^' is not among them",
            "Key/k.models[2]: must be text, not a number",
            "Key/k.models[3]: a pattern must not be empty; `*` allows every model",
        ],
    );
    check(
        json!({"kind": "User", "name": "ada", "email": "ada at example", "team": 1, "password": "x"}),
        &[
            "User/ada.password: there is no such field",
            "User/ada.email: must be an address like ada@example.com of at most 254 bytes",
            "User/ada.team: must be text, not a number",
        ],
    );
    check(
        json!({"kind": "Team", "name": "t", "description": "a\u{0}b"}),
        &["Team/t.description: must not hold control characters"],
    );
}

#[test]
fn a_provider_is_an_address_or_the_demo() {
    fine(json!({"kind": "Provider", "name": "demo", "dialect": "openai", "demo": {}}));
    fine(
        json!({"kind": "Provider", "name": "demo", "dialect": "openai", "demo": {"latencyMs": 5, "failPermille": 1000}}),
    );
    fine(provider(json!({"timeouts": {"connectMs": 60000}, "credential": null, "ca": null})));
    check(
        json!({"kind": "Provider", "name": "p", "dialect": "openai"}),
        &["Provider/p.baseUrl: is missing; or `demo: {}` for a provider that answers by itself"],
    );
    check(
        provider(json!({"demo": {}})),
        &["Provider/p.demo: the demo answers by itself: take either `demo` or `baseUrl` away"],
    );
    check(
        json!({"kind": "Provider", "name": "p", "dialect": "openai", "demo": {"failPermille": 1001}, "ca": "x", "timeouts": {}}),
        &[
            "Provider/p.ca: means nothing with `demo`, which dials nobody",
            "Provider/p.timeouts: means nothing with `demo`, which dials nobody",
            "Provider/p.demo.failPermille: must be a whole number from 0 to 1000",
        ],
    );
    check(
        provider(json!({"timeouts": {"idleMs": 1.5}})),
        &["Provider/p.timeouts.idleMs: must be a whole number from 1 to 3600000"],
    );
    check(
        provider(json!({"timeouts": {"idleMs": -1}})),
        &["Provider/p.timeouts.idleMs: must be a whole number from 1 to 3600000"],
    );
    check(
        provider(json!({"timeouts": {"idleMs": u64::MAX}})),
        &["Provider/p.timeouts.idleMs: must be a whole number from 1 to 3600000"],
    );
}

#[test]
fn a_link_local_address_needs_the_operators_word() {
    for host in ["169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "[::ffff:169.254.0.1]"] {
        let url = format!("http://{host}/latest");
        let address = host.trim_matches(['[', ']']);
        let why = format!(
            "Provider/p.baseUrl: {address} is a link-local or metadata address, which only `allowLinkLocal: true` permits"
        );
        check(provider(json!({"baseUrl": url})), &[&why]);
        check(provider(json!({"baseUrl": url, "allowLinkLocal": false})), &[&why]);
        fine(provider(json!({"baseUrl": url, "allowLinkLocal": true})));
    }
    fine(provider(json!({"baseUrl": "http://10.0.0.1:8000"})));
    fine(provider(json!({"baseUrl": "http://localhost"})));
}

#[test]
fn a_credential_says_one_thing() {
    let one = "Provider/p.credential: must say exactly one of `value`, `env`, `file`, `sealed`";
    let env = "Provider/p.credential.env: must be the name of an environment variable: A-Z, 0-9 and _, beginning with a letter";
    for (credential, expected) in [
        (json!({}), one),
        (json!({"value": null}), one),
        (json!({"value": "a", "env": "B"}), one),
        (json!({"value": 5}), "Provider/p.credential.value: must be text, not a number"),
        (json!({"value": ""}), "Provider/p.credential.value: must not be empty"),
        (
            json!({"value": "sk\r\nx-evil: 1"}),
            "Provider/p.credential.value: must be one line of printable ASCII, without space around it",
        ),
        (json!({"env": "path"}), env),
        (json!({"env": "1A"}), env),
        (json!({"env": ""}), env),
        (
            json!({"env": "TURNPIKE_SEAL_KEYS"}),
            "Provider/p.credential.env: must not begin with TURNPIKE_: those are our own settings",
        ),
        (json!({"file": ""}), "Provider/p.credential.file: must be the path of a file, of at most 4096 bytes"),
        (json!({"sealed": "***"}), "Provider/p.credential.sealed: must be base64, as an export writes it"),
        (
            json!({"sealed": false}),
            "Provider/p.credential.sealed: must be base64, or true to keep what there is, not true or false",
        ),
        (json!({"vault": "x"}), "Provider/p.credential.vault: there is no such field"),
    ] {
        let found = registry::read(0, &provider(json!({"credential": credential}))).1;
        assert_eq!(found.first().map(ToString::to_string).as_deref(), Some(expected), "{credential}");
    }
}

#[test]
fn a_ca_must_look_like_certificates() {
    let good = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    fine(provider(json!({"ca": good})));
    fine(provider(json!({"ca": format!("# the house's own\n{good}\r\n{good}")})));
    let why =
        "Provider/p.ca: it must be certificates in PEM: -----BEGIN CERTIFICATE----- ... -----END CERTIFICATE-----";
    for bad in [
        "",
        "MIIB",
        "-----BEGIN CERTIFICATE-----\nMIIB",
        "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----",
        "-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----",
        "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----",
    ] {
        check(provider(json!({"ca": bad})), &[why]);
    }
    check(
        provider(json!({"ca": "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----"})),
        &["Provider/p.ca: it holds a private key; only certificates belong here"],
    );
    check(provider(json!({"ca": "x".repeat(70_000)})), &["Provider/p.ca: has at most 65536 bytes, not 70000"]);
}

#[test]
fn a_key_says_which_models() {
    check(
        json!({"kind": "Key", "name": "k"}),
        &[r#"Key/k.models: is missing: say which models, like ["gpt-4o*"], or ["*"] for all"#],
    );
    check(json!({"kind": "Key", "name": "k", "models": "*"}), &["Key/k.models: must be a list, not text"]);
    fine(json!({"kind": "Key", "name": "k", "models": []}));
    check(
        json!({"kind": "Key", "name": "k", "models": vec!["^"; 1025]}),
        &["Key/k.models: has at most 1024 entries, not 1025"],
    );
}

#[test]
fn metadata_is_a_few_short_words() {
    let long = "x".repeat(129);
    check(
        key_with("k", json!({"metadata": {"env": 1}})),
        &["Key/k.metadata.env: must be text, not a number: put it in quotes"],
    );
    check(key_with("k", json!({"metadata": {"env": long}})), &["Key/k.metadata.env: has at most 128 bytes, not 129"]);
    check(
        key_with("k", json!({"metadata": {"": "x"}})),
        &["Key/k.metadata: the name `` must be 1 to 128 bytes without control characters"],
    );
    let many: serde_json::Map<_, _> = (0..17).map(|n| (format!("n{n}"), json!("x"))).collect();
    check(key_with("k", json!({"metadata": many})), &["Key/k.metadata: has at most 16 entries, not 17"]);
}

#[test]
fn a_mistyped_key_of_ours_is_recognised() {
    let minted = vocab::key::mint(vocab::KeyId(5), [3; 32]);
    let slipped = minted.expose().replace("sk-tp-0", "sk-tp-1");
    fine(key_with("k", json!({"secret": minted.expose()})));
    check(
        key_with("k", json!({"secret": slipped})),
        &["Key/k.secret: looks like a key minted by Turnpike, but its checksum is wrong: copy it again"],
    );
}

#[test]
fn targets_are_neither_none_nor_legion() {
    let target = json!({"provider": "p", "model": "m"});
    check(json!({"kind": "Model", "name": "m"}), &["Model/m.targets: is missing"]);
    check(
        json!({"kind": "Model", "name": "m", "targets": []}),
        &["Model/m.targets: must name at least one target: {provider, model}"],
    );
    fine(json!({"kind": "Model", "name": "m", "targets": vec![target.clone(); 64]}));
    check(
        json!({"kind": "Model", "name": "m", "targets": vec![target; 65]}),
        &["Model/m.targets: has at most 64 entries, not 65"],
    );
}

#[test]
fn what_an_answer_of_ours_adds_is_taken_back() {
    fine(json!({"kind": "Team", "name": "t", "revision": 17}));
    fine(json!({"kind": "Team", "name": "t", "revision": "whatever", "description": null}));
}

#[test]
fn a_fault_never_repeats_a_value() {
    let planted = "sk-planted";
    for document in [
        provider(json!({"credential": planted})),
        provider(json!({"credential": [planted]})),
        provider(json!({"credential": {"value": [planted]}})),
        provider(json!({"credential": {"value": format!("{planted}\n")}})),
        provider(json!({"credential": {"env": planted}})),
        provider(json!({"credential": {"sealed": planted}})),
        provider(json!({"baseUrl": format!("https://user:{planted}@h/")})),
        provider(json!({"ca": planted})),
        key_with("k", json!({"secret": [planted]})),
        key_with("k", json!({"secret": format!("{planted} ")})),
        key_with("k", json!({"sha256": planted})),
        key_with("k", json!({"id": planted})),
        key_with("k", json!({"expires": planted})),
        key_with("k", json!({"metadata": {"a": [planted]}})),
    ] {
        let faults = registry::read(0, &document).1;
        assert!(!faults.is_empty(), "{document}");
        assert!(faults.iter().all(|fault| !fault.to_string().contains(planted)), "{faults:?}");
    }
}

#[test]
fn a_long_or_hostile_field_name_is_shown_short_and_harmless() {
    let name = format!("\u{1b}[31m{}", "x".repeat(1 << 20));
    let faults = registry::read(0, &json!({"kind": "Team", "name": "t", name: 1})).1;
    let path = &faults[0].path;
    assert!(path.len() < 200 && !path.contains('\u{1b}'), "{path:?}");
}

#[test]
fn ten_thousand_faults_are_told_at_once() {
    let documents: Vec<_> = (0..10_000)
        .map(|n| json!({"kind": "Model", "name": format!("m{n}"), "targets": [{"provider": format!("p{n}"), "model": "m"}]}))
        .collect();
    let faults = registry::validate_documents(&documents);
    assert_eq!(faults.len(), 10_000);
    assert_eq!(faults[9_999].to_string(), "Model/m9999.targets[0].provider: there is no Provider `p9999`");
    assert!(faults.iter().enumerate().all(|(at, fault)| fault.document == at));
}

#[test]
fn faults_beyond_those_that_are_told_are_counted() {
    let unknown: serde_json::Map<_, _> = (0..25_000).map(|n| (format!("x{n}"), json!(1))).collect();
    let mut crowded = Value::Object(unknown);
    crowded["kind"] = json!("Team");
    crowded["name"] = json!("t");
    let dangling = json!({"kind": "User", "name": "u", "team": "nobody"});
    let faults = propose(&State::new(), &[crowded, json!(1), dangling], &mut Shell::default()).unwrap_err();
    assert_eq!((faults.len(), faults.count()), (registry::Faults::TOLD_MAX, 25_002));
}
