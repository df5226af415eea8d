//! The word to stop, as everything that waits hears it.

use std::time::Duration;

use tokio::sync::watch;

/// Says it, once.
#[derive(Debug)]
pub(crate) struct Stopper(watch::Sender<bool>);

/// Hears it.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

pub(crate) fn stop() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    pub(crate) fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    pub(crate) fn is_wanted(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when it is time to stop, also when whoever could say so is gone.
    pub(crate) async fn wanted(&self) {
        let mut heard = self.0.clone();
        _ = heard.wait_for(|stop| *stop).await;
    }

    /// Waits so long; false when it was cut short.
    pub(crate) async fn slept(&self, pause: Duration) -> bool {
        tokio::time::timeout(pause, self.wanted()).await.is_err()
    }
}
