//! What the usage log writes into etcd. Texts repeat in every row, so rows have their numbers.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;

use crate::usage::sums::{Minute, Sums, Who};

/// How far the reports of one run are counted.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Mark {
    #[prost(uint64, tag = "1")]
    pub(super) seq: u64,
    /// Of its newest row.
    #[prost(uint64, tag = "2")]
    pub(super) minute: u64,
    /// The values that rows of the same minute may still be added to.
    #[prost(message, repeated, tag = "3")]
    pub(super) open: Vec<Open>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct Open {
    #[prost(uint64, tag = "1")]
    pub(super) minute: u64,
    /// The report it was begun with.
    #[prost(uint64, tag = "2")]
    pub(super) seq: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Rows {
    #[prost(string, repeated, tag = "1")]
    words: Vec<String>,
    #[prost(message, repeated, tag = "2")]
    rows: Vec<Row>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct Row {
    #[prost(fixed64, tag = "1")]
    key: u64,
    #[prost(uint32, tag = "2")]
    team: u32,
    #[prost(uint32, tag = "3")]
    user: u32,
    #[prost(uint32, tag = "4")]
    model: u32,
    #[prost(uint32, tag = "5")]
    provider: u32,
    #[prost(uint32, tag = "6")]
    upstream_model: u32,
    #[prost(uint64, tag = "7")]
    requests: u64,
    #[prost(uint64, tag = "8")]
    errors: u64,
    #[prost(uint64, tag = "9")]
    input: u64,
    #[prost(uint64, tag = "10")]
    cached: u64,
    #[prost(uint64, tag = "11")]
    output: u64,
    #[prost(uint64, tag = "12")]
    reasoning: u64,
    #[prost(uint64, tag = "13")]
    cost: u64,
    #[prost(uint64, tag = "14")]
    unreported: u64,
}

pub(super) fn write_rows(minute: &Minute) -> Vec<u8> {
    let texts = |who: &Who| {
        let Who { key: _, team, user, model, provider, upstream_model } = who.clone();
        [team, user, model, provider, upstream_model]
    };
    let words: Vec<String> = minute.keys().flat_map(texts).collect::<BTreeSet<_>>().into_iter().collect();
    let numbers: BTreeMap<&str, u32> = words.iter().map(String::as_str).zip(0..).collect();
    let number = |text: &String| numbers.get(text.as_str()).copied().unwrap_or_default();
    let row = |(who, sums): (&Who, &Sums)| Row {
        key: who.key,
        team: number(&who.team),
        user: number(&who.user),
        model: number(&who.model),
        provider: number(&who.provider),
        upstream_model: number(&who.upstream_model),
        requests: sums.requests,
        errors: sums.errors,
        input: sums.input,
        cached: sums.cached,
        output: sums.output,
        reasoning: sums.reasoning,
        cost: sums.cost,
        unreported: sums.unreported,
    };
    let rows = minute.iter().map(row).collect();
    Rows { words, rows }.encode_to_vec()
}

pub(super) fn read_rows(value: &[u8]) -> Option<Vec<(Who, Sums)>> {
    let Rows { words, rows } = Rows::decode(value).ok()?;
    let word = |number: u32| words.get(usize::try_from(number).ok()?).cloned();
    let row = |row: Row| {
        let who = Who {
            key: row.key,
            team: word(row.team)?,
            user: word(row.user)?,
            model: word(row.model)?,
            provider: word(row.provider)?,
            upstream_model: word(row.upstream_model)?,
        };
        let sums = Sums {
            requests: row.requests,
            errors: row.errors,
            input: row.input,
            cached: row.cached,
            output: row.output,
            reasoning: row.reasoning,
            cost: row.cost,
            unreported: row.unreported,
        };
        Some((who, sums))
    };
    rows.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_survive_their_value_and_a_row_is_small() {
        let who = |key| Who {
            key,
            team: "search".into(),
            user: String::new(),
            model: "openai/gpt-4o-mini".into(),
            provider: "openai".into(),
            upstream_model: "gpt-4o-mini-2024-07-18".into(),
        };
        let sums = |n| Sums { requests: n, input: 1000 * n, output: 100 * n, cost: 123_456 * n, ..Sums::default() };
        let minute: Minute = (0..100).map(|n| (who(n << 40), sums(n))).collect();
        let value = write_rows(&minute);
        assert!(value.len() < 100 * 40, "{} bytes", value.len());
        assert_eq!(read_rows(&value), Some(minute.into_iter().collect()));
        assert_eq!(read_rows(b"not ours"), None);
    }
}
