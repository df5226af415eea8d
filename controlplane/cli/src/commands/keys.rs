//! `turnpike keys`: virtual keys, whose secrets are shown once.

use std::time::Duration;

use registry::ResourceKind;
use serde_json::{Map, Value, json};

use super::get::{list, missing, path};
use crate::api::Api;
use crate::args::{KeyCreateArgs, KeyRevokeArgs, KeyRotateArgs, KeysCommand};
use crate::fleet;
use crate::render::{self, Format, field};
use crate::screen;
use crate::table::plain;
use crate::trouble::Trouble;

/// The first is what a person sees.
const SECRET_FORMS: [Format; 4] = [Format::Table, Format::Secret, Format::Json, Format::Yaml];

pub(super) async fn keys(api: &Api, command: &KeysCommand, output: Option<Format>) -> Result<(), Trouble> {
    match command {
        KeysCommand::Create(args) => create(api, args, output).await,
        KeysCommand::List => list(api, ResourceKind::Key, output).await,
        KeysCommand::Revoke(args) => revoke(api, args, output).await,
        KeysCommand::Rotate(args) => rotate(api, args, output).await,
    }
}

async fn create(api: &Api, args: &KeyCreateArgs, output: Option<Format>) -> Result<(), Trouble> {
    let format = secret_form(args.quiet.quiet, output)?;
    let key = api.post("/v1/keys", &document(args)).await?;
    show(&key, format, &format!("Key {} is made; every proxy knows it within a second.", plain(&args.name)))
}

async fn rotate(api: &Api, args: &KeyRotateArgs, output: Option<Format>) -> Result<(), Trouble> {
    let format = secret_form(args.quiet.quiet, output)?;
    let path = format!("{}/rotate", path(ResourceKind::Key, &args.name));
    let key = api.post(&path, &json!({"graceSeconds": args.grace})).await.map_err(not_there)?;
    let old = match args.grace {
        0 => "the old one is refused within a second".to_owned(),
        seconds => format!("the old one is good for another {seconds} s"),
    };
    show(&key, format, &format!("Key {} has a new secret; {old}.", plain(&args.name)))
}

async fn revoke(api: &Api, args: &KeyRevokeArgs, output: Option<Format>) -> Result<(), Trouble> {
    let format = Format::among(output, &[Format::Table, Format::Json, Format::Yaml])?;
    let path = format!("{}/revoke", path(ResourceKind::Key, &args.name));
    let key = api.post(&path, &json!({})).await.map_err(not_there)?;
    let words = format!("Key {} is revoked; every connected proxy refuses it within a second.", plain(&args.name));
    match format {
        Format::Json => screen::out(&render::json(&key))?,
        Format::Yaml => screen::out(&render::yaml(&key)?)?,
        Format::Table | Format::Secret => screen::out(&words)?,
    }
    if !args.wait.wait {
        return Ok(());
    }
    let revision = match key.get("revision").and_then(Value::as_u64) {
        Some(revision) => revision,
        None => fleet::Fleet::ask(api).await?.revision,
    };
    fleet::wait(api, revision, Duration::from_secs(args.wait.timeout)).await
}

fn not_there(trouble: Trouble) -> Trouble {
    missing(trouble, ResourceKind::Key)
}

fn secret_form(quiet: bool, output: Option<Format>) -> Result<Format, Trouble> {
    if quiet { Ok(Format::Secret) } else { Format::among(output, &SECRET_FORMS) }
}

fn document(args: &KeyCreateArgs) -> Value {
    let mut key = Map::new();
    let mut put = |field: &str, value: Value| drop(key.insert(field.to_owned(), value));
    put("kind", json!("Key"));
    put("name", json!(args.name));
    if let Some(team) = &args.team {
        put("team", json!(team));
    }
    if let Some(user) = &args.user {
        put("user", json!(user));
    }
    put("models", json!(args.models));
    if let Some(expires) = args.expires {
        put("expires", json!(expires.to_string()));
    }
    if !args.metadata.is_empty() {
        let metadata = args.metadata.iter().map(|(name, value)| (name.clone(), json!(value)));
        put("metadata", Value::Object(metadata.collect()));
    }
    Value::Object(key)
}

fn show(key: &Value, format: Format, words: &str) -> Result<(), Trouble> {
    let secret = field(key, "secret");
    if secret.is_empty() {
        let advice = "Make one with `turnpike keys rotate NAME`.";
        return Err(Trouble::Failed(format!("the control plane told no secret.\n{advice}")));
    }
    screen::out(&match format {
        Format::Secret => plain(&secret),
        Format::Json => render::json(key),
        Format::Yaml => render::yaml(key)?,
        Format::Table => format!("{words}\nIts secret, shown this once:\n\n  {}\n", plain(&secret)),
    })
}
