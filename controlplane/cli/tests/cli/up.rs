//! `up` with planes that are shell scripts: how it starts, watches and stops them. With the real ones: tests/e2e.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::run::{Folder, Ran, command};

/// A copy of the binary in a folder where the planes are what we say.
fn installed(folder: &Folder, planes: &[(&str, &str)]) -> Command {
    let program = folder.0.join("turnpike");
    fs::copy(env!("CARGO_BIN_EXE_turnpike"), &program).unwrap();
    for (name, script) in planes {
        folder.write(name, &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(folder.0.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut up = command(&program, folder);
    up.args(["up", "--data-dir", "home"]);
    for port in ["--proxy-port", "--api-port", "--planes-port", "--proxy-ops-port", "--api-ops-port"] {
        up.args([port, "0"]);
    }
    up
}

fn ran(mut command: Command) -> Ran {
    command.output().unwrap().into()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Looks again and again, for as long as a slow machine may need.
fn eventually(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "it never came about");
        std::thread::sleep(Duration::from_millis(10));
    }
}

const WAITS: &str = "exec sleep 600";

#[test]
fn a_missing_plane_is_told_with_what_to_do() {
    let folder = Folder::new();
    let ran = ran(installed(&folder, &[]));
    assert_eq!(ran.code, 2);
    assert!(
        ran.err.contains("error: there is no turnpike-controlplane in ") && ran.err.contains("make build"),
        "{}",
        ran.err
    );
}

#[test]
fn a_plane_that_dies_while_starting_is_shown_with_its_last_words() {
    let folder = Folder::new();
    let planes = [("turnpike-controlplane", "echo boom >&2; exit 7"), ("turnpike-dataplane", WAITS)];
    let ran = ran(installed(&folder, &planes));
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("error: turnpike-controlplane ended: exit status: 7.\nThe end of "), "{}", ran.err);
    assert!(ran.err.contains("/home/logs/controlplane.log:\n  boom\n"), "{}", ran.err);
}

#[test]
fn the_planes_get_paths_and_never_secrets() {
    let folder = Folder::new();
    let shows = "echo \"$@\"; env | grep TURNPIKE_ | sort; exit 1";
    let planes = [("turnpike-controlplane", shows), ("turnpike-dataplane", WAITS)];
    let mut up = installed(&folder, &planes);
    up.env("PATH", "/usr/bin:/bin")
        .env("TURNPIKE_ADMIN_TOKEN", "outer")
        .env("TURNPIKE_LOG", "debug")
        .env("TURNPIKE_ETCD_USER", "me");
    let ran = ran(up);
    assert_eq!(ran.code, 1);
    let log = fs::read_to_string(folder.0.join("home/logs/controlplane.log")).unwrap();
    let home = fs::canonicalize(folder.0.join("home")).unwrap();
    for (flag, file) in [("admin-token", "admin.token"), ("join-token", "join.token"), ("seal-keys", "seal.keys")] {
        let path = home.join(file);
        assert!(log.contains(&format!("--{flag}-file {}", path.display())), "{log}");
        assert!(!log.contains(fs::read_to_string(&path).unwrap().trim()), "{log}");
        assert_eq!(mode(&path), 0o600);
    }
    assert_eq!(mode(&home), 0o700);
    let environment: Vec<_> = log.lines().filter(|line| line.starts_with("TURNPIKE_")).collect();
    assert_eq!(environment, ["TURNPIKE_ETCD_USER=me", "TURNPIKE_EXIT_WITH_PARENT=true", "TURNPIKE_LOG=debug"]);
}

#[test]
fn told_to_stop_it_stops_its_children_and_succeeds() {
    let folder = Folder::new();
    let plane = |name: &str| {
        format!("trap 'echo {name} drained; exit 0' TERM; echo {name} started; while :; do sleep 0.05; done")
    };
    let planes = [("turnpike-controlplane", plane("control")), ("turnpike-dataplane", plane("data"))];
    let planes = planes.each_ref().map(|(name, script)| (*name, script.as_str()));
    let mut up = installed(&folder, &planes);
    let child = up.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let logs = ["controlplane", "dataplane"].map(|name| folder.0.join(format!("home/logs/{name}.log")));
    let both_say = |word: &str| logs.iter().all(|log| fs::read_to_string(log).is_ok_and(|text| text.contains(word)));
    eventually(|| both_say("started"));
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(both_say("drained"));
}

#[test]
fn told_twice_it_stops_at_once() {
    let folder = Folder::new();
    let deaf = "trap '' TERM; echo started; while :; do sleep 0.05; done";
    let mut up = installed(&folder, &[("turnpike-controlplane", deaf), ("turnpike-dataplane", deaf)]);
    let mut child = up.stderr(Stdio::piped()).spawn().unwrap();
    let logs = ["controlplane", "dataplane"].map(|name| folder.0.join(format!("home/logs/{name}.log")));
    eventually(|| logs.iter().all(|log| fs::read_to_string(log).is_ok_and(|text| text.contains("started"))));
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let tell = || Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    tell();
    said.find(|line| line.starts_with("stopping: ")).unwrap();
    tell();
    said.find(|line| line == "stopping at once").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
