//! The rig of `make bench`: every target under the same loads, in interleaved rounds, in one run on one machine.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use rig::fail::{Context as _, Fail};
use rig::process::{self, Place, Scratch};
use rig::scenario::{self, SCENARIOS};
use rig::stack::{self, Home};
use rig::table::{self, Results};
use rig::target::{Ground, Target};
use serde_json::{Value, json};

#[derive(Parser)]
#[command(about = "Measures the gateway against nginx on this machine and prints the ratios")]
struct Flags {
    /// Short windows and one round: for development, not for figures to publish.
    #[arg(long)]
    quick: bool,
    #[arg(long)]
    rounds: Option<usize>,
    /// Fail when a promised figure is missed. Failed requests always fail the run.
    #[arg(long)]
    strict: bool,
    /// Write the table there, as Markdown.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Where turnpike-controlplane and turnpike-dataplane are; beside this program unless said otherwise.
    #[arg(long)]
    binaries: Option<PathBuf>,
    /// A further proxy, as `NAME=COMMAND` with {listen} and {upstream} in the command.
    #[arg(long)]
    also: Vec<String>,
    /// Keep the cores from falling asleep between requests, with an idle-class loop on each.
    #[arg(long)]
    keep_awake: bool,
    /// Only these scenarios.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

fn main() -> Result<ExitCode, Fail> {
    let flags = Flags::parse();
    let scratch = Scratch::new("turnpike-bench")?;
    let own = stack::own_directory()?;
    let home = Home { binaries: own.clone(), dir: scratch.path().into() };
    let gateway = Home { binaries: flags.binaries.clone().unwrap_or(own), dir: scratch.path().into() };
    let (target_place, rest_place) = process::places();
    process::step_aside(rest_place);
    let precedence = process::Precedence::take();
    let (mock, upstream) = scenario::mock(rest_place, &home.binaries, &home.dir)?;
    let rig = Rig { home, gateway, upstream, target_place, rest_place, mock: mock.pid(), quick: flags.quick };
    let targets = targets(&flags, &rig)?;
    let awake = if flags.keep_awake { scenario::keep_awake(&rig.home.dir)? } else { Vec::new() };
    let mut results = Results::default();
    let rounds = flags.rounds.unwrap_or(if flags.quick { 1 } else { 3 });
    for round in 0..rounds {
        for target in &targets {
            rig.measure(target, round, &flags.only, &mut results)?;
        }
    }
    drop((mock, awake, precedence));
    let names: Vec<_> = targets.iter().map(Target::name).collect();
    report(&flags, &rig, &names, rounds, &results)
}

struct Rig {
    home: Home,
    gateway: Home,
    upstream: std::net::SocketAddr,
    target_place: Place,
    rest_place: Place,
    mock: u32,
    quick: bool,
}

impl Rig {
    fn ground(&self, target: &Target) -> Ground {
        let home = if *target == Target::Turnpike { &self.gateway } else { &self.home };
        let (target_place, rest_place) = (self.target_place, self.rest_place);
        Ground { home: home.clone(), upstream: self.upstream, target_place, rest_place }
    }

    /// A fresh process, its memory while idle, and all loads one after the other.
    fn measure(&self, target: &Target, round: usize, only: &[String], results: &mut Results) -> Result<(), Fail> {
        let began = Instant::now();
        let running = target.start(&self.ground(target), round)?;
        let ready_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or_default();
        std::thread::sleep(Duration::from_secs(1));
        let idle_kib = process::rss_kib(&running.watched);
        results.add(target.name(), table::IDLE, json!({"rss_kib": idle_kib, "ready_ms": ready_ms}));
        for scenario in SCENARIOS {
            let wanted = only.is_empty() || only.iter().any(|name| name == scenario.name);
            if !wanted || (*target == Target::Direct && !scenario.direct) {
                continue;
            }
            progress(&format!("round {} {} {}: {}", round + 1, target.name(), scenario.name, scenario.what));
            let ground = Ground { home: self.home.clone(), ..self.ground(target) };
            let line = match scenario.run(&ground, &running, self.mock, self.quick) {
                Ok(line) => per_stream(line, idle_kib),
                Err(fail) => json!({"rig_error": fail.to_string()}),
            };
            progress(&format!("    {line}"));
            results.add(target.name(), scenario.name, line);
        }
        Ok(())
    }
}

/// What one of the 2,000 open streams adds to the idle process.
fn per_stream(mut line: Value, idle_kib: Option<u64>) -> Value {
    if line.get("requests").and_then(Value::as_u64) == Some(0)
        && let Some(idle) = idle_kib
        && let Some(now) = line.get("rss_kib").and_then(Value::as_u64)
        && let Some(fields) = line.as_object_mut()
    {
        let tenths = now.saturating_sub(idle) * 10 / 2000;
        fields.insert("kib_per_stream".into(), json!(f64::from(u32::try_from(tenths).unwrap_or(u32::MAX)) / 10.0));
    }
    line
}

fn targets(flags: &Flags, rig: &Rig) -> Result<Vec<Target>, Fail> {
    let mut targets = vec![Target::Direct, Target::Nginx];
    let missing = rig.gateway.missing();
    if missing.is_empty() {
        targets.push(Target::Turnpike);
    } else {
        progress(&format!("NOT MEASURED: turnpike, because these are not there: {missing:?} (cargo build --release)"));
    }
    for also in &flags.also {
        let (name, command) = also.split_once('=').ok_or_else(|| Fail::new("--also wants NAME=COMMAND"))?;
        targets.push(Target::Also { name: name.into(), command: command.into() });
    }
    Ok(targets)
}

fn report(flags: &Flags, rig: &Rig, names: &[&str], rounds: usize, results: &Results) -> Result<ExitCode, Fail> {
    let verdicts: Vec<_> = names.iter().filter(|name| !["direct", "nginx"].contains(name)).collect();
    let verdicts: Vec<_> = verdicts.into_iter().flat_map(|name| results.verdicts(name)).collect();
    let failures = results.failures();
    let mut text = format!("{}\n\n{}\n", machine(rig, rounds), results.table(names));
    for scenario in SCENARIOS {
        text.push_str(&format!("- {}: {}.\n", scenario.name.replace("C1", "c=1"), scenario.what));
    }
    text.push('\n');
    for line in verdicts.iter().map(|verdict| &verdict.line).chain(&failures) {
        text.push_str(&format!("- {line}\n"));
    }
    write!(std::io::stdout(), "{text}")?;
    if let Some(out) = &flags.out {
        fs::write(out, format!("# Measured by `make bench`\n\nFor those who ask what the gateway costs.\n{text}"))
            .doing(out.display())?;
    }
    let missed = verdicts.iter().any(|verdict| verdict.binding && !verdict.kept);
    let bad = !failures.is_empty() || (flags.strict && missed);
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn machine(rig: &Rig, rounds: usize) -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model =
        cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("", |it| it.1);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let pinned = if rig.target_place == Place::Anywhere { "NOT pinned (one core, or no taskset)" } else { "pinned" };
    let raised = if scenario::may_raise() { "real-time" } else { "ordinary" };
    let quick = if rig.quick { "Quick mode: short windows, not for publication.\n" } else { "" };
    format!(
        "{model}, {cores} cores, Linux {}, {rounds} rounds, load average after the run {load}.\n\
         Target on one core, mock upstream and load generator on another, {pinned}; \
         in c=1, S3 and S4 the latter two have {raised} priority.\n{quick}\
         CPU is user and system time of the target as the scheduler counts it, divided by requests or chunks; \
         \"added\" is minus the same figure without a proxy in the same round; \
         the spread is (max - min) / median of the widest target.",
        kernel.trim()
    )
}

fn progress(text: &str) {
    // Nobody reads it, nobody misses it.
    _ = writeln!(std::io::stderr(), "{text}");
}
