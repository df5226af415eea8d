//! How long a provider may be silent.
//!
//! One timer for the life of a connection instead of one for each wait: it rings now and then, and only then is the
//! clock compared with when something last moved.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

pub(crate) struct Patience {
    silence_max: Duration,
    since: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    pub(crate) fn new(silence_max: Duration) -> Patience {
        Patience { silence_max, since: Instant::now(), timer: None }
    }

    /// Something moved, or a wait begins.
    pub(crate) fn renew(&mut self) {
        self.since = Instant::now();
    }

    pub(crate) fn silence_max(&self) -> Duration {
        self.silence_max
    }

    /// Ready when nothing has moved for too long.
    pub(crate) fn poll_spent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.since + self.silence_max;
        // The clock is asked first: a provider that keeps us busy with nothing must not outlast its timer.
        if deadline <= Instant::now() {
            return Poll::Ready(());
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        loop {
            ready!(timer.as_mut().poll(cx));
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_spent_only_when_nothing_moved_for_the_whole_of_it() {
        let mut patience = Patience::new(Duration::from_secs(10));
        let is_spent =
            async |patience: &mut Patience| poll_fn(|cx| Poll::Ready(patience.poll_spent(cx).is_ready())).await;
        assert!(!is_spent(&mut patience).await);
        advance(Duration::from_secs(9)).await;
        patience.renew();
        advance(Duration::from_secs(9)).await;
        assert!(!is_spent(&mut patience).await);
        advance(Duration::from_secs(1)).await;
        assert!(is_spent(&mut patience).await);
    }
}
