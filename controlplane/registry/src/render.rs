//! From a resource back to a document.

use serde_json::{Map, Value, json};

use crate::resource::{Demo, Glob, Http, Key, Model, Previous, Provider, Reach, Resource, Sealed, Timeouts};
use crate::state::Stored;

/// Whether what is sealed leaves the house. What is plain never gets this far.
#[derive(Clone, Copy)]
enum View {
    Answer,
    Export,
}

/// As the API answers it: with its revision, and without anything that was sealed.
#[must_use]
pub fn document(stored: &Stored) -> Value {
    let mut map = render(&stored.resource, View::Answer);
    map.insert("revision".to_owned(), json!(stored.revision));
    Value::Object(map)
}

/// As `apply` takes it back without a change, wherever the same seal keys are.
#[must_use]
pub fn export(resource: &Resource) -> Value {
    Value::Object(render(resource, View::Export))
}

fn render(resource: &Resource, view: View) -> Map<String, Value> {
    let mut out = Map::new();
    put(&mut out, "kind", resource.kind().as_str());
    put(&mut out, "name", resource.name());
    match resource {
        Resource::Provider(provider) => render_provider(provider, view, &mut out),
        Resource::Model(model) => render_model(model, &mut out),
        Resource::Team(team) => put_some(&mut out, "description", team.description.as_deref()),
        Resource::User(user) => {
            put_some(&mut out, "email", user.email.as_deref());
            put_some(&mut out, "team", user.team.as_ref().map(vocab::TeamName::as_str));
        }
        Resource::Key(key) => render_key(key, &mut out),
    }
    out
}

fn render_provider(provider: &Provider, view: View, out: &mut Map<String, Value>) {
    put(out, "dialect", provider.dialect.as_str());
    match &provider.reach {
        Reach::Http(http) => render_http(http, view, out),
        Reach::Demo(demo) => put(out, "demo", render_demo(demo)),
    }
    put_true(out, "keepLastGood", provider.keep_last_good);
}

fn render_http(http: &Http, view: View, out: &mut Map<String, Value>) {
    put(out, "baseUrl", http.base_url.as_str());
    put_some(out, "credential", http.credential.as_ref().map(|sealed| render_credential(sealed, view)));
    put_true(out, "allowLinkLocal", http.allow_link_local);
    put_some(out, "ca", http.ca.as_deref());
    let Timeouts { connect_ms, idle_ms } = http.timeouts;
    let mut timeouts = Map::new();
    put_some(&mut timeouts, "connectMs", connect_ms);
    put_some(&mut timeouts, "idleMs", idle_ms);
    put_some(out, "timeouts", Some(timeouts).filter(|timeouts| !timeouts.is_empty()));
}

fn render_credential(sealed: &Sealed, view: View) -> Value {
    match view {
        View::Answer => json!({ "sealed": true }),
        View::Export => json!({ "sealed": sealed.to_base64() }),
    }
}

fn render_demo(demo: &Demo) -> Map<String, Value> {
    let mut out = Map::new();
    put_some(&mut out, "latencyMs", demo.latency_ms);
    put_some(&mut out, "chunkMs", demo.chunk_ms);
    put_some(&mut out, "failPermille", demo.fail_permille);
    out
}

fn render_model(model: &Model, out: &mut Map<String, Value>) {
    let targets = model.targets.iter();
    let targets = targets.map(|target| json!({ "provider": target.provider.as_str(), "model": target.model.as_str() }));
    put(out, "targets", targets.collect::<Vec<_>>());
    put_true(out, "keepLastGood", model.keep_last_good);
}

fn render_key(key: &Key, out: &mut Map<String, Value>) {
    put(out, "id", key.id.to_string());
    put(out, "sha256", key.sha256.to_string());
    put_some(
        out,
        "previous",
        key.previous
            .map(|Previous { sha256, until }| json!({ "sha256": sha256.to_string(), "until": until.to_string() })),
    );
    put_some(out, "team", key.team.as_ref().map(vocab::TeamName::as_str));
    put_some(out, "user", key.user.as_ref().map(vocab::UserName::as_str));
    put(out, "models", key.models.iter().map(Glob::as_str).collect::<Vec<_>>());
    put_some(out, "expires", key.expires.map(|expires| expires.to_string()));
    put_true(out, "disabled", key.disabled);
    let metadata: Map<_, _> = key.metadata.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    put_some(out, "metadata", Some(metadata).filter(|metadata| !metadata.is_empty()));
}

fn put(out: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    out.insert(name.to_owned(), value.into());
}

fn put_some(out: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        put(out, name, value);
    }
}

/// False is what silence says.
fn put_true(out: &mut Map<String, Value>, name: &str, flag: bool) {
    if flag {
        put(out, name, true);
    }
}
