//! Warm connections, for each provider and each core.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use dialect::Endpoint;
use http::{HeaderValue, Uri};
use policy::Http;
use rustls::ClientConfig;
use tokio::time::{Instant, interval};

use crate::upstream::connect;
use crate::upstream::link::{Link, Trouble};

/// Shorter than most providers' own patience, so that we are the ones who hang up.
const IDLE_MAX: Duration = Duration::from_secs(55);
const IDLE_LINKS_MAX: usize = 512;

/// The pools of one core, by the serial of what they lead to: a provider that changes gets a new one.
pub(crate) struct Upstreams {
    pools: RefCell<HashMap<u64, Rc<Pool>>>,
    tls: Arc<ClientConfig>,
}

pub(crate) struct Pool {
    pub(crate) envelope: Envelope,
    /// The last given back is the first taken: the rest may grow cold and be closed.
    idle: RefCell<Vec<Link>>,
    tls: Arc<ClientConfig>,
}

impl Upstreams {
    pub(crate) fn new(tls: Arc<ClientConfig>) -> Upstreams {
        Upstreams { pools: RefCell::default(), tls }
    }

    pub(crate) fn pool(&self, serial: u64, http: &Http) -> Result<Rc<Pool>, Trouble> {
        if let Some(pool) = self.pools.borrow().get(&serial) {
            return Ok(Rc::clone(pool));
        }
        let tls = match &http.ca {
            None => Arc::clone(&self.tls),
            Some(pem) => {
                let mut config =
                    trust::client_config(Some(pem.as_bytes()), None).map_err(|why| Trouble::Tls(why.to_string()))?;
                config.alpn_protocols.clone_from(&self.tls.alpn_protocols);
                Arc::new(config)
            }
        };
        let pool = Rc::new(Pool { envelope: Envelope::of(http)?, idle: RefCell::default(), tls });
        self.pools.borrow_mut().insert(serial, Rc::clone(&pool));
        Ok(pool)
    }

    /// Closes what nobody uses, for ever.
    pub(crate) async fn keep_tidy(&self) {
        let mut tick = interval(Duration::from_secs(5));
        loop {
            tick.tick().await;
            let now = Instant::now();
            self.pools.borrow_mut().retain(|_, pool| {
                pool.close_stale(now);
                Rc::strong_count(pool) > 1 || !pool.idle.borrow().is_empty()
            });
        }
    }
}

/// What is the same on every letter to one provider, made once.
pub(crate) struct Envelope {
    pub(crate) host: HeaderValue,
    pub(crate) authorization: Option<HeaderValue>,
    uris: [(Endpoint, Uri); Endpoint::ALL.len()],
}

impl Envelope {
    fn of(http: &Http) -> Result<Envelope, Trouble> {
        let unfit = |_| Trouble::Connect("its address or credential does not fit into a request".into());
        let host = HeaderValue::from_str(&http.authority).map_err(unfit)?;
        let authorization = match &http.credential {
            None => None,
            Some(credential) => {
                let mut value = HeaderValue::try_from(format!("Bearer {}", credential.expose())).map_err(unfit)?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        let uris = Endpoint::ALL.map(|endpoint| {
            let path = format!("{}/{}", http.path_prefix, endpoint.suffix());
            (endpoint, Uri::try_from(path).unwrap_or_default())
        });
        Ok(Envelope { host, authorization, uris })
    }

    pub(crate) fn uri(&self, asked: Endpoint) -> Uri {
        self.uris.iter().find(|(endpoint, _)| *endpoint == asked).map(|(_, uri)| uri.clone()).unwrap_or_default()
    }
}

impl Pool {
    /// A warm connection, if one is left.
    pub(crate) fn take(&self, cx: &mut Context<'_>) -> Option<Link> {
        loop {
            let mut link = self.idle.borrow_mut().pop()?;
            if link.is_ready(cx) {
                return Some(link);
            }
        }
    }

    pub(crate) async fn dial(&self, http: &Http) -> Result<Link, Trouble> {
        connect::dial(http, &self.tls).await
    }

    pub(crate) fn give_back(&self, mut link: Link) {
        let mut idle = self.idle.borrow_mut();
        if link.is_open() && idle.len() < IDLE_LINKS_MAX {
            link.idle_since = Instant::now();
            idle.push(link);
        }
    }

    fn close_stale(&self, now: Instant) {
        let mut cx = Context::from_waker(Waker::noop());
        self.idle.borrow_mut().retain_mut(|link| {
            link.drive(&mut cx);
            link.is_open() && now.duration_since(link.idle_since) < IDLE_MAX
        });
    }
}
