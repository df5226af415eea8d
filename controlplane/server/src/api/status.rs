//! One look at the whole: the store, the revision, how many of what, and whether the proxies have it.

use std::collections::BTreeMap;

use http::StatusCode;
use registry::ResourceKind;
use serde::Serialize;
use vocab::Revision;

use super::{Api, json};
use crate::door::Answer;

#[derive(Serialize)]
struct Status {
    version: &'static str,
    store: Store,
    revision: Revision,
    digest: String,
    resources: BTreeMap<&'static str, usize>,
    /// Documents in the store that are not in force, because this control plane cannot read them.
    unreadable: Vec<Unreadable>,
    proxies: Proxies,
}

#[derive(Serialize)]
struct Store {
    kind: &'static str,
    id: String,
    up: bool,
}

#[derive(Serialize)]
struct Unreadable {
    resource: String,
    why: String,
}

#[derive(Serialize)]
struct Proxies {
    connected: usize,
    current: usize,
}

impl Api {
    pub(super) fn status(&self) -> Answer {
        let unreadable = self.latest.unreadable().into_iter();
        let unreadable = unreadable.map(|(key, why)| Unreadable { resource: key.to_string(), why }).collect();
        let state = self.latest.state();
        let (connected, current) = self.proxies.count(state.revision());
        let status = Status {
            version: env!("CARGO_PKG_VERSION"),
            store: Store { kind: self.store_kind, id: self.latest.store().to_owned(), up: self.latest.is_store_up() },
            revision: state.revision(),
            digest: state.digest().to_string(),
            resources: ResourceKind::ALL.map(|kind| (kind.collection(), state.count(kind))).into(),
            unreadable,
            proxies: Proxies { connected, current },
        };
        json(StatusCode::OK, &status)
    }
}
