//! What all requests share, and what those of one core share. Clocks and dice live here and in main only.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use policy::Snapshot;
use vocab::{Boot, ProxyName, RequestId, Timestamp};

use crate::config::Limits;
use crate::telemetry::{Labels, Series, Tally};
use crate::upstream::Upstreams;

/// One a process.
pub(crate) struct Gateway {
    pub(crate) name: ProxyName,
    pub(crate) boot: Boot,
    pub(crate) started: Timestamp,
    /// The configuration in force. Loaded once a request.
    pub(crate) snapshot: ArcSwap<Snapshot>,
    pub(crate) limits: Limits,
    pub(crate) life: Life,
    /// One a core, locked by it alone but for the moment of collection.
    pub(crate) tallies: Vec<Mutex<Tally>>,
    /// What was collected from the cores so far.
    series: Mutex<BTreeMap<Labels, Series>>,
}

/// Whether we serve, and how many are being served.
#[derive(Default)]
pub(crate) struct Life {
    /// There is a snapshot to serve from.
    pub(crate) configured: AtomicBool,
    pub(crate) draining: AtomicBool,
    /// The stream from the control plane is up.
    pub(crate) subscribed: AtomicBool,
    pub(crate) connections: AtomicUsize,
    pub(crate) requests: AtomicUsize,
}

impl Life {
    pub(crate) fn is_ready(&self) -> bool {
        self.configured.load(Ordering::Acquire) && !self.draining.load(Ordering::Acquire)
    }
}

impl Gateway {
    pub(crate) fn new(name: ProxyName, boot: Boot, limits: Limits, cores: usize) -> Gateway {
        Gateway {
            name,
            boot,
            started: now(),
            snapshot: ArcSwap::from_pointee(Snapshot::empty()),
            limits,
            life: Life::default(),
            tallies: (0..cores).map(|_| Mutex::new(Tally::default())).collect(),
            series: Mutex::default(),
        }
    }
}

impl Gateway {
    pub(crate) fn tally<T>(&self, core: usize, note: impl FnOnce(&mut Tally) -> T) -> Option<T> {
        // A panic while noting leaves sums that are still sums.
        self.tallies.get(core).map(|tally| note(&mut tally.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Gateway {
    /// Empties the cores' series into the sums, and shows those.
    pub(crate) fn collect_series<T>(&self, show: impl FnOnce(&BTreeMap<Labels, Series>) -> T) -> T {
        let mut all = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        for core in 0..self.tallies.len() {
            self.tally(core, |tally| tally.series_into(&mut all));
        }
        show(&all)
    }
}

/// One a thread; nothing in here is ever seen by another.
pub(crate) struct Core {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) index: usize,
    pub(crate) upstreams: Upstreams,
    dice: Cell<u64>,
}

impl Core {
    pub(crate) fn new(gateway: Arc<Gateway>, index: usize, upstreams: Upstreams, seed: u64) -> Rc<Core> {
        Rc::new(Core { gateway, index, upstreams, dice: Cell::new(seed) })
    }

    /// Splitmix: cheap, even, and good enough for choosing and naming; never for secrets.
    pub(crate) fn roll(&self) -> u64 {
        let state = self.dice.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.dice.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A name for one request, unique as far as dice go.
    pub(crate) fn request_id(&self) -> RequestId {
        RequestId(self.roll())
    }
}

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
