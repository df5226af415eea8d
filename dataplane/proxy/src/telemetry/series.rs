//! The figures of one model on one provider.

use std::time::Duration;

use crate::pipeline::{Ending, Facts};

/// Upper bounds in milliseconds; above the last is infinity.
pub(crate) const BUCKETS_MS: [u64; 14] =
    [1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 120_000];

#[derive(Clone, Default)]
pub(crate) struct Histogram {
    pub(crate) counts: [u64; BUCKETS_MS.len()],
    pub(crate) count: u64,
    pub(crate) sum_us: u64,
}

impl Histogram {
    pub(crate) fn note(&mut self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let slot = BUCKETS_MS.iter().position(|bound| us <= bound * 1000);
        if let Some(count) = slot.and_then(|slot| self.counts.get_mut(slot)) {
            *count += 1;
        }
        self.count += 1;
        self.sum_us = self.sum_us.saturating_add(us);
    }

    pub(crate) fn add(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }
}

#[derive(Clone, Default)]
pub(crate) struct Series {
    /// Answers by the first digit of their status; 0 for those that never had one.
    pub(crate) by_class: [u64; 6],
    pub(crate) left: u64,
    pub(crate) broke_off: u64,
    pub(crate) attempts: u64,
    pub(crate) tokens_input: u64,
    pub(crate) tokens_output: u64,
    pub(crate) whole: Histogram,
    pub(crate) first_byte: Histogram,
}

impl Series {
    pub(crate) fn note(&mut self, facts: &Facts) {
        if let Some(count) = self.by_class.get_mut(usize::from(facts.status / 100)) {
            *count += 1;
        }
        match facts.ending {
            Ending::Left => self.left += 1,
            Ending::BrokeOff => self.broke_off += 1,
            Ending::Answered | Ending::Refused => {}
        }
        self.attempts += u64::from(facts.attempts);
        if let Some(usage) = facts.usage {
            self.tokens_input = self.tokens_input.saturating_add(usage.input.0);
            self.tokens_output = self.tokens_output.saturating_add(usage.output.0);
        }
        self.whole.note(facts.whole);
        if let Some(first_byte) = facts.first_byte {
            self.first_byte.note(first_byte);
        }
    }

    pub(crate) fn add(&mut self, other: &Series) {
        for (mine, theirs) in self.by_class.iter_mut().zip(other.by_class) {
            *mine += theirs;
        }
        self.left += other.left;
        self.broke_off += other.broke_off;
        self.attempts += other.attempts;
        self.tokens_input = self.tokens_input.saturating_add(other.tokens_input);
        self.tokens_output = self.tokens_output.saturating_add(other.tokens_output);
        self.whole.add(&other.whole);
        self.first_byte.add(&other.first_byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_its_bucket() {
        let mut histogram = Histogram::default();
        for us in [0, 1_000, 1_001, 120_000_000, 120_000_001] {
            histogram.note(Duration::from_micros(us));
        }
        assert_eq!(histogram.counts[0], 2);
        assert_eq!(histogram.counts[1], 1);
        assert_eq!(histogram.counts[13], 1);
        assert_eq!(histogram.count, 5);
    }
}
