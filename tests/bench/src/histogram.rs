//! A histogram of microseconds with a relative error below 1 %, and constant cost per value.

/// Values below this are counted exactly; above, every power of two is cut into `HALF` slots.
const LINEAR: u64 = 256;
const HALF: u64 = 128;
const SLOTS: usize = 256 + 128 * 40;

#[derive(Clone)]
pub struct Histogram {
    slots: Vec<u64>,
    count: u64,
    max: u64,
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Histogram").field("count", &self.count).field("max", &self.max).finish_non_exhaustive()
    }
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { slots: vec![0; SLOTS], count: 0, max: 0 }
    }
}

impl Histogram {
    pub fn add(&mut self, value: u64) {
        let last = SLOTS - 1;
        if let Some(slot) = self.slots.get_mut(slot_of(value).min(last)) {
            *slot += 1;
        }
        self.count += 1;
        self.max = self.max.max(value);
    }

    pub fn merge(&mut self, other: &Histogram) {
        for (mine, theirs) in self.slots.iter_mut().zip(&other.slots) {
            *mine += theirs;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    #[must_use]
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The value that `permille` of a thousand values do not exceed, rounded up to its slot's upper end; 0 when empty.
    #[must_use]
    pub fn at(&self, permille: u64) -> u64 {
        let rank = (self.count * permille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (slot, count) in (0u64..).zip(&self.slots) {
            seen += count;
            if rank <= seen {
                return upper_end(slot).min(self.max);
            }
        }
        self.max
    }
}

fn slot_of(value: u64) -> usize {
    let slot = if value < LINEAR {
        value
    } else {
        // The highest 8 bits say where in its power of two the value lies.
        let shift = u64::from(value.ilog2()) - 7;
        LINEAR + (shift - 1) * HALF + ((value >> shift) - HALF)
    };
    usize::try_from(slot).unwrap_or(usize::MAX)
}

fn upper_end(slot: u64) -> u64 {
    if slot < LINEAR {
        return slot;
    }
    let shift = (slot - LINEAR) / HALF + 1;
    let top = (slot - LINEAR) % HALF + HALF;
    ((top + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_found_again_within_one_percent() {
        for value in (0..2000).chain((1..33).map(|bits| (1u64 << bits) + 3)) {
            let mut histogram = Histogram::default();
            histogram.add(value);
            histogram.add(u64::MAX >> 20);
            let found = histogram.at(500);
            assert!(value <= found && found - value <= value / 100, "{value} came back as {found}");
        }
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_values() {
        let mut left = Histogram::default();
        let mut right = Histogram::default();
        for value in 1..=200u64 {
            if value % 2 == 0 { left.add(value) } else { right.add(value) }
        }
        left.merge(&right);
        assert_eq!([left.at(500), left.at(900), left.at(990), left.at(1000)], [100, 180, 198, 200]);
        assert_eq!((left.count(), left.max()), (200, 200));
        assert_eq!(Histogram::default().at(990), 0);
    }
}
