//! The signals that mean "stop", for as long as this program runs.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::trouble::Trouble;

#[derive(Debug)]
pub(super) struct Stop {
    interrupt: Signal,
    terminate: Signal,
    /// The terminal is gone.
    hangup: Signal,
}

impl Stop {
    pub(super) fn listen() -> Result<Stop, Trouble> {
        let on = |kind| signal(kind).map_err(|why| Trouble::Failed(format!("cannot listen for signals: {why}")));
        let [interrupt, terminate, hangup] = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        Ok(Stop { interrupt: on(interrupt)?, terminate: on(terminate)?, hangup: on(hangup)? })
    }

    pub(super) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
