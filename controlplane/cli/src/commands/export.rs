//! `turnpike export`: everything there is, as documents that `apply` takes back.

use registry::ResourceKind;
use serde_json::Value;

use crate::api::Api;
use crate::args::ExportArgs;
use crate::render::{self, Format};
use crate::screen;
use crate::trouble::Trouble;

pub(super) async fn export(api: &Api, args: &ExportArgs, output: Option<Format>) -> Result<(), Trouble> {
    let format = Format::among(output, &[Format::Yaml, Format::Json])?;
    let Value::Array(documents) = api.get("/v1/export").await? else {
        return Err(Trouble::Failed("the control plane's export is not a list of documents".to_owned()));
    };
    let wanted = |document: &Value| {
        let kind = document.get("kind").and_then(Value::as_str).and_then(ResourceKind::parse);
        args.kind.is_empty() || kind.is_some_and(|kind| args.kind.contains(&kind))
    };
    let documents: Vec<Value> = documents.into_iter().filter(wanted).collect();
    let text = match format {
        Format::Json => render::json(&Value::Array(documents)),
        Format::Yaml | Format::Table | Format::Secret => render::documents(&documents)?,
    };
    screen::out(&text)
}
