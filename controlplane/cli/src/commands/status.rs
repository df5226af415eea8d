//! `turnpike status`: the control plane, its store, and how far each proxy is.

use std::time::Duration;

use serde_json::{Value, json};

use crate::api::Api;
use crate::args::StatusArgs;
use crate::fleet::{self, Fleet};
use crate::render::{self, Format, cell, field};
use crate::screen;
use crate::table::{Align, Table, plain};
use crate::trouble::Trouble;

pub(super) async fn status(api: &Api, args: &StatusArgs, output: Option<Format>) -> Result<(), Trouble> {
    let format = Format::among(output, &[Format::Table, Format::Json, Format::Yaml])?;
    if args.wait.wait {
        // What comes in while we wait is for the next wait.
        let revision = Fleet::ask(api).await?.revision;
        fleet::wait(api, revision, Duration::from_secs(args.wait.timeout)).await?;
    }
    let status = api.get("/v1/status").await?;
    let proxies = api.get("/v1/proxies").await?;
    match format {
        Format::Json => screen::out(&render::json(&both(&status, proxies))),
        Format::Yaml => screen::out(&render::yaml(&both(&status, proxies))?),
        Format::Table | Format::Secret => {
            let fleet = serde_json::from_value(proxies)
                .map_err(|why| Trouble::Failed(format!("the control plane's list of proxies cannot be read: {why}")))?;
            screen::out(&words(&api.address().to_string(), &status, &fleet))
        }
    }
}

fn both(status: &Value, mut proxies: Value) -> Value {
    let list = proxies.get_mut("data").map(Value::take).unwrap_or_default();
    json!({"status": status, "proxies": list})
}

fn words(address: &str, status: &Value, fleet: &Fleet) -> String {
    let version = field(status, "version");
    let other = if version == env!("CARGO_PKG_VERSION") {
        ""
    } else {
        concat!("; this is turnpike ", env!("CARGO_PKG_VERSION"))
    };
    let store = status.get("store").map(store_words).unwrap_or_default();
    let counts = status.get("resources").and_then(Value::as_object).into_iter().flatten();
    let resources: Vec<String> = counts.map(|(collection, number)| format!("{} {collection}", cell(number))).collect();
    let mut text = String::new();
    for (name, value) in [
        ("control plane", format!("{address}, version {version}{other}")),
        ("store", store),
        ("revision", fleet.revision.to_string()),
        ("resources", resources.join(", ")),
    ] {
        text.push_str(&format!("{name:15}{}\n", plain(value.trim())));
    }
    for lost in status.get("unreadable").and_then(Value::as_array).into_iter().flatten() {
        let line = format!("{} is in the store but not in force: {}", field(lost, "resource"), field(lost, "why"));
        text.push_str(&format!("\n{}\n", plain(&line)));
    }
    if fleet.data.is_empty() {
        text.push_str("\nNo proxy has connected yet.\n");
        return text;
    }
    text.push('\n');
    text.push_str(&table(fleet).render());
    for rejection in fleet.rejections() {
        text.push_str(&format!("\n{rejection}"));
    }
    text
}

fn store_words(store: &Value) -> String {
    let down = match store.get("up") {
        Some(Value::Bool(false)) => "; it does not answer: what is in force stays, nothing can be changed",
        _ => "",
    };
    format!("{} {}{down}", field(store, "kind"), field(store, "id"))
}

fn table(fleet: &Fleet) -> Table {
    let mut table =
        Table::new().columns(&["proxy", "build"]).column("revision", Align::Right).columns(&["state", "since"]);
    for proxy in &fleet.data {
        let behind = fleet.revision.saturating_sub(proxy.applied);
        let rejected = proxy.rejected.len();
        let mut state = match (proxy.connected, behind) {
            (false, _) => "not connected".to_owned(),
            (true, 0) => "current".to_owned(),
            (true, behind) => format!("{behind} behind"),
        };
        if 0 < rejected {
            state.push_str(&format!(", rejects {rejected}"));
        }
        table.row([proxy.name.clone(), cell(&proxy.build), proxy.applied.to_string(), state, cell(&proxy.since)]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_everything_on_one_screen() {
        let status = json!({"store": {"kind": "embedded", "id": "01h"}, "revision": 12, "version": env!("CARGO_PKG_VERSION"),
            "resources": {"providers": 1, "models": 2}, "proxies": {"connected": 2, "current": 1}});
        let fleet = serde_json::from_value(json!({"revision": 12, "data": [
            {"name": "a", "build": "0.1.0", "applied": 12, "connected": true, "since": "2026-06-01T12:00:00Z",
             "rejected": [{"kind": "Model", "name": "gpt", "why": "no", "kept": true}]},
            {"name": "b", "build": "0.1.0", "applied": 9, "connected": true, "since": "2026-06-01T12:00:00Z"},
            {"name": "c", "applied": 3, "connected": false},
        ]}))
        .unwrap();
        let expected = "\
control plane  http://127.0.0.1:8090, version 0.1.0
store          embedded 01h
revision       12
resources      1 providers, 2 models

PROXY  BUILD  REVISION  STATE               SINCE
a      0.1.0        12  current, rejects 1  2026-06-01T12:00:00Z
b      0.1.0         9  3 behind            2026-06-01T12:00:00Z
c      -             3  not connected       -

a rejects Model/gpt: no; its last good version is still in force";
        assert_eq!(words("http://127.0.0.1:8090", &status, &fleet), expected);
    }

    #[test]
    fn what_is_out_of_the_ordinary_is_said() {
        let status = json!({"store": {"kind": "etcd", "id": "x", "up": false}, "version": "9.9.9",
            "unreadable": [{"resource": "Model/gpt", "why": "written by a newer version"}]});
        let fleet = serde_json::from_value(json!({"revision": 0, "data": []})).unwrap();
        let text = words("http://h:80", &status, &fleet);
        assert!(text.contains("version 9.9.9; this is turnpike"), "{text}");
        assert!(text.contains("etcd x; it does not answer"), "{text}");
        assert!(text.contains("\nModel/gpt is in the store but not in force: written by a newer version\n"), "{text}");
        assert!(text.ends_with("\nNo proxy has connected yet.\n"), "{text}");
    }
}
