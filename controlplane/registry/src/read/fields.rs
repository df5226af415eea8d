//! The members of one object, with a complaint for each that is not what it should be.
//!
//! A complaint never repeats a value: it could be a secret in the wrong place.

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::fault::{Report, join};
use crate::nearest::hint;

/// What is quoted of somebody else's words.
const QUOTED_CHARS_MAX: usize = 60;

pub(super) struct Fields<'v> {
    path: String,
    map: &'v Map<String, Value>,
}

impl<'v> Fields<'v> {
    /// Every member that is not known is a fault.
    pub(super) fn new(path: &str, map: &'v Map<String, Value>, known: &[&str], report: &mut Report) -> Fields<'v> {
        for field in map.keys().filter(|field| !known.contains(&field.as_str())) {
            let hint = hint(field, known.iter().copied());
            report.fault(&join(path, &shortened(field)), format!("there is no such field{hint}"));
        }
        Fields { path: path.to_owned(), map }
    }

    /// The path of a member within the document.
    pub(super) fn at(&self, name: &str) -> String {
        join(&self.path, name)
    }

    pub(super) fn fault(&self, name: &str, message: impl Into<String>, report: &mut Report) {
        report.fault(&self.at(name), message);
    }

    /// `null` is as good as absent.
    pub(super) fn get(&self, name: &str) -> Option<&'v Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn is_null(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(Value::is_null)
    }

    pub(super) fn text(&self, name: &str, report: &mut Report) -> Option<&'v str> {
        let value = self.get(name)?;
        let text = value.as_str();
        if text.is_none() {
            self.wrong(name, "text", value, report);
        }
        text
    }

    pub(super) fn required(&self, name: &str, report: &mut Report) -> Option<&'v Value> {
        let value = self.get(name);
        if value.is_none() {
            self.fault(name, "is missing", report);
        }
        value
    }

    /// Text that becomes something.
    pub(super) fn parsed<T, E: Display>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, E>,
        report: &mut Report,
    ) -> Option<T> {
        let text = self.text(name, report)?;
        let parsed = parse(text);
        parsed.map_err(|why| self.fault(name, why.to_string(), report)).ok()
    }

    pub(super) fn required_parsed<T, E: Display>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, E>,
        report: &mut Report,
    ) -> Option<T> {
        self.required(name, report)?;
        self.parsed(name, parse, report)
    }

    /// Absent is false.
    pub(super) fn flag(&self, name: &str, report: &mut Report) -> bool {
        match self.get(name) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => {
                self.wrong(name, "true or false", other, report);
                false
            }
        }
    }

    pub(super) fn number(&self, name: &str, range: RangeInclusive<u32>, report: &mut Report) -> Option<u32> {
        let value = self.get(name)?;
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|n| range.contains(n));
        let expected = || format!("a whole number from {} to {}", range.start(), range.end());
        match (number, value) {
            (Some(_), _) => {}
            (None, Value::Number(_)) => self.fault(name, format!("must be {}", expected()), report),
            (None, _) => self.wrong(name, &expected(), value, report),
        }
        number
    }

    pub(super) fn object(&self, name: &str, report: &mut Report) -> Option<&'v Map<String, Value>> {
        let value = self.get(name)?;
        let map = value.as_object();
        if map.is_none() {
            self.wrong(name, "an object", value, report);
        }
        map
    }

    pub(super) fn inner(&self, name: &str, known: &[&str], report: &mut Report) -> Option<Fields<'v>> {
        let map = self.object(name, report)?;
        Some(Fields::new(&self.at(name), map, known, report))
    }

    /// Nothing in a list that is too long is looked at.
    pub(super) fn list(&self, name: &str, most: usize, report: &mut Report) -> Option<&'v [Value]> {
        let value = self.get(name)?;
        let Some(list) = value.as_array() else {
            self.wrong(name, "a list", value, report);
            return None;
        };
        if list.len() > most {
            self.fault(name, format!("has at most {most} entries, not {}", list.len()), report);
            return None;
        }
        Some(list)
    }

    fn wrong(&self, name: &str, expected: &str, found: &Value, report: &mut Report) {
        self.fault(name, format!("must be {expected}, not {}", noun(found)), report);
    }
}

pub(super) fn noun(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Only for words that can hold no secret: kinds, dialects, names.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", shortened(text))
}

fn shortened(text: &str) -> String {
    let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut short: String = text.chars().take(QUOTED_CHARS_MAX).map(shown).collect();
    if text.chars().nth(QUOTED_CHARS_MAX).is_some() {
        short.push('…');
    }
    short
}

/// Bounded, and without control characters.
pub(super) fn plain_text(most: usize) -> impl Fn(&str) -> Result<String, String> {
    move |text| {
        if text.len() > most {
            return Err(format!("has at most {most} bytes, not {}", text.len()));
        }
        if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            return Err("must not hold control characters".to_owned());
        }
        Ok(text.to_owned())
    }
}
