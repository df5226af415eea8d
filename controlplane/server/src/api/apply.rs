//! Many documents as one transaction, and all of them back.

use http::StatusCode;
use http::header::ACCEPT;
use registry::{Resource, export};
use serde::Serialize;
use serde_json::Value;
use tokio::task::spawn_blocking;
use vocab::Revision;

use super::documents::read;
use super::error::Error;
use super::{Api, Call, Reply, bytes, json};
use crate::desk::{Refusal, Work};

#[derive(Serialize)]
struct Applied<'a> {
    revision: Revision,
    results: Vec<Outcome<'a>>,
}

#[derive(Serialize)]
struct Outcome<'a> {
    kind: &'static str,
    name: &'a str,
    change: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

impl Api {
    pub(super) async fn apply(&self, call: Call) -> Reply {
        let (body, format) = (call.body.clone(), call.format());
        // A large body takes a while, in which this thread has others to serve.
        let documents = spawn_blocking(move || read(&body, format)).await.map_err(|_| Refusal::Lost)??;
        if documents.is_empty() {
            return Err(Error::bad("the body holds no document"));
        }
        let is_dry = call.is_dry()?;
        let done = self.propose(&call, Work::Documents(documents), Vec::new()).await?;
        let results = done.written.iter().map(|written| Outcome {
            kind: written.stored.resource.kind().as_str(),
            name: written.stored.resource.name(),
            change: written.outcome.as_str(),
            secret: written.minted.as_ref().filter(|_| !is_dry).map(vocab::Secret::expose),
        });
        Ok(json(StatusCode::OK, &Applied { revision: done.revision, results: results.collect() }))
    }

    pub(super) async fn export(&self, call: &Call) -> Reply {
        let accept = call.headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let as_json = accept.contains("json");
        // Copying takes less long than writing, and the state is locked meanwhile.
        let resources: Vec<Resource> = self.latest.state().iter().map(|stored| stored.resource.clone()).collect();
        let written = spawn_blocking(move || if as_json { as_array(&resources) } else { as_documents(&resources) });
        let written = written.await.map_err(|_| Refusal::Lost)?;
        Ok(bytes(StatusCode::OK, if as_json { "application/json" } else { "application/yaml" }, written))
    }
}

fn as_array(resources: &[Resource]) -> String {
    let documents: Vec<String> = resources.iter().map(|resource| export(resource).to_string()).collect();
    format!("[{}]\n", documents.join(",\n"))
}

fn as_documents(resources: &[Resource]) -> String {
    let mut text = String::new();
    for resource in resources {
        let document: Value = export(resource);
        text.push_str("---\n");
        // Any JSON is YAML: what the writer should refuse goes out as it is.
        text.push_str(&serde_saphyr::to_string(&document).unwrap_or_else(|_| format!("{document}\n")));
    }
    text
}
