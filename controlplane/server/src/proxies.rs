//! Which proxies there are, what each holds, and what it could not understand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vocab::{Boot, Digest, ProxyName, Revision, Timestamp};

/// Those that are gone are remembered so that an operator can ask for them, but not without bound.
const REMEMBERED_MAX: usize = 10_000;

#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    pub(crate) boot: Boot,
    pub(crate) build: String,
    pub(crate) schema: u32,
    pub(crate) applied: Revision,
    pub(crate) digest: Digest,
    pub(crate) is_connected: bool,
    /// When it connected, or was lost.
    pub(crate) since: Timestamp,
    pub(crate) acked: Option<Timestamp>,
    pub(crate) rejected: Vec<wire::Rejected>,
}

#[derive(Debug, Default)]
pub(crate) struct Proxies(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    sessions: u64,
    rows: BTreeMap<ProxyName, Row>,
}

#[derive(Debug)]
struct Row {
    /// The stream that speaks for this proxy now.
    session: u64,
    proxy: Proxy,
}

/// One stream of one proxy. Dropping it says that the proxy is gone.
#[derive(Debug)]
pub(crate) struct Session {
    proxies: Arc<Proxies>,
    name: ProxyName,
    number: u64,
}

impl Proxies {
    pub(crate) fn join(self: &Arc<Self>, name: ProxyName, proxy: Proxy) -> Session {
        let mut table = self.lock();
        table.sessions = table.sessions.saturating_add(1);
        let number = table.sessions;
        if let Some(other) = table.rows.get(&name)
            && other.proxy.is_connected
            && other.proxy.boot != proxy.boot
        {
            tracing::warn!(proxy = %name, "two proxies call themselves the same, or one came back before it was missed");
        }
        table.forget_one_too_many();
        table.rows.insert(name.clone(), Row { session: number, proxy });
        Session { proxies: Arc::clone(self), name, number }
    }

    pub(crate) fn all(&self) -> Vec<(ProxyName, Proxy)> {
        self.lock().rows.iter().map(|(name, row)| (name.clone(), row.proxy.clone())).collect()
    }

    /// How many are connected, and how many of those hold this revision.
    pub(crate) fn count(&self, revision: Revision) -> (usize, usize) {
        let table = self.lock();
        let connected = || table.rows.values().filter(|row| row.proxy.is_connected);
        (connected().count(), connected().filter(|row| revision <= row.proxy.applied).count())
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn forget_one_too_many(&mut self) {
        if self.rows.len() < REMEMBERED_MAX {
            return;
        }
        let gone = self.rows.iter().filter(|(_, row)| !row.proxy.is_connected);
        let longest = gone.min_by_key(|(_, row)| row.proxy.since).map(|(name, _)| name.clone());
        longest.and_then(|name| self.rows.remove(&name));
    }
}

impl Session {
    /// Changes what is known, unless a later stream speaks for the proxy by now.
    pub(crate) fn note(&self, change: impl FnOnce(&mut Proxy)) {
        let mut table = self.proxies.lock();
        if let Some(row) = table.rows.get_mut(&self.name)
            && row.session == self.number
        {
            change(&mut row.proxy);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.note(|proxy| {
            proxy.is_connected = false;
            proxy.since = crate::clock::now();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(boot: u64, applied: u64) -> Proxy {
        Proxy {
            boot: Boot(boot),
            build: "1".into(),
            schema: 1,
            applied: Revision(applied),
            digest: Digest::default(),
            is_connected: true,
            since: Timestamp::default(),
            acked: None,
            rejected: Vec::new(),
        }
    }

    fn name(text: &str) -> ProxyName {
        ProxyName::new(text).unwrap()
    }

    #[test]
    fn a_stream_that_ends_takes_its_proxy_along_but_not_its_successor() {
        let proxies = Arc::new(Proxies::default());
        let first = proxies.join(name("a"), proxy(1, 7));
        let second = proxies.join(name("a"), proxy(2, 8));
        drop(first);
        assert_eq!(proxies.count(Revision(8)), (1, 1));
        drop(second);
        assert_eq!(proxies.count(Revision(8)), (0, 0));
        assert_eq!(proxies.all().len(), 1);
    }

    #[test]
    fn only_those_at_the_revision_are_current() {
        let proxies = Arc::new(Proxies::default());
        let _a = proxies.join(name("a"), proxy(1, 7));
        let b = proxies.join(name("b"), proxy(1, 8));
        assert_eq!(proxies.count(Revision(8)), (2, 1));
        b.note(|proxy| proxy.applied = Revision(6));
        assert_eq!(proxies.count(Revision(8)), (2, 0));
    }

    #[test]
    fn the_longest_gone_is_forgotten_when_there_are_too_many() {
        let proxies = Arc::new(Proxies::default());
        for n in 0..REMEMBERED_MAX {
            drop(proxies.join(name(&format!("p{n}")), proxy(1, 1)));
        }
        let _kept = proxies.join(name("new"), proxy(1, 1));
        assert_eq!(proxies.all().len(), REMEMBERED_MAX);
        assert_eq!(proxies.count(Revision(1)).0, 1);
    }
}
