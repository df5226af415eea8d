//! The commands, one file each.

mod apply;
mod delete;
mod export;
mod get;
mod keys;
mod status;
mod usage;
mod validate;

pub(crate) use apply::parse as parse_applied;

use crate::api::Api;
use crate::args::{Args, Command};
use crate::trouble::Trouble;
use crate::{screen, up};

pub(crate) async fn run(args: &Args) -> Result<(), Trouble> {
    let api = || Api::new(&args.api);
    let output = args.output;
    match &args.command {
        Command::Up(given) => Box::pin(up::up(given)).await,
        Command::Apply(given) => apply::apply(given, output, api).await,
        Command::Export(given) => export::export(&api()?, given, output).await,
        Command::Validate(given) => validate::validate(given, output),
        Command::Get(given) => get::get(&api()?, given, output).await,
        Command::Delete(given) => delete::delete(&api()?, given).await,
        Command::Keys(given) => keys::keys(&api()?, given, output).await,
        Command::Usage(given) => usage::usage(&api()?, given, output).await,
        Command::Status(given) => status::status(&api()?, given, output).await,
        Command::Version => screen::out(concat!("turnpike ", env!("CARGO_PKG_VERSION"))),
    }
}
