//! `credential: {env: NAME}` and `{file: PATH}` are looked up here, on the operator's machine: what is sent is the value.

use std::io::Read as _;
use std::path::Path;

use crate::documents::{Content, Document, Documents, Entry, Node};
use crate::faults::{self, LocalFault};

/// Nobody's credential is longer; somebody's wrong path may be.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Replaces what is named by what it names; or every fault there is.
pub(crate) fn resolve(documents: &mut Documents, env: impl Fn(&str) -> Option<String>) -> Vec<LocalFault> {
    let mut found = Vec::new();
    for (number, document) in documents.list.iter().enumerate() {
        if let Some((field, value)) = named(document, &env) {
            found.push((number, field, value));
        }
    }
    let mut wrong = Vec::new();
    for (number, field, value) in found {
        let path = |document: &Document| format!("{}.credential.{field}", document.subject().unwrap_or_default());
        match (value, documents.list.get_mut(number)) {
            (Ok(value), Some(document)) => put(document, value),
            (Err(why), Some(document)) => {
                let path = path(document);
                wrong.push(faults::place(documents, number, &path, &why));
            }
            (_, None) => {}
        }
    }
    wrong
}

/// The one field of a credential that has to be looked up, and what came of it.
fn named(document: &Document, env: &impl Fn(&str) -> Option<String>) -> Option<(&'static str, Result<String, String>)> {
    let credential = document.node.get("credential").filter(|_| document.node.text("kind") == Some("Provider"))?;
    // Anything but exactly one field is for the server to refuse.
    let [Entry { key, .. }] = credential.entries() else { return None };
    match key.as_str() {
        "env" => Some(("env", from_env(credential.text("env")?, env))),
        "file" => Some(("file", from_file(&document.source.folder.join(credential.text("file")?)))),
        _ => None,
    }
}

fn from_env(name: &str, env: &impl Fn(&str) -> Option<String>) -> Result<String, String> {
    // The same rule as the server's, and before the look: a document from elsewhere must not get at our own secrets.
    registry::env_name(name).map_err(str::to_owned)?;
    match env(name).map(|value| value.trim().to_owned()) {
        None => Err(format!("the environment variable {name} is not set here; set it, or use {{file: PATH}}")),
        Some(value) if value.is_empty() => Err(format!("the environment variable {name} is empty")),
        Some(value) => Ok(value),
    }
}

fn from_file(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let length = std::fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(|why| format!("{} cannot be read: {why}", path.display()))?;
    let value = text.trim();
    if value.is_empty() {
        return Err(format!("{} is empty", path.display()));
    }
    if u64::try_from(length).is_ok_and(|length| FILE_BYTES_MAX < length) {
        return Err(format!("{} is too large to be a credential", path.display()));
    }
    Ok(value.to_owned())
}

fn put(document: &mut Document, value: String) {
    if let Some(credential) = document.node.get_mut("credential") {
        let place = credential.place;
        let value = Node { place, content: Content::Text(value) };
        credential.content = Content::Map(vec![Entry { key: "value".to_owned(), place, value }]);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::documents::Source;

    fn documents(yaml: &str, folder: &Path) -> Documents {
        let source = Source { name: "p.yaml".to_owned(), folder: folder.to_path_buf() };
        let nodes = serde_saphyr::from_multiple::<Node>(yaml).unwrap();
        let list = nodes.into_iter().map(|node| Document { source: source.clone(), node }).collect();
        Documents { list, ..Documents::default() }
    }

    fn environment(name: &str) -> Option<String> {
        match name {
            "KEY" | "TURNPIKE_SEAL_KEYS" => Some("sk-1\n".to_owned()),
            "EMPTY" => Some(" ".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn a_named_variable_and_a_named_file_become_values() {
        let folder = std::env::temp_dir().join(format!("turnpike-cli-credentials-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("key"), "sk-2\n").unwrap();
        let yaml =
            "kind: Provider\nname: a\ncredential: {env: KEY}\n---\nkind: Provider\nname: b\ncredential: {file: key}\n";
        let mut documents = documents(yaml, &folder);
        assert_eq!(resolve(&mut documents, environment), []);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(documents.list[0].value()["credential"], json!({"value": "sk-1"}));
        assert_eq!(documents.list[1].value()["credential"], json!({"value": "sk-2"}));
    }

    #[test]
    fn our_own_secrets_are_nobodys_credential() {
        let yaml = "kind: Provider\nname: a\ncredential: {env: TURNPIKE_SEAL_KEYS}\n";
        let faults = resolve(&mut documents(yaml, Path::new(".")), environment);
        assert!(faults.iter().any(|fault| fault.to_string().contains("must not begin with TURNPIKE_")), "{faults:?}");
    }

    #[test]
    fn what_cannot_be_looked_up_is_told_all_at_once_with_its_place() {
        let yaml = "kind: Provider\nname: a\ncredential: {env: NONE}\n---\nkind: Provider\nname: b\ncredential: {env: EMPTY}\n\
                    ---\nkind: Provider\nname: c\ncredential:\n  file: nowhere\n";
        let faults = resolve(&mut documents(yaml, Path::new("/nonexistent")), environment);
        let texts: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert!(
            texts[0].starts_with("p.yaml:3:14: Provider/a.credential.env: the environment variable NONE is not set"),
            "{texts:?}"
        );
        assert!(
            texts[1].starts_with("p.yaml:7:14: Provider/b.credential.env: the environment variable EMPTY is empty"),
            "{texts:?}"
        );
        assert!(
            texts[2].starts_with("p.yaml:12:3: Provider/c.credential.file: /nonexistent/nowhere cannot be read"),
            "{texts:?}"
        );
    }

    #[test]
    fn everything_else_is_left_for_the_server_to_judge() {
        let yaml = "kind: Provider\nname: a\ncredential: {env: NO, value: x}\n---\nkind: Key\nname: b\ncredential: {env: NO}\n\
                    ---\nkind: Provider\nname: c\ncredential: {value: x}\n---\nkind: Provider\nname: d\ncredential: {env: 7}\n";
        let mut documents = documents(yaml, Path::new(""));
        let before: Vec<_> = documents.list.iter().map(Document::value).collect();
        assert_eq!(resolve(&mut documents, environment), []);
        assert_eq!(documents.list.iter().map(Document::value).collect::<Vec<_>>(), before);
    }
}
