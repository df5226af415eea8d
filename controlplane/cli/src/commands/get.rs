//! `turnpike get`: a collection as a list, or one document in full.

use registry::ResourceKind;
use serde_json::Value;

use crate::api::{Api, encode};
use crate::args::GetArgs;
use crate::collection;
use crate::render::{self, Format};
use crate::screen;
use crate::trouble::Trouble;

pub(super) async fn get(api: &Api, args: &GetArgs, output: Option<Format>) -> Result<(), Trouble> {
    match &args.name {
        None => list(api, args.collection, output).await,
        Some(name) => one(api, args.collection, name, output).await,
    }
}

pub(super) async fn list(api: &Api, kind: ResourceKind, output: Option<Format>) -> Result<(), Trouble> {
    let format = Format::among(output, &[Format::Table, Format::Json, Format::Yaml])?;
    let documents = api.list(&format!("/v1/{}", kind.collection()), &[]).await?;
    match format {
        Format::Json => screen::out(&render::json(&Value::Array(documents))),
        Format::Yaml => screen::out(&render::documents(&documents)?),
        Format::Table | Format::Secret => {
            let table = collection::table(kind, &documents);
            if table.is_empty() {
                screen::note(format_args!("there are no {} yet", kind.collection()));
                return Ok(());
            }
            screen::out(&table.render())
        }
    }
}

async fn one(api: &Api, kind: ResourceKind, name: &str, output: Option<Format>) -> Result<(), Trouble> {
    let format = Format::among(output, &[Format::Yaml, Format::Json, Format::Table])?;
    let document = api.get(&path(kind, name)).await.map_err(|trouble| missing(trouble, kind))?;
    screen::out(&match format {
        Format::Json => render::json(&document),
        Format::Table => collection::table(kind, &[document]).render(),
        Format::Yaml | Format::Secret => render::yaml(&document)?,
    })
}

pub(super) fn path(kind: ResourceKind, name: &str) -> String {
    format!("/v1/{}/{}", kind.collection(), encode(name))
}

/// Whoever asks for something that is not there wants to know what is.
pub(super) fn missing(trouble: Trouble, kind: ResourceKind) -> Trouble {
    match trouble {
        Trouble::Refused(mut refusal) if refusal.status == 404 => {
            refusal.advice = Some(format!("See `turnpike get {}`.", kind.collection()));
            Trouble::Refused(refusal)
        }
        other => other,
    }
}
