//! Which of the waiting proposals become one transaction.

use std::collections::{HashMap, HashSet, VecDeque};

use registry::{Change, Ref, State};
use vocab::Revision;

use super::work::{Prepared, prepare};
use super::{Proposal, doc_key};
use crate::publish::Latest;
use crate::sealer::Vault;
use crate::store::Txn;

/// A proposal of more changes than this travels alone.
const CHANGES_MAX: usize = 10_000;

pub(super) struct Batch {
    /// What it was validated against.
    pub(super) expect: Revision,
    pub(super) accepted: Vec<(Proposal, Prepared)>,
    pub(super) txn: Txn,
    pub(super) changes: Vec<Change>,
    /// Fine, perhaps, but not together with those accepted.
    pub(super) later: VecDeque<Proposal>,
}

/// Answers those that cannot be; sorts the others.
pub(super) fn sift(latest: &Latest, mut vault: Vault, proposals: VecDeque<Proposal>) -> Batch {
    let unreadable = latest.unreadable();
    let state = latest.state();
    let mut accepted: Vec<(Proposal, Prepared)> = Vec::new();
    let mut later = VecDeque::new();
    let mut written: HashSet<Ref> = HashSet::new();
    for proposal in proposals {
        // One document changes once in a revision, so that an ETag names one content.
        let touches = |prepared: &Prepared| prepared.changes.iter().any(|change| written.contains(&change.reference()));
        let is_full = CHANGES_MAX < written.len() || accepted.iter().any(|(accepted, _)| accepted.alone);
        if is_full || (proposal.alone && !accepted.is_empty()) {
            later.push_back(proposal);
            continue;
        }
        match prepare(&state, &unreadable, &proposal.work, &proposal.conditions, &mut vault) {
            Ok(prepared) if touches(&prepared) => later.push_back(proposal),
            Ok(prepared) => {
                written.extend(prepared.changes.iter().map(Change::reference));
                accepted.push((proposal, prepared));
            }
            // Whoever asked may have gone.
            Err(refusal) => _ = proposal.answer.send(Err(refusal)),
        }
    }
    let accepted = postpone_clashes(&state, accepted, &mut later);
    let changes: Vec<Change> = accepted.iter().flat_map(|(_, prepared)| prepared.changes.iter().cloned()).collect();
    let mut txn = Txn { history: latest.history(), ..Txn::new(state.revision()) };
    for change in &changes {
        let key = doc_key(&change.reference());
        match change {
            Change::Put(resource) => txn.put(key, resource.to_stored()),
            Change::Delete(_) => txn.delete(key),
        }
    }
    Batch { expect: state.revision(), accepted, txn, changes, later }
}

/// Each is valid by itself, but together they may not be: one deletes the team that another's key is in. The one that
/// the fault is found with waits for the next transaction, and is told then.
fn postpone_clashes(
    state: &State,
    mut accepted: Vec<(Proposal, Prepared)>,
    later: &mut VecDeque<Proposal>,
) -> Vec<(Proposal, Prepared)> {
    while accepted.len() > 1 {
        let owners = accepted.iter().enumerate().flat_map(|(owner, (_, prepared))| vec![owner; prepared.changes.len()]);
        let owners: HashMap<usize, usize> = owners.enumerate().collect();
        let changes: Vec<Change> = accepted.iter().flat_map(|(_, prepared)| prepared.changes.iter().cloned()).collect();
        let faults = state.check(&changes);
        // The first stays whatever happens, so that every round gets something done.
        let clashing: HashSet<usize> =
            faults.iter().filter_map(|fault| owners.get(&fault.document)).copied().map(|owner| owner.max(1)).collect();
        if clashing.is_empty() {
            break;
        }
        let mut kept = Vec::with_capacity(accepted.len());
        for (owner, (proposal, prepared)) in accepted.into_iter().enumerate() {
            if clashing.contains(&owner) {
                later.push_back(proposal);
            } else {
                kept.push((proposal, prepared));
            }
        }
        accepted = kept;
    }
    accepted
}
