//! A steady load in the background, while something is being broken in the foreground.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::client::Client;

/// Between two requests of one caller: enough load to notice, little enough for a debug build on two cores.
const PAUSE: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    callers: Vec<tokio::task::JoinHandle<Tally>>,
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) served: u64,
    pub(crate) failed: Vec<String>,
}

impl Load {
    /// Unary and streamed chat completions in turn, spread over these clients.
    pub(crate) fn start(clients: Vec<Client>, model: &str) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let callers = clients.into_iter().flat_map(|client| [client.clone(), client]);
        let callers = callers.map(|client| tokio::spawn(call(client, model.into(), Arc::clone(&stop)))).collect();
        Load { stop, callers }
    }

    pub(crate) async fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut tally = Tally::default();
        for caller in self.callers {
            let theirs = caller.await.expect("the caller did not panic");
            tally.served += theirs.served;
            tally.failed.extend(theirs.failed);
        }
        tally
    }

    /// Ends the load and insists that all of it was served.
    pub(crate) async fn nothing_failed(self) -> u64 {
        let tally = self.stop().await;
        assert_eq!(tally.failed, Vec::<String>::new(), "of {} requests", tally.served);
        assert!(0 < tally.served, "there was no load at all");
        tally.served
    }
}

async fn call(client: Client, model: String, stop: Arc<AtomicBool>) -> Tally {
    let mut tally = Tally::default();
    let bodies = [super::client::chat_body(&model), super::client::stream_body(&model)];
    for body in bodies.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        match client.try_send("POST", "/v1/chat/completions", body.as_bytes()).await {
            Ok(answer) if answer.status() == 200 => tally.served += 1,
            Ok(answer) => tally.failed.push(format!("{} {}", answer.0.first, answer.text())),
            Err(broken) => tally.failed.push(format!("{broken:?}")),
        }
        tokio::time::sleep(PAUSE).await;
    }
    tally
}
