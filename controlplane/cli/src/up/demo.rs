//! With no provider configured: one that needs no account, a model of it, and a key, so that the first request works.

use std::path::Path;

use registry::ResourceKind;
use serde_json::{Value, json};
use vocab::{KeyHash, Secret};

use super::home;
use crate::api::Api;
use crate::commands;
use crate::fleet::Fleet;
use crate::render::field;
use crate::trouble::Trouble;

const NAME: &str = "demo";

/// What the operator can call at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// The model `demo`, with the key in the file.
    Demo,
    /// Something else is configured; the demo is not, or no longer.
    Own,
}

#[derive(Debug)]
pub(super) struct Offered {
    pub(super) offer: Offer,
    /// What the proxy must have applied before it works.
    pub(super) revision: u64,
}

pub(super) async fn offer(api: &Api, key_file: &Path) -> Result<Offered, Trouble> {
    let page = api.get("/v1/providers?limit=1").await?;
    if page.get("data").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        let applied = commands::parse_applied(&api.post("/v1/apply", &documents()).await?)?;
        let key =
            applied.results.iter().find(|change| change.kind == ResourceKind::Key.as_str() && change.name == NAME);
        if let Some(secret) = key.and_then(|key| key.secret.clone()) {
            keep(key_file, &Secret::new(secret))?;
        }
    }
    let offer = match (find(api, ResourceKind::Model).await?, find(api, ResourceKind::Key).await?) {
        (Some(_), Some(key)) if key.get("disabled") != Some(&Value::Bool(true)) => {
            if !fits(&key, key_file) {
                let answer = api.post("/v1/keys/demo/rotate", &json!({"graceSeconds": 0})).await?;
                keep(key_file, &Secret::new(field(&answer, "secret")))?;
            }
            Offer::Demo
        }
        _ => Offer::Own,
    };
    Ok(Offered { offer, revision: Fleet::ask(api).await?.revision })
}

fn documents() -> Value {
    json!([
        {"kind": "Provider", "name": NAME, "dialect": "openai", "demo": {}},
        {"kind": "Model", "name": NAME, "targets": [{"provider": NAME, "model": NAME}]},
        {"kind": "Key", "name": NAME, "models": ["*"]},
    ])
}

async fn find(api: &Api, kind: ResourceKind) -> Result<Option<Value>, Trouble> {
    match api.get(&format!("/v1/{}/{NAME}", kind.collection())).await {
        Ok(document) => Ok(Some(document)),
        Err(trouble) if trouble.is_not_found() => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

/// Whether the file still holds the secret of the key.
fn fits(key: &Value, file: &Path) -> bool {
    let held = std::fs::read_to_string(file).map(Secret::new).ok();
    let hash = held.map(|held| trust::hash_key(held.expose().trim()));
    hash.is_some() && hash == KeyHash::from_hex(&field(key, "sha256"))
}

fn keep(file: &Path, secret: &Secret) -> Result<(), Trouble> {
    home::write(file, secret).map_err(|why| Trouble::Failed(format!("{} cannot be written: {why}", file.display())))
}

#[cfg(test)]
mod tests;
