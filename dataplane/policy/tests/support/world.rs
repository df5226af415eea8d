//! A control plane small enough to be obviously right: a map of resources, and the difference of two such maps.

use std::collections::BTreeMap;

use policy::{OutOfStep, Snapshot};
use vocab::{Digest, KeyHash, Kind, PolicyId, Secret};

pub(crate) const STORE: &str = "store-1";

/// Sealing without cryptography: the place, and the secret spelled backwards.
pub(crate) fn seal(place: &str, secret: &str) -> Vec<u8> {
    format!("{place}:{}", secret.chars().rev().collect::<String>()).into_bytes()
}

pub(crate) fn open(place: &str, sealed: &[u8]) -> Result<Secret, String> {
    let text = std::str::from_utf8(sealed).map_err(|_| "no text".to_owned())?;
    let secret = text.strip_prefix(place).and_then(|rest| rest.strip_prefix(':')).ok_or("sealed for another place")?;
    Ok(Secret::new(secret.chars().rev().collect()))
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct World(BTreeMap<(u32, Vec<u8>), wire::Resource>);

impl World {
    pub(crate) fn new(resources: impl IntoIterator<Item = wire::Resource>) -> World {
        World(resources.into_iter().map(|resource| ((resource.kind, resource.id.to_vec()), resource)).collect())
    }

    pub(crate) fn digest(&self) -> Digest {
        self.0.values().fold(Digest::default(), |digest, resource| digest.with(wire::digest_resource(resource)))
    }

    /// Everything, for one who has nothing.
    pub(crate) fn full(&self, to: u64) -> wire::Update {
        World::default().update(self, 0, to)
    }

    /// What one who holds this must be told to hold that.
    pub(crate) fn update(&self, next: &World, from: u64, to: u64) -> wire::Update {
        let changed = next.0.iter().filter(|(at, resource)| self.0.get(at) != Some(resource));
        let removed = self.0.keys().filter(|at| !next.0.contains_key(at));
        wire::Update {
            store: STORE.into(),
            from,
            to,
            upserts: changed.map(|(_, resource)| resource.clone()).collect(),
            removals: removed.map(|(kind, id)| wire::Ref { kind: *kind, id: id.clone().into() }).collect(),
            digest: next.digest().to_bytes().to_vec().into(),
            more: false,
        }
    }
}

pub(crate) fn apply(snapshot: &Snapshot, update: &wire::Update) -> Result<Snapshot, OutOfStep> {
    snapshot.apply(update, &open).map(|applied| applied.snapshot)
}

pub(crate) fn provider(name: &str, reach: wire::provider::Reach) -> wire::Resource {
    let body = wire::Provider { dialect: "openai".into(), reach: Some(reach) };
    wire::resource(Kind::Provider, name.as_bytes().to_vec(), &body)
}

pub(crate) fn http(name: &str, base_url: &str, secret: &str) -> wire::Resource {
    let credential = seal(&format!("Provider/{name}/credential"), secret).into();
    let http = wire::Http { base_url: base_url.into(), credential, ..Default::default() };
    provider(name, wire::provider::Reach::Http(http))
}

pub(crate) fn model(name: &str, targets: &[(&str, &str)]) -> wire::Resource {
    let target =
        |(provider, model): &(&str, &str)| wire::Target { provider: (*provider).into(), model: (*model).into() };
    let body = wire::Model { targets: targets.iter().map(target).collect() };
    wire::resource(Kind::Model, name.as_bytes().to_vec(), &body)
}

/// Under a hash of its contents, as a control plane does it.
pub(crate) fn rights(team: &str, models: &[&str]) -> (PolicyId, wire::Resource) {
    let models = models.iter().map(|glob| (*glob).into()).collect();
    let mut resource =
        wire::resource(Kind::Policy, Vec::new(), &wire::Policy { team: team.into(), user: String::new(), models });
    let low = wire::digest_resource(&resource).0 & u128::from(u64::MAX);
    let id = PolicyId(u64::try_from(low).unwrap());
    resource.id = id.0.to_be_bytes().to_vec().into();
    (id, resource)
}

/// Evenly spread, like the real ones.
pub(crate) fn hash(n: u8) -> KeyHash {
    let of = |part: u8| Digest::of(0, &[n, part], &[]).to_bytes();
    KeyHash([of(0), of(1)].concat().try_into().unwrap())
}

pub(crate) fn key(n: u8, body: &wire::Key) -> wire::Resource {
    wire::resource(Kind::Key, hash(n).0.to_vec(), body)
}
