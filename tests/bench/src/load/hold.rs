//! Opens many streams at once and keeps them open, to see what an open stream weighs.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::connection::Connection;
use super::tally::Tally;
use super::{Meter, Outcome, Plan};
use crate::fail::Fail;
use crate::process;

/// So many connections are opened in one go.
const BATCH: usize = 50;

pub(super) async fn run(plan: Plan) -> Result<Outcome, Fail> {
    let plan = Rc::new(plan);
    let meter = Meter::start(&plan.watched);
    let begun = Rc::new(Cell::new(0usize));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..plan.connections {
        let (plan, begun) = (Rc::clone(&plan), Rc::clone(&begun));
        tasks.spawn_local(async move {
            let mut connection = Connection::open(plan.target).await?;
            connection.call_noting(&plan.ask, || begun.set(begun.get() + 1)).await
        });
        if number % BATCH == BATCH - 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let all = async {
        while begun.get() < plan.connections {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let opened = tokio::time::timeout(plan.window, all).await;
    // What was allocated in passing is given back or not within this time.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut tally = Tally::default();
    while let Some(ended) = tasks.try_join_next() {
        match ended {
            Ok(Ok(_)) => return Err(Fail::new("a stream ended while it was to be held: ask for more chunks")),
            Ok(Err(fault)) => tally.fail(fault),
            Err(error) => return Err(Fail::new(error.to_string())),
        }
    }
    if opened.is_err() {
        let (got, wanted) = (begun.get(), plan.connections);
        return Err(Fail::new(format!("only {got} of {wanted} streams began: {:?}", tally.errors)));
    }
    let rss_kib = process::rss_kib(&plan.watched);
    let (seconds, cpu_us) = meter.stop(&plan.watched);
    Ok(Outcome { tally, seconds, cpu_us, rss_kib })
}
