use super::*;
use bytes::Bytes;
use registry::{Ref, ResourceKind, read};
use serde_json::json;
use trust::Keyring;
use vocab::Kind;

use crate::config::Credentials;
use crate::sealer::Vault;
use crate::stop::stop;

fn resource(document: &serde_json::Value) -> Resource {
    let keyring = Keyring::parse(&Keyring::line([1; 32])).unwrap();
    let mut vault = Vault::new(keyring, Credentials::DocumentsOnly);
    read(0, document).0.unwrap().settle(None, &mut vault).unwrap().resource
}

fn key(disabled: bool) -> Resource {
    resource(
        &json!({"kind": "Key", "name": "k", "id": "0000000000007", "secret": "sk-a-secret", "models": ["*"], "disabled": disabled}),
    )
}

fn model(target: &str) -> Resource {
    resource(&json!({"kind": "Model", "name": "m", "targets": [{"provider": "p", "model": target}]}))
}

fn provider() -> Resource {
    resource(&json!({"kind": "Provider", "name": "p", "dialect": "openai", "demo": {}}))
}

fn doc(resource: &Resource, revision: u64) -> Doc {
    let key = DocKey::new(resource.kind().as_str(), resource.name());
    Doc { key, revision: Revision(revision), body: Bytes::from(resource.to_stored()) }
}

fn latest(head: u64, docs: Vec<Doc>) -> Arc<Latest> {
    Latest::new("store", Docs::read(Revision(head), docs), Bounds::USUAL)
}

fn put(resource: Resource) -> Vec<Change> {
    vec![Change::Put(resource)]
}

#[test]
fn commits_come_in_order_once_and_a_gap_is_seen() {
    let latest = latest(0, Vec::new());
    assert_eq!(latest.advance(Revision(1), &put(provider())), Step::Taken);
    assert_eq!(latest.advance(Revision(1), &put(provider())), Step::Known);
    assert_eq!(latest.advance(Revision(3), &put(model("a"))), Step::Gap);
    assert_eq!(latest.advance(Revision(2), &put(model("a"))), Step::Taken);
    let state = latest.state();
    assert_eq!((state.revision(), state.count(ResourceKind::Model)), (Revision(2), 1));
}

#[test]
fn a_delta_leads_where_loading_everything_leads() {
    let stepwise = latest(0, Vec::new());
    let start = *stepwise.announced().borrow();
    stepwise.advance(Revision(1), &put(provider()));
    stepwise.advance(Revision(2), &put(model("a")));
    stepwise.advance(Revision(3), &put(key(false)));
    let at_once = latest(3, vec![doc(&provider(), 1), doc(&model("a"), 2), doc(&key(false), 3)]);
    assert_eq!(stepwise.full(), at_once.full());
    let (deltas, to) = stepwise.since(start).unwrap();
    assert_eq!(merge(deltas.iter().map(|delta| &**delta)), at_once.full().0);
    assert_eq!(to, at_once.full().1);
}

#[test]
fn what_was_missed_is_one_step_and_every_resource_keeps_its_own_revision() {
    let latest = latest(1, vec![doc(&provider(), 1)]);
    let before = *latest.announced().borrow();
    latest
        .catch_up(Docs::read(Revision(9), vec![doc(&provider(), 1), doc(&model("b"), 4), doc(&key(false), 7)]), false);
    {
        let state = latest.state();
        let revision = |kind, name| state.find(kind, name).unwrap().revision.0;
        assert_eq!(state.revision(), Revision(9));
        assert_eq!(revision(ResourceKind::Provider, "p"), 1);
        assert_eq!(revision(ResourceKind::Model, "m"), 4);
        assert_eq!(revision(ResourceKind::Key, "k"), 7);
    }
    let (deltas, to) = latest.since(before).unwrap();
    assert_eq!((deltas.len(), to.revision), (1, Revision(9)));

    latest.catch_up(Docs::read(Revision(12), vec![doc(&provider(), 1), doc(&key(false), 7)]), false);
    assert!(latest.state().find(ResourceKind::Model, "m").is_none());
    let removed = latest.since(to).unwrap().0;
    assert_eq!(removed[0].removals.iter().map(|row| row.kind).collect::<Vec<_>>(), [Kind::Model.number()]);
}

#[test]
fn a_store_that_went_back_in_time_is_another_world() {
    let latest = latest(9, vec![doc(&provider(), 1), doc(&model("b"), 9)]);
    let before = *latest.announced().borrow();
    latest.catch_up(Docs::read(Revision(5), vec![doc(&provider(), 1)]), false);
    assert_eq!(latest.state().revision(), Revision(5));
    assert!(latest.since(before).is_none());
    assert_ne!(latest.announced().borrow().epoch, before.epoch);
}

#[test]
fn the_same_number_with_another_content_is_another_world() {
    let latest = latest(5, vec![doc(&provider(), 1), doc(&model("lost"), 5)]);
    let before = latest.head();
    latest.catch_up(Docs::read(Revision(5), vec![doc(&provider(), 1), doc(&model("lost"), 5)]), false);
    assert_eq!(latest.head(), before, "nothing is other than it was");

    latest.catch_up(Docs::read(Revision(5), vec![doc(&provider(), 1), doc(&model("found"), 5)]), false);
    assert_eq!(latest.state().find(ResourceKind::Model, "m").unwrap().resource, model("found"));
    assert_ne!(latest.head().epoch, before.epoch);
    assert!(latest.since(before).is_none());

    let before = latest.head();
    latest.catch_up(Docs::read(Revision(5), vec![doc(&provider(), 1)]), false);
    assert!(latest.state().find(ResourceKind::Model, "m").is_none());
    assert_ne!(latest.head().epoch, before.epoch);
}

#[test]
fn a_document_of_the_same_number_and_another_content_was_missed() {
    let latest = latest(5, vec![doc(&provider(), 1), doc(&model("lost"), 2)]);
    latest.catch_up(Docs::read(Revision(6), vec![doc(&provider(), 1), doc(&model("found"), 2)]), false);
    let state = latest.state();
    assert_eq!(state.find(ResourceKind::Model, "m").unwrap().resource, model("found"));
    assert_eq!((state.revision(), state.digest()), (Revision(6), latest.head().digest));
}

#[test]
fn another_history_is_taken_whole_whatever_its_numbers_are() {
    for head in [3, 5, 9] {
        let latest = latest(5, vec![doc(&provider(), 1), doc(&model("lost"), 2)]);
        let before = latest.head();
        let docs = Docs::read(Revision(head), vec![doc(&provider(), 1), doc(&model("found"), 2)]);
        latest.catch_up(Docs { history: 7, ..docs }, true);
        assert_eq!(latest.state().find(ResourceKind::Model, "m").unwrap().resource, model("found"));
        assert_eq!((latest.head().revision, latest.history()), (Revision(head), 7));
        assert!(latest.since(before).is_none());
    }
}

#[test]
fn what_cannot_be_read_is_reported_and_its_last_readable_version_stays() {
    let newer =
        Doc { body: Bytes::from_static(b"{\"v\":99,\"kind\":\"Model\",\"name\":\"m\"}"), ..doc(&model("a"), 4) };
    let fresh = latest(4, vec![doc(&provider(), 1), newer.clone()]);
    assert_eq!(fresh.unreadable().len(), 1);
    assert!(fresh.state().find(ResourceKind::Model, "m").is_none());

    let running = latest(2, vec![doc(&provider(), 1), doc(&model("a"), 2)]);
    running.catch_up(Docs::read(Revision(4), vec![doc(&provider(), 1), newer]), false);
    assert_eq!(running.unreadable().len(), 1);
    assert_eq!(running.state().find(ResourceKind::Model, "m").unwrap().revision, Revision(2));
    assert_eq!(running.state().revision(), Revision(4));

    running.catch_up(Docs::read(Revision(5), vec![doc(&provider(), 1), doc(&model("c"), 5)]), false);
    assert!(running.unreadable().is_empty());
}

#[test]
fn a_document_under_another_name_is_not_taken() {
    let doc = Doc { key: DocKey::new("Model", "other"), ..doc(&model("a"), 1) };
    assert_eq!(latest(1, vec![doc]).unreadable().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn changes_wait_for_company_and_a_revocation_takes_them_along_at_once() {
    let latest = latest(0, Vec::new());
    let (stopper, stop) = stop();
    let announcing = tokio::spawn({
        let (latest, stop) = (Arc::clone(&latest), stop);
        async move { latest.announce(stop).await }
    });
    let mut announced = latest.announced();
    let began = tokio::time::Instant::now();
    latest.advance(Revision(1), &put(provider()));
    latest.advance(Revision(2), &put(key(false)));
    announced.changed().await.unwrap();
    assert_eq!(announced.borrow_and_update().revision, Revision(2));
    assert!(began.elapsed() >= COMPANY);

    latest.advance(Revision(3), &put(model("a")));
    latest.advance(Revision(4), &put(key(true)));
    assert!(announced.has_changed().unwrap(), "a disabled key does not wait");
    assert_eq!(announced.borrow_and_update().revision, Revision(4));
    latest.advance(Revision(5), &[Change::Delete(Ref::new(ResourceKind::Key, "k"))]);
    assert_eq!(announced.borrow_and_update().revision, Revision(5));
    stopper.stop();
    announcing.await.unwrap();
}
