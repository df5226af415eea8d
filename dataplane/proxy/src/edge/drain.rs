//! The signal to stop, as many connections see it.

use tokio::sync::watch;

/// Held by whoever may give the signal.
pub(crate) struct Stop(watch::Sender<bool>);

/// Held by whoever must hear it.
#[derive(Clone)]
pub(crate) struct Stopping(watch::Receiver<bool>);

pub(crate) fn channel() -> (Stop, Stopping) {
    let (sender, receiver) = watch::channel(false);
    (Stop(sender), Stopping(receiver))
}

impl Stop {
    pub(crate) fn now(&self) {
        self.0.send_replace(true);
    }
}

impl Stopping {
    /// Comes back when it is time to stop; also when nobody is left who could say so.
    pub(crate) async fn wait(&mut self) {
        _ = self.0.wait_for(|stop| *stop).await;
    }
}
