//! What is written where in etcd.
//!
//! ```text
//! <prefix>/v1/meta                 whose this is, in which layout, and its identity; never changes
//! <prefix>/v1/head                 the newest revision, who committed it, and a redo still to be written in
//! <prefix>/v1/doc/<kind>/<name>    "<revision of its last change>\n<body>"
//! <prefix>/v1/redo/<txn>/<n>       parts of a transaction too large for one etcd transaction
//! <prefix>/v1/usage/...            the usage log
//! ```
//!
//! `head` sorts behind all of `doc/` and before everything else, so that one watched range holds these two and no more.

use std::collections::BTreeSet;

use bytes::Bytes;
use prost::Message;
use serde::{Deserialize, Serialize};
use vocab::Revision;

use crate::store::{Doc, DocKey, Txn};

pub(crate) const LAYOUT: u32 = 1;
pub(crate) const PRODUCT: &str = "turnpike";

/// etcd takes 128 operations a transaction and 1.5 MiB a request, unless told otherwise.
pub(crate) const OPS_MAX: usize = 120;
pub(crate) const TXN_BYTES_MAX: usize = 1024 * 1024 + 128 * 1024;
const CHUNK_BYTES: usize = 512 * 1024;
const TOUCHED_MAX: usize = 256;
/// What an entry costs beside its body: key, numbers, framing.
const ENTRY_BYTES: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    pub(crate) product: String,
    pub(crate) layout: u32,
    pub(crate) id: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) revision: Revision,
    /// Drawn anew for each transaction, so that whoever got no answer can see whether it was theirs.
    pub(crate) txn: String,
    /// What this revision took away, as `Kind/name`. etcd says nothing about a key that goes before it came, and while a
    /// redo is to be written in, a document may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) deletes: Vec<String>,
    /// Documents that are still to be written in: readers take them as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) redo: Option<Redo>,
}

/// A committed transaction whose documents are not all where they belong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Redo {
    pub(crate) txn: String,
    pub(crate) revision: Revision,
    pub(crate) chunks: usize,
    /// Documents that were changed since, by smaller transactions: they are where they belong, as they should be.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) touched: BTreeSet<String>,
}

impl Redo {
    pub(crate) fn touch(mut self, txn: &Txn) -> Redo {
        self.touched.extend(txn.changes.keys().map(DocKey::to_string));
        self
    }

    /// The head must stay small.
    pub(crate) fn has_room_for(&self, txn: &Txn) -> bool {
        self.touched.len() + txn.changes.len() <= TOUCHED_MAX
    }
}

/// The keys under one prefix.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: String,
}

impl Layout {
    pub(crate) fn new(prefix: &str) -> Layout {
        Layout { root: format!("{}/v1/", prefix.trim_end_matches('/')) }
    }

    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    pub(crate) fn at(&self, place: &str) -> Vec<u8> {
        format!("{}{place}", self.root).into_bytes()
    }

    pub(crate) fn meta(&self) -> Vec<u8> {
        self.at("meta")
    }

    pub(crate) fn head(&self) -> Vec<u8> {
        self.at("head")
    }

    pub(crate) fn doc(&self, key: &DocKey) -> Vec<u8> {
        self.at(&format!("doc/{key}"))
    }

    pub(crate) fn docs(&self) -> Vec<u8> {
        self.at("doc/")
    }

    pub(crate) fn docs_end(&self) -> Vec<u8> {
        self.at("doc0")
    }

    /// The end of the range that is watched: just behind `head`.
    pub(crate) fn watched_end(&self) -> Vec<u8> {
        self.at("head\0")
    }

    pub(crate) fn redos(&self) -> Vec<u8> {
        self.at("redo/")
    }

    pub(crate) fn redo(&self, txn: &str) -> Vec<u8> {
        self.at(&format!("redo/{txn}/"))
    }

    /// '0' is the letter behind '/'.
    pub(crate) fn redo_end(&self, txn: &str) -> Vec<u8> {
        self.at(&format!("redo/{txn}0"))
    }

    pub(crate) fn chunk(&self, txn: &str, n: usize) -> Vec<u8> {
        self.at(&format!("redo/{txn}/{n:06}"))
    }

    /// The transaction a chunk belongs to.
    pub(crate) fn txn_of<'k>(&self, key: &'k [u8]) -> Option<&'k str> {
        let place = std::str::from_utf8(key).ok()?.strip_prefix(&self.root)?;
        Some(place.strip_prefix("redo/")?.split_once('/')?.0)
    }

    pub(crate) fn key_of(&self, key: &[u8]) -> Option<DocKey> {
        let place = std::str::from_utf8(key).ok()?.strip_prefix(&self.root)?;
        read_key(place.strip_prefix("doc/")?)
    }
}

/// The inverse of writing it out: kinds have no slash.
pub(crate) fn read_key(text: &str) -> Option<DocKey> {
    let (kind, name) = text.split_once('/')?;
    (!kind.is_empty() && !name.is_empty()).then(|| DocKey::new(kind, name))
}

pub(crate) fn write_doc(revision: Revision, body: &[u8]) -> Vec<u8> {
    let mut value = format!("{revision}\n").into_bytes();
    value.extend_from_slice(body);
    value
}

pub(crate) fn read_doc(key: DocKey, value: Vec<u8>) -> Option<Doc> {
    let ends = value.iter().take(21).position(|byte| *byte == b'\n')?;
    let revision = std::str::from_utf8(value.get(..ends)?).ok()?.parse().ok().map(Revision)?;
    Some(Doc { key, revision, body: Bytes::from(value).slice(ends + 1..) })
}

#[derive(Clone, PartialEq, Message)]
struct Chunk {
    #[prost(message, repeated, tag = "1")]
    changes: Vec<Change>,
}

#[derive(Clone, PartialEq, Message)]
struct Change {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "2")]
    name: String,
    /// None for a document that goes.
    #[prost(bytes = "bytes", optional, tag = "3")]
    body: Option<Bytes>,
}

pub(crate) type Changes = Vec<(DocKey, Option<Bytes>)>;

pub(crate) fn weight(key: &DocKey, body: Option<&Bytes>) -> usize {
    key.kind.len() + key.name.len() + body.map_or(0, Bytes::len) + ENTRY_BYTES
}

/// Whether it can be committed in one etcd transaction.
pub(crate) fn is_small(txn: &Txn, root: &str) -> bool {
    let bytes: usize = txn.changes.iter().map(|(key, body)| root.len() + weight(key, body.as_ref())).sum();
    // One operation is the head's.
    txn.changes.len() < OPS_MAX && bytes <= TXN_BYTES_MAX
}

/// The chunks of a large transaction.
pub(crate) fn write_chunks(txn: &Txn) -> Vec<Vec<u8>> {
    let changes = txn.changes.iter().map(|(key, body)| (key.clone(), body.clone()));
    let batches = split(changes, usize::MAX, CHUNK_BYTES, 0);
    let encode = |batch: Changes| {
        let change = |(key, body): (DocKey, Option<Bytes>)| Change { kind: key.kind, name: key.name, body };
        Chunk { changes: batch.into_iter().map(change).collect() }.encode_to_vec()
    };
    batches.into_iter().map(encode).collect()
}

pub(crate) fn read_chunk(value: &[u8]) -> Option<Changes> {
    let chunk = Chunk::decode(value).ok()?;
    Some(chunk.changes.into_iter().map(|change| (DocKey::new(change.kind, change.name), change.body)).collect())
}

/// Cut so that no part has more than `ops` entries, nor more than `bytes` unless it is a single one.
pub(crate) fn split(
    changes: impl Iterator<Item = (DocKey, Option<Bytes>)>,
    ops: usize,
    bytes: usize,
    each: usize,
) -> Vec<Changes> {
    let mut parts: Vec<Changes> = Vec::new();
    let mut filled = 0;
    for (key, body) in changes {
        let weight = weight(&key, body.as_ref()) + each;
        match parts.last_mut() {
            Some(part) if part.len() < ops && filled + weight <= bytes => {
                filled += weight;
                part.push((key, body));
            }
            _ => {
                filled = weight;
                parts.push(vec![(key, body)]);
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_survives_its_value() {
        let key = DocKey::new("Model", "openai/gpt-4o");
        let value = write_doc(Revision(42), b"{\n}");
        let doc = read_doc(key.clone(), value).unwrap();
        assert_eq!(doc, Doc { key, revision: Revision(42), body: Bytes::from_static(b"{\n}") });
    }

    #[test]
    fn what_is_no_document_is_none() {
        for value in ["", "{}", "x\n{}", "-1\n{}", "99999999999999999999999\n{}"] {
            assert_eq!(read_doc(DocKey::new("Key", "a"), value.into()), None, "{value}");
        }
    }

    #[test]
    fn keys_lead_back_to_documents() {
        let layout = Layout::new("/turnpike/");
        let key = DocKey::new("Model", "openai/gpt-4o");
        assert_eq!(layout.doc(&key), b"/turnpike/v1/doc/Model/openai/gpt-4o");
        assert_eq!(layout.key_of(&layout.doc(&key)), Some(key));
        for other in ["/turnpike/v1/doc/Model", "/turnpike/v1/doc//x", "/turnpike/v1/doc/Key/", "/other/v1/doc/Key/a"] {
            assert_eq!(layout.key_of(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn one_range_holds_documents_and_head_and_nothing_else() {
        let layout = Layout::new("/t");
        let watched = layout.docs()..layout.watched_end();
        assert!(watched.contains(&layout.head()) && watched.contains(&layout.doc(&DocKey::new("z", "z"))));
        for outside in [layout.meta(), layout.chunk("a", 0), layout.at("usage/x"), layout.at("doc")] {
            assert!(!watched.contains(&outside));
        }
    }

    #[test]
    fn chunks_hold_everything_once_and_none_is_too_large() {
        let mut txn = Txn::new(Revision(1));
        for n in 0..3000 {
            match n % 10 {
                0 => txn.delete(DocKey::new("Key", format!("k{n}"))),
                _ => txn.put(DocKey::new("Key", format!("k{n}")), vec![b'x'; n]),
            }
        }
        txn.put(DocKey::new("Key", "large"), vec![b'x'; 1024 * 1024]);
        let chunks = write_chunks(&txn);
        assert!(8 < chunks.len() && chunks.iter().all(|chunk| chunk.len() <= 1024 * 1024 + 256));
        let changes: Vec<_> = chunks.iter().flat_map(|chunk| read_chunk(chunk).unwrap()).collect();
        assert_eq!(changes, txn.changes.into_iter().collect::<Vec<_>>());
    }
}
