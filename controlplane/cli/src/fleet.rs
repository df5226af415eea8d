//! The proxies as the control plane sees them: how far each is, what it rejects, and waiting until all have caught up.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::api::Api;
use crate::faults::count;
use crate::progress::Progress;
use crate::screen;
use crate::table::plain;
use crate::trouble::Trouble;

const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, Deserialize)]
pub(crate) struct Fleet {
    pub(crate) revision: u64,
    pub(crate) data: Vec<Proxy>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Proxy {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) build: Value,
    #[serde(default)]
    pub(crate) applied: u64,
    #[serde(default)]
    pub(crate) connected: bool,
    #[serde(default)]
    pub(crate) since: Value,
    #[serde(default)]
    pub(crate) rejected: Vec<Rejection>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Rejection {
    #[serde(default)]
    kind: Value,
    #[serde(default)]
    name: String,
    #[serde(default)]
    why: String,
    /// Whether the last good one is still in force.
    #[serde(default)]
    kept: bool,
}

/// Who has to be there before a wait is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    WhoeverIsConnected,
    AtLeastOne,
}

impl Fleet {
    pub(crate) async fn ask(api: &Api) -> Result<Fleet, Trouble> {
        serde_json::from_value(api.get("/v1/proxies").await?)
            .map_err(|why| Trouble::Failed(format!("the control plane's list of proxies cannot be read: {why}")))
    }

    fn connected(&self) -> impl Iterator<Item = &Proxy> {
        self.data.iter().filter(|proxy| proxy.connected)
    }

    fn has_applied(&self, revision: u64, expect: Expect) -> bool {
        let enough = expect == Expect::WhoeverIsConnected || self.connected().next().is_some();
        enough && self.connected().all(|proxy| revision <= proxy.applied)
    }

    /// How a wait for this revision goes.
    pub(crate) fn words(&self, revision: u64) -> String {
        let (ready, behind): (Vec<&Proxy>, Vec<&Proxy>) = self.connected().partition(|proxy| revision <= proxy.applied);
        let all = ready.len().saturating_add(behind.len());
        match behind.as_slice() {
            [] if all == 0 => format!("revision {revision}: no proxy is connected"),
            [] => format!(
                "revision {revision}: applied by {}",
                count(all, "connected proxy").replace("proxys", "proxies")
            ),
            _ => {
                let names: Vec<String> =
                    behind.iter().take(5).map(|proxy| format!("{} at {}", plain(&proxy.name), proxy.applied)).collect();
                let dots = if names.len() < behind.len() { ", ..." } else { "" };
                format!("revision {revision}: applied by {} of {all}; behind: {}{dots}", ready.len(), names.join(", "))
            }
        }
    }

    /// What proxies refuse to use, one line each.
    pub(crate) fn rejections(&self) -> Vec<String> {
        let all = self.connected().flat_map(|proxy| proxy.rejected.iter().map(move |rejected| (proxy, rejected)));
        let lines = all.map(|(proxy, rejected)| {
            let kind = rejected.kind.as_str().map_or_else(|| rejected.kind.to_string(), str::to_owned);
            let instead = if rejected.kept { "its last good version is still in force" } else { "it is not in force" };
            let line = format!("{} rejects {kind}/{}: {}; {instead}", proxy.name, rejected.name, rejected.why);
            plain(&line)
        });
        lines.collect()
    }
}

/// Returns once every connected proxy has applied this revision.
pub(crate) async fn caught_up(api: &Api, revision: u64, expect: Expect, limit: Duration) -> Result<Fleet, Trouble> {
    let deadline = Instant::now() + limit;
    let mut progress = Progress::new();
    loop {
        let fleet = Fleet::ask(api).await?;
        let words = fleet.words(revision);
        progress.say(&words);
        if fleet.has_applied(revision, expect) {
            return Ok(fleet);
        }
        if deadline <= Instant::now() {
            drop(progress);
            let advice = "Look at the log of the proxies that are behind, and at `turnpike status`.";
            let seconds = limit.as_secs();
            return Err(Trouble::Failed(format!("not applied everywhere after {seconds} s: {words}.\n{advice}")));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The wait of a command that was told to wait: a rejected document is not what the operator wanted either.
pub(crate) async fn wait(api: &Api, revision: u64, limit: Duration) -> Result<(), Trouble> {
    let fleet = caught_up(api, revision, Expect::WhoeverIsConnected, limit).await?;
    let rejections = fleet.rejections();
    rejections.iter().for_each(screen::warn);
    if rejections.is_empty() {
        return Ok(());
    }
    Err(Trouble::Failed(format!("{} by proxies; everything else is in force", count(rejections.len(), "rejection"))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fleet(proxies: &Value) -> Fleet {
        serde_json::from_value(json!({"revision": 7, "data": proxies, "later": 1})).unwrap()
    }

    #[test]
    fn only_the_connected_are_waited_for() {
        let fleet = fleet(&json!([
            {"name": "a", "applied": 7, "connected": true},
            {"name": "gone", "applied": 2, "connected": false},
        ]));
        assert!(fleet.has_applied(7, Expect::AtLeastOne));
        assert!(!fleet.has_applied(8, Expect::WhoeverIsConnected));
        assert_eq!(fleet.words(7), "revision 7: applied by 1 connected proxy");
        assert_eq!(fleet.words(8), "revision 8: applied by 0 of 1; behind: a at 7");
    }

    #[test]
    fn an_empty_fleet_has_applied_everything_unless_one_is_expected() {
        let empty = fleet(&json!([]));
        assert!(empty.has_applied(7, Expect::WhoeverIsConnected));
        assert!(!empty.has_applied(7, Expect::AtLeastOne));
        assert_eq!(empty.words(7), "revision 7: no proxy is connected");
    }

    #[test]
    fn the_slow_are_named_but_not_all_of_a_thousand() {
        let proxies: Vec<_> =
            (0..9).map(|n| json!({"name": format!("p{n}"), "applied": n, "connected": true})).collect();
        let words = fleet(&json!(proxies)).words(8);
        assert_eq!(words, "revision 8: applied by 1 of 9; behind: p0 at 0, p1 at 1, p2 at 2, p3 at 3, p4 at 4, ...");
        let both = fleet(
            &json!([{"name": "a", "applied": 7, "connected": true}, {"name": "b", "applied": 7, "connected": true}]),
        );
        assert_eq!(both.words(7), "revision 7: applied by 2 connected proxies");
    }

    #[test]
    fn a_rejection_says_who_what_why_and_what_holds_instead() {
        let fleet = fleet(&json!([{"name": "a", "applied": 7, "connected": true, "rejected": [
            {"kind": "Provider", "name": "mock", "why": "does not open\u{1b}", "kept": true},
            {"kind": 2, "name": "gpt", "why": "no target", "kept": false},
        ]}]));
        assert_eq!(
            fleet.rejections(),
            [
                "a rejects Provider/mock: does not open ; its last good version is still in force",
                "a rejects 2/gpt: no target; it is not in force",
            ]
        );
    }
}
