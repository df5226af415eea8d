//! A cheap OpenAI-compatible upstream: `mock-upstream --listen 127.0.0.1:18080`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use rig::fail::{Context as _, Fail};
use rig::mock::serve::Mock;
use rig::mock::wish::Pace;

#[derive(Parser)]
#[command(about = "A cheap OpenAI-compatible upstream to measure against")]
struct Flags {
    #[arg(long, default_value = "127.0.0.1:18080")]
    listen: SocketAddr,
    /// Events of a stream that does not say `"user":"chunks=N,pause=MS"`.
    #[arg(long, default_value_t = 64)]
    chunks: usize,
    #[arg(long, default_value_t = 0)]
    pause_ms: u64,
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

fn main() -> Result<(), Fail> {
    let flags = Flags::parse();
    let listener = std::net::TcpListener::bind(flags.listen).doing(flags.listen)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let mock = Mock::new(Pace { chunks: flags.chunks, pause: Duration::from_millis(flags.pause_ms) });
    let mut others = Vec::new();
    for _ in 1..flags.threads {
        let (mock, listener) = (mock.clone(), listener.try_clone()?);
        others.push(std::thread::spawn(move || serve(mock, listener)));
    }
    writeln!(std::io::stderr(), r#"{{"message":"ready","listen":"{address}"}}"#)?;
    serve(mock, listener)
}

fn serve(mock: Mock, listener: std::net::TcpListener) -> Result<(), Fail> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        mock.run(listener).await
    })?;
    Ok(())
}
