//! `turnpike-dataplane`: reads its bootstrap configuration, then runs until told to stop.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    trust::install_crypto();
    let bootstrap = match proxy::Bootstrap::read() {
        Ok(bootstrap) => bootstrap,
        Err(refusal) => return refusal.explain(),
    };
    proxy::telemetry::log_to_stderr(&bootstrap.log);
    match proxy::run(bootstrap) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            tracing::error!(%why, "cannot start");
            ExitCode::FAILURE
        }
    }
}
