//! What proxies are told.

use super::*;
use prost::Message as _;
use vocab::{Digest, KeyHash, Kind};

/// A delta as lines: `+Key/<start of hash>`, `-Policy/<id>`.
fn lines(delta: &Delta) -> Vec<String> {
    let line = |sign: &str, kind: u32, id: &[u8]| {
        let kind = Kind::from_number(kind).unwrap();
        let id = match kind {
            Kind::Provider | Kind::Model => String::from_utf8(id.to_vec()).unwrap(),
            Kind::Policy => "..".to_owned(),
            Kind::Key => KeyHash::from_slice(id).unwrap().to_string()[..8].to_owned(),
        };
        format!("{sign}{}/{id}", kind.as_str())
    };
    let upserts = delta.upserts.iter().map(|row| line("+", row.kind, &row.id));
    upserts.chain(delta.removals.iter().map(|row| line("-", row.kind, &row.id))).collect()
}

fn key_line(sign: &str, secret: &str) -> String {
    format!("{sign}Key/{}", &shell::hash(secret).to_string()[..8])
}

fn key_row(house: &House, secret: &str) -> wire::Key {
    let id = shell::hash(secret).0;
    let row = house.state.full().upserts.into_iter().find(|row| row.kind == Kind::Key.number() && *row.id == id);
    wire::Key::decode(row.unwrap().body).unwrap()
}

#[test]
fn the_first_page_becomes_four_rows() {
    let house = House::with(first_page());
    let full = house.state.full();
    let [provider, model, policy, key] = &full.upserts[..] else { panic!("{:?}", lines(&full)) };

    assert_eq!((provider.kind, &provider.id[..]), (1, &b"mock"[..]));
    let body = wire::Provider::decode(provider.body.clone()).unwrap();
    assert_eq!(body.dialect, "openai");
    let Some(wire::provider::Reach::Http(http)) = body.reach else { panic!() };
    assert_eq!(http.base_url, "http://127.0.0.1:18080/v1");
    assert_eq!((http.timeout_connect_ms, http.timeout_idle_ms), (2_000, 60_000));
    assert!(!http.credential.is_empty() && !http.allow_link_local && http.ca.is_empty());

    assert_eq!((model.kind, &model.id[..]), (2, &b"gpt-4o-mini"[..]));
    let target = wire::Target { provider: "mock".into(), model: "gpt-4o-mini".into() };
    assert_eq!(wire::Model::decode(model.body.clone()).unwrap().targets, [target]);

    let body = wire::Policy::decode(policy.body.clone()).unwrap();
    assert_eq!(body, wire::Policy { team: "search".into(), user: String::new(), models: vec!["*".into()] });
    let low = Digest::of(3, b"", &policy.body).0 & u128::from(u64::MAX);
    assert_eq!(u64::from_be_bytes(policy.id[..].try_into().unwrap()), u64::try_from(low).unwrap());

    assert_eq!((key.kind, &key.id[..]), (4, &shell::hash("sk-bench-key").0[..]));
    let expected = wire::Key {
        id: house.key("bench").id.0,
        policy: u64::try_from(low).unwrap(),
        expires_ms: 1_893_456_000_000,
        disabled: false,
        metadata: vec![wire::Pair { name: "env".into(), value: "prod".into() }],
    };
    assert_eq!(wire::Key::decode(key.body.clone()).unwrap(), expected);
    assert_eq!(full.digest, full.upserts.iter().map(wire::digest_resource).fold(Digest::default(), Digest::with));
}

#[test]
fn a_change_tells_only_what_it_changed() {
    let mut house = House::with(first_page());
    let was = house.state.digest();

    let more = key_with("second", json!({"team": "search", "secret": "sk-second-key"}));
    assert_eq!(lines(&house.apply(json!([more]))), [key_line("+", "sk-second-key")], "the policy is there already");

    let narrower = key_with("second", json!({"team": "search", "models": ["gpt-*"]}));
    assert_eq!(lines(&house.apply(json!([narrower]))), ["+Policy/..".to_owned(), key_line("+", "sk-second-key")]);

    // What proxies do not know, they are not told.
    assert!(house.apply(json!([{"kind": "Team", "name": "search", "description": "d"}])).is_empty());

    let delta = house.delete(ResourceKind::Key, "second");
    let expected = ["-Policy/..".to_owned(), key_line("-", "sk-second-key")];
    assert_eq!(lines(&delta), expected, "with the last key its policy goes");
    assert_eq!(delta.digest, was);
    assert_eq!(house.state.digest(), was);
}

#[test]
fn the_last_key_of_a_policy_takes_it_along_and_a_move_within_one_change_does_not() {
    let mut house = House::with(json!([key_with("a", json!({"secret": "sk-key-of-a"}))]));
    // The policy goes from one key to the other: nobody is told of it.
    let moved = house.commit(&[
        Change::Delete(Ref::new(ResourceKind::Key, "a")),
        Change::Put(registry::Resource::Key(registry::Key {
            name: vocab::KeyName::new("b").unwrap(),
            ..house.key("a")
        })),
    ]);
    assert!(moved.is_empty(), "{:?}", lines(&moved));
    assert_eq!(lines(&house.delete(ResourceKind::Key, "b")), ["-Policy/..".to_owned(), key_line("-", "sk-key-of-a")]);
    assert_eq!(house.state.digest(), Digest::default());
}

#[test]
fn a_revoked_key_is_one_row() {
    let mut house = House::with(first_page());
    let revoked = registry::Key { disabled: true, ..house.key("bench") };
    let delta = house.commit(&[Change::Put(registry::Resource::Key(revoked))]);
    assert_eq!(lines(&delta), [key_line("+", "sk-bench-key")]);
    assert!(key_row(&house, "sk-bench-key").disabled);
}

#[test]
fn after_a_rotation_both_secrets_open_until_the_grace_ends() {
    let mut house = House::with(first_page());
    let until = "2029-06-01T00:00:00Z".parse().unwrap();
    let rotated = house.key("bench").rotated(shell::hash("sk-second"), Some(until));
    let delta = house.commit(&[Change::Put(registry::Resource::Key(rotated))]);
    let mut expected = [key_line("+", "sk-second"), key_line("+", "sk-bench-key")];
    expected.sort();
    assert_eq!(lines(&delta), expected);
    let key_expires = house.key("bench").expires.unwrap().as_ms();
    assert_eq!(key_row(&house, "sk-second").expires_ms, key_expires);
    assert_eq!(key_row(&house, "sk-bench-key").expires_ms, until.as_ms());
    assert_eq!(key_row(&house, "sk-bench-key").id, key_row(&house, "sk-second").id);

    // A grace beyond the key's own end does not prolong it.
    let long = house.key("bench").rotated(shell::hash("sk-third"), Some("2040-01-01T00:00:00Z".parse().unwrap()));
    let delta = house.commit(&[Change::Put(registry::Resource::Key(long))]);
    assert!(lines(&delta).contains(&key_line("-", "sk-bench-key")), "the one before the one before is gone");
    assert_eq!(key_row(&house, "sk-second").expires_ms, key_expires);

    // Without grace the old one is gone at once.
    let at_once = house.key("bench").rotated(shell::hash("sk-fourth"), None);
    let delta = house.commit(&[Change::Put(registry::Resource::Key(at_once))]);
    assert!(lines(&delta).contains(&key_line("-", "sk-third")) && lines(&delta).contains(&key_line("-", "sk-second")));
    assert!(house.state.key_by_hash(&shell::hash("sk-third")).is_none());
}

#[test]
fn an_instant_at_the_beginning_of_time_is_not_never() {
    let house = House::with(json!([key_with("k", json!({"secret": "sk-old-key", "expires": "1970-01-01T00:00:00Z"}))]));
    assert_eq!(key_row(&house, "sk-old-key").expires_ms, 1);
}

#[test]
fn rights_are_a_set() {
    let house = House::with(json!([
        key_with("a", json!({"secret": "sk-key-of-a", "models": ["x", "y*", "x"]})),
        key_with("b", json!({"secret": "sk-key-of-b", "models": ["y*", "x"]})),
    ]));
    assert_eq!(key_row(&house, "sk-key-of-a").policy, key_row(&house, "sk-key-of-b").policy);
}

#[test]
fn a_wish_to_keep_the_last_good_version_travels_beside_the_body() {
    let mut house = House::with(first_page());
    let was = house.state.digest();
    let delta = house.apply(json!([
        {"kind": "Model", "name": "gpt-4o-mini", "targets": [{"provider": "mock", "model": "gpt-4o-mini"}], "keepLastGood": true},
    ]));
    assert!(delta.upserts[0].keep_last_good);
    assert_eq!(delta.digest, was);
}

#[test]
fn a_base_url_is_told_without_its_last_slash_and_the_demo_as_it_is() {
    let house = House::with(json!([
        {"kind": "Provider", "name": "a", "dialect": "openai", "baseUrl": "https://h/v1/", "timeouts": {"idleMs": 7}, "allowLinkLocal": true},
        {"kind": "Provider", "name": "b", "dialect": "openai", "demo": {"latencyMs": 1, "chunkMs": 2, "failPermille": 3}},
    ]));
    let bodies: Vec<_> =
        house.state.full().upserts.into_iter().map(|row| wire::Provider::decode(row.body).unwrap()).collect();
    let Some(wire::provider::Reach::Http(http)) = &bodies[0].reach else { panic!() };
    assert_eq!((http.base_url.as_str(), http.timeout_idle_ms, http.allow_link_local), ("https://h/v1", 7, true));
    let demo = wire::Demo { latency_ms: 1, chunk_ms: 2, fail_permille: 3 };
    assert_eq!(bodies[1].reach, Some(wire::provider::Reach::Demo(demo)));
}

#[test]
fn rows_come_sorted_whatever_the_order_of_documents() {
    let Value::Array(mut documents) = first_page() else { unreachable!() };
    let mut shell = Shell::default();
    // Sealed once, so that both houses hold the same bytes.
    let settled = propose(&State::new(), &documents, &mut shell).unwrap().changes();
    documents.reverse();
    let mut there = State::new();
    let delta = there.commit(Revision(1), &settled);
    let mut back = State::new();
    for change in settled.iter().rev() {
        back.commit(Revision(1), std::slice::from_ref(change));
    }
    assert_eq!(there.full(), back.full());
    assert_eq!(delta.upserts, there.full().upserts);
    assert!(there.full().upserts.is_sorted_by_key(|row| (row.kind, row.id.clone())));
}

#[test]
fn of_many_deltas_the_last_word_counts() {
    let mut house = House::with(first_page());
    let deltas = [
        house.apply(json!([key_with("a", json!({"secret": "sk-key-of-a"}))])),
        house.apply(json!([key_with("b", json!({"secret": "sk-key-of-b"}))])),
        house.delete(ResourceKind::Key, "a"),
        house.apply(json!([key_with("a", json!({"secret": "sk-key-of-c"}))])),
    ];
    let merged = registry::merge(&deltas);
    assert_eq!(merged.digest, house.state.digest());
    let mut keys = [key_line("+", "sk-key-of-b"), key_line("+", "sk-key-of-c")];
    keys.sort();
    let expected: Vec<_> =
        ["+Policy/..".to_owned()].into_iter().chain(keys).chain([key_line("-", "sk-key-of-a")]).collect();
    assert_eq!(lines(&merged), expected);
    assert_eq!(registry::merge([]), Delta::default());
}
