//! Exit codes, and errors that say what to do next.

use std::net::TcpListener;
use std::process::Stdio;

use serde_json::json;

use crate::run::{Folder, run, turnpike};
use crate::script::{Answer, CERTIFICATE, Script};

#[test]
fn nobody_there_is_code_3_and_says_how_to_start_one() {
    let folder = Folder::new();
    // Bound and let go again: nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ran = run(&folder, &format!("--api http://127.0.0.1:{port} --token t get keys"), &[]);
    let expected = format!(
        "error: nothing listens at http://127.0.0.1:{port}: is the control plane running? Try `turnpike up`.\n\
         Say where it is with --api URL or TURNPIKE_API.\n"
    );
    assert_eq!((ran.code, ran.out.as_str(), ran.err), (3, "", expected));
}

#[test]
fn a_server_that_hangs_up_is_code_3() {
    let folder = Folder::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let rude = std::thread::spawn(move || drop(listener.accept().unwrap()));
    let ran = run(&folder, &format!("--api http://{address} --token t get keys"), &[]);
    rude.join().unwrap();
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("Is it an https:// address?"), "{}", ran.err);
}

#[test]
fn a_store_that_is_down_is_code_1_and_says_when_to_try_again() {
    let folder = Folder::new();
    let down = json!({"error": {"code": "store_unavailable", "message": "etcd does not answer"}});
    let script = Script::play(vec![Answer::new(503, &down).header("Retry-After: 2")]);
    let ran = run(&folder, &format!("{} delete keys x", script.args()), &[]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (1, "error: etcd does not answer (store_unavailable)\nTry again in 2 s.\n")
    );
}

#[test]
fn a_token_that_is_refused_is_told_where_it_came_from() {
    let folder = Folder::new();
    folder.write("data/admin.token", "old\n");
    let no = json!({"error": {"code": "unauthorized", "message": "the token is not known"}});
    let script = Script::play(vec![Answer::new(401, &no)]);
    let ran = run(&folder, &format!("--api {} get keys", script.url), &[]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("The token came from ./data/admin.token."), "{}", ran.err);
    assert_eq!(script.asked()[0].token, "old");
}

#[test]
fn a_token_is_taken_from_the_first_place_that_has_one() {
    let folder = Folder::new();
    folder.write("data/admin.token", "default");
    folder.write("file", "from-file\n");
    folder.write("flag", "from-flag");
    let empty = json!({"data": [], "next": null});
    for (expected, flags, environment) in [
        ("given", "--token given", vec![("TURNPIKE_TOKEN", "from-env")]),
        ("from-flag", "--token-file flag", vec![("TURNPIKE_TOKEN", "from-env")]),
        ("from-env", "", vec![("TURNPIKE_TOKEN", "from-env"), ("TURNPIKE_TOKEN_FILE", "file")]),
        ("from-file", "", vec![("TURNPIKE_TOKEN_FILE", "file")]),
        ("default", "", vec![("TURNPIKE_TOKEN", "")]),
    ] {
        let script = Script::play(vec![Answer::new(200, &empty)]);
        let mut command = turnpike(&folder);
        command
            .args(flags.split_whitespace())
            .args(["get", "teams"])
            .env("TURNPIKE_API", &script.url)
            .envs(environment);
        assert!(command.output().unwrap().status.success());
        assert_eq!(script.asked()[0].token, expected);
    }
}

#[test]
fn without_a_token_nothing_is_asked() {
    let ran = run(&Folder::new(), "--api http://127.0.0.1:1 get keys", &[]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.err.contains("there is no ./data/admin.token here") && ran.err.contains("TURNPIKE_TOKEN_FILE"),
        "{}",
        ran.err
    );
}

#[test]
fn answers_of_somebody_else_are_not_taken_for_a_control_plane() {
    let folder = Folder::new();
    for answer in
        [Answer::text(404, "<html>nginx</html>"), Answer::text(200, "<html>hello</html>"), Answer::text(200, "{}")]
    {
        let script = Script::play(vec![answer]);
        let ran = run(&folder, &format!("{} get keys", script.args()), &[]);
        assert_eq!(ran.code, 1);
        assert!(ran.err.contains("is it the API of a Turnpike control plane"), "{}", ran.err);
    }
}

#[test]
fn what_a_server_says_does_not_move_the_cursor() {
    let folder = Folder::new();
    let nasty = json!({"error": {"code": "bad_request", "message": "a\u{1b}[2Jb"}});
    let script = Script::play(vec![Answer::new(400, &nasty)]);
    let ran = run(&folder, &format!("{} get keys", script.args()), &[]);
    assert!(!ran.err.contains('\u{1b}'), "{:?}", ran.err);
}

#[test]
fn bad_usage_is_code_2() {
    let folder = Folder::new();
    for line in [
        "",
        "aply -f x",
        "get budgets",
        "apply",
        "keys create x",
        "--api nonsense get keys --token t",
        "keys list -o secret --token t",
        "validate -f nowhere.yaml -o secret",
        "keys create x --model a --expires soon",
        "usage --by colour",
        "apply --dry-run --wait -f x",
        "--ca nowhere --api https://127.0.0.1:1 --token t get keys",
        "--token-file nowhere get keys",
    ] {
        let ran = run(&folder, line, &[]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{line}: {}", ran.err);
        assert!(!ran.err.is_empty(), "{line}");
    }
}

#[test]
fn help_is_a_result() {
    let ran = run(&Folder::new(), "--help", &[]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.contains("Exit codes:"), "{}", ran.out);
}

#[test]
fn nothing_is_coloured_and_nothing_secret_is_in_the_help() {
    let folder = Folder::new();
    let output =
        turnpike(&folder).arg("--help").env("TERM", "xterm").env("TURNPIKE_TOKEN", "sk-very").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains('\u{1b}') && !text.contains("sk-very"), "{text}");
}

#[test]
fn a_reader_that_has_had_enough_is_no_fault() {
    let folder = Folder::new();
    let rows: Vec<_> =
        (0..20_000).map(|n| json!({"kind": "Team", "name": format!("team-{n}"), "revision": n})).collect();
    let script = Script::play(vec![Answer::new(200, &json!({"data": rows, "next": null}))]);
    let mut child = turnpike(&folder)
        .args(["--api", &script.url, "--token", "t", "get", "teams"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
    script.asked();
}

#[test]
fn a_private_authority_is_trusted_when_it_is_given_and_not_before() {
    let folder = Folder::new();
    folder.write("ca.pem", CERTIFICATE);
    folder.write("empty.pem", "");
    let empty = json!({"data": [], "next": null});
    let script = Script::play_over_tls(vec![Answer::new(200, &empty), Answer::new(200, &empty)]);
    let args = script.args();
    let stranger = run(&folder, &format!("{args} get teams"), &[]);
    assert_eq!(stranger.code, 3);
    assert!(stranger.err.contains("give that with --ca FILE"), "{}", stranger.err);
    let friend = run(&folder, &format!("{args} --ca ca.pem get teams"), &[]);
    assert_eq!((friend.code, friend.err.as_str()), (0, "there are no teams yet\n"));
    let nothing = run(&folder, &format!("{args} --ca empty.pem get teams"), &[]);
    assert_eq!((nothing.code, nothing.err.as_str()), (2, "error: --ca: the CA file holds no certificate\n"));
    assert_eq!(script.asked()[1].line, "GET /v1/teams?limit=1000");
}
