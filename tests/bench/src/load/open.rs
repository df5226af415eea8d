//! The open loop: requests arrive when their time has come, and their latency counts from that time.
//!
//! A thread of its own keeps the schedule, because the runtime's timer knows only milliseconds.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::connection::{Connection, Fault};
use super::tally::Tally;
use super::{Meter, OPEN, OVER, Outcome, PATIENCE, Plan, Window};
use crate::dice::Dice;
use crate::fail::Fail;
use crate::process;

/// Arrivals that may wait for the generator itself; more is a fault of the rig and is counted as one.
const BACKLOG: usize = 10_000;

struct Shared {
    plan: Plan,
    window: Window,
    idle: RefCell<Vec<Connection>>,
    tally: RefCell<Tally>,
}

pub(super) async fn run(plan: Plan, per_second: f64, seed: u64) -> Result<Outcome, Fail> {
    let (warm_up, length, watched) = (plan.warm_up, plan.window, plan.watched.clone());
    let window = Window::default();
    let shared = Rc::new(Shared { plan, window: window.clone(), idle: RefCell::default(), tally: RefCell::default() });
    let (sender, receiver) = mpsc::channel(BACKLOG);
    let pacer = std::thread::spawn(move || pace(&sender, per_second, seed, warm_up + length));
    let arrivals = tokio::task::spawn_local(arrivals(Rc::clone(&shared), receiver));
    tokio::time::sleep(warm_up).await;
    let meter = Meter::start(&watched);
    window.set(OPEN);
    tokio::time::sleep(length).await;
    let (seconds, cpu_us) = meter.stop(&watched);
    window.set(OVER);
    let lost = arrivals.await.map_err(|error| Fail::new(error.to_string()))?;
    let overrun = pacer.join().map_err(|_| Fail::new("the schedule's thread panicked"))?;
    let mut tally = shared.tally.take();
    (0..lost).for_each(|_| tally.fail(Fault::Late));
    (0..overrun).for_each(|_| tally.fail(Fault::Overrun));
    Ok(Outcome { tally, seconds, cpu_us, rss_kib: process::rss_kib(&watched) })
}

/// Announces every arrival at its time; says how many could not be announced.
fn pace(sender: &mpsc::Sender<Instant>, per_second: f64, seed: u64, length: Duration) -> u64 {
    let mut dice = Dice::new(seed);
    let mut due = Instant::now();
    let end = due + length;
    let mut overrun = 0;
    loop {
        due += dice.pause(per_second);
        if end <= due {
            return overrun;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        overrun += u64::from(sender.try_send(due).is_err());
    }
}

/// Starts a task for every arrival; when the schedule ends, says how many tasks did not.
async fn arrivals(shared: Rc<Shared>, mut receiver: mpsc::Receiver<Instant>) -> usize {
    let mut tasks = tokio::task::JoinSet::new();
    while let Some(due) = receiver.recv().await {
        tasks.spawn_local(one(Rc::clone(&shared), due));
        while tasks.try_join_next().is_some() {}
    }
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(PATIENCE, all).await.is_ok() { 0 } else { tasks.len() }
}

async fn one(shared: Rc<Shared>, due: Instant) {
    // Whether it counts is decided by when it was due, not by when it was answered.
    let counts = shared.window.is_open();
    let late = due.elapsed();
    let idle = shared.idle.borrow_mut().pop();
    let began = Instant::now();
    let opened = match idle {
        Some(connection) => Ok(connection),
        None => Connection::open(shared.plan.target).await,
    };
    let late = late + began.elapsed();
    let seen = match opened {
        Err(fault) => Err(fault),
        Ok(mut connection) => {
            let seen = connection.call(&shared.plan.ask).await;
            if seen.is_ok() && shared.idle.borrow().len() < shared.plan.connections {
                shared.idle.borrow_mut().push(connection);
            }
            seen
        }
    };
    if counts || seen.is_err() {
        shared.tally.borrow_mut().add(late, seen);
    }
}
