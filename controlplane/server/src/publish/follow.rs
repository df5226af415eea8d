//! Reads the store once, then follows it.

use std::sync::Arc;
use std::time::Duration;

use registry::{Change, Ref, ResourceKind};

use super::{Docs, Latest, Step, resource};
use crate::stop::Stop;
use crate::store::{Committed, Event, Loaded, Store, StoreError};

const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Everything the store holds. Reading a hundred thousand documents takes a while, so it is not done among the async tasks.
pub(crate) async fn load(store: &dyn Store) -> Result<Docs, StoreError> {
    let Loaded { head, history, docs, undecodable } = store.load().await?;
    for undecodable in undecodable {
        tracing::error!(place = undecodable.place, why = undecodable.why, "lies among the documents and is none");
    }
    let read = tokio::task::spawn_blocking(move || Docs { history, ..Docs::read(head, docs) }).await;
    read.map_err(|why| StoreError::Corrupt(format!("what is stored could not be read: {why}")))
}

/// Keeps `latest` at the head of the store until it is time to stop.
pub(crate) async fn follow(latest: Arc<Latest>, store: Arc<dyn Store>, stop: Stop) {
    let held = latest.state().revision();
    let mut watch = store.watch(held);
    loop {
        let event = tokio::select! {
            event = watch.next() => event,
            () = stop.wanted() => return,
        };
        match event {
            Some(Event::Committed(committed)) => {
                if latest.take(&committed) == Step::Gap {
                    tracing::warn!(revision = %committed.revision, "commits are missing before this one");
                    reload(&latest, store.as_ref(), false, &stop).await;
                }
            }
            Some(Event::Relist { anew }) => reload(&latest, store.as_ref(), anew, &stop).await,
            Some(Event::Down(why)) => {
                latest.set_store_up(false);
                tracing::warn!(%why, "the store is away, what is in force stays in force");
            }
            Some(Event::Up) => {
                latest.set_store_up(true);
                tracing::info!("the store is back");
            }
            None => {
                latest.set_store_up(false);
                tracing::error!("the store is gone for good");
                return;
            }
        }
    }
}

async fn reload(latest: &Latest, store: &dyn Store, anew: bool, stop: &Stop) {
    let mut pause = PAUSE_MIN;
    loop {
        match load(store).await {
            Ok(docs) => return latest.catch_up(docs, anew),
            Err(why) => tracing::warn!(%why, "cannot read the store"),
        }
        if !stop.slept(pause).await {
            return;
        }
        pause = pause.saturating_mul(2).min(PAUSE_MAX);
    }
}

impl Latest {
    /// Puts a commit of whomever into force.
    fn take(&self, committed: &Committed) -> Step {
        // Our own are in force since they were committed.
        if committed.revision <= self.state().revision() {
            return Step::Known;
        }
        let mut changes = Vec::new();
        let mut unreadable = super::lock(&self.unreadable);
        for doc in &committed.puts {
            match resource(doc) {
                Ok(resource) => {
                    unreadable.remove(&doc.key);
                    changes.push(Change::Put(resource));
                }
                Err(why) => {
                    tracing::error!(document = %doc.key, %why, "cannot be read and is not put into force");
                    unreadable.insert(doc.key.clone(), why);
                }
            }
        }
        for key in &committed.deletes {
            unreadable.remove(key);
            changes.extend(ResourceKind::parse(&key.kind).map(|kind| Change::Delete(Ref::new(kind, &key.name))));
        }
        drop(unreadable);
        self.advance(committed.revision, &changes)
    }
}
