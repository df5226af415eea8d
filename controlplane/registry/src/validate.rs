//! What a transaction would break.

use std::collections::{HashMap, HashSet};

use vocab::{KeyHash, KeyId};

use crate::diff::Change;
use crate::fault::{Fault, Faults};
use crate::nearest::hint;
use crate::read::Outline;
use crate::resource::{Key, Need, Resource, ResourceKind};
use crate::state::State;

/// Guessing costs; a list of faults that is longer than this is not read for its guesses.
const HINTS_MAX: usize = 100;
/// Of so many names one is not picked by likeness.
const HINT_NAMES_MAX: usize = 1000;

type Place<'c> = (ResourceKind, &'c str);

impl State {
    /// Every fault of these changes, taken together, against what is in force: `document` is the number of the change.
    #[must_use]
    pub fn check(&self, changes: &[Change]) -> Vec<Fault> {
        let numbered: Vec<_> = changes.iter().enumerate().collect();
        check(self, &numbered, &[], usize::MAX).into_told()
    }
}

/// `faulty` are documents that came along and have faults of their own: who refers to them is not to blame, and what
/// they refer to must be there all the same. At most so many faults are told.
pub(crate) fn check(
    state: &State,
    changes: &[(usize, &Change)],
    faulty: &[(usize, Outline<'_>)],
    told_max: usize,
) -> Faults {
    let mut check = Check::new(state, changes, faulty, told_max);
    for (document, change) in changes {
        check.once(*document, change.place());
        match change {
            Change::Put(resource) => check.put(*document, resource),
            Change::Delete(reference) => check.delete(*document, (reference.kind, &reference.name)),
        }
    }
    for (document, outline) in faulty {
        check.once(*document, (outline.kind, outline.name));
        check.needs(*document, (outline.kind, outline.name), &outline.needs);
    }
    check.faults.sorted()
}

struct Check<'c> {
    state: &'c State,
    faulty: HashSet<Place<'c>>,
    /// What the last change of each place makes of it.
    outcome: HashMap<Place<'c>, Option<&'c Resource>>,
    first: HashMap<Place<'c>, usize>,
    hashes: HashMap<KeyHash, &'c str>,
    ids: HashMap<KeyId, &'c str>,
    hints: usize,
    told_max: usize,
    faults: Faults,
}

impl<'c> Check<'c> {
    fn new(
        state: &'c State,
        changes: &[(usize, &'c Change)],
        faulty: &'c [(usize, Outline<'c>)],
        told_max: usize,
    ) -> Check<'c> {
        let outcome = changes.iter().map(|(_, change)| (change.place(), change.put())).collect();
        let faulty = faulty.iter().map(|(_, outline)| (outline.kind, outline.name)).collect();
        let (first, hashes, ids) = (HashMap::new(), HashMap::new(), HashMap::new());
        Check { state, faulty, outcome, first, hashes, ids, hints: 0, told_max, faults: Faults::default() }
    }

    fn fault(&mut self, document: usize, path: String, message: String) {
        self.faults.push_within(self.told_max, Fault { document, path, message });
    }

    fn once(&mut self, document: usize, place: Place<'c>) {
        let first = *self.first.entry(place).or_insert(document);
        if first != document {
            let [earlier, later] = [first.min(document), first.max(document)];
            self.fault(later, path(place), format!("is given twice; the first time in document {earlier}"));
        }
    }

    fn put(&mut self, document: usize, resource: &'c Resource) {
        self.needs(document, (resource.kind(), resource.name()), &resource.needs());
        if let Resource::Key(key) = resource {
            self.key(document, key);
        }
    }

    fn needs(&mut self, document: usize, place: Place<'_>, needs: &[Need<'c>]) {
        for need in needs {
            if let Some(message) = self.unmet(need) {
                self.fault(document, format!("{}.{}", path(place), need.site), message);
            }
        }
    }

    fn unmet(&mut self, need: &Need<'c>) -> Option<String> {
        let place = (need.kind, need.name);
        match self.outcome.get(&place) {
            Some(Some(_)) => return None,
            Some(None) => return Some(format!("{} is deleted by the same change", path(place))),
            None => {}
        }
        let is_there = self.state.find(need.kind, need.name).is_some() || self.faulty.contains(&place);
        (!is_there).then(|| format!("there is no {} `{}`{}", need.kind, need.name, self.hint(need)))
    }

    fn hint(&mut self, need: &Need<'c>) -> String {
        let given = self.outcome.keys().filter(|(kind, _)| *kind == need.kind).map(|(_, name)| *name);
        let many = self.outcome.len().saturating_add(self.state.count(need.kind)) > HINT_NAMES_MAX;
        if many || self.hints >= HINTS_MAX {
            return String::new();
        }
        self.hints = self.hints.saturating_add(1);
        hint(need.name, given.chain(self.state.list(need.kind, None).map(|stored| stored.resource.name())))
    }

    /// Two keys with one secret would be one key, and usage is counted by id.
    fn key(&mut self, document: usize, key: &'c Key) {
        let own = key.name.as_str();
        let previous = key.previous.map(|previous| previous.sha256);
        if previous == Some(key.sha256) {
            let message = "is the secret the key has now; it cannot be the one before".to_owned();
            self.fault(document, key_path(own, "previous.sha256"), message);
        }
        for (hash, field) in key.hashes().zip(["sha256", "previous.sha256"]) {
            let elsewhere = self.state.index().keys_of_hash(&hash).find(|other| self.stays(other));
            let given = *self.hashes.entry(hash).or_insert(own);
            if let Some(other) = elsewhere.or(Some(given).filter(|other| *other != own)) {
                self.fault(document, key_path(own, field), format!("is the secret of {} too", key_path(other, "")));
            }
        }
        let elsewhere = self.state.index().keys_of_id(key.id).find(|other| self.stays(other));
        let given = *self.ids.entry(key.id).or_insert(own);
        if let Some(other) = elsewhere.or(Some(given).filter(|other| *other != own)) {
            self.fault(document, key_path(own, "id"), format!("is the id of {} too", key_path(other, "")));
        }
    }

    /// Neither put nor deleted by these changes.
    fn stays(&self, key: &str) -> bool {
        !self.outcome.contains_key(&(ResourceKind::Key, key))
    }

    fn delete(&mut self, document: usize, place: Place<'c>) {
        let (kind, name) = place;
        if self.state.find(kind, name).is_none() {
            self.fault(document, path(place), "does not exist".to_owned());
            return;
        }
        // Put again later on: those who need it are served.
        if self.outcome.get(&place).is_some_and(Option::is_some) {
            return;
        }
        for (kind, name) in self.state.index().referrers(kind, name) {
            // Those that change answer for themselves.
            if !self.outcome.contains_key(&(*kind, &**name)) {
                self.fault(document, path(place), format!("is used by {kind}/{name}"));
            }
        }
    }
}

fn path((kind, name): Place<'_>) -> String {
    format!("{kind}/{name}")
}

fn key_path(name: &str, field: &str) -> String {
    crate::fault::join(&path((ResourceKind::Key, name)), field)
}
