//! The store that several control planes share: documents in etcd, one head that all commits compare.
//!
//! A commit is one etcd transaction guarded by the head it was validated against. One that is too large for that
//! writes its documents aside first (the redo), and commits by pointing the head at them: from then on every reader
//! takes them as written, and somebody writes them in. A crash at any step leaves either nothing but parts that nobody
//! points at, or a committed change that somebody else finishes. Small changes meanwhile go on top of it.

pub(crate) mod cluster;
mod commit;
pub(crate) mod layout;
mod load;
pub(crate) mod meta;
mod past;
mod redo;
mod watch;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use etcd_client::{Certificate, Identity, TlsOptions};
use tokio::task::JoinSet;
use vocab::{Revision, Secret};

use super::{DocKey, Loaded, Store, StoreError, Txn, Watch};
use cluster::Cluster;
use commit::Written;
use layout::Layout;
use meta::Known;
use past::Past;

/// How to reach etcd. `new` says what is usual.
#[derive(Clone)]
pub struct Options {
    /// `https://host:port`, `http://host:port`, or `host:port` with the scheme that `ca` implies.
    pub endpoints: Vec<String>,
    pub prefix: String,
    pub user: Option<(String, Secret)>,
    /// PEM.
    pub ca: Option<Vec<u8>>,
    /// Our own certificate and its key, PEM.
    pub identity: Option<(Vec<u8>, Secret)>,
    pub connect_timeout: Duration,
    /// What a commit or a read takes at most, all its attempts together.
    pub request_timeout: Duration,
    /// How often to look for what others left unfinished.
    pub tidy_every: Duration,
    /// Parts of a transaction that nobody committed for so long are thrown away.
    pub orphaned_after: Duration,
}

impl Options {
    #[must_use]
    pub fn new(endpoints: Vec<String>) -> Options {
        Options {
            endpoints,
            prefix: "/turnpike".to_owned(),
            user: None,
            ca: None,
            identity: None,
            connect_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(5),
            tidy_every: Duration::from_secs(60),
            orphaned_after: Duration::from_secs(600),
        }
    }

    /// Everything that is wrong with them.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.endpoints.is_empty() {
            faults.push("no etcd endpoint is given: name at least one, such as http://127.0.0.1:2379".to_owned());
        }
        for endpoint in &self.endpoints {
            if endpoint.starts_with("https://") && self.ca.is_none() {
                faults.push(format!(
                    "the etcd endpoint {endpoint} wants TLS: give the certificate authority it is to be trusted by"
                ));
            }
            if endpoint.starts_with("http://") && self.ca.is_some() {
                faults.push(format!(
                    "the etcd endpoint {endpoint} is without TLS, but a certificate authority is given: write https://"
                ));
            }
        }
        if self.identity.is_some() && self.ca.is_none() {
            faults.push("a certificate for etcd is of no use without a certificate authority: give both".to_owned());
        }
        if !self.prefix.starts_with('/') || self.prefix.trim_matches('/').is_empty() {
            faults.push(format!("the etcd prefix {:?} must begin with / and have a name behind it", self.prefix));
        }
        faults
    }

    fn tls(&self) -> Option<TlsOptions> {
        let tls = TlsOptions::new().ca_certificate(Certificate::from_pem(self.ca.as_ref()?));
        Some(match &self.identity {
            Some((certificate, key)) => tls.identity(Identity::from_pem(certificate, key.expose())),
            None => tls,
        })
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { endpoints, prefix, .. } = self;
        f.debug_struct("Options").field("endpoints", endpoints).field("prefix", prefix).finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub struct Etcd {
    inner: Arc<Inner>,
    /// What goes on in the background ends with the store; it can be taken up by anybody at any time.
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Debug)]
struct Inner {
    cluster: Cluster,
    layout: Layout,
    /// As it was read at the start, to the byte: every commit compares it.
    meta: Vec<u8>,
    id: String,
    /// One commit of ours at a time: racing ourselves would only make conflicts.
    turn: tokio::sync::Mutex<()>,
    /// And one of us at a time to write in what was set aside, for the same reason.
    finishing: tokio::sync::Mutex<()>,
    /// The head as we last saw it. It may be old: commits are guarded by its version.
    known: Mutex<Option<Known>>,
    past: Past,
    untouchable: Mutex<BTreeSet<DocKey>>,
}

impl Etcd {
    pub async fn open(options: &Options) -> Result<Etcd, StoreError> {
        let faults = options.faults();
        if !faults.is_empty() {
            return Err(StoreError::Misconfigured(faults.join("; ")));
        }
        let cluster = Cluster::new(options.clone());
        let layout = Layout::new(&options.prefix);
        let (meta, raw) = meta::open(&cluster, &layout).await?;
        let inner = Arc::new(Inner {
            cluster,
            layout,
            meta: raw,
            id: meta.id,
            turn: tokio::sync::Mutex::default(),
            finishing: tokio::sync::Mutex::default(),
            known: Mutex::default(),
            past: Past::default(),
            untouchable: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(redo::keep_tidy(Arc::clone(&inner)));
        Ok(Etcd { inner, tasks: Mutex::new(tasks) })
    }
}

#[async_trait]
impl Store for Etcd {
    fn kind(&self) -> &'static str {
        "etcd"
    }

    fn id(&self) -> &str {
        &self.inner.id
    }

    async fn head(&self) -> Result<Revision, StoreError> {
        let seen = self.inner.look(self.inner.cluster.deadline()).await?;
        Ok(seen.known.head.revision)
    }

    async fn load(&self) -> Result<Loaded, StoreError> {
        self.inner.load().await
    }

    async fn commit(&self, txn: Txn) -> Result<Revision, StoreError> {
        txn.check(&locked(&self.inner.untouchable))?;
        let (revision, written) = self.inner.commit(txn).await?;
        if written == Written::Aside {
            let mut tasks = locked(&self.tasks);
            while tasks.try_join_next().is_some() {}
            let inner = Arc::clone(&self.inner);
            tasks.spawn(async move { inner.write_in().await });
        }
        Ok(revision)
    }

    fn watch(&self, after: Revision) -> Watch {
        let inner = Arc::clone(&self.inner);
        Watch::spawn(move |listener| watch::Watcher::new(inner, after).tell(listener))
    }
}

impl Inner {
    fn remember(&self, known: &Known) {
        let mut slot = locked(&self.known);
        if slot.as_ref().is_none_or(|before| before.version < known.version) {
            *slot = Some(known.clone());
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
