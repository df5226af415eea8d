//! Which transaction made which revision, so that a history that was set back is not taken for the one we knew.

use std::collections::BTreeMap;
use std::sync::Mutex;

use vocab::Revision;

use super::locked;

const KEPT: usize = 64;

/// What is known of a revision beside its documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// etcd's own revision to watch from, to be told what comes after.
    pub(super) next: i64,
    /// Two revisions of one number that two transactions made are of two histories.
    pub(super) txn: String,
}

/// The last revisions that somebody may validate against or watch from.
#[derive(Debug, Default)]
pub(super) struct Past(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    starts: BTreeMap<Revision, Start>,
    /// How often a revision turned out to be another than it was.
    history: u64,
}

impl Past {
    pub(super) fn start(&self, of: Revision) -> Option<Start> {
        locked(&self.0).starts.get(&of).cloned()
    }

    /// Who made this revision, as far as it is known; `None` when that history is not the one any more.
    pub(super) fn maker(&self, of: Revision, history: u64) -> Option<Option<String>> {
        let known = locked(&self.0);
        (known.history == history).then(|| known.starts.get(&of).map(|start| start.txn.clone()))
    }

    pub(super) fn note(&self, revision: Revision, start: Start) {
        locked(&self.0).note(revision, start);
    }

    /// Everything was read, as of this revision. In which history that was.
    pub(super) fn note_loaded(&self, revision: Revision, start: Start) -> u64 {
        let mut known = locked(&self.0);
        // It is told again if it comes after this one, and else it is lost.
        known.starts.split_off(&revision.next());
        known.note(revision, start);
        known.history
    }
}

impl Known {
    fn note(&mut self, revision: Revision, start: Start) {
        let txn = start.txn.clone();
        let before = self.starts.insert(revision, start);
        if before.is_some_and(|before| before.txn != txn) {
            self.history = self.history.saturating_add(1);
        }
        while KEPT < self.starts.len() {
            self.starts.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(txn: &str) -> Start {
        Start { next: 1, txn: txn.to_owned() }
    }

    #[test]
    fn what_is_said_twice_is_the_same_history_and_another_maker_is_another() {
        let past = Past::default();
        assert_eq!(past.note_loaded(Revision(5), start("a")), 0);
        past.note(Revision(6), start("b"));
        past.note(Revision(6), start("b"));
        assert_eq!(past.maker(Revision(6), 0), Some(Some("b".to_owned())));
        assert_eq!(past.note_loaded(Revision(6), start("c")), 1);
        assert_eq!(past.maker(Revision(6), 0), None);
        assert_eq!(past.maker(Revision(6), 1), Some(Some("c".to_owned())));
        assert_eq!(past.maker(Revision(7), 1), Some(None));
    }

    #[test]
    fn what_was_lost_is_no_contradiction_to_what_comes_instead() {
        let past = Past::default();
        (1..=200).for_each(|n| past.note(Revision(n), start("a")));
        assert_eq!(past.note_loaded(Revision(7), start("a")), 0);
        past.note(Revision(8), start("b"));
        assert_eq!(past.maker(Revision(8), 0), Some(Some("b".to_owned())));
    }
}
