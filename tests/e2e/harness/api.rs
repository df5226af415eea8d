//! The control plane's REST API as an operator's script uses it.

use std::net::SocketAddr;

use serde_json::Value;

use super::client::{Answer, Client};

#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) client: Client,
}

impl Api {
    pub(crate) fn new(address: SocketAddr, token: &str) -> Api {
        Api { client: Client::new(address).key(token) }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.client.get(&format!("/v1/{path}")).await
    }

    pub(crate) async fn put(&self, path: &str, document: &Value) -> Answer {
        self.client.send("PUT", &format!("/v1/{path}"), document.to_string().as_bytes()).await
    }

    pub(crate) async fn patch(&self, path: &str, change: &Value) -> Answer {
        self.client.send("PATCH", &format!("/v1/{path}"), change.to_string().as_bytes()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.client.send("DELETE", &format!("/v1/{path}"), b"").await
    }

    pub(crate) async fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.client.post(&format!("/v1/{path}"), body).await
    }

    /// Many documents as one transaction; they are YAML, as in a file.
    pub(crate) async fn apply(&self, documents: &str) -> Answer {
        self.client.clone().with("content-type", "application/yaml").post("/v1/apply", documents).await
    }

    pub(crate) async fn revision(&self) -> u64 {
        self.get("status").await.ok()["revision"].as_u64().expect("a revision")
    }
}
