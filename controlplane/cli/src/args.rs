//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args as Group, Parser, Subcommand};
use registry::ResourceKind;
use vocab::Timestamp;

use crate::render::Format;
use crate::{collection, period};

pub(crate) const API_DEFAULT: &str = "http://127.0.0.1:8090";

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused by the control plane, or faults were found
  2  bad usage or bad local input
  3  the control plane cannot be reached

Colours are left out when the output is no terminal or NO_COLOR is set. Nothing ever asks a question.";

const UP_NOTES: &str = "\
The planes listen on 127.0.0.1 only. They stop with this program, whatever way it ends.
Of the environment's TURNPIKE_* variables they see LOG, STORE, ETCD_*, UPSTREAM_CA, BODY_BYTES_MAX,
DRAIN_SECONDS, THREADS, CREDENTIAL_DIR and CREDENTIALS_FROM_ENVIRONMENT; everything else is decided here.";

/// The command line of the Turnpike LLM gateway.
#[derive(Debug, Parser)]
#[command(name = "turnpike", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub(crate) struct Args {
    /// How to show the result
    #[arg(
        long,
        short = 'o',
        global = true,
        value_enum,
        value_name = "FORM",
        hide_possible_values = true,
        help = "How to show the result: table, json, yaml or secret"
    )]
    pub(crate) output: Option<Format>,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the control plane is, and who asks.
#[derive(Debug, Group)]
#[command(next_help_heading = "Control plane")]
pub(crate) struct ApiArgs {
    /// Address of its API
    #[arg(long, global = true, value_name = "URL", env = "TURNPIKE_API", hide_env_values = true, default_value = API_DEFAULT)]
    pub(crate) api: String,
    /// Admin token; better in a file or in TURNPIKE_TOKEN than in the list of processes
    #[arg(long, global = true, value_name = "TOKEN", conflicts_with = "token_file")]
    pub(crate) token: Option<String>,
    /// File with the admin token; also TURNPIKE_TOKEN_FILE; ./data/admin.token if there is one
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Certificates to trust besides the public authorities, PEM
    #[arg(long, global = true, value_name = "FILE", env = "TURNPIKE_CA", hide_env_values = true)]
    pub(crate) ca: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start both planes on this machine and make the first request possible
    #[command(after_help = UP_NOTES)]
    Up(UpArgs),
    /// Create and update what files describe, all of it or nothing
    Apply(ApplyArgs),
    /// Print everything as documents that `apply` takes back
    Export(ExportArgs),
    /// Check files without a control plane
    Validate(FilesArgs),
    /// Show the documents of a collection, or one of them
    Get(GetArgs),
    /// Delete one document
    Delete(DeleteArgs),
    /// Virtual keys: create, list, revoke, rotate
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Keys(KeysCommand),
    /// Requests, tokens and cost
    Usage(UsageArgs),
    /// The control plane, its store, and how far each proxy is
    Status(StatusArgs),
    /// The version of this program
    Version,
}

#[derive(Debug, Group)]
pub(crate) struct FilesArgs {
    /// File, folder (*.yaml, *.yml and *.json in it, at any depth) or - for standard input; can be repeated
    #[arg(long = "file", short = 'f', required = true, value_name = "PATH")]
    pub(crate) files: Vec<String>,
}

#[derive(Debug, Group)]
pub(crate) struct WaitArgs {
    /// Wait until every connected proxy has applied it
    #[arg(long)]
    pub(crate) wait: bool,
    /// How long to wait at most
    #[arg(long, value_name = "SPAN", default_value = "60s", value_parser = period::seconds)]
    pub(crate) timeout: u64,
}

#[derive(Debug, Group)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    pub(crate) files: FilesArgs,
    /// Ask the control plane what would happen, and change nothing
    #[arg(long, conflicts_with = "wait")]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Group)]
pub(crate) struct ExportArgs {
    /// Only this kind; can be repeated
    #[arg(long, value_name = "KIND", value_parser = collection::parse)]
    pub(crate) kind: Vec<ResourceKind>,
}

#[derive(Debug, Group)]
pub(crate) struct GetArgs {
    /// providers, models, teams, users or keys
    #[arg(value_parser = collection::parse)]
    pub(crate) collection: ResourceKind,
    /// One document of it, shown in full
    pub(crate) name: Option<String>,
}

#[derive(Debug, Group)]
pub(crate) struct DeleteArgs {
    /// providers, models, teams, users or keys
    #[arg(value_parser = collection::parse)]
    pub(crate) collection: ResourceKind,
    pub(crate) name: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key; its secret is shown this once
    Create(KeyCreateArgs),
    /// Show all keys
    List,
    /// Make a key useless, everywhere, now
    Revoke(KeyRevokeArgs),
    /// Give a key a new secret, shown this once
    Rotate(KeyRotateArgs),
}

#[derive(Debug, Group)]
pub(crate) struct KeyCreateArgs {
    pub(crate) name: String,
    /// Model it may use, a pattern with * and ?; can be repeated; '*' is every model
    #[arg(long = "model", required = true, value_name = "PATTERN")]
    pub(crate) models: Vec<String>,
    /// Team it belongs to
    #[arg(long)]
    pub(crate) team: Option<String>,
    /// User it belongs to
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// When it ends: 2030-01-31T00:00:00Z, or a span from now such as 90d
    #[arg(long, value_name = "WHEN", value_parser = |text: &str| period::later(text, period::now()))]
    pub(crate) expires: Option<Timestamp>,
    /// A note on it, KEY=VALUE; can be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) metadata: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) quiet: QuietArgs,
}

#[derive(Debug, Group)]
pub(crate) struct QuietArgs {
    /// Print the secret and nothing else, as --output secret does
    #[arg(long, short = 'q')]
    pub(crate) quiet: bool,
}

#[derive(Debug, Group)]
pub(crate) struct KeyRevokeArgs {
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Group)]
pub(crate) struct KeyRotateArgs {
    pub(crate) name: String,
    /// How long the old secret stays good
    #[arg(long, value_name = "SPAN", default_value = "0s", value_parser = period::seconds)]
    pub(crate) grace: u64,
    #[command(flatten)]
    pub(crate) quiet: QuietArgs,
}

#[derive(Debug, Group)]
pub(crate) struct UsageArgs {
    /// What to group by: team, key, user, model, provider, and minute, hour or day
    #[arg(long, value_name = "FIELDS", value_delimiter = ',', default_value = "team,model",
          value_parser = ["team", "key", "user", "model", "provider", "minute", "hour", "day"])]
    pub(crate) by: Vec<String>,
    /// From when on: a span back from now such as 24h, or an instant
    #[arg(long, value_name = "WHEN", default_value = "24h", value_parser = |text: &str| period::earlier(text, period::now()))]
    pub(crate) since: Timestamp,
    /// Until when; now if not given
    #[arg(long, value_name = "WHEN", value_parser = |text: &str| period::earlier(text, period::now()))]
    pub(crate) until: Option<Timestamp>,
    /// Only of this team
    #[arg(long, value_name = "NAME")]
    pub(crate) team: Option<String>,
    /// Only of this key
    #[arg(long, value_name = "NAME")]
    pub(crate) key: Option<String>,
    /// Only of this user
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Only of this model
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Only of this provider
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Option<String>,
}

#[derive(Debug, Group)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Group)]
pub(crate) struct UpArgs {
    /// Where everything is kept: store, tokens, keys, logs
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub(crate) data_dir: PathBuf,
    /// Port of the LLM APIs; 8080 or the next free one, if not given; 0 is any free one
    #[arg(long, value_name = "PORT")]
    pub(crate) proxy_port: Option<u16>,
    /// Port of the control plane's API; 8090
    #[arg(long, value_name = "PORT")]
    pub(crate) api_port: Option<u16>,
    /// Port on which the proxy meets the control plane; 8091
    #[arg(long, value_name = "PORT")]
    pub(crate) planes_port: Option<u16>,
    /// Port for /metrics and /readyz of the proxy; 9901
    #[arg(long, value_name = "PORT")]
    pub(crate) proxy_ops_port: Option<u16>,
    /// Port for /metrics and /readyz of the control plane; 9902
    #[arg(long, value_name = "PORT")]
    pub(crate) api_ops_port: Option<u16>,
    /// Store of the control plane: embedded or etcd
    #[arg(long, value_name = "STORE")]
    pub(crate) store: Option<String>,
    /// Members of the etcd to use, with commas between them
    #[arg(long, value_name = "URLS")]
    pub(crate) etcd_endpoints: Option<String>,
    /// Path in etcd below which everything is kept
    #[arg(long, value_name = "PREFIX")]
    pub(crate) etcd_prefix: Option<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| "write KEY=VALUE".to_owned())?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_parser_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_after_the_command() {
        for line in ["turnpike -o json --api http://h get keys", "turnpike get keys --api http://h -o json"] {
            let args = Args::try_parse_from(line.split(' ')).unwrap();
            assert_eq!((args.api.api.as_str(), args.output), ("http://h", Some(Format::Json)), "{line}");
        }
    }

    #[test]
    fn slips_are_answered_with_what_was_probably_meant() {
        let slip = Args::try_parse_from(["turnpike", "aply"]).unwrap_err().to_string();
        assert!(slip.contains("apply"), "{slip}");
        let slip = Args::try_parse_from(["turnpike", "get", "budgets"]).unwrap_err().to_string();
        assert!(slip.contains("providers, models, teams, users, keys"), "{slip}");
        let slip = Args::try_parse_from(["turnpike", "keys", "create", "x"]).unwrap_err().to_string();
        assert!(slip.contains("--model"), "{slip}");
    }
}
