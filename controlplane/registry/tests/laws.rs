//! What holds for every document and every order of changes.
#![expect(clippy::unwrap_used, reason = "a test that stumbles has failed")]

#[path = "support/shell.rs"]
mod shell;

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use registry::resource::{BaseUrl, Demo, Glob, Http, Metadata, Previous, Reach, Sealed, Target, Timeouts};
use registry::{Change, Delta, Key, Model, Outcome, Provider, Ref, Resource, ResourceKind, State, Stored, Team, User};
use registry::{export, merge, patch, propose, read};
use serde_json::{Value, json};
use shell::Shell;
use vocab::{Dialect, Digest, KeyHash, KeyId, Revision, Timestamp};

/// What a proxy holds.
#[derive(Clone, Debug, Default, PartialEq)]
struct Receiver {
    rows: BTreeMap<(u32, bytes::Bytes), wire::Resource>,
}

impl Receiver {
    fn take(&mut self, delta: &Delta) {
        for removal in &delta.removals {
            self.rows.remove(&(removal.kind, removal.id.clone()));
        }
        for row in &delta.upserts {
            self.rows.insert((row.kind, row.id.clone()), row.clone());
        }
    }

    fn digest(&self) -> Digest {
        self.rows.values().map(wire::digest_resource).fold(Digest::default(), Digest::with)
    }

    fn rows(&self) -> Vec<wire::Resource> {
        self.rows.values().cloned().collect()
    }
}

/// Few names and few hashes, so that resources meet.
fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "d/e:f"]).prop_map(str::to_owned)
}

fn hash() -> impl Strategy<Value = KeyHash> {
    (0..5_u8).prop_map(|n| KeyHash([n; 32]))
}

fn instant() -> impl Strategy<Value = Timestamp> {
    (0..4_000_000_000_000_u64).prop_map(Timestamp::from_ms)
}

fn reach() -> impl Strategy<Value = Reach> {
    let url = prop::sample::select(vec!["http://127.0.0.1:18080/v1", "https://h/", "https://[::1]:1/a%20b"]);
    let sealed = option::of(vec(any::<u8>(), 1..40).prop_map(Sealed::from_bytes));
    let ca = option::of(Just("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n".to_owned()));
    let timeouts = (option::of(1..60_000_u32), option::of(1..3_600_000_u32));
    let timeouts = timeouts.prop_map(|(connect_ms, idle_ms)| Timeouts { connect_ms, idle_ms });
    let http =
        (url, sealed, any::<bool>(), ca, timeouts).prop_map(|(url, credential, allow_link_local, ca, timeouts)| {
            Reach::Http(Http { base_url: BaseUrl::new(url).unwrap(), credential, allow_link_local, ca, timeouts })
        });
    let demo = (option::of(0..9_u32), option::of(0..9_u32), option::of(0..1000_u32));
    let demo = demo.prop_map(|(latency_ms, chunk_ms, fail_permille)| Demo { latency_ms, chunk_ms, fail_permille });
    prop_oneof![http, demo.prop_map(Reach::Demo)]
}

fn key() -> impl Strategy<Value = Key> {
    let glob = prop::sample::select(vec!["*", "gpt-*", "a?c", "x"]).prop_map(|glob| Glob::new(glob).unwrap());
    let previous = option::of((hash(), instant()).prop_map(|(sha256, until)| Previous { sha256, until }));
    let who = (name(), (0..6_u64).prop_map(KeyId), hash(), previous);
    let whose = (option::of(name()), option::of(name()), vec(glob, 0..4));
    let metadata = btree_map("[a-zé ]{1,8}", "[a-z\"\\\\]{0,8}", 0..3).prop_map(Metadata::from);
    (who, whose, option::of(instant()), any::<bool>(), metadata).prop_map(
        |(who, whose, expires, disabled, metadata)| Key {
            name: vocab::KeyName::new(&who.0).unwrap(),
            id: who.1,
            sha256: who.2,
            previous: who.3.filter(|previous| previous.sha256 != who.2),
            team: whose.0.map(|team| vocab::TeamName::new(&team).unwrap()),
            user: whose.1.map(|user| vocab::UserName::new(&user).unwrap()),
            models: whose.2,
            expires,
            disabled,
            metadata,
        },
    )
}

fn resource() -> impl Strategy<Value = Resource> {
    let provider = (name(), reach(), any::<bool>()).prop_map(|(name, reach, keep_last_good)| {
        let name = vocab::ProviderName::new(&name).unwrap();
        Resource::Provider(Provider { name, dialect: Dialect::Openai, reach, keep_last_good })
    });
    let target = (name(), "[ -~é]{1,12}").prop_map(|(provider, model)| Target {
        provider: vocab::ProviderName::new(&provider).unwrap(),
        model: vocab::UpstreamModel::new(&model).unwrap(),
    });
    let model = (name(), vec(target, 1..3), any::<bool>()).prop_map(|(name, targets, keep_last_good)| {
        Resource::Model(Model { name: vocab::ModelName::new(&name).unwrap(), targets, keep_last_good })
    });
    let team = (name(), option::of("[a-zé\n]{0,12}")).prop_map(|(name, description)| {
        Resource::Team(Team { name: vocab::TeamName::new(&name).unwrap(), description })
    });
    let user = (name(), option::of("[a-z]{1,8}@[a-z]{1,8}"), option::of(name())).prop_map(|(name, email, team)| {
        let team = team.map(|team| vocab::TeamName::new(&team).unwrap());
        Resource::User(User { name: vocab::UserName::new(&name).unwrap(), email, team })
    });
    prop_oneof![2 => provider, 2 => model, 1 => team, 1 => user, 4 => key().prop_map(Resource::Key)]
}

fn change() -> impl Strategy<Value = Change> {
    let kind = prop::sample::select(ResourceKind::ALL.to_vec());
    let delete = (kind, name()).prop_map(|(kind, name)| Change::Delete(Ref { kind, name }));
    prop_oneof![3 => resource().prop_map(Change::Put), 1 => delete]
}

fn history() -> impl Strategy<Value = Vec<Vec<Change>>> {
    vec(vec(change(), 1..6), 1..12)
}

fn json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        prop::sample::select(vec![
            "Provider",
            "Model",
            "Key",
            "a",
            "b",
            "openai",
            "http://h",
            "*",
            "sk-some-secret",
            "AAAA"
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    let field = prop_oneof![
        4 => prop::sample::select(vec![
            "kind", "name", "revision", "dialect", "baseUrl", "credential", "value", "env", "file", "sealed", "ca", "timeouts",
            "connectMs", "demo", "latencyMs", "targets", "provider", "model", "team", "user", "secret", "sha256", "previous",
            "until", "models", "expires", "disabled", "metadata", "email", "description", "id",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    leaf.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((field.clone(), inner), 0..10).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// A good document with something arbitrary in one place.
fn spoiled() -> impl Strategy<Value = Value> {
    (resource(), json(), any::<prop::sample::Index>()).prop_map(|(resource, foreign, at)| {
        let mut document = export(&resource);
        let fields = document.as_object_mut().unwrap();
        let field = fields.keys().nth(at.index(fields.len())).cloned().unwrap();
        fields.insert(field, foreign);
        document
    })
}

fn commit(state: &mut State, changes: &[Change]) -> Delta {
    state.commit(state.revision().next(), changes)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Even for changes that `check` would refuse: two keys with one hash, names that nobody bears, one name twice.
    #[test]
    fn whoever_follows_the_deltas_holds_what_a_newcomer_is_told(history in history()) {
        let (mut state, mut receiver) = (State::new(), Receiver::default());
        for changes in &history {
            let delta = commit(&mut state, changes);
            receiver.take(&delta);
            prop_assert_eq!(delta.digest, state.digest());
            prop_assert_eq!(receiver.rows(), state.full().upserts);
            prop_assert_eq!(receiver.digest(), state.digest());
        }
    }

    #[test]
    fn the_way_there_does_not_matter(history in history()) {
        let mut state = State::new();
        for changes in &history {
            commit(&mut state, changes);
        }
        let stored: Vec<Stored> = state.iter().cloned().collect();
        let mut loaded = State::load(state.revision(), stored.into_iter().rev());
        prop_assert_eq!(loaded.full(), state.full());
        prop_assert!(loaded.iter().eq(state.iter()));
        // And from there on both go the same way.
        for changes in &history {
            prop_assert_eq!(state.check(changes), loaded.check(changes));
            prop_assert_eq!(commit(&mut state, changes), commit(&mut loaded, changes));
        }
    }

    #[test]
    fn deltas_merged_are_deltas_one_by_one(history in history(), split in any::<prop::sample::Index>()) {
        let mut state = State::new();
        let deltas: Vec<Delta> = history.iter().map(|changes| commit(&mut state, changes)).collect();
        let (held, late) = deltas.split_at(split.index(deltas.len()));
        let mut one_by_one = Receiver::default();
        held.iter().for_each(|delta| one_by_one.take(delta));
        let mut at_once = one_by_one.clone();
        late.iter().for_each(|delta| one_by_one.take(delta));
        let merged = merge(late);
        at_once.take(&merged);
        prop_assert_eq!(&at_once, &one_by_one);
        prop_assert_eq!(merged.digest, at_once.digest());
    }

    #[test]
    fn what_is_deleted_leaves_no_trace(history in history()) {
        let mut state = State::new();
        for changes in &history {
            commit(&mut state, changes);
        }
        let all: Vec<_> = state.iter().map(|stored| Change::Delete(stored.resource.reference())).collect();
        prop_assert_eq!(state.check(&all), vec![]);
        let delta = commit(&mut state, &all);
        prop_assert!(delta.upserts.is_empty());
        prop_assert_eq!(state.digest(), Digest::default());
        prop_assert_eq!(state.full(), Delta::default());
        for kind in ResourceKind::ALL {
            prop_assert_eq!(state.referrers(&Ref::new(kind, "a")).count(), 0);
        }
    }

    #[test]
    fn what_is_accepted_leaves_nothing_dangling_and_no_secret_shared(
        furniture in vec(resource(), 20),
        history in vec(vec(change(), 1..4), 1..40),
    ) {
        let mut state = State::new();
        let furniture = furniture.into_iter().map(|resource| vec![Change::Put(resource)]);
        for changes in furniture.chain(history) {
            // What is refused is not committed.
            if !state.check(&changes).is_empty() {
                continue;
            }
            commit(&mut state, &changes);
            // Everything again, as if new: whatever was wrong with it would be told.
            let all: Vec<_> = state.iter().map(|stored| Change::Put(stored.resource.clone())).collect();
            prop_assert_eq!(State::new().check(&all), vec![]);
        }
    }

    #[test]
    fn an_export_is_taken_back_as_it_was(resource in resource()) {
        let (draft, faults) = read(0, &export(&resource));
        prop_assert_eq!(faults, vec![]);
        let settled = draft.unwrap().settle(None, &mut Shell::default()).unwrap();
        prop_assert_eq!(settled.minted, None);
        prop_assert_eq!(settled.resource, resource);
    }

    #[test]
    fn an_answer_put_back_changes_nothing(resource in resource()) {
        let stored = Stored { resource: resource.clone(), revision: Revision(7) };
        let (draft, faults) = read(0, &registry::document(&stored));
        prop_assert_eq!(faults, vec![]);
        let settled = draft.unwrap().settle(Some(&resource), &mut Shell::default()).unwrap();
        prop_assert_eq!(settled.resource, resource);
    }

    #[test]
    fn what_is_stored_is_read_again(resource in resource()) {
        prop_assert_eq!(Resource::from_stored(&resource.to_stored()), Ok(resource));
    }

    #[test]
    fn an_empty_patch_is_none_and_a_patch_twice_is_once(resource in resource(), change in json()) {
        let document = export(&resource);
        prop_assert_eq!(&patch(&document, &json!({})), &document);
        if change.is_object() {
            let once = patch(&document, &change);
            prop_assert_eq!(patch(&once, &change), once);
        }
    }

    #[test]
    fn whatever_comes_is_read_without_harm(documents in vec(prop_oneof![json(), spoiled()], 0..6)) {
        let mut state = State::new();
        for (number, document) in documents.iter().enumerate() {
            let (draft, faults) = read(number, document);
            prop_assert_eq!(draft.is_some(), faults.is_empty());
            prop_assert!(faults.iter().all(|fault| fault.document == number && !fault.message.is_empty()));
        }
        match propose(&state, &documents, &mut Shell::default()) {
            Ok(proposal) => {
                prop_assert_eq!(proposal.entries.len(), documents.len());
                commit(&mut state, &proposal.changes());
                let again: Vec<_> = state.iter().map(|stored| export(&stored.resource)).collect();
                let again = propose(&state, &again, &mut Shell::default()).unwrap();
                prop_assert!(again.entries.iter().all(|entry| entry.outcome == Outcome::Unchanged));
            }
            Err(faults) => {
                prop_assert!(!faults.is_empty());
                prop_assert!(faults.is_sorted_by_key(|fault| fault.document));
            }
        }
    }

    #[test]
    fn stored_bytes_of_whatever_kind_are_refused_or_read(bytes in vec(any::<u8>(), 0..60), value in json()) {
        let _read = Resource::from_stored(&bytes);
        if let Ok(resource) = Resource::from_stored(value.to_string().as_bytes()) {
            prop_assert_eq!(Resource::from_stored(&resource.to_stored()), Ok(resource));
        }
    }
}
