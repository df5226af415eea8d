//! Updates as bytes: encoded once, shared by all who need the same one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message as _;
use registry::{Delta, merge};
use tokio::sync::Mutex as AsyncMutex;

use crate::publish::{Latest, Point};

/// What a part weighs at most, but for a single row that weighs more by itself.
const PART_BYTES_MAX: usize = 1 << 20;
/// Proxies are mostly at the same point; a few are a step behind.
const KEPT: usize = 8;
/// So long nobody wanted everything: then its bytes are let go.
const UNWANTED: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Encoded {
    /// `None` is from nothing.
    from: Option<Point>,
    pub(crate) to: Point,
    pub(crate) parts: Vec<Bytes>,
}

#[derive(Debug)]
pub(crate) struct Updates {
    latest: Arc<Latest>,
    deltas: Mutex<VecDeque<Arc<Encoded>>>,
    full: AsyncMutex<Option<(Instant, Arc<Encoded>)>>,
}

/// What somebody at a point needs.
#[derive(Debug)]
pub(crate) enum Need {
    Nothing,
    Delta(Arc<Encoded>),
    Everything,
}

impl Updates {
    pub(crate) fn new(latest: Arc<Latest>) -> Updates {
        Updates { latest, deltas: Mutex::default(), full: AsyncMutex::default() }
    }

    pub(crate) fn need(&self, from: Point) -> Need {
        let mut kept = self.deltas.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((deltas, to)) = self.latest.since(from) else { return Need::Everything };
        if to == from {
            return Need::Nothing;
        }
        let same = kept.iter().find(|encoded| encoded.from == Some(from) && encoded.to == to);
        if let Some(same) = same {
            return Need::Delta(Arc::clone(same));
        }
        let encoded = Arc::new(encode(self.latest.store(), Some(from), to, one(&deltas)));
        kept.push_front(Arc::clone(&encoded));
        kept.truncate(KEPT);
        Need::Delta(encoded)
    }

    /// Everything, as of when it was asked for or later: whoever serves by it alone must refuse no key that is there by
    /// now, and let nobody in who has lost access. A crowd that asks while one encoding is made shares the next one.
    pub(crate) async fn everything(&self) -> Arc<Encoded> {
        let asked = self.latest.head();
        let mut kept = self.full.lock().await;
        if let Some((wanted, encoded)) = kept.as_mut()
            && encoded.to.epoch == asked.epoch
            && asked.revision <= encoded.to.revision
        {
            *wanted = Instant::now();
            return Arc::clone(encoded);
        }
        let latest = Arc::clone(&self.latest);
        let encode_all = move || {
            let (delta, to) = latest.full();
            encode(latest.store(), None, to, delta)
        };
        let encoded = match tokio::task::spawn_blocking(encode_all.clone()).await {
            Ok(encoded) => encoded,
            // The runtime is on its way down.
            Err(_) => encode_all(),
        };
        let encoded = Arc::new(encoded);
        *kept = Some((Instant::now(), Arc::clone(&encoded)));
        encoded
    }

    /// Lets go of what nobody has wanted for a while.
    pub(crate) async fn tidy(&self) {
        let mut kept = self.full.lock().await;
        *kept = kept.take().filter(|(wanted, _)| wanted.elapsed() < UNWANTED);
    }
}

fn one(deltas: &[Arc<Delta>]) -> Delta {
    match deltas {
        [delta] => Delta::clone(delta),
        deltas => merge(deltas.iter().map(|delta| &**delta)),
    }
}

/// Parts carry rows until they are full; each says the whole way it is a part of.
fn encode(store: &str, from: Option<Point>, to: Point, delta: Delta) -> Encoded {
    let empty = || wire::Update {
        store: store.to_owned(),
        from: from.map_or(0, |from| from.revision.0),
        to: to.revision.0,
        digest: Bytes::copy_from_slice(&to.digest.to_bytes()),
        more: true,
        ..wire::Update::default()
    };
    let (mut parts, mut part, mut bytes) = (Vec::new(), empty(), 0usize);
    let mut make_room = |part: &mut wire::Update, weight: usize| {
        if PART_BYTES_MAX < bytes.saturating_add(weight) && bytes > 0 {
            parts.push(std::mem::replace(part, empty()));
            bytes = 0;
        }
        bytes = bytes.saturating_add(weight);
    };
    // A length and a tag, at most, come to what a row itself weighs.
    for removal in delta.removals {
        make_room(&mut part, removal.encoded_len().saturating_add(8));
        part.removals.push(removal);
    }
    for upsert in delta.upserts {
        make_room(&mut part, upsert.encoded_len().saturating_add(8));
        part.upserts.push(upsert);
    }
    part.more = false;
    parts.push(part);
    Encoded { from, to, parts: parts.iter().map(|part| Bytes::from(part.encode_to_vec())).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::{Bounds, Docs};
    use vocab::{Digest, Kind, Revision};

    fn row(n: u32, body: usize) -> wire::Resource {
        let id = n.to_be_bytes().to_vec();
        wire::Resource { kind: Kind::Key.number(), id: id.into(), body: vec![7; body].into(), keep_last_good: false }
    }

    fn decoded(delta: Delta) -> Vec<wire::Update> {
        let to = Point { epoch: 0, revision: Revision(9), digest: Digest(5) };
        let encoded = encode("store", None, to, delta);
        encoded.parts.iter().map(|part| wire::Update::decode(part.clone()).unwrap()).collect()
    }

    #[test]
    fn nothing_to_tell_is_still_one_part() {
        let parts = decoded(Delta::default());
        assert_eq!(parts.len(), 1);
        assert_eq!((parts[0].from, parts[0].to, parts[0].more), (0, 9, false));
        assert_eq!(parts[0].digest.len(), 16);
    }

    #[test]
    fn parts_are_bounded_complete_and_only_the_last_is_the_last() {
        let upserts: Vec<_> = (0..50_000).map(|n| row(n, 60)).collect();
        let removals: Vec<_> =
            (0..50_000u32).map(|n| wire::Ref { kind: 4, id: n.to_be_bytes().to_vec().into() }).collect();
        let parts = decoded(Delta { upserts: upserts.clone(), removals: removals.clone(), digest: Digest(5) });
        assert!(parts.len() > 3);
        assert!(parts.iter().all(|part| part.encoded_len() <= PART_BYTES_MAX + 100));
        assert!(parts.iter().rev().skip(1).all(|part| part.more) && !parts.last().unwrap().more);
        assert_eq!(parts.iter().flat_map(|part| part.upserts.clone()).collect::<Vec<_>>(), upserts);
        assert_eq!(parts.iter().flat_map(|part| part.removals.clone()).collect::<Vec<_>>(), removals);
    }

    #[test]
    fn a_row_larger_than_a_part_travels_alone() {
        let parts = decoded(Delta { upserts: vec![row(1, 10), row(2, 2 << 20), row(3, 10)], ..Delta::default() });
        assert_eq!(parts.iter().map(|part| part.upserts.len()).collect::<Vec<_>>(), [1, 1, 1]);
    }

    fn latest(count_max: usize) -> Arc<Latest> {
        Latest::new("store", Docs::default(), Bounds { count_max, ..Bounds::USUAL })
    }

    fn put_team(latest: &Latest, revision: u64) {
        let team = vocab::TeamName::new(&format!("t{revision}")).unwrap();
        let team = registry::Team { name: team, description: None };
        latest.advance(Revision(revision), &[registry::Change::Put(registry::Resource::Team(team))]);
    }

    #[test]
    fn those_at_one_point_share_one_encoding() {
        let latest = latest(100);
        let updates = Updates::new(Arc::clone(&latest));
        let start = *latest.announced().borrow();
        put_team(&latest, 1);
        let (Need::Delta(one), Need::Delta(two)) = (updates.need(start), updates.need(start)) else { panic!() };
        assert!(Arc::ptr_eq(&one, &two));
        assert!(matches!(updates.need(one.to), Need::Nothing));
        put_team(&latest, 2);
        assert!(matches!(updates.need(start), Need::Delta(later) if later.to.revision == Revision(2)));
    }

    #[tokio::test]
    async fn whoever_was_away_for_too_long_needs_everything() {
        let latest = latest(2);
        let updates = Updates::new(Arc::clone(&latest));
        let start = *latest.announced().borrow();
        (1..=3).for_each(|revision| put_team(&latest, revision));
        assert!(matches!(updates.need(start), Need::Everything));
        assert_eq!(updates.everything().await.to.revision, Revision(3));
    }

    #[tokio::test]
    async fn everything_is_never_older_than_the_question() {
        let latest = latest(100);
        let updates = Updates::new(Arc::clone(&latest));
        let empty = updates.everything().await;
        assert!(Arc::ptr_eq(&empty, &updates.everything().await), "as long as nothing changes it is shared");
        put_team(&latest, 1);
        assert_eq!(latest.announced().borrow().revision, Revision::NONE, "in force counts, announced or not");
        assert_eq!(updates.everything().await.to.revision, Revision(1));
    }

    #[tokio::test]
    async fn a_crowd_that_waits_for_an_encoding_shares_the_next() {
        let latest = latest(100);
        let updates = Updates::new(Arc::clone(&latest));
        put_team(&latest, 1);
        let being_made = updates.full.lock().await;
        let (mut one, mut two) = (Box::pin(updates.everything()), Box::pin(updates.everything()));
        tokio::select! {
            biased;
            _ = &mut one => panic!("it waits"),
            _ = &mut two => panic!("it waits"),
            () = std::future::ready(()) => {}
        }
        put_team(&latest, 2);
        drop(being_made);
        let (one, two) = (one.await, two.await);
        assert!(Arc::ptr_eq(&one, &two));
        assert_eq!(one.to.revision, Revision(2));
    }
}
