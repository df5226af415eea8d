//! `turnpike-controlplane`: reads its bootstrap configuration, then runs until told to stop.

use std::future::pending;
use std::io;
use std::process::ExitCode;

use server::{Bootstrap, Server, Trouble, telemetry};
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    trust::install_crypto();
    let bootstrap = match Bootstrap::read() {
        Ok(bootstrap) => bootstrap,
        Err(refusal) => return refusal.explain(),
    };
    telemetry::log_to_stderr(&bootstrap.log);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => {
            tracing::error!(%why, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    let code = match runtime.block_on(run(bootstrap)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            tracing::error!(%why, "cannot go on");
            ExitCode::from(2)
        }
    };
    // Reading standard input cannot be called off, and must not hold up the end.
    runtime.shutdown_background();
    code
}

async fn run(bootstrap: Bootstrap) -> Result<(), Trouble> {
    let mut signals = Signals::listen(bootstrap.exit_with_parent).map_err(Trouble::Signals)?;
    let mut server = Server::start(bootstrap)?;
    tokio::select! {
        ended = server.ended() => return ended,
        () = signals.next() => server.stop(),
    }
    tracing::info!("stopping; a second signal ends it at once");
    tokio::select! {
        ended = server.ended() => ended,
        () = signals.next() => Ok(()),
    }
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    watches_parent: bool,
}

impl Signals {
    fn listen(watches_parent: bool) -> io::Result<Signals> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Signals { terminate, interrupt: signal(SignalKind::interrupt())?, watches_parent })
    }

    async fn next(&mut self) {
        let watches_parent = self.watches_parent;
        let parent_gone = async { if watches_parent { end_of_input().await } else { pending().await } };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            () = parent_gone => self.watches_parent = false,
        }
    }
}

async fn end_of_input() {
    let mut stdin = tokio::io::stdin();
    let mut bytes = [0u8; 256];
    while stdin.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
}
