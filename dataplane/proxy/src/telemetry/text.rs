//! The Prometheus text format.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use crate::gateway::{Gateway, now};
use crate::telemetry::series::BUCKETS_MS;
use crate::telemetry::tally::Labels;
use crate::telemetry::{Histogram, Series};

/// Writing into a String cannot fail, so the results are passed over.
pub(crate) fn exposition(gateway: &Gateway, all: &BTreeMap<Labels, Series>) -> String {
    let mut out = String::with_capacity(4096);
    process(&mut out, gateway);
    family(&mut out, "turnpike_requests_total", "counter", "Requests by status class; 0 had no answer.");
    for (labels, series) in all {
        for (class, count) in series.by_class.iter().enumerate().filter(|(_, count)| **count > 0) {
            let class = if class == 0 { "none".to_string() } else { format!("{class}xx") };
            line(&mut out, "turnpike_requests_total", labels, Some(("status", &class)), *count);
        }
    }
    for (name, help, read) in COUNTERS {
        family(&mut out, name, "counter", help);
        for (labels, series) in all {
            line(&mut out, name, labels, None, read(series));
        }
    }
    family(&mut out, "turnpike_tokens_total", "counter", "Tokens that providers reported.");
    for (labels, series) in all {
        line(&mut out, "turnpike_tokens_total", labels, Some(("type", "input")), series.tokens_input);
        line(&mut out, "turnpike_tokens_total", labels, Some(("type", "output")), series.tokens_output);
    }
    for (name, help, read) in HISTOGRAMS {
        family(&mut out, name, "histogram", help);
        for (labels, series) in all {
            histogram(&mut out, name, labels, read(series));
        }
    }
    out
}

type Counter = (&'static str, &'static str, fn(&Series) -> u64);

const COUNTERS: [Counter; 3] = [
    ("turnpike_attempts_total", "Targets that were asked.", |series| series.attempts),
    ("turnpike_disconnects_total", "Requests whose caller left before the end.", |series| series.left),
    ("turnpike_broken_answers_total", "Answers that a provider broke off.", |series| series.broke_off),
];

type Distribution = (&'static str, &'static str, fn(&Series) -> &Histogram);

const HISTOGRAMS: [Distribution; 2] = [
    ("turnpike_request_duration_seconds", "From the head of a request to the end of its answer.", |series| {
        &series.whole
    }),
    ("turnpike_first_byte_seconds", "From the head of a request to the first byte of its answer.", |series| {
        &series.first_byte
    }),
];

fn process(out: &mut String, gateway: &Gateway) {
    let snapshot = gateway.snapshot.load();
    let counts = snapshot.counts();
    let life = &gateway.life;
    let gauges = [
        ("turnpike_snapshot_revision", "The configuration in force.", snapshot.revision().0),
        ("turnpike_snapshot_keys", "Keys in the snapshot.", number(counts.keys)),
        ("turnpike_snapshot_models", "Models in the snapshot.", number(counts.models)),
        ("turnpike_snapshot_providers", "Providers in the snapshot.", number(counts.providers)),
        ("turnpike_snapshot_rejected", "Resources this proxy could not understand.", number(counts.rejected)),
        (
            "turnpike_subscribed",
            "1 while the control plane is connected.",
            life.subscribed.load(Ordering::Relaxed).into(),
        ),
        ("turnpike_ready", "1 while requests are taken.", life.is_ready().into()),
        ("turnpike_connections", "Open connections of callers.", number(life.connections.load(Ordering::Relaxed))),
        ("turnpike_requests_in_flight", "Requests being served.", number(life.requests.load(Ordering::Relaxed))),
        ("turnpike_uptime_seconds", "Since this process started.", now().since_ms(gateway.started) / 1000),
    ];
    family(out, "turnpike_build_info", "gauge", "What runs here.");
    _ = writeln!(out, "turnpike_build_info{{version=\"{}\",plane=\"data\"}} 1", env!("CARGO_PKG_VERSION"));
    for (name, help, value) in gauges {
        family(out, name, "gauge", help);
        _ = writeln!(out, "{name} {value}");
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// Names of resources hold nothing that would have to be escaped in a label.
fn line(out: &mut String, name: &str, (model, provider): &Labels, more: Option<(&str, &str)>, value: u64) {
    _ = write!(out, "{name}{{model=\"{model}\",provider=\"{provider}\"");
    if let Some((label, text)) = more {
        _ = write!(out, ",{label}=\"{text}\"");
    }
    _ = writeln!(out, "}} {value}");
}

fn histogram(out: &mut String, name: &str, labels: &Labels, histogram: &Histogram) {
    let bucket = format!("{name}_bucket");
    let mut below = 0;
    for (bound, count) in BUCKETS_MS.iter().zip(histogram.counts) {
        below += count;
        let bound = format!("{}.{:03}", bound / 1000, bound % 1000);
        line(out, &bucket, labels, Some(("le", &bound)), below);
    }
    line(out, &bucket, labels, Some(("le", "+Inf")), histogram.count);
    line(out, &format!("{name}_count"), labels, None, histogram.count);
    let (model, provider) = labels;
    let (whole, part) = (histogram.sum_us / 1_000_000, histogram.sum_us % 1_000_000);
    _ = writeln!(out, "{name}_sum{{model=\"{model}\",provider=\"{provider}\"}} {whole}.{part:06}");
}
