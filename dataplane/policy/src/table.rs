//! A table of which changed copies share all that did not change.
//!
//! Two levels of 64 branches lead to 4,096 small sorted runs of rows. Changing one row copies the path to it: 128
//! pointers and one run (two dozen rows of a hundred thousand), some microseconds where copying a whole map takes
//! milliseconds. Runs are sorted vectors rather than hash maps because they have no empty slots, which at this size
//! would cost a third to a half of the memory, and because they are searched just as fast.

use std::array;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

const BRANCHES: usize = 64;

pub(crate) trait Row: Clone {
    type Id<'a>: Copy
    where
        Self: 'a;

    fn id(&self) -> Self::Id<'_>;

    /// How this row's id compares with that one.
    fn compare(&self, id: Self::Id<'_>) -> Ordering;

    /// Any function of the id whose values are spread evenly; its upper twelve bits choose the run.
    fn spread(id: Self::Id<'_>) -> u16;
}

type Run<R> = Arc<Vec<R>>;
type Branch<R> = Arc<[Run<R>; BRANCHES]>;

pub(crate) struct Table<R> {
    root: Arc<[Branch<R>; BRANCHES]>,
    len: usize,
}

impl<R> Clone for Table<R> {
    fn clone(&self) -> Self {
        Table { root: Arc::clone(&self.root), len: self.len }
    }
}

impl<R> fmt::Debug for Table<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({} rows)", self.len)
    }
}

impl<R: PartialEq> PartialEq for Table<R> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<R> Table<R> {
    pub(crate) fn empty() -> Table<R> {
        let run = Arc::new(Vec::new());
        let branch = Arc::new(array::from_fn(|_| Arc::clone(&run)));
        Table { root: Arc::new(array::from_fn(|_| Arc::clone(&branch))), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// In an order that depends on the contents only.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &R> {
        // `take` spares the walk through what is empty.
        self.root.iter().flat_map(|branch| branch.iter()).flat_map(|run| run.iter()).take(self.len)
    }
}

impl<R: Row> Table<R> {
    pub(crate) fn get(&self, id: R::Id<'_>) -> Option<&R> {
        let run = self.run(id);
        let at = run.binary_search_by(|row| row.compare(id)).ok()?;
        run.get(at)
    }

    /// Returns the row that was in its place.
    pub(crate) fn put(&mut self, row: R) -> Option<R> {
        let found = self.run(row.id()).binary_search_by(|other| other.compare(row.id()));
        let run = self.run_mut(row.id());
        match found {
            Ok(at) => Arc::make_mut(run).get_mut(at).map(|old| std::mem::replace(old, row)),
            Err(at) => {
                insert(run, at, row);
                self.len += 1;
                None
            }
        }
    }

    pub(crate) fn take(&mut self, id: R::Id<'_>) -> Option<R> {
        // Searched before anything is copied: most of what is looked for here is not there.
        if self.len == 0 {
            return None;
        }
        let at = self.run(id).binary_search_by(|row| row.compare(id)).ok()?;
        self.len -= 1;
        Some(Arc::make_mut(self.run_mut(id)).remove(at))
    }

    #[expect(clippy::indexing_slicing, reason = "both are below BRANCHES")]
    fn run(&self, id: R::Id<'_>) -> &[R] {
        let (branch, run) = place(R::spread(id));
        &self.root[branch][run]
    }

    #[expect(clippy::indexing_slicing, reason = "both are below BRANCHES")]
    fn run_mut(&mut self, id: R::Id<'_>) -> &mut Run<R> {
        let (branch, run) = place(R::spread(id));
        &mut Arc::make_mut(&mut Arc::make_mut(&mut self.root)[branch])[run]
    }
}

fn place(spread: u16) -> (usize, usize) {
    let place = usize::from(spread >> 4);
    (place / BRANCHES, place % BRANCHES)
}

/// Runs grow by an eighth, not by doubling: most stay as they are for long.
fn insert<R: Row>(run: &mut Run<R>, at: usize, row: R) {
    if let Some(rows) = Arc::get_mut(run) {
        if rows.len() == rows.capacity() {
            rows.reserve_exact(1 + rows.len() / 8);
        }
        rows.insert(at, row);
        return;
    }
    let mut rows = Vec::with_capacity(run.len() + 1);
    let (before, after) = run.split_at(at);
    rows.extend_from_slice(before);
    rows.push(row);
    rows.extend_from_slice(after);
    *run = Arc::new(rows);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Entry(u16, u32);

    impl Row for Entry {
        type Id<'a> = u16;

        fn id(&self) -> u16 {
            self.0
        }

        fn compare(&self, id: u16) -> Ordering {
            self.0.cmp(&id)
        }

        /// Few runs, so that they are long.
        fn spread(id: u16) -> u16 {
            id << 12
        }
    }

    fn contents(table: &Table<Entry>) -> BTreeMap<u16, u32> {
        table.iter().map(|Entry(id, value)| (*id, *value)).collect()
    }

    proptest! {
        #[test]
        fn a_table_is_a_map_and_its_copies_stay_what_they_were(
            steps in prop::collection::vec((0u16..200, prop::option::of(any::<u32>()), any::<bool>()), 0..300)
        ) {
            let mut table = Table::empty();
            let mut map = BTreeMap::new();
            let mut copies = Vec::new();
            for (id, value, copy) in steps {
                if copy {
                    copies.push((table.clone(), map.clone()));
                }
                match value {
                    Some(value) => {
                        prop_assert_eq!(table.put(Entry(id, value)).map(|row| row.1), map.insert(id, value));
                    }
                    None => prop_assert_eq!(table.take(id).map(|row| row.1), map.remove(&id)),
                }
                prop_assert_eq!(table.get(id).map(|row| row.1), map.get(&id).copied());
                prop_assert_eq!(table.len(), map.len());
            }
            copies.push((table, map));
            for (table, map) in copies {
                prop_assert_eq!(table.len(), map.len());
                prop_assert_eq!(contents(&table), map);
            }
        }
    }
}
