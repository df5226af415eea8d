//! Everything, as of one revision.

use std::collections::{BTreeMap, BTreeSet};

use etcd_client::GetOptions;

use super::Inner;
use super::cluster::Failure;
use super::layout::read_doc;
use super::meta::Seen;
use super::past::Start;
use crate::store::{Doc, DocKey, Loaded, StoreError, Undecodable};

const DOCS_PER_PAGE: i64 = 500;
/// A load that is overtaken by compaction so often is not going to end well.
const TRIES: usize = 10;

impl Inner {
    pub(super) async fn load(&self) -> Result<Loaded, StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let seen = self.look(self.cluster.deadline()).await?;
            match self.load_at(&seen).await {
                Ok(loaded) => {
                    let start = Start { next: seen.at + 1, txn: seen.known.head.txn.clone() };
                    let history = self.past.note_loaded(loaded.head, start);
                    // Whatever it was: after a restore the numbers are lower than they were.
                    *super::locked(&self.known) = Some(seen.known);
                    return Ok(Loaded { history, ..loaded });
                }
                Err(failure) if failure.compacted && tries < TRIES => {}
                Err(failure) => return Err(failure.error),
            }
        }
    }

    async fn load_at(&self, seen: &Seen) -> Result<Loaded, Failure> {
        let mut docs = BTreeMap::new();
        let mut undecodable = BTreeMap::new();
        let mut from = self.layout.docs();
        loop {
            let range = GetOptions::new().with_range(self.layout.docs_end());
            let options = range.with_revision(seen.at).with_limit(DOCS_PER_PAGE);
            let mut page = self.cluster.get(from, options, self.cluster.deadline()).await?;
            let more = page.more();
            let kvs = page.take_kvs();
            from = kvs.last().map_or_else(Vec::new, |last| [last.key(), b"\0"].concat());
            for kv in kvs {
                let (raw, value) = kv.into_key_value();
                match self.layout.key_of(&raw) {
                    Some(key) => match read_doc(key.clone(), value) {
                        Some(doc) => _ = docs.insert(key, doc),
                        None => _ = undecodable.insert(raw, Some(key)),
                    },
                    None => _ = undecodable.insert(raw, None),
                }
            }
            if !more {
                break;
            }
        }
        self.apply_redo(seen, &mut docs).await?;
        *super::locked(&self.untouchable) = undecodable.values().flatten().cloned().collect::<BTreeSet<DocKey>>();
        let undecodable = undecodable.into_keys().map(|raw| Undecodable {
            place: String::from_utf8_lossy(&raw).into_owned(),
            why: "it is not a document of ours".to_owned(),
        });
        Ok(Loaded {
            head: seen.known.head.revision,
            history: 0,
            docs: docs.into_values().collect(),
            undecodable: undecodable.collect(),
        })
    }

    /// What is committed, but not yet written in, counts as written.
    async fn apply_redo(&self, seen: &Seen, docs: &mut BTreeMap<DocKey, Doc>) -> Result<(), Failure> {
        let Some(redo) = &seen.known.head.redo else { return Ok(()) };
        let broken = || Failure { error: self.broken(redo), doubtful: false, compacted: false };
        let changes = self.set_aside_as(redo, seen.at).await?.ok_or_else(broken)?;
        for (key, body) in changes {
            match body {
                _ if redo.touched.contains(&key.to_string()) => {}
                Some(body) => _ = docs.insert(key.clone(), Doc { key, revision: redo.revision, body }),
                None => _ = docs.remove(&key),
            }
        }
        Ok(())
    }
}
