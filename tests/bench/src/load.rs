//! The load generator: what to send, how often, and what came of it.

pub mod ask;
pub mod closed;
pub mod connection;
pub mod hold;
pub mod open;
pub mod tally;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use ask::Ask;
use tally::Tally;

use crate::fail::Fail;
use crate::process;

/// How the requests follow each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rhythm {
    /// Every connection sends its next request when it has its answer.
    Closed,
    /// As many requests and no more, in a closed loop.
    Count(u64),
    /// Arrivals of a Poisson process, whether or not answers keep up.
    Open { per_second: f64, seed: u64 },
    /// Open all streams and keep them open, to look at what they weigh.
    Hold,
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub target: SocketAddr,
    pub ask: Arc<Ask>,
    pub connections: usize,
    pub rhythm: Rhythm,
    /// Paced streams begin spread out over this.
    pub stagger: Duration,
    pub warm_up: Duration,
    pub window: Duration,
    /// Processes whose CPU time and memory are reported with the load.
    pub watched: Vec<u32>,
}

/// What happened within the window.
#[derive(Debug)]
pub struct Outcome {
    pub tally: Tally,
    pub seconds: f64,
    pub cpu_us: Option<f64>,
    pub rss_kib: Option<u64>,
}

/// How long an answer may be late after the window before it counts as lost.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub fn run(plan: Plan) -> Result<Outcome, Fail> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        match plan.rhythm {
            Rhythm::Closed => closed::run(plan, u64::MAX).await,
            Rhythm::Count(count) => closed::run(plan, count).await,
            Rhythm::Open { per_second, seed } => open::run(plan, per_second, seed).await,
            Rhythm::Hold => hold::run(plan).await,
        }
    })
}

/// Says when what is seen counts.
#[derive(Debug, Clone, Default)]
pub struct Window(Arc<AtomicU8>);

const WARM: u8 = 0;
const OPEN: u8 = 1;
const OVER: u8 = 2;

impl Window {
    pub fn is_open(&self) -> bool {
        self.0.load(Ordering::Relaxed) == OPEN
    }

    pub fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed) == OVER
    }

    fn set(&self, state: u8) {
        debug_assert!(state != WARM);
        self.0.store(state, Ordering::Relaxed);
    }
}

/// The clock and the watched CPU time between two moments.
struct Meter {
    began: Instant,
    cpu_ns: Option<u64>,
}

impl Meter {
    fn start(watched: &[u32]) -> Meter {
        Meter { began: Instant::now(), cpu_ns: process::cpu_ns(watched) }
    }

    fn stop(&self, watched: &[u32]) -> (f64, Option<f64>) {
        let seconds = self.began.elapsed().as_secs_f64();
        let cpu_ns = process::cpu_ns(watched).zip(self.cpu_ns).map(|(now, then)| now.saturating_sub(then));
        (seconds, cpu_ns.map(|ns| Duration::from_nanos(ns).as_secs_f64() * 1e6))
    }
}
