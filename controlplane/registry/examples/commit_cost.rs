//! What a change costs the control plane: `cargo run --release -p registry --example commit_cost [keys]`.
#![expect(clippy::print_stdout, reason = "the figures are the product")]
#![expect(clippy::disallowed_methods, reason = "a measurement needs a clock")]
#![expect(clippy::cast_possible_truncation, reason = "indexes of a made-up fleet")]

use std::time::{Duration, Instant};

use registry::{Change, Resource, ResourceKind, State, Stored, propose};
use serde_json::{Value, json};
use shell::Shell;
use vocab::Revision;

#[path = "../tests/support/shell.rs"]
mod shell;

fn documents(keys: usize) -> Vec<Value> {
    let mut documents = vec![
        json!({"kind": "Provider", "name": "mock", "dialect": "openai", "baseUrl": "http://127.0.0.1:18080/v1",
               "credential": {"value": "sk-upstream"}}),
        json!({"kind": "Model", "name": "gpt-4o-mini", "targets": [{"provider": "mock", "model": "gpt-4o-mini"}]}),
    ];
    documents.extend((0..300).map(|n| json!({"kind": "Team", "name": format!("team-{n}")})));
    documents.extend((0..keys).map(|n| {
        json!({"kind": "Key", "name": format!("key-{n:07}"), "team": format!("team-{}", n % 300), "models": ["gpt-*"],
               "secret": format!("sk-bench-key-{n}"), "metadata": {"env": "prod"}})
    }));
    documents
}

fn main() {
    let keys: usize = std::env::args().nth(1).and_then(|keys| keys.parse().ok()).unwrap_or(100_000);
    let documents = documents(keys);
    let mut shell = Shell::default();

    let begun = Instant::now();
    let Ok(proposal) = propose(&State::new(), &documents, &mut shell) else { return println!("faults") };
    let changes = proposal.changes();
    say("propose everything (read, settle, check)", begun.elapsed());

    let begun = Instant::now();
    let mut state = State::new();
    state.commit(Revision(1), &changes);
    say("commit everything", begun.elapsed());

    let stored: Vec<Vec<u8>> = state.iter().map(|stored| stored.resource.to_stored()).collect();
    let begun = Instant::now();
    let loaded = stored.iter().filter_map(|bytes| Resource::from_stored(bytes).ok());
    let loaded = State::load(Revision(1), loaded.map(|resource| Stored { resource, revision: Revision(1) }));
    say("load everything from stored JSON", begun.elapsed());
    assert_eq!(loaded.digest(), state.digest(), "the way there must not matter");

    let begun = Instant::now();
    let full = state.full();
    say(&format!("full compile ({} rows)", full.upserts.len()), begun.elapsed());

    one_at_a_time(&mut state, keys);

    let lost =
        |n| json!({"kind": "Model", "name": format!("m{n}"), "targets": [{"provider": format!("p{n}"), "model": "m"}]});
    let lost: Vec<Value> = (0..10_000).map(lost).collect();
    let begun = Instant::now();
    let faults = propose(&state, &lost, &mut shell).err().map_or(0, |faults| faults.len());
    say(&format!("find {faults} faults"), begun.elapsed());

    let document = documents.last().cloned().unwrap_or_default();
    let rounds = 2_000;
    let begun = Instant::now();
    let unchanged = (0..rounds).filter(|_| {
        propose(&state, std::slice::from_ref(&document), &mut shell).is_ok_and(|proposal| proposal.entries.len() == 1)
    });
    assert_eq!(unchanged.count(), rounds, "a document that fits");
    say("propose one key", begun.elapsed() / rounds as u32);
}

/// Disable and enable keys all over the place, one commit each.
fn one_at_a_time(state: &mut State, keys: usize) {
    let rounds = 20_000;
    let mut costs = Vec::with_capacity(rounds);
    for round in 0..rounds {
        let name = format!("key-{:07}", round.wrapping_mul(7919) % keys);
        let key = state.find(ResourceKind::Key, &name).and_then(|stored| stored.resource.as_key());
        let Some(key) = key else { continue };
        let mut key = key.clone();
        match round % 4 {
            0 => key.sha256 = shell::hash(&format!("another {round}")),
            1 => key.models.clear(),
            _ => key.disabled = !key.disabled,
        }
        let change = [Change::Put(Resource::Key(key))];
        let begun = Instant::now();
        let delta = state.commit(Revision(round as u64 + 2), &change);
        costs.push(begun.elapsed());
        assert!(!delta.is_empty(), "something changed");
    }
    costs.sort_unstable();
    let at = |permille: usize| costs.get(costs.len() * permille / 1000).copied().unwrap_or_default();
    say("commit one key, median", at(500));
    say("commit one key, p99", at(990));
    say("commit one key, p99.9", at(999));
}

fn say(what: &str, cost: Duration) {
    println!("{what:45} {cost:>12.2?}");
}
