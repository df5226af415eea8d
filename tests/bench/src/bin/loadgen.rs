//! Offers load and says in one JSON line what came of it.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use rig::fail::Fail;
use rig::load::ask::{Ask, Letter};
use rig::load::{self, Plan, Rhythm};

#[derive(Parser)]
#[command(about = "Closed and open loops of chat completions, unary and streamed, against the mock upstream's answers")]
struct Flags {
    #[arg(long, default_value = "127.0.0.1:8080")]
    target: SocketAddr,
    #[arg(long, default_value = "/v1/chat/completions")]
    path: String,
    #[arg(long, default_value = "sk-bench-key")]
    key: String,
    #[arg(long, default_value = "gpt-4o-mini")]
    model: String,
    /// Connections of a closed loop; kept idle at most in an open one.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    #[arg(long, default_value_t = 1024)]
    prompt_bytes: usize,
    #[arg(long)]
    stream: bool,
    #[arg(long, default_value_t = 64)]
    chunks: usize,
    #[arg(long, default_value_t = 0)]
    pause_ms: u64,
    #[arg(long, default_value_t = 0.5)]
    warm_up: f64,
    /// The window in seconds.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// So many requests in place of a window.
    #[arg(long, conflicts_with_all = ["rate", "hold"])]
    requests: Option<u64>,
    /// An open loop: arrivals per second.
    #[arg(long, conflicts_with = "hold")]
    rate: Option<f64>,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Open all streams, report the watched memory, and end.
    #[arg(long, requires = "stream")]
    hold: bool,
    /// Processes whose CPU time and memory to report.
    #[arg(long, value_delimiter = ',')]
    watch: Vec<u32>,
}

fn main() -> Result<ExitCode, Fail> {
    let flags = Flags::parse();
    let chunks = u64::try_from(flags.chunks).unwrap_or_default();
    let letter = Letter {
        path: flags.path,
        host: flags.target.to_string(),
        key: flags.key,
        model: flags.model,
        prompt_bytes: flags.prompt_bytes,
        stream: flags.stream.then_some((flags.chunks, flags.pause_ms)),
    };
    let rhythm = match (flags.requests, flags.rate, flags.hold) {
        (Some(count), _, _) => Rhythm::Count(count),
        (_, Some(per_second), _) => Rhythm::Open { per_second, seed: flags.seed },
        (_, _, true) => Rhythm::Hold,
        (None, None, false) => Rhythm::Closed,
    };
    let outcome = load::run(Plan {
        target: flags.target,
        ask: Arc::new(Ask::new(&letter)),
        connections: flags.connections,
        rhythm,
        stagger: Duration::from_millis(if flags.stream { chunks * flags.pause_ms } else { 0 }),
        warm_up: Duration::from_secs_f64(flags.warm_up),
        window: Duration::from_secs_f64(flags.seconds),
        watched: flags.watch,
    })?;
    writeln!(std::io::stdout(), "{}", outcome.line())?;
    let useful = outcome.tally.failed() == 0 && (outcome.tally.latency.count() > 0 || rhythm == Rhythm::Hold);
    Ok(if useful { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
