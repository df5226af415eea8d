//! What it costs to hold a hundred thousand keys, to change one, and to find one.
//!
//! `cargo run --release -p policy --example apply_cost [keys] [policies]`

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "an example is a shell: it has a clock and says what it saw"
)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "an example that cannot go on has nothing better to do"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use policy::{Applied, Snapshot};
use vocab::{Digest, KeyHash, Kind, Secret, Timestamp};

const STORE: &str = "example";
const APPLIES: u64 = 10_000;
const LOOKUPS: u64 = 2_000_000;

fn open(_place: &str, sealed: &[u8]) -> Result<Secret, String> {
    String::from_utf8(sealed.to_vec()).map(Secret::new).map_err(|error| error.to_string())
}

/// Splitmix64: evenly spread, and the same in every run.
fn mixed(n: u64) -> u64 {
    let z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Stands for a SHA-256.
fn hash(n: u64) -> KeyHash {
    let words: Vec<u8> = (0..4).flat_map(|word| mixed(n * 4 + word).to_be_bytes()).collect();
    KeyHash::from_slice(&words).unwrap()
}

fn policy_id(n: u64) -> u64 {
    mixed(n ^ 0x5555)
}

fn key(n: u64, policies: u64, disabled: bool, metadata: bool) -> wire::Resource {
    let pair = wire::Pair { name: "env".into(), value: "prod".into() };
    let body = wire::Key {
        id: mixed(n),
        policy: policy_id(n % policies),
        expires_ms: 1_900_000_000_000,
        disabled,
        metadata: metadata.then_some(pair).into_iter().collect(),
    };
    wire::resource(Kind::Key, hash(n).0.to_vec(), &body)
}

fn full(keys: u64, policies: u64, metadata: bool) -> wire::Update {
    let policies_body =
        |n: u64| wire::Policy { team: format!("team-{n}"), models: vec!["gpt-*".into()], ..Default::default() };
    let rights =
        (0..policies).map(|n| wire::resource(Kind::Policy, policy_id(n).to_be_bytes().to_vec(), &policies_body(n)));
    let mut upserts: Vec<_> = rights.chain((0..keys).map(|n| key(n, policies, false, metadata))).collect();
    // As a control plane sends them.
    upserts.sort_by(|a, b| (a.kind, &a.id).cmp(&(b.kind, &b.id)));
    let digest = upserts.iter().fold(Digest::default(), |digest, one| digest.with(wire::digest_resource(one)));
    let digest = digest.to_bytes().to_vec().into();
    wire::Update { store: STORE.into(), from: 0, to: 1, upserts, digest, ..Default::default() }
}

fn apply(snapshot: &Snapshot, update: &wire::Update) -> Snapshot {
    let Applied { snapshot, rejected_new } = snapshot.apply(update, &open).unwrap();
    assert!(rejected_new.is_empty(), "{rejected_new:?}");
    snapshot
}

/// Resident memory, without what is merely mapped.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

fn quantiles(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |permille: usize| times[(times.len() - 1) * permille / 1000].as_nanos();
    println!("{what:<44} p50 {:>7} ns   p99 {:>7} ns   max {:>8} ns", at(500), at(990), at(1000));
}

fn one_key_changes(mut snapshot: Snapshot, keys: u64, policies: u64) -> Snapshot {
    let mut digest = snapshot.digest();
    let updates: Vec<_> = (0..APPLIES)
        .map(|n| {
            // 7919 is prime to what `keys` may well be, so that no key comes twice.
            let victim = n * 7919 % keys;
            let (old, new) = (key(victim, policies, false, true), key(victim, policies, true, true));
            digest = digest.without(wire::digest_resource(&old)).with(wire::digest_resource(&new));
            let digest = digest.to_bytes().to_vec().into();
            let (from, to) = (n + 1, n + 2);
            wire::Update { store: STORE.into(), from, to, upserts: vec![new], digest, ..Default::default() }
        })
        .collect();
    let (mut applies, mut drops) = (Vec::new(), Vec::new());
    for update in &updates {
        let start = Instant::now();
        let next = apply(&snapshot, update);
        applies.push(start.elapsed());
        let start = Instant::now();
        drop(std::mem::replace(&mut snapshot, next));
        drops.push(start.elapsed());
    }
    quantiles("one changed key: apply", applies);
    quantiles("one changed key: drop the old snapshot", drops);
    snapshot
}

fn lookups(snapshot: &Snapshot, keys: u64) {
    let now = Timestamp::from_ms(1_800_000_000_000);
    let hashes: Vec<KeyHash> = (0..LOOKUPS).map(|n| hash(mixed(n) % keys)).collect();
    let start = Instant::now();
    let found = hashes.iter().filter(|hash| snapshot.key(black_box(hash)).is_some()).count();
    println!("{:<44} {:>11} ns", "lookup of a random key", start.elapsed().as_nanos() / u128::from(LOOKUPS));
    let start = Instant::now();
    let good = hashes.iter().filter(|hash| policy::caller(snapshot, black_box(hash), now).is_ok()).count();
    println!("{:<44} {:>11} ns", "caller() of a random key", start.elapsed().as_nanos() / u128::from(LOOKUPS));
    let start = Instant::now();
    let strangers = (0..LOOKUPS).filter(|n| policy::caller(snapshot, &hash(u64::MAX / 8 - n), now).is_err()).count();
    println!(
        "{:<44} {:>11} ns",
        "caller() of an unknown key, hashing included",
        start.elapsed().as_nanos() / u128::from(LOOKUPS)
    );
    assert_eq!(found, hashes.len());
    assert!(good > 0 && strangers > 0);
}

fn memory(keys: u64, policies: u64, metadata: bool) {
    // The first one fills the holes that loading left; nothing is ever given back, so that no hole is filled unseen.
    let update = full(keys, policies, metadata);
    let mut held = vec![apply(&Snapshot::empty(), &update)];
    let before = resident_bytes();
    for _ in 0..2 {
        held.push(apply(&Snapshot::empty(), &update));
    }
    let bytes = (resident_bytes() - before) / 2;
    let what = if metadata { "memory per key, with {env: prod}" } else { "memory per key, without metadata" };
    println!("{what:<44} {:>11} bytes", bytes / keys);
    std::mem::forget((held, update));
}

fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>().unwrap());
    let (keys, policies) = (numbers.next().unwrap_or(100_000), numbers.next().unwrap_or(300));
    println!("{keys} keys, {policies} policies");
    memory(keys, policies, false);
    memory(keys, policies, true);

    let update = full(keys, policies, true);
    let start = Instant::now();
    let snapshot = apply(&Snapshot::empty(), &update);
    println!("{:<44} {:>11} us", "full sync", start.elapsed().as_micros());
    drop(update);

    lookups(&snapshot, keys);
    let snapshot = one_key_changes(snapshot, keys, policies);

    let start = Instant::now();
    let saved = snapshot.to_update();
    println!("{:<44} {:>11} us", "to_update", start.elapsed().as_micros());
    assert_eq!(apply(&Snapshot::empty(), &saved), snapshot);
    drop(saved);
    let start = Instant::now();
    drop(snapshot);
    println!("{:<44} {:>11} us", "drop of the last snapshot", start.elapsed().as_micros());
}
