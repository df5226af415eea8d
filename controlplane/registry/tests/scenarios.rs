//! Documents in, faults or rows out.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that stumbles has failed")]
#![expect(clippy::needless_pass_by_value, reason = "documents are written where they are used")]

#[path = "support/shell.rs"]
mod shell;

#[path = "scenarios/faults.rs"]
mod faults;
#[path = "scenarios/rows.rs"]
mod rows;
#[path = "scenarios/secrets.rs"]
mod secrets;
#[path = "scenarios/transactions.rs"]
mod transactions;

use registry::{Change, Delta, Outcome, Ref, ResourceKind, State, propose};
use serde_json::{Value, json};
use shell::Shell;
use vocab::Revision;

/// A control plane in small.
#[derive(Default)]
struct House {
    state: State,
    shell: Shell,
}

impl House {
    fn with(documents: Value) -> House {
        let mut house = House::default();
        house.apply(documents);
        house
    }

    /// Applies documents that are fine; what a proxy is told.
    #[track_caller]
    fn apply(&mut self, documents: Value) -> Delta {
        let proposal = propose(&self.state, documents.as_array().unwrap(), &mut self.shell).unwrap();
        self.commit(&proposal.changes())
    }

    fn commit(&mut self, changes: &[Change]) -> Delta {
        self.state.commit(Revision(self.state.revision().0 + 1), changes)
    }

    #[track_caller]
    fn delete(&mut self, kind: ResourceKind, name: &str) -> Delta {
        let changes = [Change::Delete(Ref::new(kind, name))];
        assert_eq!(self.state.check(&changes), []);
        self.commit(&changes)
    }

    #[track_caller]
    fn outcomes(&mut self, documents: &Value) -> Vec<Outcome> {
        let proposal = propose(&self.state, documents.as_array().unwrap(), &mut self.shell).unwrap();
        proposal.entries.iter().map(|entry| entry.outcome).collect()
    }

    /// `number path: message`, in order.
    #[track_caller]
    fn faults(&mut self, documents: &Value) -> Vec<String> {
        let faults = propose(&self.state, documents.as_array().unwrap(), &mut self.shell).err().unwrap_or_default();
        faults.iter().map(|fault| format!("{} {fault}", fault.document)).collect()
    }

    #[track_caller]
    fn key(&self, name: &str) -> registry::Key {
        self.state.find(ResourceKind::Key, name).unwrap().resource.as_key().unwrap().clone()
    }
}

/// The documents of the first page of the manual.
fn first_page() -> Value {
    json!([
        {"kind": "Provider", "name": "mock", "dialect": "openai", "baseUrl": "http://127.0.0.1:18080/v1",
         "credential": {"value": "sk-upstream"}},
        {"kind": "Model", "name": "gpt-4o-mini", "targets": [{"provider": "mock", "model": "gpt-4o-mini"}]},
        {"kind": "Team", "name": "search"},
        {"kind": "Key", "name": "bench", "team": "search", "secret": "sk-bench-key", "models": ["*"],
         "expires": "2030-01-01T00:00:00Z", "metadata": {"env": "prod"}},
    ])
}

/// A key document with these members besides the needed ones.
fn key_with(name: &str, more: Value) -> Value {
    let mut document = json!({"kind": "Key", "name": name, "models": ["*"]});
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    document
}
