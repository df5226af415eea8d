//! Figures in the text format of Prometheus, written by hand: it is twenty lines.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What is counted where it happens.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) commits: Counter,
    /// Transactions that somebody else was faster than.
    pub(crate) conflicts: Counter,
    /// Proposals that were validated, whatever came of it.
    pub(crate) proposals: Counter,
    pub(crate) updates: Counter,
    pub(crate) update_bytes: Counter,
    pub(crate) full_syncs: Counter,
    pub(crate) joins_refused: Counter,
    pub(crate) usage_reports: Counter,
    pub(crate) usage_repeated: Counter,
    pub(crate) usage_rows: Counter,
    calls: Mutex<BTreeMap<Call, u64>>,
}

/// A route by its template, never by what the caller wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    method: &'static str,
    route: &'static str,
    status: u16,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is looked up when somebody asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauges {
    pub(crate) ready: bool,
    pub(crate) store_up: bool,
    pub(crate) revision: u64,
    pub(crate) proxies_connected: usize,
    pub(crate) proxies_current: usize,
    /// By collection.
    pub(crate) resources: Vec<(&'static str, usize)>,
}

impl Metrics {
    pub(crate) fn called(&self, method: &'static str, route: &'static str, status: u16) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let count = calls.entry(Call { method, route, status }).or_default();
        *count = count.saturating_add(1);
    }

    pub(crate) fn render(&self, gauges: &Gauges) -> String {
        let mut page = Page::default();
        page.figure("build_info", "gauge", "What runs.", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        page.gauge("ready", "Whether configuration has been loaded.", u8::from(gauges.ready));
        page.gauge("store_up", "Whether the store answered when last asked.", u8::from(gauges.store_up));
        page.gauge("config_revision", "The last revision that is in force here.", gauges.revision);
        page.gauge("proxies_connected", "Proxies with an open stream to this replica.", gauges.proxies_connected);
        page.gauge("proxies_current", "Of those, so many have applied the last revision.", gauges.proxies_current);
        page.head("resources", "gauge", "Resources in force.");
        for (collection, count) in &gauges.resources {
            page.line("resources", &[("collection", collection)], count);
        }
        page.counter("commits_total", "Transactions committed by this replica.", &self.commits);
        page.counter("commit_conflicts_total", "Transactions another replica was faster than.", &self.conflicts);
        page.counter("proposals_total", "Changes proposed through the API.", &self.proposals);
        page.counter("updates_total", "Updates sent to proxies.", &self.updates);
        page.counter("update_bytes_total", "Bytes of updates sent to proxies.", &self.update_bytes);
        page.counter("full_syncs_total", "Full syncs sent to proxies.", &self.full_syncs);
        page.counter("joins_refused_total", "Proxies that were not let in.", &self.joins_refused);
        page.counter("usage_reports_total", "Usage reports made durable.", &self.usage_reports);
        page.counter("usage_repeated_total", "Usage reports that had been counted before.", &self.usage_repeated);
        page.counter("usage_rows_total", "Rows in those usage reports.", &self.usage_rows);
        page.head("api_requests_total", "counter", "Calls of the API.");
        for (call, count) in self.calls.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let status = call.status.to_string();
            let labels = [("method", call.method), ("route", call.route), ("status", &status)];
            page.line("api_requests_total", &labels, count);
        }
        page.0
    }
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.figure(name, "gauge", help, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, counter: &Counter) {
        self.figure(name, "counter", help, &[], counter.get());
    }

    fn figure(&mut self, name: &str, kind: &str, help: &str, labels: &[(&str, &str)], value: impl Display) {
        self.head(name, kind, help);
        self.line(name, labels, value);
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        _ = writeln!(self.0, "# HELP turnpike_controlplane_{name} {help}\n# TYPE turnpike_controlplane_{name} {kind}");
    }

    /// Labels are our own words: none needs escaping.
    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        _ = writeln!(self.0, "turnpike_controlplane_{name}{labels} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_has_a_type_and_calls_are_told_apart() {
        let metrics = Metrics::default();
        metrics.called("GET", "/v1/keys/{name}", 200);
        metrics.called("GET", "/v1/keys/{name}", 200);
        metrics.called("GET", "/v1/keys/{name}", 404);
        metrics.commits.add(3);
        let gauges = Gauges { revision: 7, resources: vec![("keys", 2)], ..Gauges::default() };
        let page = metrics.render(&gauges);
        for line in [
            "turnpike_controlplane_config_revision 7",
            "turnpike_controlplane_commits_total 3",
            "turnpike_controlplane_resources{collection=\"keys\"} 2",
            "turnpike_controlplane_api_requests_total{method=\"GET\",route=\"/v1/keys/{name}\",status=\"200\"} 2",
            "turnpike_controlplane_api_requests_total{method=\"GET\",route=\"/v1/keys/{name}\",status=\"404\"} 1",
        ] {
            assert!(page.lines().any(|l| l == line), "{line} in {page}");
        }
        let named = |line: &str| line.split(['{', ' ']).next().unwrap().to_string();
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            assert!(page.contains(&format!("# TYPE {} ", named(line))), "{line}");
        }
    }
}
