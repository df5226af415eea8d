//! Values as YAML or JSON text.

use serde_json::Value;

use crate::trouble::Trouble;

/// The forms a result can be asked for in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Columns for reading
    Table,
    Json,
    Yaml,
    /// Only the secret that was made, for scripts
    Secret,
}

impl Format {
    /// What was asked for, if this command can give it.
    pub(crate) fn among(asked: Option<Format>, can: &[Format]) -> Result<Format, Trouble> {
        let default = can.first().copied().unwrap_or(Format::Json);
        match asked {
            None => Ok(default),
            Some(format) if can.contains(&format) => Ok(format),
            Some(format) => {
                let words: Vec<&str> = can.iter().map(|format| format.word()).collect();
                let message = format!("--output {} makes no sense here; use {}", format.word(), words.join(" or "));
                Err(Trouble::Local(message))
            }
        }
    }

    fn word(self) -> &'static str {
        match self {
            Format::Table => "table",
            Format::Json => "json",
            Format::Yaml => "yaml",
            Format::Secret => "secret",
        }
    }
}

pub(crate) fn json(value: &Value) -> String {
    format!("{value:#}")
}

pub(crate) fn yaml(value: &Value) -> Result<String, Trouble> {
    // Never fold: a sealed credential is one long word.
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    serde_saphyr::to_string_with_options(value, options)
        .map_err(|why| Trouble::Failed(format!("cannot write this as YAML: {why}")))
}

/// Documents with `---` between them.
pub(crate) fn documents<'v>(values: impl IntoIterator<Item = &'v Value>) -> Result<String, Trouble> {
    let texts = values.into_iter().map(yaml).collect::<Result<Vec<_>, _>>()?;
    Ok(texts.join("---\n"))
}

/// What a cell says: text without quotes, nothing for null, lists with commas.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// The cell of a field, empty when there is none.
pub(crate) fn field(document: &Value, name: &str) -> String {
    document.get(name).map(cell).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn yaml_keeps_the_order_and_quotes_what_would_change_its_type() {
        let key =
            json!({"kind": "Key", "name": "12", "models": ["*"], "sha256": "0".repeat(64), "metadata": {"on": "yes"}});
        let text = yaml(&key).unwrap();
        assert!(text.starts_with("kind: Key\nname: "), "{text}");
        assert_eq!(serde_saphyr::from_str::<Value>(&text).unwrap(), key, "{text}");
    }

    #[test]
    fn long_words_and_many_lines_survive() {
        let provider =
            json!({"sealed": "A".repeat(500), "ca": "-----BEGIN-----\nabc\n-----END-----\n", "e": "a  b ".repeat(40)});
        let text = yaml(&provider).unwrap();
        assert_eq!(serde_saphyr::from_str::<Value>(&text).unwrap(), provider, "{text}");
        assert!(text.contains(&format!("sealed: {}\n", "A".repeat(500))), "{text}");
    }

    #[test]
    fn a_form_that_makes_no_sense_is_refused_with_those_that_do() {
        let refused = Format::among(Some(Format::Secret), &[Format::Table, Format::Json]).unwrap_err();
        assert_eq!(refused.to_string(), "--output secret makes no sense here; use table or json");
        assert_eq!(Format::among(None, &[Format::Yaml, Format::Json]).unwrap(), Format::Yaml);
    }
}
