//! A court record: given this snapshot, this caller at this instant asks for that model, and this is the verdict.

#![cfg(test)]

#[path = "support/world.rs"]
mod world;

use policy::{Denied, Plan, Reach, Refusal, Snapshot};
use vocab::{Kind, Timestamp};
use wire::provider::Reach::{Demo, Http};
use world::{World, apply, hash, http, key, model, provider, rights};

const ALICE: u8 = 1;
const BOB: u8 = 2;
const CAROL: u8 = 3;
const DAVE: u8 = 4;
const ERIN: u8 = 5;
const FRANK: u8 = 6;
const GRACE: u8 = 7;
const STRANGER: u8 = 99;

const NOON: u64 = 1_800_000_000_000;

/// Two providers that are there, one in quarantine, one that is nowhere; models over all of them.
fn house() -> Vec<wire::Resource> {
    let (all, all_rights) = rights("search", &["*"]);
    let (minis, mini_rights) = rights("ads", &["*-mini", "lab/*", "gpt-?"]);
    let (none, no_rights) = rights("", &[]);
    let (newer, newer_rights) = rights("search", &["gpt-[34]*"]);
    let of = |policy: vocab::PolicyId| wire::Key { id: 7, policy: policy.0, ..Default::default() };
    vec![
        http("main", "https://api.example.com/v1", "sk-upstream"),
        provider("demo", Demo(wire::Demo::default())),
        http("broken", "gopher://api.example.com", "sk-upstream"),
        model("gpt-4", &[("main", "gpt-4-0613")]),
        model("gpt-4o-mini", &[("main", "gpt-4o-mini"), ("demo", "echo")]),
        model("lab/mixed", &[("broken", "a"), ("demo", "echo"), ("nowhere", "b"), ("main", "c")]),
        model("lab/dead", &[("broken", "a"), ("nowhere", "b")]),
        model("lab/empty", &[]),
        all_rights,
        mini_rights,
        no_rights,
        newer_rights,
        key(ALICE, &of(all)),
        key(BOB, &of(minis)),
        key(CAROL, &of(none)),
        key(DAVE, &wire::Key { disabled: true, ..of(all) }),
        key(ERIN, &wire::Key { expires_ms: NOON, ..of(all) }),
        key(FRANK, &of(newer)),
        key(GRACE, &wire::Key { disabled: true, expires_ms: 1, ..of(all) }),
    ]
}

fn snapshot(house: Vec<wire::Resource>) -> Snapshot {
    apply(&Snapshot::empty(), &World::new(house).full(1)).unwrap()
}

/// The whole way: whose key it is, and where its request goes.
fn verdict(snapshot: &Snapshot, who: u8, now_ms: u64, asked: &str) -> String {
    let planned = policy::caller(snapshot, &hash(who), Timestamp::from_ms(now_ms))
        .map_err(Refusal::Denied)
        .and_then(|key| policy::plan(snapshot, key, asked));
    match planned {
        Ok(Plan { attempts, skipped, .. }) => {
            let tried = attempts.iter().map(|target| format!("{}/{}", target.provider.name, target.model));
            let left_out = skipped.iter().map(|skipped| format!("not {}: {}", skipped.provider, skipped.why));
            tried.chain(left_out).collect::<Vec<_>>().join(", ")
        }
        Err(refusal) => refusal.to_string(),
    }
}

#[test]
fn who_asks_for_what_and_when_decides() {
    let snapshot = snapshot(house());
    for (who, now, asked, expected) in [
        (ALICE, NOON, "gpt-4", "main/gpt-4-0613"),
        (ALICE, NOON, "gpt-4o-mini", "main/gpt-4o-mini, demo/echo"),
        (ALICE, NOON, "gpt-5", "no model is called \"gpt-5\""),
        (ALICE, NOON, "", "no model is called \"\""),
        (ALICE, NOON, "GPT-4", "no model is called \"GPT-4\""),
        (ALICE, NOON, "a\n\u{202e}b", "no model is called \"a\\n\\u{202e}b\""),
        (ALICE, NOON, "*", "no model is called \"*\""),
        (BOB, NOON, "gpt-4o-mini", "main/gpt-4o-mini, demo/echo"),
        (BOB, NOON, "gpt-4", "main/gpt-4-0613"),
        (BOB, NOON, "gpt-5", "no model is called \"gpt-5\""),
        (CAROL, NOON, "gpt-4", "this key may not use gpt-4"),
        (CAROL, NOON, "lab/empty", "this key may not use lab/empty"),
        (CAROL, NOON, "lab/dead", "this key may not use lab/dead"),
        (STRANGER, NOON, "gpt-4", "the presented key is not known"),
        (DAVE, NOON, "gpt-4", "the key is disabled"),
        (ERIN, NOON - 1, "gpt-4", "main/gpt-4-0613"),
        (ERIN, NOON, "gpt-4", "the key has expired"),
        (ERIN, NOON + 1, "gpt-4", "the key has expired"),
        (GRACE, NOON, "gpt-4", "the key is disabled"),
        (FRANK, NOON, "gpt-4", "the key is in quarantine"),
    ] {
        assert_eq!(verdict(&snapshot, who, now, asked), expected, "{who} asks for {asked:?} at {now}");
    }
}

#[test]
fn what_is_broken_closes_itself_and_nothing_else() {
    let snapshot = snapshot(house());
    for (asked, expected) in [
        (
            "lab/mixed",
            "demo/echo, main/c, not broken: the provider was not understood, not nowhere: there is no such provider",
        ),
        (
            "lab/dead",
            "model lab/dead has no target that can be tried: a at broken: the provider was not understood; \
             b at nowhere: there is no such provider;",
        ),
        ("lab/empty", "model lab/empty is in quarantine: it has no targets"),
    ] {
        assert_eq!(verdict(&snapshot, BOB, NOON, asked), expected, "{asked}");
    }
    let mut rejected: Vec<_> =
        snapshot.rejected().map(|rejected| (rejected.kind, rejected.why.as_str(), rejected.kept)).collect();
    rejected.sort_unstable();
    let (_, newer) = rights("search", &["gpt-[34]*"]);
    let newer = vocab::PolicyId(u64::from_be_bytes((*newer.id).try_into().unwrap()));
    assert_eq!(
        rejected,
        [
            (1, "its base URL is wrong: it must start with http:// or https://", false),
            (2, "it has no targets", false),
            (
                3,
                "it holds a bad pattern: a pattern is made of the characters of model names, `*` and `?`; '[' is not among them",
                false
            ),
            (4, format!("its policy {newer} is not here, or was not understood").as_str(), false),
        ]
    );
    let counts = snapshot.counts();
    assert_eq!((counts.keys, counts.models, counts.providers, counts.policies, counts.rejected), (6, 4, 2, 3, 4));
}

#[test]
fn a_very_long_name_is_not_repeated_in_full() {
    let snapshot = snapshot(house());
    let key = snapshot.key(&hash(ALICE)).unwrap();
    let refusal = policy::plan(&snapshot, key, &"é".repeat(1_000_000)).unwrap_err();
    assert_eq!(refusal.code(), "model_not_found");
    assert!(refusal.message().contains(&format!("\"{}\"", "é".repeat(100))));
    assert!(refusal.to_string().len() < 300);
}

#[test]
fn codes_are_a_treaty_and_messages_keep_the_house_to_themselves() {
    let snapshot = snapshot(house());
    let plan = |who, asked| policy::plan(&snapshot, snapshot.key(&hash(who)).unwrap(), asked).unwrap_err();
    for (refusal, code) in [
        (plan(ALICE, "gpt-5"), "model_not_found"),
        (plan(CAROL, "gpt-4"), "model_not_allowed"),
        (plan(ALICE, "lab/empty"), "model_quarantined"),
        (plan(ALICE, "lab/dead"), "no_target"),
        (Denied::Missing.into(), "invalid_api_key"),
        (Denied::Mistyped.into(), "invalid_api_key"),
        (Denied::Unknown.into(), "invalid_api_key"),
        (Denied::Disabled.into(), "invalid_api_key"),
        (Denied::Expired.into(), "invalid_api_key"),
        (Denied::Quarantined.into(), "key_quarantined"),
    ] {
        assert_eq!(refusal.code(), code);
        for inner in ["broken", "nowhere", "provider", "targets\"", "api.example.com"] {
            assert!(!refusal.message().contains(inner), "{}", refusal.message());
        }
    }
}

#[test]
fn a_key_is_checked_for_slips_before_it_is_looked_up() {
    let minted = vocab::key::mint(vocab::KeyId(1), [9; 32]);
    let minted = minted.expose();
    for (presented, expected) in [
        ("", Err(Denied::Missing)),
        (minted, Ok(())),
        (&minted[..minted.len() - 1], Err(Denied::Mistyped)),
        ("sk-tp-", Err(Denied::Mistyped)),
        ("sk-bench-key", Ok(())),
    ] {
        assert_eq!(policy::spelled(presented), expected, "{presented}");
    }
}

/// A house in which something happens, one update after the other.
struct Story {
    world: World,
    house: Vec<wire::Resource>,
    snapshot: Snapshot,
}

impl Story {
    fn begin(house: Vec<wire::Resource>) -> Story {
        Story { world: World::new(house.clone()), snapshot: snapshot(house.clone()), house }
    }

    /// Returns the reasons of what was rejected just now.
    fn then(&mut self, change: impl FnOnce(&mut Vec<wire::Resource>)) -> Vec<String> {
        change(&mut self.house);
        let next = World::new(self.house.clone());
        let revision = self.snapshot.revision().0;
        let update = self.world.update(&next, revision, revision + 1);
        let applied = self.snapshot.apply(&update, &world::open).unwrap();
        (self.world, self.snapshot) = (next, applied.snapshot);
        applied.rejected_new.into_iter().map(|rejected| rejected.why).collect()
    }

    fn put(&mut self, resource: wire::Resource) -> Vec<String> {
        self.then(|house| house.push(resource))
    }

    fn remove(&mut self, kind: Kind, id: &[u8]) -> Vec<String> {
        self.then(|house| house.retain(|resource| (resource.kind, &*resource.id) != (kind.number(), id)))
    }

    fn alice(&self, asked: &str) -> String {
        verdict(&self.snapshot, ALICE, NOON, asked)
    }
}

#[test]
fn a_revoked_key_is_refused_by_the_next_snapshot_and_not_by_the_one_before() {
    let mut story = Story::begin(house());
    let before = story.snapshot.clone();
    story.remove(Kind::Key, &hash(ALICE).0);
    assert_eq!(story.alice("gpt-4"), "the presented key is not known");
    assert_eq!(verdict(&before, ALICE, NOON, "gpt-4"), "main/gpt-4-0613");
}

#[test]
fn a_key_that_cannot_be_read_is_refused_even_if_the_last_one_could() {
    let mut story = Story::begin(house());
    let unreadable =
        wire::Resource { body: vec![0xff].into(), keep_last_good: true, ..key(ALICE, &wire::Key::default()) };
    let rejected = story.put(unreadable);
    assert_eq!(rejected.len(), 1);
    assert!(rejected[0].starts_with("its body cannot be read"), "{rejected:?}");
    assert_eq!(story.alice("gpt-4"), "the key is in quarantine");
    assert_eq!(verdict(&story.snapshot, BOB, NOON, "gpt-4"), "main/gpt-4-0613");
}

#[test]
fn a_key_heals_when_its_policy_comes() {
    let (late, late_rights) = rights("late", &["*"]);
    let mut story = Story::begin(house());
    let rejected = story.put(key(ALICE, &wire::Key { id: 1, policy: late.0, ..Default::default() }));
    assert_eq!(rejected, [format!("its policy {late} is not here, or was not understood")]);
    assert_eq!(story.alice("gpt-4"), "the key is in quarantine");
    assert_eq!(story.put(late_rights), [""; 0]);
    assert_eq!(story.alice("gpt-4"), "main/gpt-4-0613");
}

#[test]
fn a_policy_that_goes_while_keys_use_it_goes_on_serving_them() {
    let (all, _) = rights("search", &["*"]);
    let mut story = Story::begin(house());
    story.remove(Kind::Policy, &all.0.to_be_bytes());
    assert_eq!(story.alice("gpt-4"), "main/gpt-4-0613");
    assert_eq!(story.snapshot.counts().policies, 2);
    // But no new key gets it.
    story.put(key(STRANGER, &wire::Key { id: 9, policy: all.0, ..Default::default() }));
    assert_eq!(verdict(&story.snapshot, STRANGER, NOON, "gpt-4"), "the key is in quarantine");
}

#[test]
fn models_follow_their_providers() {
    let mut story = Story::begin(house());
    story.put(provider("nowhere", Demo(wire::Demo::default())));
    assert_eq!(story.alice("lab/dead"), "nowhere/b, not broken: the provider was not understood");
    story.put(http("broken", "http://127.0.0.1:1", "s"));
    assert_eq!(story.alice("lab/dead"), "broken/a, nowhere/b");
    story.remove(Kind::Provider, b"broken");
    assert_eq!(story.alice("lab/dead"), "nowhere/b, not broken: there is no such provider");
    story.put(http("nowhere", "ws://127.0.0.1", "s"));
    assert!(story.alice("lab/dead").contains("b at nowhere: the provider was not understood"));
}

#[test]
fn only_models_of_a_changed_provider_are_made_anew() {
    let mut story = Story::begin(house());
    let before = story.snapshot.clone();
    story.put(provider("demo", Demo(wire::Demo { latency_ms: 5, ..Default::default() })));
    let same = |name| std::sync::Arc::ptr_eq(before.model(name).unwrap(), story.snapshot.model(name).unwrap());
    assert_eq!([same("gpt-4"), same("lab/dead"), same("gpt-4o-mini"), same("lab/mixed")], [true, true, false, false]);
    let serial = |snapshot: &Snapshot, name| snapshot.provider(name).unwrap().serial;
    assert_eq!(serial(&before, "main"), serial(&story.snapshot, "main"));
    assert_ne!(serial(&before, "demo"), serial(&story.snapshot, "demo"));
}

fn kept(resource: wire::Resource) -> wire::Resource {
    wire::Resource { keep_last_good: true, ..resource }
}

#[test]
fn a_last_good_version_serves_where_the_operator_says_so() {
    let mut story = Story::begin(house());
    story.put(kept(http("main", "ws://api.example.com", "s")));
    assert_eq!(story.alice("gpt-4"), "main/gpt-4-0613");
    story.put(kept(model("gpt-4", &[])));
    assert_eq!(story.alice("gpt-4"), "main/gpt-4-0613");
    assert_eq!(story.snapshot.rejected().filter(|rejected| rejected.kept).count(), 2);
    // A worse one still, and a start from what was saved.
    story.put(kept(http("main", "", "")));
    story.snapshot = apply(&Snapshot::empty(), &story.snapshot.to_update()).unwrap();
    assert_eq!(story.alice("gpt-4"), "main/gpt-4-0613");
    // A full sync of the same store, which brings the bad ones only.
    story.snapshot = apply(&story.snapshot, &story.world.full(9)).unwrap();
    assert_eq!(story.alice("gpt-4"), "main/gpt-4-0613");
    // The operator no longer says so.
    story.put(http("main", "", ""));
    assert!(story.alice("gpt-4").contains("the provider was not understood"));
    story.put(model("gpt-4", &[]));
    assert_eq!(story.alice("gpt-4"), "model gpt-4 is in quarantine: it has no targets");
}

#[test]
fn nothing_is_kept_of_another_store_or_of_what_was_removed() {
    let mut story = Story::begin(house());
    story.remove(Kind::Model, b"gpt-4");
    story.put(kept(model("gpt-4", &[])));
    assert_eq!(story.alice("gpt-4"), "model gpt-4 is in quarantine: it has no targets");

    let mut house = house();
    house.push(kept(http("main", "ws://api.example.com", "s")));
    let moved = wire::Update { store: "store-2".into(), ..World::new(house).full(9) };
    let there = apply(&story.snapshot, &moved).unwrap();
    assert!(there.provider("main").is_none());
}

#[test]
fn providers_are_read_to_the_last_field() {
    let whole = wire::Http {
        base_url: "https://api.example.com:8443/v1/".into(),
        credential: world::seal("Provider/p/credential", "sk-upstream").into(),
        allow_link_local: true,
        ca: b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n".to_vec().into(),
        timeout_connect_ms: 10,
        timeout_idle_ms: 20,
    };
    let snapshot = snapshot(vec![provider("p", Http(whole)), http("plain", "http://h", "")]);
    let Reach::Http(read) = &snapshot.provider("p").unwrap().reach else { panic!("not http") };
    assert_eq!(
        (read.host.as_str(), read.port, read.authority.as_str()),
        ("api.example.com", 8443, "api.example.com:8443")
    );
    assert_eq!((read.path_prefix.as_str(), read.allow_link_local), ("/v1", true));
    assert_eq!(read.credential.as_ref().map(vocab::Secret::expose), Some("sk-upstream"));
    assert!(read.ca.as_ref().is_some_and(|ca| ca.starts_with("-----BEGIN")));
    assert_eq!((read.timeouts.connect.as_millis(), read.timeouts.idle.as_millis()), (10, 20));
    // An empty credential was sealed by mistake; none at all is fine.
    assert!(snapshot.provider("plain").is_none());
    let silent = wire::Http { base_url: "http://h".into(), ..Default::default() };
    let snapshot = self::snapshot(vec![provider("p", Http(silent))]);
    let Reach::Http(read) = &snapshot.provider("p").unwrap().reach else { panic!("not http") };
    assert_eq!((&read.credential, &read.ca), (&None, &None));
    assert_eq!((read.timeouts.connect.as_millis(), read.timeouts.idle.as_millis()), (2_000, 60_000));
}

#[test]
fn what_is_not_understood_is_named_with_its_reason() {
    let sealed_elsewhere = world::seal("Provider/other/credential", "s").into();
    let with = |change: fn(&mut wire::Http)| {
        let mut http = wire::Http { base_url: "http://h".into(), ..Default::default() };
        change(&mut http);
        provider("p", Http(http))
    };
    let elsewhere = wire::Http { base_url: "http://h".into(), credential: sealed_elsewhere, ..Default::default() };
    let spoken = wire::Provider { dialect: "klingon".into(), reach: Some(Demo(wire::Demo::default())) };
    let unreachable = wire::Provider { dialect: "openai".into(), reach: None };
    let id = |kind, id: &[u8]| wire::resource(kind, id.to_vec(), &wire::Policy::default());
    for (resource, expected) in [
        (wire::Resource { kind: 77, ..id(Kind::Key, b"x") }, "this build knows no resources of kind 77"),
        (id(Kind::Provider, b"a b"), "its id is not a name: "),
        (id(Kind::Provider, b"\xff"), "its id is not UTF-8"),
        (id(Kind::Model, b""), "its id is not a name: a name must not be empty"),
        (id(Kind::Policy, b"1234567"), "the id of a policy has 8 bytes, this one has 7"),
        (id(Kind::Key, b"1234567"), "the id of a key has 32 bytes, this one has 7"),
        (wire::resource(Kind::Provider, b"p".to_vec(), &spoken), "this build does not speak the dialect \"klingon\""),
        (
            wire::resource(Kind::Provider, b"p".to_vec(), &unreachable),
            "it says of no way to reach it that this build knows",
        ),
        (provider("p", Demo(wire::Demo { fail_permille: 1001, ..Default::default() })), "it wants 1001 of 1000"),
        (
            with(|http| http.base_url = "http://u:p@h".into()),
            "its base URL is wrong: it must not hold a user or password",
        ),
        (with(|http| http.ca = b"/etc/ca.pem".to_vec().into()), "its certificate authorities are not PEM certificates"),
        (provider("p", Http(elsewhere)), "its credential does not open: sealed for another place"),
        (
            http("p", "http://h", "sk\r\nx-admin: 1"),
            "its credential is empty or has characters that no header can carry",
        ),
        (model("m", &[("a b", "m")]), "it holds a bad name: "),
        (model("m", &[("p", "")]), "it holds a bad name: a name must not be empty"),
        (rights("no team!", &["*"]).1, "it holds a bad name: "),
        (rights("t", &[""]).1, "it holds a bad pattern: a pattern must not be empty; `*` allows every model"),
    ] {
        let applied = Snapshot::empty().apply(&World::new([resource.clone()]).full(1), &world::open).unwrap();
        assert_eq!(applied.rejected_new.len(), 1, "{expected}");
        let rejected = &applied.rejected_new[0];
        assert!(rejected.why.starts_with(expected), "{:?} for {expected:?}", rejected.why);
        let named = rejected.to_wire().resource.unwrap();
        assert_eq!((named.kind, named.id), (resource.kind, resource.id));
        assert_eq!(applied.snapshot.counts().rejected, 1);
    }
}

#[test]
fn no_view_of_a_snapshot_shows_a_secret() {
    let applied = Snapshot::empty().apply(&World::new(house()).full(1), &world::open).unwrap();
    let model = applied.snapshot.model("gpt-4").unwrap();
    let whole =
        format!("{applied:?} {:?} {model:?} {:?}", applied.snapshot, applied.snapshot.provider("main").unwrap());
    assert!(whole.contains("Secret(..)"));
    assert!(!whole.contains("sk-upstream") && !whole.contains("maertspu-ks"), "{whole}");
}
