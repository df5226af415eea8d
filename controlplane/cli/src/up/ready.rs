//! Waiting until both planes say that they are ready.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::children::Child;
use crate::progress::Progress;
use crate::trouble::Trouble;

const LOOK_EVERY: Duration = Duration::from_millis(50);
const LOOK_TIME_MAX: Duration = Duration::from_secs(2);

/// How long it took.
pub(super) async fn both(mut planes: [(&mut Child, u16); 2]) -> Result<Duration, Trouble> {
    let begin = Instant::now();
    let mut progress = Progress::new();
    let mut ready = [false; 2];
    loop {
        for ((child, port), ready) in planes.iter_mut().zip(&mut ready) {
            child.check()?;
            *ready = *ready || is_ready(*port).await;
        }
        let waited_for: Vec<&str> =
            planes.iter().zip(ready).filter(|(_, ready)| !ready).map(|((child, _), _)| child.name()).collect();
        if waited_for.is_empty() {
            progress.say("both planes are ready");
            return Ok(begin.elapsed());
        }
        progress.say(&format!("waiting for {}", waited_for.join(" and ")));
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn is_ready(port: u16) -> bool {
    let asked = tokio::time::timeout(LOOK_TIME_MAX, ask(port)).await;
    asked.ok().flatten() == Some(StatusCode::OK)
}

/// Whatever goes wrong means "not yet".
async fn ask(port: u16) -> Option<StatusCode> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let request = Request::get("/readyz").header("host", "127.0.0.1").body(Empty::<Bytes>::new()).ok()?;
    // Beside the request and not raced against it: whoever answers and hangs up at once has answered.
    drop(tokio::spawn(async move { _ = connection.await }));
    sender.send_request(request).await.ok().map(|answer| answer.status())
}
