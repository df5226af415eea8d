//! Key documents: a secret or its hash, and what it opens.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use vocab::key::{Shape, shape};
use vocab::{KeyHash, KeyId, KeyName, Secret, TeamName, Timestamp, UserName};

use super::fields::{Fields, noun, plain_text, quoted};
use super::known;
use crate::draft::{Body, KeyDraft, KeySecretDraft, PreviousDraft};
use crate::fault::Report;
use crate::resource::{Glob, Metadata, Previous};

const PATTERNS_MAX: usize = 1024;
const METADATA_MAX: usize = 16;
const METADATA_BYTES_MAX: usize = 128;
const SECRET_BYTES_MIN: usize = 8;
const SECRET_BYTES_MAX: usize = 1024;

pub(super) fn read(map: &Map<String, Value>, report: &mut Report) -> Option<Body> {
    let known: &[&str] =
        known!["id", "secret", "sha256", "previous", "team", "user", "models", "expires", "disabled", "metadata"];
    let fields = Fields::new("", map, known, report);
    let name = fields.required_parsed("name", KeyName::new, report);
    let id = fields.parsed("id", str::parse::<KeyId>, report);
    let secret = secret(&fields, report);
    let previous = previous(&fields, report);
    let team = fields.parsed("team", TeamName::new, report);
    let user = fields.parsed("user", UserName::new, report);
    let expires = fields.parsed("expires", str::parse::<Timestamp>, report);
    let disabled = fields.flag("disabled", report);
    let metadata = metadata(&fields, report);
    let models = models(&fields, report);
    let (name, models) = (name?, models?);
    Some(Body::Key(KeyDraft { name, id, secret, previous, team, user, models, expires, disabled, metadata }))
}

fn secret(fields: &Fields<'_>, report: &mut Report) -> KeySecretDraft {
    let given = fields.parsed("secret", presented, report);
    let hash = fields.parsed("sha256", sha256, report);
    if fields.has("secret") && fields.has("sha256") {
        fields.fault("sha256", "the secret says it already: take either `secret` or `sha256` away", report);
    }
    match (given, hash) {
        (Some(secret), _) => KeySecretDraft::Given(secret),
        (None, Some(hash)) => KeySecretDraft::Sha256(hash),
        (None, None) => KeySecretDraft::KeepOrMint,
    }
}

/// A key travels in a header, and a short one is guessed.
fn presented(text: &str) -> Result<Secret, String> {
    if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(format!(
            "must be {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} printable ASCII characters without space"
        ));
    }
    match shape(text) {
        Shape::Mistyped => {
            Err("looks like a key minted by Turnpike, but its checksum is wrong: copy it again".to_owned())
        }
        Shape::Ours(_) | Shape::Foreign => Ok(Secret::new(text.to_owned())),
    }
}

fn sha256(text: &str) -> Result<KeyHash, &'static str> {
    KeyHash::from_hex(text).ok_or("must be a SHA-256: 64 hexadecimal digits")
}

fn previous(fields: &Fields<'_>, report: &mut Report) -> PreviousDraft {
    if fields.is_null("previous") {
        return PreviousDraft::Drop;
    }
    let Some(fields) = fields.inner("previous", &["sha256", "until"], report) else { return PreviousDraft::Keep };
    let sha256 = fields.required_parsed("sha256", sha256, report);
    let until = fields.required_parsed("until", str::parse::<Timestamp>, report);
    sha256.zip(until).map_or(PreviousDraft::Keep, |(sha256, until)| PreviousDraft::Given(Previous { sha256, until }))
}

fn models(fields: &Fields<'_>, report: &mut Report) -> Option<Vec<Glob>> {
    if !fields.has("models") {
        fields.fault("models", r#"is missing: say which models, like ["gpt-4o*"], or ["*"] for all"#, report);
        return None;
    }
    let values = fields.list("models", PATTERNS_MAX, report)?;
    let patterns = values.iter().enumerate().map(|(at, value)| pattern(at, value, report));
    let patterns: Vec<Option<Glob>> = patterns.collect();
    patterns.into_iter().collect()
}

fn pattern(at: usize, value: &Value, report: &mut Report) -> Option<Glob> {
    let path = format!("models[{at}]");
    let Value::String(text) = value else {
        report.fault(&path, format!("must be text, not {}", noun(value)));
        return None;
    };
    Glob::new(text).map_err(|why| report.fault(&path, why.to_string())).ok()
}

fn metadata(fields: &Fields<'_>, report: &mut Report) -> Metadata {
    let Some(map) = fields.object("metadata", report) else { return Metadata::default() };
    if map.len() > METADATA_MAX {
        fields.fault("metadata", format!("has at most {METADATA_MAX} entries, not {}", map.len()), report);
        return Metadata::default();
    }
    let fits = plain_text(METADATA_BYTES_MAX);
    let mut metadata = BTreeMap::new();
    for (name, value) in map {
        if name.is_empty() || fits(name).is_err() {
            let why =
                format!("the name {} must be 1 to {METADATA_BYTES_MAX} bytes without control characters", quoted(name));
            fields.fault("metadata", why, report);
        }
        let path = format!("metadata.{}", quoted(name).trim_matches('`'));
        match value {
            Value::String(text) => match fits(text) {
                Ok(text) => _ = metadata.insert(name.clone(), text),
                Err(why) => fields.fault(&path, why, report),
            },
            other => fields.fault(&path, format!("must be text, not {}: put it in quotes", noun(other)), report),
        }
    }
    Metadata::from(metadata)
}
