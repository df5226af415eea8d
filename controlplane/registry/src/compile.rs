//! From what an operator said to what a proxy needs, one resource at a time.
//!
//! Pure, and without memory: the same resource gives the same bytes. A default is decided here and nowhere else.

use bytes::Bytes;
use prost::Message;
use vocab::{Digest, KeyHash, Kind, PolicyId};

use crate::resource::{Demo, Glob, Http, Key, Model, Provider, Reach};

const CONNECT_MS: u32 = 2_000;
const IDLE_MS: u32 = 60_000;

pub(crate) fn provider(provider: &Provider) -> wire::Resource {
    let reach = match &provider.reach {
        Reach::Http(reach) => wire::provider::Reach::Http(http(reach)),
        Reach::Demo(reach) => wire::provider::Reach::Demo(demo(*reach)),
    };
    let body = wire::Provider { dialect: provider.dialect.as_str().to_owned(), reach: Some(reach) };
    let row = wire::resource(Kind::Provider, name_id(provider.name.as_str()), &body);
    wire::Resource { keep_last_good: provider.keep_last_good, ..row }
}

fn http(http: &Http) -> wire::Http {
    wire::Http {
        base_url: http.base_url.as_str().trim_end_matches('/').to_owned(),
        credential: http
            .credential
            .as_ref()
            .map(|sealed| Bytes::copy_from_slice(sealed.as_bytes()))
            .unwrap_or_default(),
        allow_link_local: http.allow_link_local,
        ca: http.ca.as_ref().map(|ca| Bytes::copy_from_slice(ca.as_bytes())).unwrap_or_default(),
        timeout_connect_ms: http.timeouts.connect_ms.unwrap_or(CONNECT_MS),
        timeout_idle_ms: http.timeouts.idle_ms.unwrap_or(IDLE_MS),
    }
}

fn demo(demo: Demo) -> wire::Demo {
    wire::Demo {
        latency_ms: demo.latency_ms.unwrap_or_default(),
        chunk_ms: demo.chunk_ms.unwrap_or_default(),
        fail_permille: demo.fail_permille.unwrap_or_default(),
    }
}

pub(crate) fn model(model: &Model) -> wire::Resource {
    let targets = model.targets.iter().map(|target| wire::Target {
        provider: target.provider.as_str().to_owned(),
        model: target.model.as_str().to_owned(),
    });
    let row = wire::resource(Kind::Model, name_id(model.name.as_str()), &wire::Model { targets: targets.collect() });
    wire::Resource { keep_last_good: model.keep_last_good, ..row }
}

/// What this key shares with others of the same rights. The id is a hash of the rights.
pub(crate) fn policy(key: &Key) -> (PolicyId, Bytes) {
    // Patterns are a set: their order, or one said twice, makes no other policy.
    let mut patterns: Vec<&str> = key.models.iter().map(Glob::as_str).collect();
    patterns.sort_unstable();
    patterns.dedup();
    let body = wire::Policy {
        team: key.team.as_ref().map(|team| team.as_str().to_owned()).unwrap_or_default(),
        user: key.user.as_ref().map(|user| user.as_str().to_owned()).unwrap_or_default(),
        models: patterns.into_iter().map(str::to_owned).collect(),
    };
    let body = Bytes::from(body.encode_to_vec());
    let [_, low] = halves(Digest::of(Kind::Policy.number(), b"", &body));
    (PolicyId(low), body)
}

pub(crate) fn policy_row(id: PolicyId, body: Bytes) -> wire::Resource {
    let id = Bytes::copy_from_slice(&id.0.to_be_bytes());
    wire::Resource { kind: Kind::Policy.number(), id, body, keep_last_good: false }
}

/// One row for each hash the key is known by; `None` when it is not known by this one.
pub(crate) fn key_row(key: &Key, hash: &KeyHash, policy: PolicyId) -> Option<wire::Resource> {
    let until = match &key.previous {
        _ if key.sha256 == *hash => None,
        Some(previous) if previous.sha256 == *hash => Some(previous.until),
        Some(_) | None => return None,
    };
    let expires = [key.expires, until].into_iter().flatten().min();
    let metadata =
        key.metadata.iter().map(|(name, value)| wire::Pair { name: name.to_owned(), value: value.to_owned() });
    let body = wire::Key {
        id: key.id.0,
        policy: policy.0,
        // 0 would be never.
        expires_ms: expires.map(|expires| expires.as_ms().max(1)).unwrap_or_default(),
        disabled: key.disabled,
        metadata: metadata.collect(),
    };
    Some(wire::resource(Kind::Key, Bytes::copy_from_slice(&hash.0), &body))
}

fn name_id(name: &str) -> Bytes {
    Bytes::copy_from_slice(name.as_bytes())
}

/// High, low.
fn halves(digest: Digest) -> [u64; 2] {
    let bytes = digest.to_bytes();
    let (high, low) = bytes.split_at(8);
    [high, low].map(|half| half.try_into().map_or(0, u64::from_be_bytes))
}
