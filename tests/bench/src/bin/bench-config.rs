//! The rig of `make bench-config`: what a changed, a new and a revoked key cost when there are 100,000 of them.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use rig::config::fleet::Fleet;
use rig::config::{change, revoke};
use rig::fail::{Context as _, Fail};
use rig::process::{self, Process, Scratch};
use rig::scenario;
use rig::stack::{self, Home, Keeps, Proxy};
use serde_json::Value;

#[derive(Parser)]
#[command(about = "Measures the config plane with many keys")]
struct Flags {
    #[arg(long)]
    quick: bool,
    #[arg(long, default_value_t = 100_000)]
    keys: usize,
    /// Changes a second in the storm.
    #[arg(long, default_value_t = 1000)]
    rate: u32,
    /// Fail when a promised figure is missed.
    #[arg(long)]
    strict: bool,
    /// Write the table there, as Markdown.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Where turnpike-controlplane and turnpike-dataplane are; beside this program unless said otherwise.
    #[arg(long)]
    binaries: Option<PathBuf>,
}

fn main() -> Result<ExitCode, Fail> {
    let flags = Flags::parse();
    let scratch = Scratch::new("turnpike-bench-config")?;
    let own = stack::own_directory()?;
    let home = Home { binaries: flags.binaries.clone().unwrap_or_else(|| own.clone()), dir: scratch.path().into() };
    let missing = home.missing();
    if !missing.is_empty() {
        return Err(Fail(format!("not there: {missing:?} (cargo build --release)")));
    }
    let (target, rest) = process::places();
    process::step_aside(rest);
    let precedence = process::Precedence::take();
    let (mock, upstream) = scenario::mock(rest, &own, &home.dir)?;
    let mut fleet = Fleet::start(&home, (target, rest), upstream)?;
    let mut report = Report::default();
    loading(&mut report, &mut fleet, &home, flags.keys)?;
    changing(&mut report, &mut fleet, &home)?;
    // The storm shares a core with the load generator, whose own delays must not be taken for the proxy's.
    let raised = scenario::raise(mock.pid());
    storm(&mut report, &fleet, &flags, &Generator { binaries: own, raised })?;
    if raised {
        scenario::lower(mock.pid());
    }
    for n in 1..3 {
        let proxy = home.proxy(target, &format!("dataplane-{n}"), &fleet.control_plane)?;
        fleet.proxies.push(proxy);
    }
    let delays = revoke::measure(&fleet, 100)?;
    let ms = |micros: u64| Duration::from_micros(micros).as_secs_f64() * 1e3;
    report.note("revoked key refused by 3 proxies, p50 ms", ms(delays.revoked.at(500)));
    report.promise("revoked key refused by 3 proxies, p99 ms", ms(delays.revoked.at(990)), Limit::AtMost(1000.0));
    report.note("new key accepted by 3 proxies, p50 ms", ms(delays.created.at(500)));
    report.promise("new key accepted by 3 proxies, p99 ms", ms(delays.created.at(990)), Limit::AtMost(1000.0));
    drop((mock, precedence));
    report.end(&flags)
}

/// Everything in one transaction; then a second proxy comes, from nothing and from its last good.
fn loading(report: &mut Report, fleet: &mut Fleet, home: &Home, keys: usize) -> Result<(), Fail> {
    let loading = fleet.load(keys)?;
    report.note("keys", f64::from(u32::try_from(keys).unwrap_or(u32::MAX)));
    report.note("one apply of all keys, s", loading.applied.as_secs_f64());
    report.note("until a connected proxy has them, s", loading.everywhere.as_secs_f64());
    let (fresh, took) = cold_start(fleet, home, keys)?;
    report.promise("cold start from the control plane, s", took, Limit::AtMost(2.0));
    let mib = |pid: u32| process::rss_kib(&[pid]).map_or(0.0, |kib| f64::from(u32::try_from(kib / 1024).unwrap_or(0)));
    report.note("proxy RSS after a cold start, MiB", mib(fresh.process.pid()));
    report.note("control plane RSS, MiB", mib(fleet.control_plane.process.pid()));
    // Last good is written off the request path, some seconds later.
    std::thread::sleep(Duration::from_secs(8));
    fresh.process.end();
    let (again, took) = cold_start(fleet, home, keys)?;
    report.promise("start from the last good, s", took, Limit::AtMost(1.0));
    again.process.end();
    Ok(())
}

/// Until the last of the keys is let through.
fn cold_start(fleet: &Fleet, home: &Home, keys: usize) -> Result<(Proxy, f64), Fail> {
    let began = Instant::now();
    let proxy = home.proxy(process::places().0, "dataplane-cold", &fleet.control_plane)?;
    proxy.serves(&rig::config::fleet::secret(keys - 1))?;
    Ok((proxy, began.elapsed().as_secs_f64()))
}

/// Writing the last good costs what all keys cost, once every few seconds; it is told apart from applying a change.
fn changing(report: &mut Report, fleet: &mut Fleet, home: &Home) -> Result<(), Fail> {
    let place = process::places().0;
    fleet.proxies.push(home.any_proxy(place, "dataplane-bare", &fleet.control_plane, Keeps::Nothing)?);
    let ((), spent) = fleet.spending(|| change::in_turn(fleet, 1000))?;
    fleet.proxies.pop();
    report.promise("proxy CPU per changed key, us", spent.last_us / 1e3, Limit::AtMost(100.0));
    report.note("the same of a proxy that wrote its last good meanwhile, us", spent.first_us / 1e3);
    report.promise("control plane CPU per changed key, us", spent.control_plane_us / 1e3, Limit::AtMost(5000.0));
    Ok(())
}

/// A steady load before and during a storm of changes.
fn storm(report: &mut Report, fleet: &Fleet, flags: &Flags, generator: &Generator) -> Result<(), Fail> {
    let length = if flags.quick { 10 } else { 60 };
    let calm = generator.start(fleet, length.min(15))?.wait()?;
    let loaded = generator.start(fleet, length)?;
    let storm = change::storm(fleet, flags.rate, Duration::from_secs(length) + Duration::from_secs(1))?;
    let stormy = loaded.wait()?;
    let figure = |line: &Value, name: &str| line.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let rate = f64::from(u32::try_from(storm.changes).unwrap_or(u32::MAX)) / storm.seconds;
    report.promise("changes per second in the storm", rate, Limit::AtLeast(f64::from(flags.rate) * 0.95));
    report.note("seconds of the storm", storm.seconds);
    report.note("requests during the storm", figure(&stormy, "requests"));
    report.promise("failed requests during the storm", figure(&stormy, "failed"), Limit::AtMost(0.0));
    report.note("p99 before, us", figure(&calm, "p99_us"));
    report.note("p99 during, us", figure(&stormy, "p99_us"));
    let ratio = figure(&stormy, "p99_us") / figure(&calm, "p99_us");
    report.promise("p99 during / before", ratio, Limit::AtMost(1.5));
    Ok(())
}

/// A load generator at work, and the directory it writes to.
struct Load(Process, Scratch);

/// Where the load generator is, and whether it goes before others.
struct Generator {
    binaries: PathBuf,
    raised: bool,
}

impl Generator {
    fn start(&self, fleet: &Fleet, seconds: u64) -> Result<Load, Fail> {
        let proxy = fleet.proxies.first().ok_or_else(|| Fail::new("no proxy"))?;
        let mut command = process::command(process::places().1, &self.binaries.join("loadgen"));
        command.args(["--rate", "500", "--prompt-bytes", "1024", "--target"]).arg(proxy.listen.to_string());
        command.arg("--seconds").arg(seconds.to_string());
        let mut command = if self.raised { scenario::raised(&command) } else { command };
        let dir = Scratch::new("turnpike-bench-load")?;
        let process = Process::start(&mut command, "loadgen", dir.path())?;
        Ok(Load(process, dir))
    }
}

impl Load {
    fn wait(self) -> Result<Value, Fail> {
        let Load(process, _dir) = self;
        let said = process.ended()?;
        serde_json::from_str(said.trim()).map_err(|_| Fail(said))
    }
}

#[derive(Clone, Copy)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

#[derive(Default)]
struct Report {
    rows: String,
    missed: bool,
}

impl Report {
    fn note(&mut self, title: &str, value: f64) {
        self.row(title, value, "");
    }

    fn promise(&mut self, title: &str, value: f64, limit: Limit) {
        let (kept, bound) = match limit {
            Limit::AtMost(limit) => (value <= limit, format!("at most {limit}")),
            Limit::AtLeast(limit) => (limit <= value, format!("at least {limit}")),
        };
        self.missed |= !kept;
        self.row(title, value, &format!("{}: {bound}", if kept { "kept" } else { "MISSED" }));
    }

    fn row(&mut self, title: &str, value: f64, verdict: &str) {
        let row = format!("| {title} | {value:.2} | {verdict} |\n");
        // Progress for who waits; the table follows at the end.
        _ = write!(std::io::stderr(), "{row}");
        self.rows.push_str(&row);
    }

    fn end(self, flags: &Flags) -> Result<ExitCode, Fail> {
        let table = format!("| figure | value | promise |\n|---|---|---|\n{}", self.rows);
        write!(std::io::stdout(), "{table}")?;
        if let Some(out) = &flags.out {
            let text = format!(
                "# Measured by `make bench-config`\n\nFor those who ask what a change of configuration costs.\n\n{table}"
            );
            std::fs::write(out, text).doing(out.display())?;
        }
        Ok(if flags.strict && self.missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
