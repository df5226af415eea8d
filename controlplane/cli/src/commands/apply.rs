//! `turnpike apply`: documents from files, sent as one transaction.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::api::Api;
use crate::args::ApplyArgs;
use crate::documents::{Document, Documents};
use crate::faults::{self, count};
use crate::render::{self, Format};
use crate::screen;
use crate::table::plain;
use crate::trouble::Trouble;
use crate::{credentials, fleet};

#[derive(Debug, Deserialize)]
pub(crate) struct Applied {
    pub(crate) revision: u64,
    pub(crate) results: Vec<Change>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Change {
    pub(crate) kind: String,
    pub(crate) name: String,
    change: String,
    #[serde(default)]
    pub(crate) secret: Option<String>,
}

pub(super) async fn apply(
    args: &ApplyArgs,
    output: Option<Format>,
    api: impl Fn() -> Result<Api, Trouble>,
) -> Result<(), Trouble> {
    let format = Format::among(output, &[Format::Table, Format::Json, Format::Yaml, Format::Secret])?;
    let documents = read(&args.files.files)?;
    let api = api()?;
    let path = if args.dry_run { "/v1/apply?dryRun=true" } else { "/v1/apply" };
    let body = Value::Array(documents.list.iter().map(Document::value).collect());
    let answer = api.post(path, &body).await.map_err(|trouble| refused(&documents, trouble))?;
    let applied = parse(&answer)?;
    match format {
        Format::Table => screen::out(&words(&applied, args.dry_run))?,
        Format::Json => screen::out(&render::json(&answer))?,
        Format::Yaml => screen::out(&render::yaml(&answer)?)?,
        Format::Secret => screen::out(&secrets(&applied))?,
    }
    if args.wait.wait {
        fleet::wait(&api, applied.revision, Duration::from_secs(args.wait.timeout)).await?;
    }
    Ok(())
}

pub(crate) fn parse(answer: &Value) -> Result<Applied, Trouble> {
    Applied::deserialize(answer)
        .map_err(|why| Trouble::Failed(format!("the control plane's answer cannot be read: {why}; see `turnpike get`")))
}

fn read(paths: &[String]) -> Result<Documents, Trouble> {
    let mut documents = Documents::read(paths);
    let mut wrong = std::mem::take(&mut documents.faults);
    wrong.extend(credentials::resolve(&mut documents, |name| std::env::var(name).ok()));
    if !wrong.is_empty() {
        faults::show(&wrong);
        return Err(Trouble::Local(format!("{}; nothing was sent", count(wrong.len(), "fault"))));
    }
    if documents.list.is_empty() {
        return Err(Trouble::Local(format!("no documents in {}", paths.join(", "))));
    }
    Ok(documents)
}

/// Faults with their lines above, the summary below.
fn refused(documents: &Documents, trouble: Trouble) -> Trouble {
    let Trouble::Refused(mut refusal) = trouble else { return trouble };
    let number = refusal.faults.len();
    faults::show_refused(documents, &mut refusal);
    if 0 < number {
        refusal.message = format!("{}; nothing was changed", count(number, "fault"));
    }
    Trouble::Refused(refusal)
}

fn words(applied: &Applied, dry_run: bool) -> String {
    let mut text = String::new();
    let width = applied.results.iter().map(|change| change.subject().chars().count()).max().unwrap_or_default();
    for change in &applied.results {
        text.push_str(&format!("{:width$}  {}\n", change.subject(), plain(&change.change)));
    }
    for change in &applied.results {
        if let Some(secret) = &change.secret {
            text.push_str(&format!("\nThe secret of {}, shown this once:\n\n  {}\n", change.subject(), plain(secret)));
        }
    }
    let end = if dry_run { "nothing was changed: this was a dry run" } else { "in force as" };
    let revision = if dry_run { String::new() } else { format!(" revision {}", applied.revision) };
    text.push_str(&format!("\n{end}{revision}\n"));
    text
}

fn secrets(applied: &Applied) -> String {
    let lines = applied.results.iter().filter_map(|change| change.secret.as_deref());
    lines.map(|secret| format!("{}\n", plain(secret))).collect()
}

impl Change {
    fn subject(&self) -> String {
        plain(&format!("{}/{}", self.kind, self.name))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_result_is_a_list_then_secrets_then_the_revision() {
        let answer = json!({"revision": 12, "results": [
            {"kind": "Provider", "name": "mock", "change": "unchanged"},
            {"kind": "Key", "name": "ci", "change": "created", "secret": "sk-tp-1"},
        ]});
        let applied = parse(&answer).unwrap();
        let expected = "\
Provider/mock  unchanged
Key/ci         created

The secret of Key/ci, shown this once:

  sk-tp-1

in force as revision 12
";
        assert_eq!(words(&applied, false), expected);
        assert!(words(&applied, true).ends_with("\nnothing was changed: this was a dry run\n"));
        assert_eq!(secrets(&applied), "sk-tp-1\n");
    }
}
