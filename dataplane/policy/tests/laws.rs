//! What holds whatever happens: the way to a state leaves no trace, nobody is told a part, nothing is forgotten.

#![cfg(test)]

#[path = "support/world.rs"]
mod world;

use std::collections::BTreeMap;

use policy::{Denied, Glob, OutOfStep, Snapshot};
use proptest::prelude::*;
use vocab::{KeyId, Kind, ModelName, Timestamp};
use wire::provider::Reach::Demo;
use world::{STORE, World, apply, hash, http, key, model, provider, rights};

const PROVIDERS: u8 = 3;
const MODELS: u8 = 4;
const KEYS: u8 = 10;
const RIGHTS: u8 = 6;

/// What an operator may have written. Every field has ways to be wrong.
#[derive(Clone, Debug, PartialEq)]
enum Reached {
    Demo(u32),
    Http(u8),
    Nonsense(u8),
}

#[derive(Clone, Debug, PartialEq)]
struct Held {
    rights: u8,
    disabled: bool,
    expires_ms: u64,
    metadata: bool,
    /// With a field that this build does not know.
    newer: bool,
}

#[derive(Clone, Debug)]
enum Change {
    Provider(u8, Option<Reached>, bool),
    /// No targets at all is a fault.
    Model(u8, Option<Vec<u8>>, bool),
    Key(u8, Option<Held>),
    Alien(u8, Option<u8>),
    /// A policy that had not been sent is sent from now on.
    Release(u8),
}

#[derive(Clone, Debug, Default)]
struct State {
    providers: BTreeMap<u8, (Reached, bool)>,
    models: BTreeMap<u8, (Vec<u8>, bool)>,
    keys: BTreeMap<u8, Held>,
    aliens: BTreeMap<u8, u8>,
    withheld: Vec<u8>,
}

fn put<T>(map: &mut BTreeMap<u8, T>, at: u8, value: Option<T>) {
    match value {
        Some(value) => _ = map.insert(at, value),
        None => _ = map.remove(&at),
    }
}

impl State {
    fn change(&mut self, change: Change) {
        match change {
            Change::Provider(at, reached, keep) => put(&mut self.providers, at, reached.map(|reached| (reached, keep))),
            Change::Model(at, targets, keep) => put(&mut self.models, at, targets.map(|targets| (targets, keep))),
            Change::Key(at, held) => put(&mut self.keys, at, held),
            Change::Alien(at, body) => put(&mut self.aliens, at, body),
            Change::Release(rights) => self.withheld.retain(|other| *other != rights),
        }
    }

    /// As the operator meant it, without `keepLastGood`.
    fn without_keeping(mut self) -> State {
        self.providers.values_mut().for_each(|(_, keep)| *keep = false);
        self.models.values_mut().for_each(|(_, keep)| *keep = false);
        self
    }

    fn compile(&self) -> World {
        let providers = self.providers.iter().map(|(at, (reached, keep))| {
            let name = format!("p{at}");
            let resource = match reached {
                Reached::Demo(latency_ms) => {
                    provider(&name, Demo(wire::Demo { latency_ms: *latency_ms, ..Default::default() }))
                }
                Reached::Http(port) => http(&name, &format!("http://h:{}/v1", u16::from(*port) + 1), "sk-upstream"),
                Reached::Nonsense(n) => http(&name, &format!("gopher://{n}"), "sk-upstream"),
            };
            wire::Resource { keep_last_good: *keep, ..resource }
        });
        let models = self.models.iter().map(|(at, (targets, keep))| {
            let names: Vec<String> = targets.iter().map(|provider| format!("p{provider}")).collect();
            let targets: Vec<_> = names.iter().map(|name| (name.as_str(), "upstream")).collect();
            wire::Resource { keep_last_good: *keep, ..model(&format!("m{at}"), &targets) }
        });
        let policies = self
            .keys
            .values()
            .filter(|held| !self.withheld.contains(&held.rights))
            .map(|held| rights_of(held.rights).1);
        let keys = self.keys.iter().map(|(at, held)| key_of(*at, held));
        let aliens = self.aliens.iter().map(|(at, body)| wire::Resource {
            kind: 5 + u32::from(at % 2),
            id: vec![*at].into(),
            body: vec![*body].into(),
            keep_last_good: true,
        });
        World::new(providers.chain(models).chain(policies).chain(keys).chain(aliens))
    }

    fn is_understood(&self, held: &Held) -> bool {
        held.rights < 4 && !self.withheld.contains(&held.rights)
    }

    fn is_reached(&self, provider: u8) -> bool {
        matches!(self.providers.get(&provider), Some((Reached::Demo(_) | Reached::Http(_), _)))
    }
}

/// The last two are wrong.
fn rights_of(n: u8) -> (vocab::PolicyId, wire::Resource) {
    match n {
        0 => rights("search", &["*"]),
        1 => rights("search", &["m1", "m2"]),
        2 => rights("ads", &["m?"]),
        3 => rights("", &[]),
        4 => rights("search", &["m[12]"]),
        _ => rights("no team!", &["*"]),
    }
}

fn key_of(at: u8, held: &Held) -> wire::Resource {
    let pair = wire::Pair { name: "env".into(), value: format!("e{at}") };
    let mut resource = key(
        at,
        &wire::Key {
            id: u64::from(at),
            policy: rights_of(held.rights).0.0,
            expires_ms: held.expires_ms,
            disabled: held.disabled,
            metadata: held.metadata.then_some(pair).into_iter().collect(),
        },
    );
    if held.newer {
        resource.body = [&resource.body[..], &[0x7a, 1, at]].concat().into();
    }
    resource
}

fn reached() -> impl Strategy<Value = Reached> {
    prop_oneof![
        any::<u8>().prop_map(|n| Reached::Demo(n.into())),
        any::<u8>().prop_map(Reached::Http),
        any::<u8>().prop_map(Reached::Nonsense)
    ]
}

fn held() -> impl Strategy<Value = Held> {
    (0..RIGHTS, any::<bool>(), prop_oneof![Just(0), 1..100u64, Just(u64::MAX)], any::<bool>(), any::<bool>()).prop_map(
        |(rights, disabled, expires_ms, metadata, newer)| Held { rights, disabled, expires_ms, metadata, newer },
    )
}

fn change() -> impl Strategy<Value = Change> {
    // One provider more than there ever is, so that some targets lead nowhere.
    let targets = prop::collection::vec(0..=PROVIDERS, 0..4);
    prop_oneof![
        3 => (0..PROVIDERS, prop::option::of(reached()), any::<bool>()).prop_map(|(at, to, keep)| Change::Provider(at, to, keep)),
        2 => (0..MODELS, prop::option::of(targets), any::<bool>()).prop_map(|(at, to, keep)| Change::Model(at, to, keep)),
        4 => (0..KEYS, prop::option::of(held())).prop_map(|(at, to)| Change::Key(at, to)),
        1 => (0..4u8, prop::option::of(any::<u8>())).prop_map(|(at, to)| Change::Alien(at, to)),
        2 => (0..RIGHTS).prop_map(Change::Release),
    ]
}

/// The state after each update of a history.
fn history() -> impl Strategy<Value = Vec<State>> {
    let batches = prop::collection::vec(prop::collection::vec(change(), 0..10), 1..16);
    (prop::collection::vec(0..RIGHTS, 0..5), batches).prop_map(|(withheld, batches)| {
        let mut state = State { withheld, ..Default::default() };
        let after = |batch: Vec<Change>| {
            batch.into_iter().for_each(|change| state.change(change));
            state.clone()
        };
        batches.into_iter().map(after).collect()
    })
}

fn without_keeping(history: Vec<State>) -> Vec<State> {
    history.into_iter().map(State::without_keeping).collect()
}

/// Every state's update applied to what the one before led to.
fn live(history: &[State]) -> Vec<Snapshot> {
    let (mut world, mut snapshots) =
        (World::default(), vec![apply(&Snapshot::empty(), &World::default().full(0)).unwrap()]);
    for (state, revision) in history.iter().zip(0..) {
        let next = state.compile();
        let update = world.update(&next, revision, revision + 1);
        snapshots.push(apply(&snapshots[snapshots.len() - 1], &update).unwrap());
        world = next;
    }
    snapshots.split_off(1)
}

/// The first update of a history is a full sync, because it goes on from nothing.
fn revision(history: &[State]) -> u64 {
    u64::try_from(history.len()).unwrap()
}

fn shuffle<T>(items: &mut [T], mut seed: u64) {
    for at in (1..items.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(at, usize::try_from(seed >> 33).unwrap() % (at + 1));
    }
}

/// Each lookup answers as the operator's own words say.
fn check_lookups(snapshot: &Snapshot, state: &State) {
    let now = Timestamp::from_ms(50);
    for at in 0..KEYS {
        let found = policy::caller(snapshot, &hash(at), now);
        let Some(held) = state.keys.get(&at) else {
            assert_eq!(found, Err(Denied::Unknown));
            continue;
        };
        match found {
            Err(Denied::Quarantined) => assert!(!state.is_understood(held)),
            Err(Denied::Disabled) => assert!(state.is_understood(held) && held.disabled),
            Err(Denied::Expired) => assert!(state.is_understood(held) && (1..=50).contains(&held.expires_ms)),
            Err(Denied::Missing | Denied::Mistyped | Denied::Unknown) => panic!("{at} is held"),
            Ok(key) => {
                assert!(state.is_understood(held) && !held.disabled && !(1..=50).contains(&held.expires_ms));
                assert_eq!((key.id, key.policy.id), (KeyId(at.into()), rights_of(held.rights).0));
                assert_eq!(key.metadata.get("env"), held.metadata.then(|| format!("e{at}")).as_deref());
            }
        }
    }
    let reached: Vec<_> = (0..PROVIDERS).filter(|at| state.is_reached(*at)).map(|at| format!("p{at}")).collect();
    assert_eq!(snapshot.providers().map(|provider| provider.name.to_string()).collect::<Vec<_>>(), reached);
    for at in 0..MODELS {
        let targets = state.models.get(&at).map(|(targets, _)| targets).filter(|targets| !targets.is_empty());
        let targets = targets.map(|targets| {
            targets.iter().filter(|at| state.is_reached(**at)).map(|at| format!("p{at}")).collect::<Vec<_>>()
        });
        let model = snapshot.model(&format!("m{at}"));
        assert_eq!(
            model.map(|model| model.targets.iter().map(|target| target.provider.name.to_string()).collect()),
            targets
        );
        for target in model.iter().flat_map(|model| &model.targets) {
            assert!(std::sync::Arc::ptr_eq(
                &target.provider,
                snapshot.provider(target.provider.name.as_str()).unwrap()
            ));
        }
    }
}

proptest! {
    #[test]
    fn many_small_steps_lead_where_one_great_step_does(history in history().prop_map(without_keeping)) {
        let last = &history[history.len() - 1];
        let snapshots = live(&history);
        let by_steps = &snapshots[snapshots.len() - 1];
        let at_once = apply(&Snapshot::empty(), &last.compile().full(revision(&history))).unwrap();
        prop_assert_eq!(by_steps, &at_once);
        prop_assert_eq!(by_steps.digest(), last.compile().digest());
        check_lookups(by_steps, last);
    }

    #[test]
    fn a_snapshot_never_changes_whatever_is_made_of_it(history in history()) {
        let mut world = World::default();
        let mut snapshot = Snapshot::empty();
        let mut taken = Vec::new();
        for (state, revision) in history.iter().zip(0..) {
            let next = state.compile();
            let update = world.update(&next, revision, revision + 1);
            let applied = apply(&snapshot, &update).unwrap();
            taken.push((snapshot.clone(), snapshot.to_update()));
            // A second successor of the same snapshot, for it to be disturbed by.
            let _other = apply(&snapshot, &World::default().full(9)).unwrap();
            (snapshot, world) = (applied, next);
        }
        for (snapshot, before) in taken {
            prop_assert_eq!(snapshot.to_update(), before);
        }
    }

    #[test]
    fn the_order_within_an_update_does_not_matter(history in history(), seed: u64) {
        let snapshots = live(&history);
        let (mut held, mut world) = (Snapshot::empty(), World::default());
        for ((state, expected), revision) in history.iter().zip(&snapshots).zip(0..) {
            let next = state.compile();
            let mut update = world.update(&next, revision, revision + 1);
            shuffle(&mut update.upserts, seed ^ revision);
            shuffle(&mut update.removals, !seed ^ revision);
            held = apply(&held, &update).unwrap();
            prop_assert_eq!(&held, expected);
            world = next;
        }
    }

    #[test]
    fn an_update_that_does_not_fit_changes_nothing(history in history(), next in history(), wrong in 1u64..100, bit in 0usize..128) {
        let snapshots = live(&history);
        let held = &snapshots[snapshots.len() - 1];
        let revision = revision(&history);
        let world = history[history.len() - 1].compile();
        let update = world.update(&next[next.len() - 1].compile(), revision, revision + 1);
        prop_assert!(apply(held, &update).is_ok());
        let before = held.to_update();

        let elsewhere = wire::Update { store: "store-2".into(), ..update.clone() };
        let is_store = matches!(apply(held, &elsewhere), Err(OutOfStep::Store { .. }));
        prop_assert!(is_store);
        for from in [revision + wrong, revision.saturating_sub(wrong).max(1)] {
            let gapped = wire::Update { from, to: from + 1, ..update.clone() };
            let is_gap = matches!(apply(held, &gapped), Err(OutOfStep::Gap { .. }));
            prop_assert!(is_gap || from == revision);
        }
        let back = wire::Update { to: revision - 1, ..update.clone() };
        let is_backwards = matches!(apply(held, &back), Err(OutOfStep::Backwards { .. }));
        prop_assert!(is_backwards);
        let mut digest = update.digest.to_vec();
        digest[bit / 8] ^= 1 << (bit % 8);
        for from in [revision, 0] {
            let drifted = wire::Update { from, digest: digest.clone().into(), ..update.clone() };
            // Told to hold what it would not hold, or told everything as if it were nothing.
            let refused = matches!(apply(held, &drifted), Err(OutOfStep::Digest { .. }));
            prop_assert!(refused);
        }
        let torn = wire::Update { digest: digest[1..].to_vec().into(), ..update };
        let is_malformed = matches!(apply(held, &torn), Err(OutOfStep::Malformed(_)));
        prop_assert!(is_malformed);

        prop_assert_eq!(held.to_update(), before);
    }

    #[test]
    fn what_is_saved_is_what_is_found_again(history in history()) {
        for snapshot in live(&history) {
            let saved = snapshot.to_update();
            prop_assert_eq!(&apply(&Snapshot::empty(), &saved).unwrap(), &snapshot);
            prop_assert_eq!(apply(&Snapshot::empty(), &saved).unwrap().to_update(), saved);
        }
    }

    #[test]
    fn a_full_sync_and_a_step_lead_to_the_same(history in history()) {
        // Also to the same last good versions: those are asked of what was held before.
        let snapshots = live(&history);
        for ((before, after), (state, to)) in snapshots.iter().zip(&snapshots[1..]).zip(history[1..].iter().zip(2..)) {
            prop_assert_eq!(&apply(before, &state.compile().full(to)).unwrap(), after);
        }
    }

    #[test]
    fn what_was_good_serves_for_as_long_as_it_is_to_be_kept(history in history()) {
        let mut serving: BTreeMap<u8, Reached> = BTreeMap::new();
        let mut before = State::default();
        for (state, snapshot) in history.iter().zip(live(&history)) {
            for at in 0..PROVIDERS {
                match state.providers.get(&at) {
                    now if now == before.providers.get(&at) => {}
                    Some((Reached::Nonsense(_), true)) => {}
                    Some((Reached::Nonsense(_), false)) | None => _ = serving.remove(&at),
                    Some((reached, _)) => _ = serving.insert(at, reached.clone()),
                }
            }
            for at in 0..PROVIDERS {
                let name = format!("p{at}");
                let expected = serving.get(&at).map(|reached| {
                    let alone = State { providers: [(at, (reached.clone(), false))].into(), ..Default::default() };
                    apply(&Snapshot::empty(), &alone.compile().full(1)).unwrap().provider(&name).unwrap().serial
                });
                prop_assert_eq!(snapshot.provider(&name).map(|provider| provider.serial), expected);
            }
            before = state.clone();
        }
    }

    #[test]
    fn any_bytes_are_applied_or_rejected_and_come_back_as_they_were(
        resources in prop::collection::vec(
            (0u32..7, prop_oneof![any::<[u8; 8]>().prop_map(Vec::from), any::<[u8; 32]>().prop_map(Vec::from), "[a-z]{0,5}".prop_map(String::into_bytes), any::<Vec<u8>>()], any::<Vec<u8>>(), any::<bool>()),
            0..20,
        ),
        known in history(),
        slips in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 0..20),
    ) {
        let mut all = known[known.len() - 1].compile().full(1).upserts;
        for (which, at, byte) in slips {
            let which = which.index(all.len().max(1));
            let Some(resource) = all.get_mut(which).filter(|resource| !resource.body.is_empty()) else { continue };
            let mut body = resource.body.to_vec();
            body[at.index(resource.body.len())] = byte;
            resource.body = body.into();
        }
        all.extend(resources.into_iter().map(|(kind, id, body, keep_last_good)| wire::Resource { kind, id: id.into(), body: body.into(), keep_last_good }));
        let world = World::new(all);
        let snapshot = apply(&Snapshot::empty(), &world.full(1)).unwrap();
        prop_assert_eq!(snapshot.digest(), world.digest());
        prop_assert_eq!(&apply(&Snapshot::empty(), &snapshot.to_update()).unwrap(), &snapshot);
        prop_assert_eq!(&apply(&snapshot, &world.update(&World::default(), 1, 2)).unwrap(), &apply(&Snapshot::empty(), &World::default().full(2)).unwrap());
        for resource in &world.full(1).upserts {
            let counted = snapshot.rejected().any(|rejected| (rejected.kind, &rejected.id) == (resource.kind, &resource.id));
            prop_assert!(counted || Kind::from_number(resource.kind).is_some());
        }
    }

    #[test]
    fn any_update_at_all_is_survived(store in prop_oneof![Just(STORE.to_owned()), any::<String>()], from in 0u64..3, to: u64, digest: Vec<u8>, removals in prop::collection::vec((0u32..7, any::<Vec<u8>>()), 0..5)) {
        let removals = removals.into_iter().map(|(kind, id)| wire::Ref { kind, id: id.into() }).collect();
        let update = wire::Update { store, from, to, digest: digest.into(), removals, ..Default::default() };
        let held = apply(&Snapshot::empty(), &World::new([rights_of(0).1]).full(1)).unwrap();
        // All zeroes is the digest of nothing; any other has one chance in 2^128.
        let is_nothing = update.digest.iter().all(|byte| *byte == 0);
        prop_assert!(apply(&held, &update).is_err() || is_nothing);
    }

    #[test]
    fn patterns_match_as_the_plainest_matcher_does(pattern in "[ab*?]{1,9}", name in "[ab]{1,12}") {
        let found = Glob::new(&pattern).unwrap().matches(&ModelName::new(&name).unwrap());
        prop_assert_eq!(found, plainly(pattern.as_bytes(), name.as_bytes()));
    }
}

/// Slow beyond use on long patterns, and plainly right.
fn plainly(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=name.len()).any(|skip| plainly(rest, &name[skip..])),
        ([b'?', rest @ ..], [_, others @ ..]) => plainly(rest, others),
        ([one, rest @ ..], [other, others @ ..]) => one == other && plainly(rest, others),
        (_, _) => false,
    }
}

/// A history's first state is a full sync on nothing, so that the laws above would hold of a crate that only ever did
/// that; this makes sure that histories have steps in them that matter.
#[test]
fn histories_are_worth_their_name() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let (mut healed, mut kept, mut odd) = (0, 0, 0);
    for _ in 0..200 {
        let history = history().new_tree(&mut runner).unwrap().current();
        let snapshots = live(&history);
        kept += snapshots.iter().filter(|snapshot| snapshot.rejected().any(|rejected| rejected.kept)).count();
        odd += history
            .iter()
            .filter(|state| state.keys.values().any(|held| held.newer && state.is_understood(held)))
            .count();
        let waits = |snapshot: &Snapshot, at| {
            policy::caller(snapshot, &hash(at), Timestamp::from_ms(0)) == Err(Denied::Quarantined)
        };
        for (steps, states) in snapshots.windows(2).zip(history.windows(2)) {
            let same = |at: &u8| states[0].keys.get(at) == states[1].keys.get(at);
            healed += (0..KEYS).filter(same).filter(|at| waits(&steps[0], *at) && !waits(&steps[1], *at)).count();
        }
    }
    assert!(healed > 10 && kept > 50 && odd > 100, "healed {healed}, kept {kept}, odd {odd}");
}
