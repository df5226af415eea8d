//! What a run counted, and the one JSON line it is told in.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::Outcome;
use super::connection::{Fault, Timing};
use crate::histogram::Histogram;

#[derive(Debug, Default)]
pub struct Tally {
    pub latency: Histogram,
    pub first_byte: Histogram,
    pub events: u64,
    pub errors: BTreeMap<String, u64>,
}

impl Tally {
    /// `late` is how long after its scheduled time the request was begun; nothing in a closed loop.
    pub fn add(&mut self, late: Duration, seen: Result<Timing, Fault>) {
        match seen {
            Ok(timing) => {
                self.latency.add(micros(late + timing.whole));
                self.first_byte.add(micros(late + timing.first));
                self.events += timing.events;
            }
            Err(fault) => self.fail(fault),
        }
    }

    pub fn fail(&mut self, fault: Fault) {
        *self.errors.entry(fault.name()).or_default() += 1;
    }

    pub fn merge(&mut self, other: Tally) {
        self.latency.merge(&other.latency);
        self.first_byte.merge(&other.first_byte);
        self.events += other.events;
        for (name, count) in other.errors {
            *self.errors.entry(name).or_default() += count;
        }
    }

    #[must_use]
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Outcome {
    #[must_use]
    pub fn line(&self) -> Value {
        let Tally { latency, first_byte, events, errors } = &self.tally;
        let per_second = |count: u64| round(float(count) / self.seconds);
        let per = |count: u64| self.cpu_us.filter(|_| count > 0).map(|cpu| round(cpu / float(count)));
        json!({
            "requests": latency.count(),
            "failed": self.tally.failed(),
            "errors": errors,
            "seconds": round(self.seconds),
            "rps": per_second(latency.count()),
            "p50_us": latency.at(500),
            "p90_us": latency.at(900),
            "p99_us": latency.at(990),
            "p999_us": latency.at(999),
            "max_us": latency.max(),
            "ttfb_p50_us": first_byte.at(500),
            "ttfb_p99_us": first_byte.at(990),
            "events": events,
            "events_per_s": per_second(*events),
            "cpu_us": self.cpu_us.map(round),
            "cpu_us_per_request": per(latency.count()),
            "cpu_us_per_event": per(*events),
            "rss_kib": self.rss_kib,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
fn float(count: u64) -> f64 {
    count as f64
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
