//! Who may know whom: the drawing in `docs/ARCHITECTURE.md`, held against the manifests.

use crate::manifest::{Dependency, dependencies, entries, strings};
use crate::tree::{file, hold};

/// What a crate may take from others.
#[derive(Clone, Copy)]
enum Theirs {
    /// These and no more: a crate that decides or describes stays small.
    Only(&'static [&'static str]),
    /// All but these: a shell may meet the world, not somebody else's part of it.
    AllBut(&'static [&'static str]),
}
use Theirs::{AllBut, Only};

#[derive(Clone, Copy)]
struct Room {
    name: &'static str,
    directory: &'static str,
    ours: &'static [&'static str],
    /// The stubs of `wire` that it may switch on; its tests may switch on both.
    stubs: Option<&'static str>,
    theirs: Theirs,
}

const DATABASES: [&str; 2] = ["etcd-client", "rusqlite"];

const ROOMS: [Room; 11] = [
    Room {
        name: "vocab",
        directory: "proto/vocab",
        ours: &[],
        stubs: None,
        theirs: Only(&["serde", "thiserror", "zeroize"]),
    },
    Room {
        name: "wire",
        directory: "proto/wire",
        ours: &["vocab"],
        stubs: None,
        theirs: Only(&["bytes", "prost", "thiserror", "tonic", "tonic-prost"]),
    },
    Room {
        name: "trust",
        directory: "proto/trust",
        ours: &["vocab"],
        stubs: None,
        theirs: Only(&["aws-lc-rs", "base64", "rustls", "thiserror", "webpki-roots"]),
    },
    Room {
        name: "dialect",
        directory: "dataplane/dialect",
        ours: &["vocab"],
        stubs: None,
        theirs: Only(&["bytes", "memchr", "serde", "serde_json", "simdutf8", "thiserror"]),
    },
    Room {
        name: "policy",
        directory: "dataplane/policy",
        ours: &["vocab", "wire"],
        stubs: None,
        theirs: Only(&["bytes", "prost", "thiserror"]),
    },
    Room {
        name: "registry",
        directory: "controlplane/registry",
        ours: &["vocab", "wire"],
        stubs: None,
        theirs: Only(&["base64", "bytes", "prost", "serde", "serde_json", "thiserror"]),
    },
    Room {
        name: "proxy",
        directory: "dataplane/proxy",
        ours: &["dialect", "policy", "trust", "vocab", "wire"],
        stubs: Some("client"),
        theirs: AllBut(&["axum", "etcd-client", "rusqlite", "serde-saphyr"]),
    },
    Room {
        name: "server",
        directory: "controlplane/server",
        ours: &["registry", "trust", "vocab", "wire"],
        stubs: Some("server"),
        theirs: AllBut(&[]),
    },
    Room {
        name: "cli",
        directory: "controlplane/cli",
        ours: &["registry", "trust", "vocab"],
        stubs: None,
        theirs: AllBut(&["axum", "etcd-client", "prost", "rusqlite", "tonic"]),
    },
    Room { name: "e2e", directory: "tests", ours: &[], stubs: None, theirs: AllBut(&DATABASES) },
    Room { name: "bench", directory: "tests/bench", ours: &[], stubs: None, theirs: AllBut(&DATABASES) },
];

/// What tests beside the code may use on top.
const FOR_TESTS: [&str; 1] = ["proptest"];

fn findings(room: Room, dependencies: &[Dependency]) -> Vec<String> {
    let is_ours = |name: &str| ROOMS.iter().any(|room| room.name == name);
    let mut findings = Vec::new();
    for Dependency { name, dev, shared, features, .. } in dependencies {
        let allowed = match room.theirs {
            _ if is_ours(name) => room.ours.contains(&name.as_str()),
            Only(names) => names.contains(&name.as_str()) || (*dev && FOR_TESTS.contains(&name.as_str())),
            AllBut(names) => !names.contains(&name.as_str()),
        };
        let manifest = format!("{}/Cargo.toml", room.directory);
        if !allowed {
            findings.push(format!(
                "{manifest}: `{}` must not know `{name}`; move the code to the room that may",
                room.name
            ));
        }
        if !shared {
            findings.push(format!("{manifest}: name the version of `{name}` in the root's [workspace.dependencies]"));
        }
        let stubs = features.iter().filter(|feature| ["client", "server"].contains(&feature.as_str()));
        // A test may play the other side.
        for stub in stubs.filter(|stub| name == "wire" && room.stubs != Some(stub) && !dev) {
            findings
                .push(format!("{manifest}: only a shell may switch on the {stub} stubs of `wire`, and only its own"));
        }
    }
    findings
}

#[test]
fn nobody_knows_more_than_the_drawing_allows() {
    let read = |room: Room| dependencies(&file(&format!("{}/Cargo.toml", room.directory)).text);
    hold(&ROOMS.into_iter().flat_map(|room| findings(room, &read(room))).collect::<Vec<_>>());
}

#[test]
fn whoever_reaches_across_is_found() {
    let [.., policy, _, proxy, _, cli, e2e, _] = ROOMS;
    let check = |room: Room, text: &str| findings(room, &dependencies(&format!("[dependencies]\n{text}"))).len();
    assert_eq!(check(policy, "vocab.workspace = true\nwire.workspace = true"), 0);
    assert_eq!(check(policy, "dialect.workspace = true"), 1);
    assert_eq!(check(policy, "tokio.workspace = true"), 1);
    assert_eq!(check(policy, "wire = { workspace = true, features = [\"client\"] }"), 1);
    assert_eq!(check(proxy, "wire = { workspace = true, features = [\"client\"] }"), 0);
    assert_eq!(check(proxy, "wire = { workspace = true, features = [\"server\"] }"), 1);
    assert_eq!(check(proxy, "registry.workspace = true\netcd-client = \"0.21\""), 3);
    assert_eq!(check(cli, "wire.workspace = true"), 1);
    assert_eq!(check(e2e, "vocab.workspace = true"), 1);
    assert_eq!(check(policy, "[dev-dependencies]\nproptest.workspace = true\nproxy.workspace = true"), 1);
}

#[test]
fn every_member_is_in_the_drawing_and_under_the_lints() {
    let root = entries(&file("Cargo.toml").text);
    let members = root.iter().find(|(section, key, _)| section == "workspace" && key == "members");
    let members = strings(members.map_or("", |(_, _, list)| list));
    let rooms = ROOMS.map(|room| room.directory);
    let mut findings = Vec::new();
    for member in &members {
        if !rooms.contains(&member.as_str()) {
            findings.push(format!("{member}: say in tests/tidy/layers.rs and docs/ARCHITECTURE.md whom it may know"));
        }
        let manifest = entries(&file(&format!("{member}/Cargo.toml")).text);
        if !manifest.contains(&("lints".to_string(), "workspace".to_string(), "true".to_string())) {
            findings.push(format!("{member}/Cargo.toml: add `[lints]` with `workspace = true`"));
        }
    }
    findings.extend(
        rooms
            .iter()
            .filter(|room| !members.iter().any(|member| member == *room))
            .map(|room| format!("{room}: in the drawing, but not a member of the workspace")),
    );
    hold(&findings);
}

#[test]
fn the_messages_come_without_a_network_unless_asked() {
    let wire = dependencies(&file("proto/wire/Cargo.toml").text);
    let networked = wire.iter().filter(|dependency| dependency.name.starts_with("tonic"));
    hold(
        &networked
            .filter(|dependency| !dependency.optional)
            .map(|dependency| {
                format!("proto/wire/Cargo.toml: make `{}` optional, behind `client` and `server`", dependency.name)
            })
            .collect::<Vec<_>>(),
    );
}

/// Clippy takes the file nearest to a crate and forgets the root's, so the thresholds stand in each.
#[test]
fn pure_crates_ban_the_world_and_share_the_thresholds() {
    const BANNED: [&str; 8] = [
        "std::time::SystemTime::now",
        "std::time::Instant::now",
        "std::env::var",
        "std::fs::read",
        "std::fs::File::open",
        "std::thread::spawn",
        "std::thread::sleep",
        "std::process::exit",
    ];
    let thresholds = entries(&file("clippy.toml").text);
    let thresholds = thresholds.iter().filter(|(_, key, _)| key != "disallowed-methods");
    let mut findings = Vec::new();
    for room in ["proto/vocab", "dataplane/dialect", "dataplane/policy", "controlplane/registry"] {
        let path = format!("{room}/clippy.toml");
        let own = file(&path);
        let own_entries = entries(&own.text);
        for (section, key, value) in thresholds.clone() {
            if !own_entries.contains(&(section.clone(), key.clone(), value.clone())) {
                findings.push(format!("{path}: write `{key} = {value}`, as the root does"));
            }
        }
        let missing = BANNED.iter().filter(|method| !own.text.contains(&format!("\"{method}\"")));
        findings.extend(missing.map(|method| format!("{path}: ban `{method}`, with a reason")));
    }
    hold(&findings);
}

#[test]
fn no_float_becomes_money() {
    let roots = ["proto/vocab", "dataplane/policy", "controlplane/registry"].map(|room| format!("{room}/src/lib.rs"));
    let lacking = roots.iter().filter(|root| !file(root).text.contains("#![deny(clippy::float_arithmetic)]"));
    hold(&lacking.map(|root| format!("{root}: add `#![deny(clippy::float_arithmetic)]`")).collect::<Vec<_>>());
}
