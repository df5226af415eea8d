//! `turnpike delete`: one document, if nothing refers to it.

use crate::api::Api;
use crate::args::DeleteArgs;
use crate::commands::get::{missing, path};
use crate::screen;
use crate::table::plain;
use crate::trouble::Trouble;

pub(super) async fn delete(api: &Api, args: &DeleteArgs) -> Result<(), Trouble> {
    let kind = args.collection;
    api.delete(&path(kind, &args.name)).await.map_err(|trouble| missing(trouble, kind))?;
    screen::out(&format!("{kind}/{} deleted", plain(&args.name)))
}
