//! A control plane with many keys, and the proxies that hold them.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::api::Api;
use crate::fail::Fail;
use crate::process::{self, Place, Process};
use crate::stack::{self, ControlPlane, Home, Proxy};

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Fleet {
    pub control_plane: ControlPlane,
    pub proxies: Vec<Proxy>,
    pub keys: usize,
}

/// What it took to load everything.
#[derive(Debug, Clone, Copy)]
pub struct Loading {
    /// Until the API had answered.
    pub applied: Duration,
    /// Until a proxy that was connected all along let the last key through.
    pub everywhere: Duration,
}

/// CPU time in microseconds.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    pub control_plane_us: f64,
    /// Of the proxy that was there first.
    pub first_us: f64,
    /// Of the proxy that came last.
    pub last_us: f64,
}

#[must_use]
pub fn name(n: usize) -> String {
    format!("key-{n}")
}

#[must_use]
pub fn secret(n: usize) -> String {
    format!("sk-load-{n}")
}

impl Fleet {
    /// One proxy is connected before the keys come, so that they reach it as a change.
    pub fn start(home: &Home, places: (Place, Place), upstream: std::net::SocketAddr) -> Result<Fleet, Fail> {
        let control_plane = home.control_plane(places.1, "controlplane")?;
        control_plane.api().call("POST", "/v1/apply", stack::documents(upstream).as_bytes())?;
        let proxy = home.proxy(places.0, "dataplane-0", &control_plane)?;
        Ok(Fleet { control_plane, proxies: vec![proxy], keys: 0 })
    }

    pub fn load(&mut self, keys: usize) -> Result<Loading, Fail> {
        let mut lines = String::new();
        for n in 0..keys {
            let (name, secret) = (name(n), secret(n));
            // Writing to a String cannot fail.
            _ = writeln!(
                lines,
                r#"{{"kind":"Key","name":"{name}","team":"search","secret":"{secret}","models":["*"],"metadata":{{"n":"0"}}}}"#
            );
        }
        let began = Instant::now();
        self.control_plane.api().call("POST", "/v1/apply", lines.as_bytes())?;
        let applied = began.elapsed();
        let last = secret(keys.saturating_sub(1));
        for proxy in &self.proxies {
            proxy.serves(&last)?;
        }
        self.keys = keys;
        Ok(Loading { applied, everywhere: began.elapsed() })
    }

    /// Until every connected proxy has applied this revision.
    pub fn caught_up(&self, api: &mut Api, revision: u64) -> Result<(), Fail> {
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = api.call("GET", "/v1/proxies", b"")?;
            let rows = answer.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let connected = rows.iter().filter(|row| row["connected"] == true);
            let applied: Vec<_> = connected.map(|row| row["applied"].as_u64().unwrap_or_default()).collect();
            if applied.len() == self.proxies.len() && applied.iter().all(|applied| revision <= *applied) {
                return Ok(());
            }
            if end < Instant::now() {
                return Err(Fail(format!("not every proxy has applied revision {revision}: {answer}")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn spending<T>(&self, work: impl FnOnce() -> Result<T, Fail>) -> Result<(T, Spent), Fail> {
        let read = || -> Result<[u64; 3], Fail> {
            let of = |process: Option<&Process>| process::cpu_ns(&[process?.pid()]);
            let proxy = |proxy: Option<&Proxy>| of(proxy.map(|proxy| &proxy.process));
            let all = [of(Some(&self.control_plane.process)), proxy(self.proxies.first()), proxy(self.proxies.last())];
            let [Some(control_plane), Some(first), Some(last)] = all else {
                return Err(Fail::new("a plane has ended"));
            };
            Ok([control_plane, first, last])
        };
        let before = read()?;
        let made = work()?;
        let after = read()?;
        let mut spent = after
            .iter()
            .zip(&before)
            .map(|(after, before)| Duration::from_nanos(after.saturating_sub(*before)).as_secs_f64() * 1e6);
        let mut next = || spent.next().unwrap_or(f64::NAN);
        let spent = Spent { control_plane_us: next(), first_us: next(), last_us: next() };
        Ok((made, spent))
    }
}
