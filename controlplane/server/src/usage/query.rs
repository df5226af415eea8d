//! A question to the usage log and its answer.

use vocab::{KeyId, Money, Usage};

use crate::store::StoreError;

/// Rows come sorted by what they are grouped by, in the order of `Dimension`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Minutes since 1970, the first one included, the last one not.
    pub from: u64,
    pub to: u64,
    /// What the rows are told apart by; nothing gives exactly one row.
    pub group: Vec<Dimension>,
    /// All of them must hold.
    pub filters: Vec<Filter>,
    pub limit: usize,
    /// `Page::next` of the page before.
    pub after: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    Time(Span),
    Key,
    Team,
    User,
    Model,
    Provider,
    UpstreamModel,
}

/// Days are those of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Span {
    Minute,
    Hour,
    Day,
}

impl Span {
    #[must_use]
    pub fn minutes(self) -> u64 {
        match self {
            Span::Minute => 1,
            Span::Hour => 60,
            Span::Day => 24 * 60,
        }
    }

    #[must_use]
    pub fn first_minute(self, minute: u64) -> u64 {
        minute - minute % self.minutes()
    }
}

/// One of these values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    Key(Vec<KeyId>),
    Team(Vec<String>),
    User(Vec<String>),
    Model(Vec<String>),
    Provider(Vec<String>),
    UpstreamModel(Vec<String>),
}

/// `None` where the query does not group by it; an empty text where a request had no team, no user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The first minute of the span.
    pub minute: Option<u64>,
    pub key: Option<KeyId>,
    pub team: Option<String>,
    pub user: Option<String>,
    pub model: Option<String>,
    pub provider: Option<String>,
    pub upstream_model: Option<String>,
    pub requests: u64,
    pub errors: u64,
    pub tokens: Usage,
    pub cost: Money,
    pub unreported: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub rows: Vec<Row>,
    /// There is more: ask again with this as `after`.
    pub next: Option<String>,
}

/// What one row of an answer has in one dimension. Numbers and texts never meet in the same one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    Number(u64),
    Text(String),
}

impl Query {
    /// Sorted, each once; of several spans the finest.
    pub(super) fn dimensions(&self) -> Vec<Dimension> {
        let mut dimensions = self.group.clone();
        dimensions.sort_unstable();
        dimensions.dedup_by_key(|dimension| std::mem::discriminant(dimension));
        dimensions
    }

    /// The values of the last row that was seen.
    pub(super) fn seen(&self) -> Result<Option<Vec<Value>>, StoreError> {
        let Some(cursor) = &self.after else { return Ok(None) };
        let values = read_cursor(cursor).ok_or(StoreError::BadCursor)?;
        let dimensions = self.dimensions();
        let fits = |(dimension, value): (&Dimension, &Value)| {
            let is_number = matches!(dimension, Dimension::Time(_) | Dimension::Key);
            is_number == matches!(value, Value::Number(_))
        };
        let is_ours = values.len() == dimensions.len() && dimensions.iter().zip(&values).all(fits);
        if is_ours { Ok(Some(values)) } else { Err(StoreError::BadCursor) }
    }
}

impl Row {
    pub(super) fn set(&mut self, dimension: Dimension, value: Value) {
        match (dimension, value) {
            (Dimension::Time(_), Value::Number(minute)) => self.minute = Some(minute),
            (Dimension::Key, Value::Number(id)) => self.key = Some(KeyId(id)),
            (Dimension::Team, Value::Text(text)) => self.team = Some(text),
            (Dimension::User, Value::Text(text)) => self.user = Some(text),
            (Dimension::Model, Value::Text(text)) => self.model = Some(text),
            (Dimension::Provider, Value::Text(text)) => self.provider = Some(text),
            (Dimension::UpstreamModel, Value::Text(text)) => self.upstream_model = Some(text),
            (Dimension::Time(_) | Dimension::Key, Value::Text(_))
            | (
                Dimension::Team | Dimension::User | Dimension::Model | Dimension::Provider | Dimension::UpstreamModel,
                Value::Number(_),
            ) => {}
        }
    }
}

impl Page {
    /// Of the rows after the last one seen, one more than the limit if there are so many.
    pub(super) fn of(rows: Vec<(Vec<Value>, Row)>, limit: usize) -> Page {
        let is_more = limit < rows.len();
        let mut page = Page::default();
        for (values, row) in rows.into_iter().take(limit) {
            page.rows.push(row);
            page.next = is_more.then(|| write_cursor(&values));
        }
        page
    }
}

/// Each value as a letter, its length and its bytes, all in hexadecimal, so that it fits into a URL.
fn write_cursor(values: &[Value]) -> String {
    let mut cursor = String::new();
    for value in values {
        let (letter, text) = match value {
            Value::Number(number) => ('n', number.to_string()),
            Value::Text(text) => ('t', text.clone()),
        };
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        cursor.push(letter);
        cursor.push_str(&hex);
    }
    cursor
}

fn read_cursor(cursor: &str) -> Option<Vec<Value>> {
    let mut values = Vec::new();
    let mut rest = cursor;
    while !rest.is_empty() {
        let is_number = rest.starts_with('n');
        let body = rest.strip_prefix(['n', 't'])?;
        let ends = body.find(['n', 't']).unwrap_or(body.len());
        let (hex, after) = body.split_at_checked(ends)?;
        let text = String::from_utf8(unhex(hex)?).ok()?;
        values.push(if is_number { Value::Number(text.parse().ok()?) } else { Value::Text(text) });
        rest = after;
    }
    Some(values)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_the_road() {
        let values = vec![Value::Number(u64::MAX), Value::Text(String::new()), Value::Text("tn/é".into())];
        assert_eq!(read_cursor(&write_cursor(&values)), Some(values));
        assert_eq!(read_cursor(""), Some(vec![]));
        for bad in ["x", "n", "n3", "nzz", "t3", "é", "n3130n"] {
            assert_eq!(read_cursor(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_cursor_of_another_question_is_refused() {
        let query = |group: Vec<Dimension>, values: &[Value]| Query {
            group,
            after: Some(write_cursor(values)),
            ..Query::default()
        };
        assert!(query(vec![Dimension::Team], &[Value::Text("a".into())]).seen().is_ok());
        assert_eq!(query(vec![Dimension::Key], &[Value::Text("a".into())]).seen(), Err(StoreError::BadCursor));
        assert_eq!(query(vec![], &[Value::Text("a".into())]).seen(), Err(StoreError::BadCursor));
    }

    #[test]
    fn dimensions_are_sorted_and_the_finest_span_counts() {
        let group = vec![Dimension::Team, Dimension::Time(Span::Day), Dimension::Time(Span::Minute), Dimension::Team];
        let query = Query { group, ..Query::default() };
        assert_eq!(query.dimensions(), [Dimension::Time(Span::Minute), Dimension::Team]);
    }
}
