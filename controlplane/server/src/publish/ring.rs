//! The last deltas, so that a proxy that was away for a while, or is slow, is told what changed and no more.

use std::collections::VecDeque;
use std::sync::Arc;

use prost::Message as _;
use registry::Delta;
use vocab::{Digest, Kind, Revision};

/// How far configuration has come. Points of different epochs cannot be compared: between two of them the store was
/// replaced by an older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Point {
    pub(crate) epoch: u64,
    pub(crate) revision: Revision,
    pub(crate) digest: Digest,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) count_max: usize,
    pub(crate) bytes_max: usize,
}

impl Bounds {
    pub(crate) const USUAL: Bounds = Bounds { count_max: 10_000, bytes_max: 64 << 20 };
}

/// Each step begins where the one before it ended.
#[derive(Debug)]
pub(crate) struct Ring {
    bounds: Bounds,
    base: Point,
    steps: VecDeque<Step>,
    bytes: usize,
}

#[derive(Debug)]
struct Step {
    to: Point,
    delta: Arc<Delta>,
    bytes: usize,
}

impl Ring {
    pub(crate) fn new(base: Point, bounds: Bounds) -> Ring {
        Ring { bounds, base, steps: VecDeque::new(), bytes: 0 }
    }

    pub(crate) fn head(&self) -> Point {
        self.steps.back().map_or(self.base, |step| step.to)
    }

    pub(crate) fn push(&mut self, to: Revision, delta: Delta) {
        let bytes = weight(&delta);
        let to = Point { revision: to, digest: delta.digest, epoch: self.base.epoch };
        self.steps.push_back(Step { to, delta: Arc::new(delta), bytes });
        self.bytes = self.bytes.saturating_add(bytes);
        while self.bounds.count_max < self.steps.len() || self.bounds.bytes_max < self.bytes {
            let Some(oldest) = self.steps.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.bytes);
            self.base = oldest.to;
        }
    }

    /// What a holder of `from` must be told to be at the head; `None` when nobody here remembers `from` as it is said.
    pub(crate) fn since(&self, from: Point) -> Option<Vec<Arc<Delta>>> {
        let first = self.after(from)?;
        Some(self.steps.range(first..).map(|step| Arc::clone(&step.delta)).collect())
    }

    /// The place of the first step after this point.
    fn after(&self, from: Point) -> Option<usize> {
        if from == self.base {
            return Some(0);
        }
        let at = self.steps.binary_search_by_key(&from.revision, |step| step.to.revision).ok()?;
        let step = self.steps.get(at)?;
        (step.to == from).then(|| at.saturating_add(1))
    }
}

fn weight(delta: &Delta) -> usize {
    let upserts: usize = delta.upserts.iter().map(|row| row.id.len().saturating_add(row.body.len())).sum();
    let removals: usize = delta.removals.iter().map(|row| row.id.len()).sum();
    let rows = delta.upserts.len().saturating_add(delta.removals.len());
    upserts
        .saturating_add(removals)
        .saturating_add(rows.saturating_mul(size_of::<wire::Resource>()))
        .saturating_add(256)
}

/// Whether somebody loses access by this: it must not wait for company.
pub(crate) fn revokes(delta: &Delta) -> bool {
    let is_key = |kind: u32| kind == Kind::Key.number();
    let is_disabled = |row: &wire::Resource| wire::Key::decode(row.body.clone()).is_ok_and(|key| key.disabled);
    delta.removals.iter().any(|row| is_key(row.kind))
        || delta.upserts.iter().any(|row| is_key(row.kind) && is_disabled(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(n: u128) -> Delta {
        Delta { digest: Digest(n), ..Delta::default() }
    }

    fn point(n: u64) -> Point {
        Point { epoch: 0, revision: Revision(n), digest: Digest(u128::from(n)) }
    }

    fn ring(count_max: usize, to: u64) -> Ring {
        let mut ring = Ring::new(point(1), Bounds { count_max, ..Bounds::USUAL });
        for n in 2..=to {
            ring.push(Revision(n), delta(u128::from(n)));
        }
        ring
    }

    #[test]
    fn whoever_is_remembered_is_told_the_rest() {
        let ring = ring(100, 5);
        assert_eq!(ring.since(point(1)).unwrap().len(), 4);
        assert_eq!(ring.since(point(4)).unwrap().len(), 1);
        assert_eq!(ring.since(point(5)).unwrap().len(), 0);
        assert_eq!(ring.head(), point(5));
    }

    #[test]
    fn another_digest_epoch_or_revision_is_not_remembered() {
        let ring = ring(100, 5);
        assert!(ring.since(Point { digest: Digest(99), ..point(3) }).is_none());
        assert!(ring.since(Point { epoch: 1, ..point(3) }).is_none());
        assert!(ring.since(point(6)).is_none());
        assert!(ring.since(Point::default()).is_none());
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let ring = ring(2, 5);
        assert!(ring.since(point(2)).is_none());
        assert_eq!(ring.since(point(3)).unwrap().len(), 2);
    }

    #[test]
    fn a_step_larger_than_the_ring_is_not_kept() {
        let mut ring = Ring::new(point(1), Bounds { bytes_max: 100, ..Bounds::USUAL });
        ring.push(Revision(2), delta(2));
        assert!(ring.since(point(1)).is_none());
        assert_eq!(ring.since(point(2)).unwrap().len(), 0);
    }

    #[test]
    fn only_what_takes_access_away_revokes() {
        let row = |disabled| wire::resource(Kind::Key, vec![1; 32], &wire::Key { disabled, ..wire::Key::default() });
        let reference = |kind: Kind| wire::Ref { kind: kind.number(), id: vec![1].into() };
        assert!(!revokes(&Delta { upserts: vec![row(false)], ..Delta::default() }));
        assert!(revokes(&Delta { upserts: vec![row(false), row(true)], ..Delta::default() }));
        assert!(revokes(&Delta { removals: vec![reference(Kind::Key)], ..Delta::default() }));
        assert!(!revokes(&Delta { removals: vec![reference(Kind::Model)], ..Delta::default() }));
    }
}
