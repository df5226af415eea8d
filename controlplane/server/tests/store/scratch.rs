//! Directories and waiting, for tests.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A directory of its own, gone when dropped.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Scratch {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("turnpike-store-{}-{n}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Scratch(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// Asks again until it is so, and fails the test when it never is.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "it never came to pass: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits for what must come.
pub(crate) async fn soon<T>(what: &str, coming: impl Future<Output = T>) -> T {
    let within = tokio::time::timeout(Duration::from_secs(30), coming).await;
    within.unwrap_or_else(|_| panic!("it never came: {what}"))
}
