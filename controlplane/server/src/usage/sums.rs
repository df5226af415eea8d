//! Rows that add up.

use std::collections::BTreeMap;

use vocab::{Money, Tokens, Usage};
use wire::UsageRow;

use super::query::{Dimension, Filter, Page, Query, Row, Value};
use crate::store::StoreError;

/// The last minute that has ten digits, in the year 20982: what is later is a clock gone wild.
pub(super) const MINUTE_MAX: u64 = 9_999_999_999;
/// No minute of one key comes near it, and a thousand of them still fit into an SQLite integer.
const SUM_MAX: u64 = 1 << 53;
/// Longer than any name of ours.
const TEXT_MAX: usize = 256;

/// What rows of one minute are told apart by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Who {
    pub(super) key: u64,
    pub(super) team: String,
    pub(super) user: String,
    pub(super) model: String,
    pub(super) provider: String,
    pub(super) upstream_model: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) requests: u64,
    pub(super) errors: u64,
    pub(super) input: u64,
    pub(super) cached: u64,
    pub(super) output: u64,
    pub(super) reasoning: u64,
    pub(super) cost: u64,
    pub(super) unreported: u64,
}

impl Sums {
    fn pairs(&mut self, other: &Sums, merge: impl Fn(u64, u64) -> u64) {
        let Sums { requests, errors, input, cached, output, reasoning, cost, unreported } = self;
        *requests = merge(*requests, other.requests);
        *errors = merge(*errors, other.errors);
        *input = merge(*input, other.input);
        *cached = merge(*cached, other.cached);
        *output = merge(*output, other.output);
        *reasoning = merge(*reasoning, other.reasoning);
        *cost = merge(*cost, other.cost);
        *unreported = merge(*unreported, other.unreported);
    }

    pub(super) fn add(&mut self, other: &Sums) {
        self.pairs(other, u64::saturating_add);
    }

    fn bounded(mut self) -> Sums {
        let all = self;
        self.pairs(&all, |one, _| one.min(SUM_MAX));
        self
    }

    pub(super) fn into_row(self) -> Row {
        Row {
            requests: self.requests,
            errors: self.errors,
            tokens: Usage {
                input: Tokens(self.input),
                cached: Tokens(self.cached),
                output: Tokens(self.output),
                reasoning: Tokens(self.reasoning),
            },
            cost: Money(self.cost),
            unreported: self.unreported,
            ..Row::default()
        }
    }
}

/// The rows of one minute.
pub(super) type Minute = BTreeMap<Who, Sums>;

/// The rows of some minutes, taken from reports: this is the border, so what no honest proxy sends is cut to size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Minutes(pub(super) BTreeMap<u64, Minute>);

impl Minutes {
    pub(super) fn add(&mut self, row: &UsageRow) {
        let text = |text: &str| text.chars().take(TEXT_MAX).collect();
        let who = Who {
            key: row.key,
            team: text(&row.team),
            user: text(&row.user),
            model: text(&row.model),
            provider: text(&row.provider),
            upstream_model: text(&row.upstream_model),
        };
        let sums = Sums {
            requests: row.requests,
            errors: row.errors,
            input: row.tokens_input,
            cached: row.tokens_cached,
            output: row.tokens_output,
            reasoning: row.tokens_reasoning,
            cost: row.cost_nanodollars,
            unreported: row.unreported,
        };
        let minute = self.0.entry(row.minute.min(MINUTE_MAX)).or_default();
        let before = minute.entry(who).or_default();
        before.add(&sums.bounded());
        *before = before.bounded();
    }

    pub(super) fn newest(&self) -> u64 {
        self.0.last_key_value().map_or(0, |(minute, _)| *minute)
    }
}

/// Adds rows up into the groups of a query.
#[derive(Debug)]
pub(super) struct Groups<'q> {
    query: &'q Query,
    dimensions: Vec<Dimension>,
    seen: Option<Vec<Value>>,
    groups: BTreeMap<Vec<Value>, Sums>,
}

impl<'q> Groups<'q> {
    pub(super) fn new(query: &'q Query) -> Result<Groups<'q>, StoreError> {
        let (dimensions, seen) = (query.dimensions(), query.seen()?);
        let mut groups = BTreeMap::new();
        if dimensions.is_empty() {
            groups.insert(Vec::new(), Sums::default());
        }
        Ok(Groups { query, dimensions, seen, groups })
    }

    pub(super) fn add(&mut self, minute: u64, who: &Who, sums: &Sums) {
        let is_asked = (self.query.from..self.query.to).contains(&minute)
            && self.query.filters.iter().all(|filter| holds(filter, who));
        if !is_asked {
            return;
        }
        let values: Vec<_> = self.dimensions.iter().map(|dimension| value(*dimension, minute, who)).collect();
        if self.seen.as_ref().is_some_and(|seen| values <= *seen) {
            return;
        }
        self.groups.entry(values).or_default().add(sums);
    }

    pub(super) fn page(self) -> Page {
        let row = |(values, sums): (Vec<Value>, Sums)| {
            let mut row = sums.into_row();
            for (dimension, value) in self.dimensions.iter().zip(&values) {
                row.set(*dimension, value.clone());
            }
            (values, row)
        };
        let rows = self.groups.into_iter().take(self.query.limit.saturating_add(1)).map(row).collect();
        Page::of(rows, self.query.limit)
    }
}

fn value(dimension: Dimension, minute: u64, who: &Who) -> Value {
    match dimension {
        Dimension::Time(span) => Value::Number(span.first_minute(minute)),
        Dimension::Key => Value::Number(who.key),
        Dimension::Team => Value::Text(who.team.clone()),
        Dimension::User => Value::Text(who.user.clone()),
        Dimension::Model => Value::Text(who.model.clone()),
        Dimension::Provider => Value::Text(who.provider.clone()),
        Dimension::UpstreamModel => Value::Text(who.upstream_model.clone()),
    }
}

fn holds(filter: &Filter, who: &Who) -> bool {
    match filter {
        Filter::Key(keys) => keys.iter().any(|key| key.0 == who.key),
        Filter::Team(texts) => texts.contains(&who.team),
        Filter::User(texts) => texts.contains(&who.user),
        Filter::Model(texts) => texts.contains(&who.model),
        Filter::Provider(texts) => texts.contains(&who.provider),
        Filter::UpstreamModel(texts) => texts.contains(&who.upstream_model),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_honest_proxy_sends_is_cut_to_size() {
        let mut minutes = Minutes::default();
        let wild = UsageRow { minute: u64::MAX, team: "é".repeat(1000), requests: u64::MAX, ..UsageRow::default() };
        minutes.add(&wild);
        minutes.add(&wild);
        let (minute, rows) = minutes.0.pop_first().unwrap();
        let (who, sums) = rows.first_key_value().unwrap();
        assert_eq!((minute, who.team.chars().count(), sums.requests), (MINUTE_MAX, TEXT_MAX, SUM_MAX));
    }
}
