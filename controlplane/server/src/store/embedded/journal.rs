//! The last commits, for those who watch.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, watch};
use vocab::Revision;

use crate::store::{Committed, Event};

const COMMITS_MAX: usize = 1024;
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// What somebody who has seen everything up to a revision has to be told.
#[derive(Debug, PartialEq, Eq)]
enum Since {
    Commits(Vec<Arc<Committed>>),
    /// Not all of it is remembered. This is the newest.
    Forgotten(Revision),
}

#[derive(Debug)]
struct Ring {
    head: Revision,
    commits: VecDeque<Arc<Committed>>,
    bytes: usize,
}

impl Ring {
    fn push(&mut self, committed: Arc<Committed>) {
        self.head = committed.revision;
        self.bytes += weight(&committed);
        self.commits.push_back(committed);
        while self.commits.len() > COMMITS_MAX || (self.bytes > BYTES_MAX && self.commits.len() > 1) {
            let Some(oldest) = self.commits.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(weight(&oldest));
        }
    }

    fn since(&self, revision: Revision) -> Since {
        let oldest = self.commits.front().map_or(self.head.next(), |committed| committed.revision);
        if self.head < revision || revision.next() < oldest {
            return Since::Forgotten(self.head);
        }
        let newer = |committed: &&Arc<Committed>| revision < committed.revision;
        // From the end: whoever watches is seldom far behind.
        let mut commits: Vec<_> = self.commits.iter().rev().take_while(newer).cloned().collect();
        commits.reverse();
        Since::Commits(commits)
    }
}

fn weight(committed: &Committed) -> usize {
    committed.puts.iter().map(|doc| doc.body.len() + doc.key.name.len() + 64).sum::<usize>()
        + committed.deletes.len() * 128
}

/// The writing end. Watchers see that it is gone.
#[derive(Debug)]
pub(super) struct Journal {
    ring: Arc<Mutex<Ring>>,
    head: watch::Sender<Revision>,
}

impl Journal {
    pub(super) fn new(head: Revision) -> Journal {
        let ring = Arc::new(Mutex::new(Ring { head, commits: VecDeque::new(), bytes: 0 }));
        Journal { ring, head: watch::Sender::new(head) }
    }

    pub(super) fn write(&self, committed: Committed) {
        let revision = committed.revision;
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::new(committed));
        self.head.send_replace(revision);
    }

    pub(super) fn read(&self) -> Reader {
        Reader { ring: Arc::clone(&self.ring), head: self.head.subscribe() }
    }
}

#[derive(Debug)]
pub(super) struct Reader {
    ring: Arc<Mutex<Ring>>,
    head: watch::Receiver<Revision>,
}

impl Reader {
    /// Tells every revision after `seen`, until the journal or the listener is gone.
    pub(super) async fn tell(mut self, mut seen: Revision, listener: mpsc::Sender<Event>) {
        loop {
            self.head.mark_unchanged();
            let since = self.ring.lock().unwrap_or_else(PoisonError::into_inner).since(seen);
            let events = match since {
                Since::Commits(commits) => commits.into_iter().map(Event::Committed).collect(),
                Since::Forgotten(head) => {
                    seen = head;
                    vec![Event::Relist { anew: false }]
                }
            };
            for event in events {
                if let Event::Committed(committed) = &event {
                    seen = committed.revision;
                }
                if listener.send(event).await.is_err() {
                    return;
                }
            }
            if self.head.changed().await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(revisions: std::ops::RangeInclusive<u64>) -> Ring {
        let mut ring = Ring { head: Revision(revisions.start() - 1), commits: VecDeque::new(), bytes: 0 };
        for revision in revisions {
            ring.push(Arc::new(Committed { revision: Revision(revision), puts: Vec::new(), deletes: Vec::new() }));
        }
        ring
    }

    fn revisions(since: Since) -> Option<Vec<u64>> {
        match since {
            Since::Commits(commits) => Some(commits.iter().map(|committed| committed.revision.0).collect()),
            Since::Forgotten(_) => None,
        }
    }

    #[test]
    fn a_reader_is_told_what_it_has_not_seen_and_nothing_else() {
        let ring = ring(5..=8);
        assert_eq!(revisions(ring.since(Revision(4))), Some(vec![5, 6, 7, 8]));
        assert_eq!(revisions(ring.since(Revision(7))), Some(vec![8]));
        assert_eq!(revisions(ring.since(Revision(8))), Some(vec![]));
    }

    #[test]
    fn what_is_forgotten_or_from_another_world_is_not_guessed() {
        let ring = ring(5..=8);
        assert_eq!(ring.since(Revision(3)), Since::Forgotten(Revision(8)));
        assert_eq!(ring.since(Revision(9)), Since::Forgotten(Revision(8)));
    }

    #[test]
    fn the_memory_of_commits_is_bounded() {
        let ring = ring(1..=COMMITS_MAX as u64 + 10);
        assert_eq!(ring.commits.len(), COMMITS_MAX);
        assert_eq!(revisions(ring.since(Revision(9))), None);
        assert_eq!(revisions(ring.since(Revision(10))).map(|told| told.len()), Some(COMMITS_MAX));
    }
}
