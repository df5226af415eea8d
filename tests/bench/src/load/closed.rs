//! The closed loop: every connection is one task that sends, reads, and sends again.
//!
//! Streams of equal length that began together would all begin together for ever, so paced streams are spread out and
//! kept apart by a pause of random length.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::connection::{Connection, Fault};
use super::tally::Tally;
use super::{Meter, OPEN, OVER, Outcome, PATIENCE, Plan, Window};
use crate::dice::Dice;
use crate::fail::Fail;
use crate::process;

/// A connection that cannot be opened is tried again after this, so that a dead target is not hammered.
const PAUSE: Duration = Duration::from_millis(10);

pub(super) async fn run(plan: Plan, count: u64) -> Result<Outcome, Fail> {
    let plan = Rc::new(plan);
    let window = Window::default();
    let left = Arc::new(AtomicU64::new(count));
    let counted = count < u64::MAX;
    if counted {
        window.set(OPEN);
    }
    let mut meter = Meter::start(&plan.watched);
    let tasks: Vec<_> = (0..plan.connections)
        .map(|number| {
            let (plan, window, left) = (Rc::clone(&plan), window.clone(), Arc::clone(&left));
            tokio::task::spawn_local(async move {
                let apart = Apart::new(&plan, number);
                apart.begin().await;
                caller(plan, window, left, apart).await
            })
        })
        .collect();
    let mut took = None;
    if !counted {
        tokio::time::sleep(plan.warm_up).await;
        meter = Meter::start(&plan.watched);
        window.set(OPEN);
        tokio::time::sleep(plan.window).await;
        took = Some(meter.stop(&plan.watched));
        window.set(OVER);
    }
    let patience = if counted { plan.window.max(PATIENCE) } else { PATIENCE };
    let end = tokio::time::Instant::now() + patience;
    let mut tally = Tally::default();
    for mut task in tasks {
        if let Ok(Ok(theirs)) = tokio::time::timeout_at(end, &mut task).await {
            tally.merge(theirs);
        } else {
            task.abort();
            tally.fail(Fault::Late);
        }
    }
    let (seconds, cpu_us) = took.unwrap_or_else(|| meter.stop(&plan.watched));
    Ok(Outcome { tally, seconds, cpu_us, rss_kib: process::rss_kib(&plan.watched) })
}

async fn caller(plan: Rc<Plan>, window: Window, left: Arc<AtomicU64>, mut apart: Apart) -> Tally {
    let mut tally = Tally::default();
    let mut connection = None;
    while !window.is_over() && take(&left) {
        let mut open = match connection.take() {
            Some(open) => open,
            None => match Connection::open(plan.target).await {
                Ok(open) => open,
                Err(fault) => {
                    tally.fail(fault);
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
        };
        let seen = open.call(&plan.ask).await;
        if seen.is_ok() {
            connection = Some(open);
        }
        // A fault counts whenever it happens: a target that breaks while warming up is broken.
        if window.is_open() || seen.is_err() {
            tally.add(Duration::ZERO, seen);
        }
        apart.pause().await;
    }
    tally
}

/// Keeps the connections of one run from moving in step.
struct Apart {
    dice: Dice,
    begin: Duration,
    longest: u64,
}

impl Apart {
    fn new(plan: &Plan, number: usize) -> Apart {
        let number = u32::try_from(number).unwrap_or_default();
        let share = plan.stagger / u32::try_from(plan.connections).unwrap_or(1).max(1);
        let longest = u64::try_from(plan.stagger.as_millis() / 8).unwrap_or_default();
        Apart { dice: Dice::new(u64::from(number)), begin: share * number, longest }
    }

    async fn begin(&self) {
        if !self.begin.is_zero() {
            tokio::time::sleep(self.begin).await;
        }
    }

    async fn pause(&mut self) {
        if let Some(pause) = self.dice.roll().checked_rem(self.longest) {
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }
}

fn take(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}
