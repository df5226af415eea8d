//! The letter is not opened: what reaches the upstream is what the caller wrote, but for the model's name.

use crate::harness::client::stream_body;
use crate::harness::{Cluster, Upstream};

/// xorshift: arbitrary, but the same every time; the seed is told when a case fails.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[usize::try_from(self.roll(u64::try_from(from.len()).unwrap())).unwrap()]
    }
}

const SPACES: [&str; 6] = ["", "", " ", "\n\t", "\r\n", "   "];
const NAMES: [&str; 10] =
    ["messages", "Model", "models", "model ", "mod\\u0065ls", "temperature", "ключ", "a\\\"b", "\\ud83d\\ude00", ""];
const LEAVES: [&str; 16] = [
    "null",
    "true",
    "false",
    "0",
    "-0.0",
    "1e400",
    "123456789012345678901234567890.5",
    "-1E-7",
    "\"\"",
    "\"\\u006dodel\"",
    "\"\\\"model\\\":\\\"x\\\"\"",
    "\"gpt-4o-mini\"",
    "\"héé 😀 \\ud83d\\ude00\"",
    "[]",
    "{}",
    "\"line\\nline\\/\"",
];

fn value(dice: &mut Dice, depth: u64) -> String {
    match dice.roll(if depth == 0 { 1 } else { 3 }) {
        0 => dice.pick(&LEAVES).to_string(),
        1 => {
            let items: Vec<_> = (0..dice.roll(4)).map(|_| spaced(dice, depth)).collect();
            format!("[{}]", items.join(","))
        }
        _ => {
            let mut members: Vec<_> = (0..dice.roll(4)).map(|_| member(dice, depth)).collect();
            // One level down, a model is anybody's word, and may be said twice.
            if dice.roll(2) == 0 {
                members.push("\"model\":\"nested\"".into());
                members.push("\"model\" : 5".into());
            }
            format!("{{{}}}", members.join(","))
        }
    }
}

fn spaced(dice: &mut Dice, depth: u64) -> String {
    format!("{}{}{}", dice.pick(&SPACES), value(dice, depth - 1), dice.pick(&SPACES))
}

fn member(dice: &mut Dice, depth: u64) -> String {
    let (before, name, after) = (dice.pick(&SPACES), dice.pick(&NAMES), dice.pick(&SPACES));
    format!("{before}\"{name}\"{after}:{}", spaced(dice, depth))
}

/// A body with its model's name left out: what stands before it and what stands after it, quotes included.
fn letter(dice: &mut Dice) -> (String, String) {
    let key = dice.pick(&["model", "model", "mod\\u0065l", "\\u006d\\u006F\\u0064el"]);
    let members = |dice: &mut Dice| -> Vec<String> { (0..dice.roll(4)).map(|_| member(dice, 4)).collect() };
    let (before, after) = (members(dice), members(dice));
    let mut left: String = before.into_iter().map(|member| member + ",").collect();
    let (one, two, three) = (dice.pick(&SPACES), dice.pick(&SPACES), dice.pick(&SPACES));
    left = format!("{one}{{{left}{two}\"{key}\"{three}:{one}");
    let right: String = after.into_iter().map(|member| format!(",{member}")).collect();
    (left, format!("{two}{right}{three}}}{one}"))
}

#[tokio::test]
async fn any_valid_body_reaches_the_upstream_with_nothing_but_the_model_changed() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let caller = cluster.caller();
    for seed in 1..=150u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (left, right) = letter(&mut dice);
        let name = dice.pick(&["\"small\"", "\"sm\\u0061ll\""]);
        let sent = format!("{left}{name}{right}");
        let answer = caller.post("/v1/chat/completions", &sent).await;
        assert_eq!(answer.status(), 200, "seed {seed}: {} for {sent}", answer.text());
        let seen = String::from_utf8(upstream.last().message.body).unwrap();
        assert_eq!(seen, format!("{left}\"upstream-small\"{right}"), "seed {seed}");
        let sent = format!("{left}\"gpt-4o-mini\"{right}");
        assert_eq!(caller.post("/v1/chat/completions", &sent).await.status(), 200, "seed {seed}");
        assert_eq!(String::from_utf8(upstream.last().message.body).unwrap(), sent, "seed {seed}: the name is the same");
    }
}

#[tokio::test]
async fn a_stream_gains_the_question_for_usage_and_nothing_else() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let caller = cluster.caller();
    for seed in 1..=50u64 {
        let mut dice = Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let (left, right) = letter(&mut dice);
        let options = dice.pick(&["", ",\"stream_options\":{}", ",\"stream_options\" : { \"other\" : [1] }"]);
        let end = right.rfind('}').unwrap();
        let right = format!("{},\"stream\":true{options}{}", &right[..end], &right[end..]);
        let answer = caller.post("/v1/chat/completions", format!("{left}\"small\"{right}")).await;
        assert_eq!(answer.status(), 200, "seed {seed}: {}", answer.text());
        let seen = String::from_utf8(upstream.last().message.body).unwrap();
        let added = insertions(&format!("{left}\"upstream-small\"{right}"), &seen);
        let known = ["\"stream_options\":{\"include_usage\":true}", "\"include_usage\":true"];
        let bare = |added: &String| added.trim_matches(|letter| ", ".contains(letter)).to_string();
        let right_one = added.iter().map(bare).any(|added| known.contains(&added.as_str()));
        assert!(right_one, "seed {seed}: added {added:?} in {seen}");
        let json: serde_json::Value = serde_json::from_str(&seen.replace("1e400", "1")).unwrap();
        assert_eq!(json["stream_options"]["include_usage"], true, "seed {seed}: {seen}");
    }
}

/// What was put into `before`, in one place, to make `after`. It can be read in several ways when its ends look alike.
fn insertions(before: &str, after: &str) -> Vec<String> {
    let Some(length) = after.len().checked_sub(before.len()) else { return Vec::new() };
    let (before, after) = (before.as_bytes(), after.as_bytes());
    let same = before.iter().zip(after).take_while(|(left, right)| left == right).count();
    let fits = (0..=same).filter(|at| before[*at..] == after[at + length..]);
    fits.map(|at| String::from_utf8_lossy(&after[at..at + length]).into_owned()).collect()
}

#[tokio::test]
async fn a_stream_that_asks_for_usage_itself_is_left_alone() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let body = r#"{"model":"gpt-4o-mini","stream":true,"stream_options":{"include_usage":true}}"#;
    assert_eq!(cluster.caller().post("/v1/chat/completions", body).await.status(), 200);
    assert_eq!(upstream.last().message.body, body.as_bytes());
    let body = r#"{"model":"gpt-4o-mini","stream":false,"n":1}"#;
    assert_eq!(cluster.caller().post("/v1/chat/completions", body).await.status(), 200);
    assert_eq!(upstream.last().message.body, body.as_bytes());
}

#[tokio::test]
async fn a_chunked_body_arrives_whole() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let body = stream_body("gpt-4o-mini").replace("\"stream\":true,", "");
    let mut raw = cluster.caller().connect().await;
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-bench-key\r\n\
                content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    raw.write(head.as_bytes()).await.unwrap();
    for byte in body.as_bytes() {
        raw.write(format!("1\r\n{}\r\n", char::from(*byte)).as_bytes()).await.unwrap();
    }
    raw.write(b"0\r\n\r\n").await.unwrap();
    assert_eq!(raw.answer().await.unwrap().status(), 200);
    assert_eq!(upstream.last().message.body, body.as_bytes());
}

#[tokio::test]
async fn a_large_body_passes_unchanged() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let prompt = "0123456789abcdef".repeat(9 * 1024 * 1024 / 16);
    let body = format!(r#"{{"messages":[{{"role":"user","content":"{prompt}"}}],"model":"gpt-4o-mini"}}"#);
    assert_eq!(cluster.caller().post("/v1/chat/completions", &body).await.status(), 200);
    assert!(upstream.last().message.body == body.as_bytes(), "9 MB arrive as they were sent");
}
