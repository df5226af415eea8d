use super::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use registry::{Outcome, ResourceKind};
use serde_json::{Value, json};
use trust::Keyring;

use crate::config::Credentials;
use crate::publish::{Bounds, load};
use crate::store::{Loaded, Place, Watch, open};

/// A real store that does on the next commit what it is told.
#[derive(Debug)]
struct Whimsical {
    inner: Arc<dyn Store>,
    commits: AtomicUsize,
    whim: Mutex<Vec<Whim>>,
}

#[derive(Debug)]
enum Whim {
    Fail(StoreError),
    /// Somebody else commits first, and everybody hears of it.
    Overtake(Arc<Latest>, registry::Resource),
}

#[async_trait::async_trait]
impl Store for Whimsical {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn id(&self) -> &str {
        self.inner.id()
    }

    async fn head(&self) -> Result<Revision, StoreError> {
        self.inner.head().await
    }

    async fn load(&self) -> Result<Loaded, StoreError> {
        self.inner.load().await
    }

    async fn commit(&self, txn: Txn) -> Result<Revision, StoreError> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        let whim = self.whim.lock().unwrap().pop();
        match whim {
            Some(Whim::Fail(why)) => return Err(why),
            Some(Whim::Overtake(latest, resource)) => {
                let mut other = Txn::new(txn.expect);
                other.put(doc_key(&resource.reference()), resource.to_stored());
                let revision = self.inner.commit(other).await?;
                latest.advance(revision, &[Change::Put(resource)]);
            }
            None => {}
        }
        self.inner.commit(txn).await
    }

    fn watch(&self, after: Revision) -> Watch {
        self.inner.watch(after)
    }
}

struct House {
    desk: Desk,
    latest: Arc<Latest>,
    store: Arc<Whimsical>,
    writer: Writer,
    _dir: tempfile::TempDir,
}

async fn house() -> House {
    let dir = tempfile::tempdir().unwrap();
    let inner = open(&Place::Embedded { dir: dir.path().to_path_buf() }).await.unwrap();
    let store = Arc::new(Whimsical { inner, commits: AtomicUsize::new(0), whim: Mutex::default() });
    let latest = Latest::new(store.id(), load(store.as_ref()).await.unwrap(), Bounds::USUAL);
    let vault = Vault::new(Keyring::parse(&Keyring::line([1; 32])).unwrap(), Credentials::DocumentsOnly);
    let store_seen: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
    let (desk, writer) = desk(Arc::clone(&latest), store_seen, vault, Arc::default());
    House { desk, latest, store, writer, _dir: dir }
}

fn team(name: &str) -> Work {
    Work::Documents(vec![json!({"kind": "Team", "name": name})])
}

fn key(name: &str, team: &str, secret: &str) -> Work {
    Work::Documents(vec![json!({"kind": "Key", "name": name, "team": team, "secret": secret, "models": ["*"]})])
}

fn team_ref(name: &str) -> Ref {
    Ref::new(ResourceKind::Team, name)
}

async fn all(desk: &Desk, works: Vec<Work>) -> Vec<Result<Done, Refusal>> {
    let asked: Vec<_> = works
        .into_iter()
        .map(|work| {
            let (answer, answered) = oneshot::channel();
            let proposal = Proposal {
                work: Arc::new(work),
                conditions: Arc::new([]),
                since: Instant::now(),
                alone: false,
                answer,
            };
            desk.inbox.try_send(proposal).unwrap();
            answered
        })
        .collect();
    let mut answers = Vec::new();
    for answered in asked {
        answers.push(answered.await.unwrap());
    }
    answers
}

#[tokio::test]
async fn what_waits_together_is_one_transaction_and_each_gets_its_own_answer() {
    let House { desk, latest, store, writer, _dir } = house().await;
    let mut works: Vec<_> = (0..100).map(|n| team(&format!("t{n}"))).collect();
    works.push(Work::Documents(vec![json!({"kind": "Team", "name": "bad", "nmae": 1})]));
    works.push(Work::Delete(team_ref("missing")));
    let (answers, ()) = tokio::join!(all(&desk, works), async {
        tokio::spawn(writer.run());
    });
    assert_eq!(store.commits.load(Ordering::Relaxed), 1);
    for answer in &answers[..100] {
        let done = answer.as_ref().unwrap();
        assert_eq!((done.revision, done.written[0].outcome), (Revision(1), Outcome::Created));
    }
    assert!(matches!(&answers[100], Err(Refusal::Invalid(faults)) if faults.len() == 1));
    assert!(matches!(&answers[101], Err(Refusal::Missing(_))));
    assert_eq!(latest.state().count(ResourceKind::Team), 100);
}

#[tokio::test]
async fn what_does_not_go_together_goes_one_after_the_other() {
    let House { desk, latest, store, writer, _dir } = house().await;
    tokio::spawn(writer.run());
    desk.write(team("a"), Vec::new()).await.unwrap();
    let answers = all(
        &desk,
        vec![
            Work::Delete(team_ref("a")),
            // Fine by itself, but not after the team is gone.
            key("k", "a", "sk-first-secret"),
            // One document changes once in a revision.
            Work::Documents(vec![json!({"kind": "Team", "name": "b", "description": "1"})]),
            Work::Documents(vec![json!({"kind": "Team", "name": "b", "description": "2"})]),
        ],
    )
    .await;
    assert!(answers[0].is_ok());
    assert!(matches!(&answers[1], Err(Refusal::Invalid(_))), "{:?}", answers[1]);
    let revisions = [&answers[2], &answers[3]].map(|answer| answer.as_ref().unwrap().revision.0);
    assert_eq!(revisions, [2, 3]);
    assert_eq!(store.commits.load(Ordering::Relaxed), 3);
    assert_eq!(latest.state().count(ResourceKind::Key), 0);
}

#[tokio::test]
async fn two_keys_with_one_secret_are_never_both_taken() {
    let House { desk, latest, writer, _dir, .. } = house().await;
    tokio::spawn(writer.run());
    desk.write(team("a"), Vec::new()).await.unwrap();
    let answers = all(&desk, vec![key("k1", "a", "sk-same-secret"), key("k2", "a", "sk-same-secret")]).await;
    assert!(answers[0].is_ok() && matches!(&answers[1], Err(Refusal::Invalid(_))));
    assert_eq!(latest.state().count(ResourceKind::Key), 1);
}

#[tokio::test]
async fn whoever_was_overtaken_is_validated_again() {
    let House { desk, latest, store, writer, _dir } = house().await;
    tokio::spawn(writer.run());
    desk.write(team("a"), Vec::new()).await.unwrap();
    let theirs = |description: &str| {
        let mut vault = desk.vault.clone();
        let value = json!({"kind": "Team", "name": "a", "description": description});
        registry::read(0, &value).0.unwrap().settle(None, &mut vault).unwrap().resource
    };
    store.whim.lock().unwrap().push(Whim::Overtake(Arc::clone(&latest), theirs("theirs")));
    let done = desk.write(team("b"), Vec::new()).await.unwrap();
    assert_eq!(done.revision, Revision(3));

    // What was current when it was handed in is not current any more.
    store.whim.lock().unwrap().push(Whim::Overtake(Arc::clone(&latest), theirs("theirs again")));
    let must = Condition { of: team_ref("a"), must: Must::BeAt(vec![Revision(2)]) };
    let patch = Work::Patch { of: team_ref("a"), patch: json!({"description": "ours"}) };
    let refusal = desk.write(patch, vec![must]).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Stale { now: Some(Revision(4)), .. }), "{refusal:?}");
}

#[tokio::test]
async fn a_store_that_is_away_is_said_to_be_away_and_nothing_is_repeated() {
    let House { desk, latest, store, writer, _dir } = house().await;
    tokio::spawn(writer.run());
    for why in [StoreError::Unavailable("away".into()), StoreError::Unsure("silent".into())] {
        store.whim.lock().unwrap().push(Whim::Fail(why.clone()));
        let refusal = desk.write(team("a"), Vec::new()).await.unwrap_err();
        assert!(matches!(&refusal, Refusal::Store(told) if *told == why), "{refusal:?}");
    }
    assert_eq!(store.commits.load(Ordering::Relaxed), 2);
    assert_eq!(latest.state().revision(), Revision::NONE);
}

#[tokio::test]
async fn what_the_store_will_not_have_does_not_take_others_down() {
    let House { desk, store, writer, _dir, .. } = house().await;
    let why = StoreError::TooLarge { what: "Team/big".into(), bytes: 2, bytes_max: 1 };
    store.whim.lock().unwrap().push(Whim::Fail(why));
    let works = vec![team("a"), team("b"), team("c")];
    let (answers, ()) = tokio::join!(all(&desk, works), async {
        tokio::spawn(writer.run());
    });
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(store.commits.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn what_changes_nothing_is_no_transaction() {
    let House { desk, store, writer, _dir, .. } = house().await;
    tokio::spawn(writer.run());
    desk.write(team("a"), Vec::new()).await.unwrap();
    let done = desk.write(team("a"), Vec::new()).await.unwrap();
    assert_eq!((done.revision, done.written[0].outcome), (Revision(1), Outcome::Unchanged));
    assert_eq!(store.commits.load(Ordering::Relaxed), 1);
    let rehearsed = desk.rehearse(team("b"), Vec::new()).await.unwrap();
    assert_eq!(rehearsed.written[0].outcome, Outcome::Created);
    assert_eq!(store.commits.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_was_handed_in_before_the_end_is_answered() {
    let House { desk, writer, _dir, .. } = house().await;
    let works: Vec<_> = (0..10).map(|n| team(&format!("t{n}"))).collect();
    let asked = tokio::spawn(async move { all(&desk, works).await });
    while writer.inbox.len() < 10 {
        tokio::task::yield_now().await;
    }
    writer.run().await;
    assert!(asked.await.unwrap().iter().all(Result::is_ok));
}

#[tokio::test]
async fn what_comes_sealed_must_open_here() {
    let House { desk, writer, _dir, .. } = house().await;
    tokio::spawn(writer.run());
    let provider = |credential: Value| {
        let base = "http://127.0.0.1:1/v1";
        Work::Documents(vec![
            json!({"kind": "Provider", "name": "p", "dialect": "openai", "baseUrl": base, "credential": credential}),
        ])
    };
    desk.write(provider(json!({"value": "sk-upstream"})), Vec::new()).await.unwrap();
    let held = desk.latest.state().find(ResourceKind::Provider, "p").cloned().unwrap();
    let sealed = registry::export(&held.resource)["credential"]["sealed"].as_str().unwrap().to_owned();
    let done = desk.write(provider(json!({"sealed": sealed})), Vec::new()).await.unwrap();
    assert_eq!(done.written[0].outcome, Outcome::Unchanged);
    let foreign = Keyring::parse(&Keyring::line([2; 32])).unwrap().seal("Provider/p/credential", b"x").unwrap();
    let refusal = desk.write(provider(json!({"sealed": foreign.to_base64()})), Vec::new()).await.unwrap_err();
    assert!(
        matches!(&refusal, Refusal::Invalid(faults) if faults[0].path == "Provider/p.credential.sealed"),
        "{refusal:?}"
    );
}

#[tokio::test]
async fn a_rotated_key_keeps_its_id_and_its_old_secret_for_a_while() {
    let House { desk, writer, _dir, .. } = house().await;
    tokio::spawn(writer.run());
    desk.write(team("a"), Vec::new()).await.unwrap();
    let made = desk.write(key("k", "a", "sk-first-secret"), Vec::new()).await.unwrap();
    let before = made.written[0].stored.resource.as_key().unwrap().clone();
    let rotate = |secret: Option<Value>, grace_ms| Work::Rotate { key: "k".into(), secret, grace_ms };
    let done = desk.write(rotate(None, 60_000), Vec::new()).await.unwrap();
    let after = done.written[0].stored.resource.as_key().unwrap().clone();
    assert_eq!(after.id, before.id);
    assert_eq!(after.previous.unwrap().sha256, before.sha256);
    assert_eq!(trust::hash_key(done.written[0].minted.as_ref().unwrap().expose()), after.sha256);

    let done = desk.write(rotate(Some(json!("sk-third-secret")), 0), Vec::new()).await.unwrap();
    let last = done.written[0].stored.resource.as_key().unwrap();
    assert_eq!((last.previous, last.sha256), (None, trust::hash_key("sk-third-secret")));
    for bad in [json!("sk-third-secret"), json!("short"), json!(7)] {
        let refusal = desk.write(rotate(Some(bad.clone()), 0), Vec::new()).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Invalid(_)), "{bad}");
    }
}
