//! The members of an etcd cluster as one thing that answers, fails over, and gives up in time.

use std::error::Error as _;
use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use etcd_client::{Client, ConnectOptions, Error, GetOptions, GetResponse, KvClient, Txn, TxnResponse, WatchClient};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout_at};

use super::Options;
use crate::store::StoreError;

/// A member that is silent for so long is left for the next one. An election takes less.
const ATTEMPT: Duration = Duration::from_secs(2);
/// No election closes ports: when nobody listens anywhere for so long, nobody is there.
const NOBODY_THERE: Duration = Duration::from_secs(2);
const BACKOFF: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_millis(800);
/// The server drops connections that ask more often than every five seconds.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(3);

/// One client for each member rather than one that balances: a balanced one goes on choosing the dead member half of
/// the time, and a request that timed out could not be told to go elsewhere.
pub(crate) struct Cluster {
    options: Options,
    members: Vec<Member>,
    current: AtomicUsize,
    /// The last attempt failed: look before you leap.
    troubled: AtomicBool,
}

struct Member {
    endpoint: String,
    client: Mutex<Option<Client>>,
}

/// What a request came to that got no answer.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: StoreError,
    /// Some attempt may have been carried out nevertheless.
    pub(crate) doubtful: bool,
    /// The history that was asked for is gone.
    pub(crate) compacted: bool,
}

/// An answer, and whether an earlier attempt at the same request may have been carried out, too.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    pub(crate) value: T,
    pub(crate) doubtful: bool,
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> StoreError {
        failure.error
    }
}

impl Cluster {
    pub(crate) fn new(options: Options) -> Cluster {
        let member = |endpoint: &String| Member { endpoint: endpoint.clone(), client: Mutex::new(None) };
        let members = options.endpoints.iter().map(member).collect();
        Cluster { options, members, current: AtomicUsize::new(0), troubled: AtomicBool::new(false) }
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn is_troubled(&self) -> bool {
        self.troubled.load(Ordering::Relaxed)
    }

    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.options.request_timeout
    }

    pub(crate) async fn get(
        &self,
        key: Vec<u8>,
        options: GetOptions,
        deadline: Instant,
    ) -> Result<GetResponse, Failure> {
        let request = |mut kv: KvClient| {
            let (key, options) = (key.clone(), options.clone());
            async move { kv.get(key, Some(options)).await }
        };
        Ok(Box::pin(self.ask(deadline, request)).await?.value)
    }

    /// Tries until there is an answer, possibly several times: the guards of the transaction must make that harmless.
    pub(crate) async fn txn(&self, txn: Txn, deadline: Instant) -> Result<Answer<TxnResponse>, Failure> {
        let request = |mut kv: KvClient| {
            let txn = txn.clone();
            async move { kv.txn(txn).await }
        };
        Box::pin(self.ask(deadline, request)).await
    }

    async fn ask<T, F, A>(&self, deadline: Instant, request: F) -> Result<Answer<T>, Failure>
    where
        F: Fn(KvClient) -> A,
        A: Future<Output = Result<T, Error>>,
    {
        let mut doubtful = false;
        let mut backoff = BACKOFF;
        let mut somebody_there = Instant::now();
        loop {
            let current = self.current();
            let attempt_until = deadline.min(Instant::now() + ATTEMPT);
            let member = self.member(current).map_err(|error| Failure { error, doubtful, compacted: false })?;
            let attempt = async {
                // Not yet sent, so not in doubt.
                let client = member.client(&self.options, attempt_until).await.map_err(Missed::certain)?;
                let kv = client.kv_client().max_decoding_message_size(usize::MAX);
                match timeout_at(attempt_until, request(kv)).await {
                    Ok(answer) => answer.map_err(|error| Missed::of(&error)),
                    Err(_) => Err(Missed { why: format!("{} is silent", member.endpoint), fate: Fate::Doubtful }),
                }
            };
            let missed = match attempt.await {
                Ok(value) => {
                    self.troubled.store(false, Ordering::Relaxed);
                    return Ok(Answer { value, doubtful });
                }
                Err(missed) => missed,
            };
            let failure =
                |error| Failure { error, doubtful: doubtful || missed.fate == Fate::Doubtful, compacted: false };
            match missed.fate {
                Fate::Doubtful => doubtful = true,
                Fate::Undone | Fate::Unheard => {}
                Fate::Refused => return Err(failure(StoreError::Unavailable(missed.why))),
                Fate::Compacted => {
                    return Err(Failure { compacted: true, ..failure(StoreError::Unavailable(missed.why)) });
                }
            }
            self.troubled.store(true, Ordering::Relaxed);
            if missed.why.contains(LOGIN_IS_OLD) {
                member.forget().await;
            } else {
                self.leave(current);
            }
            let pause = jitter(backoff);
            backoff = BACKOFF_MAX.min(backoff * 2);
            if missed.fate != Fate::Unheard {
                somebody_there = Instant::now();
            }
            if deadline.min(somebody_there + NOBODY_THERE) <= Instant::now() + pause {
                return Err(Failure { error: StoreError::Unavailable(missed.why), doubtful, compacted: false });
            }
            sleep(pause).await;
        }
    }

    /// A watch on the member in use, and which one that is: leave it when the watch breaks.
    pub(crate) async fn watch_client(&self, deadline: Instant) -> Result<(WatchClient, usize), StoreError> {
        let current = self.current();
        let client = self.member(current)?.client(&self.options, deadline).await;
        let client = client.inspect_err(|_| self.leave(current)).map_err(StoreError::Unavailable)?;
        Ok((client.watch_client().max_decoding_message_size(usize::MAX), current))
    }

    pub(crate) fn current(&self) -> usize {
        self.current.load(Ordering::Relaxed)
    }

    /// The next member is tried, unless somebody has gone there already.
    pub(crate) fn leave(&self, current: usize) {
        _ = self.current.compare_exchange(current, current.wrapping_add(1), Ordering::Relaxed, Ordering::Relaxed);
    }

    fn member(&self, current: usize) -> Result<&Member, StoreError> {
        let at = current.checked_rem(self.members.len()).unwrap_or_default();
        self.members.get(at).ok_or_else(|| StoreError::Misconfigured("no etcd endpoint is given".to_owned()))
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("endpoints", &self.options.endpoints).finish_non_exhaustive()
    }
}

impl Member {
    /// Connects lazily: a member may be away when we start. With a user, connecting is logging in.
    async fn client(&self, options: &Options, deadline: Instant) -> Result<Client, String> {
        let connecting = async {
            let mut slot = self.client.lock().await;
            if let Some(client) = slot.as_ref() {
                return Ok(client.clone());
            }
            let connected = Client::connect([&self.endpoint], Some(connect_options(options))).await;
            let client = connected.map_err(|error| format!("{}: {}", self.endpoint, in_full(&error)))?;
            *slot = Some(client.clone());
            Ok(client)
        };
        timeout_at(deadline, connecting).await.unwrap_or_else(|_| Err(format!("{} is silent", self.endpoint)))
    }

    /// Logs in anew the next time.
    async fn forget(&self) {
        *self.client.lock().await = None;
    }
}

fn connect_options(options: &Options) -> ConnectOptions {
    let mut connect = ConnectOptions::new()
        .with_connect_timeout(options.connect_timeout)
        .with_keep_alive(KEEP_ALIVE, KEEP_ALIVE_TIMEOUT)
        .with_tcp_keepalive(KEEP_ALIVE)
        // A member that has lost the others says so instead of keeping a watch that hears nothing.
        .with_require_leader(true)
        .with_auto_token_refresh(true);
    if let Some((name, password)) = &options.user {
        connect = connect.with_user(name.clone(), password.expose());
    }
    match options.tls() {
        Some(tls) => connect.with_tls(tls),
        None => connect,
    }
}

#[derive(Debug)]
struct Missed {
    why: String,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// May have been carried out, or may still be.
    Doubtful,
    /// Certainly not carried out; another try may do better.
    Undone,
    /// Nobody listens there.
    Unheard,
    /// Certainly not carried out, and no other try will do better.
    Refused,
    Compacted,
}

impl Missed {
    fn certain(why: String) -> Missed {
        Missed { why, fate: Fate::Undone }
    }

    fn of(error: &Error) -> Missed {
        Missed { why: in_full(error), fate: fate(error) }
    }
}

const LOGIN_IS_OLD: &str = "revision of auth store is old";

/// The codes and messages are etcd's: https://github.com/etcd-io/etcd/blob/main/api/v3rpc/rpctypes/error.go
fn fate(error: &Error) -> Fate {
    let Error::GRpcStatus(status) = error else { return Fate::Doubtful };
    let says = |words: &str| status.message().contains(words);
    match i32::from(status.code()) {
        // Somebody changed users or roles: our login is from before.
        3 if says(LOGIN_IS_OLD) => Fate::Undone,
        8 if says("too many requests") => Fate::Undone,
        3 | 5 | 6 | 7 | 8 | 9 | 12 => Fate::Refused,
        11 if says("compacted") => Fate::Compacted,
        11 => Fate::Undone,
        16 => Fate::Refused,
        _ if was_never_sent(error) => Fate::Unheard,
        _ => Fate::Doubtful,
    }
}

fn was_never_sent(error: &Error) -> bool {
    let Error::GRpcStatus(status) = error else { return false };
    let mut cause = status.source();
    while let Some(error) = cause {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(
            kind,
            Some(
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkUnreachable
                    | io::ErrorKind::AddrNotAvailable
            )
        ) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// With its causes: "transport error" alone helps nobody.
fn in_full(error: &Error) -> String {
    let mut text = match error {
        Error::GRpcStatus(status) => status.message().to_owned(),
        other => other.to_string(),
    };
    let mut cause = match error {
        Error::GRpcStatus(status) => status.source(),
        Error::TransportError(error) => error.source(),
        _ => None,
    };
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

/// Between a half and the whole of it, so that many who wait do not come back together.
pub(crate) fn jitter(most: Duration) -> Duration {
    let [roll] = trust::random_bytes::<1>().unwrap_or([128]);
    most.mul_f64(0.5 + f64::from(roll) / 512.0)
}
