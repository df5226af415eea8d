//! Who is connected, what each holds, and what it could not understand.

use http::StatusCode;
use registry::State;
use serde::Serialize;
use vocab::{Boot, KeyHash, Kind, PolicyId, ProxyName, Revision, Timestamp};

use super::{Api, json};
use crate::door::Answer;
use crate::proxies::Proxy;

#[derive(Serialize)]
struct List {
    revision: Revision,
    data: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: ProxyName,
    boot: Boot,
    build: String,
    schema: u32,
    applied: Revision,
    digest: String,
    connected: bool,
    since: Timestamp,
    acked: Option<Timestamp>,
    rejected: Vec<Rejected>,
}

#[derive(Serialize)]
struct Rejected {
    kind: String,
    name: String,
    why: String,
    kept: bool,
}

impl Api {
    pub(super) fn list_proxies(&self) -> Answer {
        let all = self.proxies.all();
        let state = self.latest.state();
        let data = all.into_iter().map(|(name, proxy)| row(&state, name, proxy)).collect();
        json(StatusCode::OK, &List { revision: state.revision(), data })
    }
}

fn row(state: &State, name: ProxyName, proxy: Proxy) -> Row {
    Row {
        name,
        boot: proxy.boot,
        build: proxy.build,
        schema: proxy.schema,
        applied: proxy.applied,
        digest: proxy.digest.to_string(),
        connected: proxy.is_connected,
        since: proxy.since,
        acked: proxy.acked,
        rejected: proxy.rejected.into_iter().map(|rejected| shown(state, rejected)).collect(),
    }
}

/// In the operator's terms: a key by its name, not by the hash it travels under.
fn shown(state: &State, rejected: wire::Rejected) -> Rejected {
    let wire::Ref { kind, id } = rejected.resource.unwrap_or_default();
    let text = || String::from_utf8_lossy(&id).into_owned();
    let (kind, name) = match Kind::from_number(kind) {
        Some(Kind::Key) => {
            let hash = KeyHash::from_slice(&id);
            let key = hash.and_then(|hash| state.key_by_hash(&hash)).map(|key| key.name.to_string());
            ("Key".to_owned(), key.or(hash.map(|hash| hash.to_string())).unwrap_or_else(text))
        }
        Some(Kind::Policy) => {
            let id = id.first_chunk::<8>().map(|bytes| PolicyId(u64::from_be_bytes(*bytes)).to_string());
            ("Policy".to_owned(), id.unwrap_or_default())
        }
        Some(Kind::Provider) => ("Provider".to_owned(), text()),
        Some(Kind::Model) => ("Model".to_owned(), text()),
        None => (kind.to_string(), text()),
    };
    Rejected { kind, name, why: rejected.why, kept: rejected.kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rejected_is_named_as_an_operator_would() {
        let check = |kind: u32, id: Vec<u8>| {
            let resource = Some(wire::Ref { kind, id: id.into() });
            let shown = shown(&State::new(), wire::Rejected { resource, why: "x".into(), kept: true });
            (shown.kind, shown.name)
        };
        assert_eq!(check(Kind::Model.number(), b"gpt".to_vec()), ("Model".into(), "gpt".into()));
        assert_eq!(check(Kind::Key.number(), vec![0xab; 32]), ("Key".into(), "ab".repeat(32)));
        assert_eq!(check(99, b"new".to_vec()), ("99".into(), "new".into()));
    }
}
