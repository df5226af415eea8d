//! From the lines of all rounds to the table people read, and to the verdicts on what was promised.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

/// Lines by target and scenario, one a round. Idle memory is kept as a scenario of its own.
#[derive(Debug, Default)]
pub struct Results(BTreeMap<(String, &'static str), Vec<Value>>);

/// A column: whose line, which figure, in what unit.
struct Column {
    title: &'static str,
    scenario: &'static str,
    field: &'static str,
    kind: Kind,
    scale: f64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    /// Minus the same figure without a proxy, taken in the same round.
    Added,
}

/// What was promised of a figure.
struct Promise {
    title: &'static str,
    limit: Limit,
    /// The others are goals of the design: told, but no reason to fail.
    binding: bool,
}

enum Limit {
    TimesNginx(f64),
    AtMost(f64),
}

pub const IDLE: &str = "idle";

const COLUMNS: [Column; 18] = [
    column("S1 req/s", "S1", "rps", Kind::Plain, 1.0),
    column("S1 CPU us/req", "S1", "cpu_us_per_request", Kind::Plain, 1.0),
    column("S2 CPU us/req", "S2", "cpu_us_per_request", Kind::Plain, 1.0),
    column("S2b CPU us/req", "S2b", "cpu_us_per_request", Kind::Plain, 1.0),
    column("c=1 added p50 us", "C1", "p50_us", Kind::Added, 1.0),
    column("c=1 added p99 us", "C1", "p99_us", Kind::Added, 1.0),
    column("S3 added p50 us", "S3", "p50_us", Kind::Added, 1.0),
    column("S3 added p99 us", "S3", "p99_us", Kind::Added, 1.0),
    column("S4 CPU us/chunk", "S4", "cpu_us_per_event", Kind::Plain, 1.0),
    column("S4 added TTFT p50 us", "S4", "ttfb_p50_us", Kind::Added, 1.0),
    column("S4 added TTFT p99 us", "S4", "ttfb_p99_us", Kind::Added, 1.0),
    column("S4b CPU us/chunk", "S4b", "cpu_us_per_event", Kind::Plain, 1.0),
    column("S4b chunks/s", "S4b", "events_per_s", Kind::Plain, 1.0),
    column("idle RSS MiB", IDLE, "rss_kib", Kind::Plain, 1.0 / 1024.0),
    column("RSS after load MiB", "S4", "rss_kib", Kind::Plain, 1.0 / 1024.0),
    column("RSS with 2,000 streams MiB", "S5", "rss_kib", Kind::Plain, 1.0 / 1024.0),
    column("KiB per open stream", "S5", "kib_per_stream", Kind::Plain, 1.0),
    column("ready after ms", IDLE, "ready_ms", Kind::Plain, 1.0),
];

const PROMISES: [Promise; 9] = [
    promise("S1 CPU us/req", Limit::TimesNginx(2.0), true),
    promise("S2 CPU us/req", Limit::TimesNginx(2.0), true),
    promise("S2b CPU us/req", Limit::TimesNginx(2.0), true),
    promise("S4b CPU us/chunk", Limit::TimesNginx(2.0), true),
    promise("S4 added TTFT p99 us", Limit::AtMost(500.0), true),
    promise("idle RSS MiB", Limit::AtMost(40.0), true),
    promise("c=1 added p99 us", Limit::AtMost(250.0), false),
    promise("RSS after load MiB", Limit::AtMost(100.0), false),
    promise("KiB per open stream", Limit::AtMost(20.0), false),
];

const fn column(title: &'static str, scenario: &'static str, field: &'static str, kind: Kind, scale: f64) -> Column {
    Column { title, scenario, field, kind, scale }
}

const fn promise(title: &'static str, limit: Limit, binding: bool) -> Promise {
    Promise { title, limit, binding }
}

/// Whether what was promised of one target was kept.
#[derive(Debug)]
pub struct Verdict {
    pub line: String,
    pub kept: bool,
    pub binding: bool,
}

impl Results {
    pub fn add(&mut self, target: &str, scenario: &'static str, line: Value) {
        self.0.entry((target.into(), scenario)).or_default().push(line);
    }

    /// Failed requests, in words.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let mut said = Vec::new();
        for ((target, scenario), lines) in &self.0 {
            for line in lines {
                let failed = line.get("failed").and_then(Value::as_u64).unwrap_or_default();
                if let Some(error) = line.get("rig_error").and_then(Value::as_str) {
                    said.push(format!("{target} {scenario}: {error}"));
                } else if failed > 0 {
                    said.push(format!("{target} {scenario}: {failed} failed: {}", line["errors"]));
                }
            }
        }
        said
    }

    /// One value a round.
    fn values(&self, target: &str, column: &Column) -> Vec<f64> {
        let read = |target: &str| -> Vec<Option<f64>> {
            let lines = self.0.get(&(target.to_string(), column.scenario));
            lines.into_iter().flatten().map(|line| line.get(column.field)?.as_f64()).collect()
        };
        if column.kind == Kind::Added && target == "direct" {
            return Vec::new();
        }
        let own = read(target);
        let less = if column.kind == Kind::Added { read("direct") } else { vec![Some(0.0); own.len()] };
        own.into_iter().zip(less).filter_map(|(own, less)| Some((own? - less?) * column.scale)).collect()
    }

    fn median(&self, target: &str, title: &str) -> Option<f64> {
        let column = COLUMNS.iter().find(|column| column.title == title)?;
        median(self.values(target, column))
    }

    #[must_use]
    pub fn table(&self, targets: &[&str]) -> String {
        let mut text = String::from("| figure (median of the rounds) |");
        let yardstick = targets.contains(&"nginx");
        for target in targets {
            _ = write!(text, " {target} |");
        }
        text.push_str(" spread |\n|---|");
        text.push_str(&"---|".repeat(targets.len() + 1));
        for column in &COLUMNS {
            _ = write!(text, "\n| {} |", column.title);
            let mut spread: f64 = 0.0;
            for target in targets {
                let values = self.values(target, column);
                spread = spread.max(spread_of(&values));
                let compared = yardstick && !["direct", "nginx"].contains(target);
                let base = if compared { self.median("nginx", column.title) } else { None };
                text.push_str(&cell(median(values), base));
            }
            _ = write!(text, " {:.0} % |", spread * 100.0);
        }
        text.push('\n');
        text
    }

    #[must_use]
    pub fn verdicts(&self, target: &str) -> Vec<Verdict> {
        let judge = |promise: &Promise| {
            let value = self.median(target, promise.title)?;
            let (figure, limit, unit) = match promise.limit {
                Limit::AtMost(limit) => (value, limit, ""),
                Limit::TimesNginx(limit) => (value / self.median("nginx", promise.title)?, limit, "x nginx"),
            };
            let kept = figure <= limit;
            let word = match (kept, promise.binding) {
                (true, _) => "kept",
                (false, true) => "MISSED",
                (false, false) => "goal not reached",
            };
            let line = format!("{word}: {target} {}: {figure:.2}{unit}, at most {limit}{unit}", promise.title);
            Some(Verdict { line, kept, binding: promise.binding })
        };
        PROMISES.iter().filter_map(judge).collect()
    }
}

fn cell(value: Option<f64>, base: Option<f64>) -> String {
    match (value, base) {
        (None, _) => " - |".into(),
        (Some(value), Some(base)) if base > 0.0 => format!(" {} ({:.2}x) |", show(value), value / base),
        (Some(value), _) => format!(" {} |", show(value)),
    }
}

fn show(value: f64) -> String {
    if value.abs() < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    let lower = values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

/// (max - min) / median: how far the rounds lie apart.
fn spread_of(values: &[f64]) -> f64 {
    let high = values.iter().copied().reduce(f64::max).unwrap_or_default();
    let low = values.iter().copied().reduce(f64::min).unwrap_or_default();
    median(values.to_vec()).filter(|middle| *middle > 0.0).map_or(0.0, |middle| (high - low) / middle)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_missed_promise_is_told_and_a_kept_one_too() {
        let mut results = Results::default();
        for cpu in [10.0, 30.0, 11.0] {
            results.add("nginx", "S1", json!({"cpu_us_per_request": cpu, "failed": 0}));
            results.add("turnpike", "S1", json!({"cpu_us_per_request": cpu * 2.5, "failed": 0}));
            results.add("turnpike", "S4", json!({"ttfb_p99_us": 900.0}));
            results.add("direct", "S4", json!({"ttfb_p99_us": 500.0}));
        }
        let lines: Vec<_> = results.verdicts("turnpike").into_iter().map(|verdict| verdict.line).collect();
        assert_eq!(
            lines,
            [
                "MISSED: turnpike S1 CPU us/req: 2.50x nginx, at most 2x nginx",
                "kept: turnpike S4 added TTFT p99 us: 400.00, at most 500"
            ]
        );
        let table = results.table(&["direct", "nginx", "turnpike"]);
        assert!(table.contains("| S1 CPU us/req | - | 11.00 | 27.50 (2.50x) | 182 % |"), "{table}");
        assert!(results.failures().is_empty());
    }

    #[test]
    fn failed_requests_are_told() {
        let mut results = Results::default();
        results.add("nginx", "S1", json!({"failed": 3, "errors": {"502": 3}}));
        assert_eq!(results.failures(), [r#"nginx S1: 3 failed: {"502":3}"#]);
    }
}
