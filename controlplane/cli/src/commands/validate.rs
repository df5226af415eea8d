//! `turnpike validate`: everything that can be said of files without a control plane.

use serde_json::{Value, json};

use crate::args::FilesArgs;
use crate::documents::{Document, Documents};
use crate::faults::{self, LocalFault, count};
use crate::render::{self, Format};
use crate::screen;
use crate::trouble::Trouble;

pub(super) fn validate(args: &FilesArgs, output: Option<Format>) -> Result<(), Trouble> {
    let format = Format::among(output, &[Format::Table, Format::Json, Format::Yaml])?;
    let documents = Documents::read(&args.files);
    let faults = find(&documents);
    match format {
        Format::Json => screen::out(&render::json(&report(&documents, &faults)))?,
        Format::Yaml => screen::out(&render::yaml(&report(&documents, &faults))?)?,
        Format::Table | Format::Secret => faults::show(&faults),
    }
    let files = count(documents.files, "file");
    if !faults.is_empty() {
        let note =
            "Only these files were looked at; `turnpike apply --dry-run` asks the control plane what fits to the rest.";
        return Err(Trouble::Failed(format!("{} in {files}.\n{note}", count(faults.len(), "fault"))));
    }
    if format == Format::Table {
        screen::out(&format!("{} in {files}: no faults", count(documents.list.len(), "document")))?;
    }
    Ok(())
}

fn find(documents: &Documents) -> Vec<LocalFault> {
    let values: Vec<Value> = documents.list.iter().map(Document::value).collect();
    let mut faults = documents.faults.clone();
    let placed = registry::validate_documents(&values);
    faults.extend(placed.iter().map(|fault| faults::place(documents, fault.document, &fault.path, &fault.message)));
    if documents.list.is_empty() && faults.is_empty() {
        faults.push(LocalFault {
            at: "nothing".to_owned(),
            message: "there is no document in what was given".to_owned(),
        });
    }
    faults
}

fn report(documents: &Documents, faults: &[LocalFault]) -> Value {
    let faults: Vec<Value> = faults.iter().map(|fault| json!({"at": fault.at, "message": fault.message})).collect();
    json!({"documents": documents.list.len(), "files": documents.files, "faults": faults})
}
