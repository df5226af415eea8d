//! `turnpike`: the command line. A client of the control plane's API, and the starter of both planes on one machine.

mod args;
mod commands;
mod up;

mod api;
mod fleet;

mod credentials;
mod documents;
mod faults;

mod collection;
mod period;
mod render;
mod table;

mod progress;
mod screen;
mod trouble;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    trust::install_crypto();
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(asked) => return screen::usage(&asked),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => return screen::trouble(&trouble::Trouble::Failed(format!("cannot start: {why}"))),
    };
    match runtime.block_on(commands::run(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => screen::trouble(&trouble),
    }
}
