//! How long a revoked key still passes, and how long a new one does not.

use std::time::{Duration, Instant};

use super::fleet::{self, Fleet};
use crate::api::Api;
use crate::fail::Fail;
use crate::histogram::Histogram;

const PATIENCE: Duration = Duration::from_secs(30);

/// Times from sending the call to the control plane until the last proxy acts on it.
#[derive(Debug, Default)]
pub struct Delays {
    pub revoked: Histogram,
    pub created: Histogram,
}

/// Revokes and creates so many keys, one at a time, and asks every proxy without pause.
pub fn measure(fleet: &Fleet, count: usize) -> Result<Delays, Fail> {
    let mut api = fleet.control_plane.api();
    let mut delays = Delays::default();
    for n in 0..count {
        let path = format!("/v1/keys/{}/revoke", fleet::name(n));
        let revoke = |api: &mut Api| api.call("POST", &path, b"{}").map(drop);
        let late = everywhere(fleet, &fleet::secret(n), (200, 401), || revoke(&mut api))?;
        delays.revoked.add(micros(late));
        let (name, secret) = (format!("new-{n}"), format!("sk-new-{n}"));
        let document = format!(r#"{{"kind":"Key","name":"{name}","secret":"{secret}","models":["*"]}}"#);
        let create = |api: &mut Api| api.call("POST", "/v1/keys", document.as_bytes()).map(drop);
        let late = everywhere(fleet, &secret, (401, 200), || create(&mut api))?;
        delays.created.add(micros(late));
    }
    Ok(delays)
}

/// The time until every proxy answers this key with the second status, having answered with the first before.
fn everywhere(
    fleet: &Fleet,
    secret: &str,
    (before, after): (u16, u16),
    act: impl FnOnce() -> Result<(), Fail>,
) -> Result<Duration, Fail> {
    let mut clients: Vec<_> = fleet.proxies.iter().map(|proxy| Api::new(proxy.listen, secret)).collect();
    for client in &mut clients {
        let (status, body) = client.raw("GET", "/v1/models", b"")?;
        if status != before {
            let said = String::from_utf8_lossy(&body).into_owned();
            return Err(Fail(format!("a proxy answers {status} to {secret} where {before} was due: {said}")));
        }
    }
    let began = Instant::now();
    std::thread::scope(|scope| {
        let watchers: Vec<_> =
            clients.iter_mut().map(|client| scope.spawn(move || watch(client, after, began))).collect();
        act()?;
        let times: Result<Vec<_>, Fail> =
            watchers.into_iter().map(|it| it.join().map_err(|_| Fail::new("a watcher panicked"))?).collect();
        Ok(times?.into_iter().max().unwrap_or_default())
    })
}

fn watch(client: &mut Api, wanted: u16, began: Instant) -> Result<Duration, Fail> {
    loop {
        let (status, _) = client.raw("GET", "/v1/models", b"")?;
        if status == wanted {
            return Ok(began.elapsed());
        }
        if PATIENCE < began.elapsed() {
            return Err(Fail(format!("still {status} after {PATIENCE:?}, {wanted} was due")));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
