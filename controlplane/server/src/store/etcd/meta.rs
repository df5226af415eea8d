//! Whose keys these are, and how far they have come.

use etcd_client::{Compare, CompareOp, GetOptions, KeyValue, Txn, TxnOp, TxnOpResponse, TxnResponse};
use serde::Deserialize;
use tokio::time::Instant;

use super::Inner;
use super::cluster::{Cluster, Failure};
use super::layout::{Head, LAYOUT, Layout, Meta, PRODUCT, Redo};
use crate::store::StoreError;

/// A head, and the version of it that a commit compares.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) head: Head,
    pub(crate) version: i64,
    /// To the byte, for a version alone may come again after etcd was set back.
    pub(crate) raw: Vec<u8>,
}

impl Known {
    /// What we wrote ourselves.
    pub(super) fn written(head: Head, answer: &TxnResponse) -> Known {
        let version = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
        Known { raw: encode(&head), head, version }
    }

    /// The redo as it is now, if this one is still to be written in.
    pub(super) fn still_has(&self, redo: &Redo) -> Option<&Redo> {
        self.head.redo.as_ref().filter(|now| now.txn == redo.txn)
    }
}

/// A head, and etcd's own revision at which it was seen.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) known: Known,
    pub(crate) at: i64,
}

/// Only what every version of the layout has.
#[derive(Deserialize)]
struct Owner {
    product: String,
    layout: u32,
}

/// Finds out whose place this is, and takes it if it is nobody's. Nothing is written where anything is.
pub(crate) async fn open(cluster: &Cluster, layout: &Layout) -> Result<(Meta, Vec<u8>), StoreError> {
    let id = trust::random_bytes::<16>().map(u128::from_be_bytes);
    let id = id.ok_or_else(|| StoreError::Unavailable("the system has no randomness to give".to_owned()))?;
    let meta = Meta { product: PRODUCT.to_owned(), layout: LAYOUT, id: format!("{id:032x}") };
    let raw = encode(&meta);
    let nothing_there = Compare::create_revision(layout.root(), CompareOp::Equal, 0).with_prefix();
    let any = GetOptions::new().with_prefix().with_keys_only().with_limit(1);
    let txn = Txn::new()
        .when([nothing_there])
        .and_then([
            TxnOp::put(layout.meta(), raw.clone(), None),
            TxnOp::put(layout.head(), encode(&Head::default()), None),
        ])
        .or_else([TxnOp::get(layout.meta(), None), TxnOp::get(layout.root(), Some(any))]);
    let answer = cluster.txn(txn, cluster.deadline()).await?.value;
    if answer.succeeded() {
        return Ok((meta, raw));
    }
    let [found, any] = gets(&answer);
    match found {
        Some(found) => identify(layout, found.value()).map(|meta| (meta, found.value().to_vec())),
        None => Err(StoreError::Foreign(format!(
            "etcd holds keys under {} that are not Turnpike's, {:?} for one; nothing was written: choose another --etcd-prefix",
            layout.root(),
            any.map_or_else(String::new, |any| String::from_utf8_lossy(any.key()).into_owned()),
        ))),
    }
}

fn identify(layout: &Layout, value: &[u8]) -> Result<Meta, StoreError> {
    let place = || format!("{}meta", layout.root());
    let owner: Option<Owner> = serde_json::from_slice(value).ok();
    match owner.filter(|owner| owner.product == PRODUCT) {
        Some(owner) if LAYOUT < owner.layout => Err(StoreError::Foreign(format!(
            "{} in etcd was written by a newer version (layout {}, this one knows {LAYOUT}); nothing was written: upgrade this control plane",
            place(),
            owner.layout
        ))),
        Some(_) => serde_json::from_slice(value).map_err(|error| {
            StoreError::Corrupt(format!("{} in etcd cannot be read ({error}); nothing was written", place()))
        }),
        None => Err(StoreError::Foreign(format!(
            "{} in etcd is not Turnpike's; nothing was written: choose another --etcd-prefix",
            place()
        ))),
    }
}

/// A place that is not the one we opened any more takes nothing from us. The answer has `meta` for its first read.
pub(crate) fn still_ours(
    layout: &Layout,
    raw: &[u8],
    answer: &TxnResponse,
) -> Result<[Option<KeyValue>; 2], StoreError> {
    let [meta, second] = gets(answer);
    if meta.as_ref().is_some_and(|meta| meta.value() == raw) {
        return Ok([meta, second]);
    }
    Err(StoreError::Foreign(format!(
        "{} in etcd is no longer what this process was started with: it now belongs to another store or version; restart this control plane",
        layout.root()
    )))
}

/// The first key that each of two reads found.
fn gets(answer: &TxnResponse) -> [Option<KeyValue>; 2] {
    let mut found = answer.op_responses().into_iter().map(|response| match response {
        TxnOpResponse::Get(mut get) => get.take_kvs().into_iter().next(),
        TxnOpResponse::Put(_) | TxnOpResponse::Delete(_) | TxnOpResponse::Txn(_) => None,
    });
    [found.next().flatten(), found.next().flatten()]
}

/// Our own shapes: they have nothing that JSON could refuse.
pub(crate) fn encode(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

impl Inner {
    /// What every commit of ours takes for granted: the head is as we know it, and the place is still the one we opened.
    pub(super) fn guards(&self, known: &Known) -> Vec<Compare> {
        vec![
            Compare::mod_revision(self.layout.head(), CompareOp::Equal, known.version),
            Compare::value(self.layout.head(), CompareOp::Equal, known.raw.clone()),
            Compare::value(self.layout.meta(), CompareOp::Equal, self.meta.clone()),
        ]
    }

    /// What to read when a guard refuses, for `seen`.
    pub(super) fn looks(&self) -> Vec<TxnOp> {
        vec![TxnOp::get(self.layout.meta(), None), TxnOp::get(self.layout.head(), None)]
    }

    /// Asks for the head, by consensus.
    pub(super) async fn look(&self, deadline: Instant) -> Result<Seen, StoreError> {
        let answer = self.cluster.txn(Txn::new().and_then(self.looks()), deadline).await?;
        self.seen(&answer.value)
    }

    /// The head as it was at one of etcd's own revisions.
    pub(super) async fn head_at(&self, at: i64) -> Result<Option<Known>, Failure> {
        let options = GetOptions::new().with_revision(at);
        let found = self.cluster.get(self.layout.head(), options, self.cluster.deadline()).await?;
        Ok(found.kvs().first().and_then(read_head))
    }

    /// Makes out what `looks` found.
    pub(super) fn seen(&self, answer: &TxnResponse) -> Result<Seen, StoreError> {
        let [_, head] = still_ours(&self.layout, &self.meta, answer)?;
        let known = head.as_ref().and_then(read_head).ok_or_else(|| {
            StoreError::Corrupt(format!(
                "{}head in etcd is missing or cannot be read; nothing was written: restore etcd from a backup",
                self.layout.root()
            ))
        })?;
        Ok(Seen { known, at: answer.header().map_or(0, etcd_client::ResponseHeader::revision) })
    }
}

pub(super) fn read_head(value: &KeyValue) -> Option<Known> {
    let head = serde_json::from_slice(value.value()).ok()?;
    Some(Known { head, version: value.mod_revision(), raw: value.value().to_vec() })
}
