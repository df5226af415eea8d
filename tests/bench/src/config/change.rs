//! Changing keys, one after the other or a thousand a second.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::fleet::{self, Fleet};
use crate::api::Api;
use crate::fail::Fail;

/// So many callers of the API share the changes of a storm.
const CALLERS: usize = 16;

/// Says the revision the change became.
pub fn one(api: &mut Api, key: usize, value: usize) -> Result<u64, Fail> {
    let path = format!("/v1/keys/{}", fleet::name(key));
    let answer = api.call("PATCH", &path, format!(r#"{{"metadata":{{"n":"{value}"}}}}"#).as_bytes())?;
    answer.get("revision").and_then(Value::as_u64).ok_or_else(|| Fail(format!("PATCH {path} says no revision")))
}

/// Each change is sent when the one before is durable; ends when the proxies have the last one.
pub fn in_turn(fleet: &Fleet, count: usize) -> Result<(), Fail> {
    let mut api = fleet.control_plane.api();
    let mut revision = 0;
    for n in 0..count {
        revision = one(&mut api, spread(fleet, n), n + 1)?;
    }
    fleet.caught_up(&mut api, revision)
}

/// What became of a storm.
#[derive(Debug, Clone, Copy)]
pub struct Storm {
    pub changes: usize,
    pub seconds: f64,
}

/// So many changes a second for so long, whether or not the control plane keeps up.
pub fn storm(fleet: &Fleet, per_second: u32, length: Duration) -> Result<Storm, Fail> {
    let began = Instant::now();
    let step = Duration::from_secs(1) / per_second;
    let caller = |first: usize| -> Result<usize, Fail> {
        let mut api = fleet.control_plane.api();
        let mut made = 0;
        for n in (first..).step_by(CALLERS) {
            let due = step * u32::try_from(n).unwrap_or(u32::MAX);
            if length <= due || length <= began.elapsed() {
                break;
            }
            std::thread::sleep(due.saturating_sub(began.elapsed()));
            one(&mut api, spread(fleet, n), n)?;
            made += 1;
        }
        Ok(made)
    };
    let made: Result<Vec<usize>, Fail> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|first| scope.spawn(move || caller(first))).collect();
        callers.into_iter().map(|it| it.join().map_err(|_| Fail::new("a caller panicked"))?).collect()
    });
    Ok(Storm { changes: made?.iter().sum(), seconds: began.elapsed().as_secs_f64() })
}

/// Successive changes meet keys far apart.
fn spread(fleet: &Fleet, n: usize) -> usize {
    (n * 7919) % fleet.keys.max(1)
}
