//! One core's sums since they were last collected.
//!
//! Rows are found by the addresses of shared names, which the row itself keeps alive: no string is hashed on a
//! request's way. The same name at two addresses makes two rows, which meet again when they are reported.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use policy::Policy;
use vocab::{KeyId, ModelName, ProviderName, Timestamp, Tokens, UpstreamModel, Usage};
use wire::UsageRow;

use crate::pipeline::{Ending, Facts};
use crate::telemetry::Series;

#[derive(Default)]
pub(crate) struct Tally {
    rows: HashMap<RowAddress, Row>,
    series: HashMap<(usize, usize), Labelled>,
}

#[derive(PartialEq, Eq, Hash)]
struct RowAddress {
    minute: u64,
    key: KeyId,
    policy: usize,
    model: usize,
    provider: usize,
    upstream_model: usize,
}

struct Row {
    policy: Arc<Policy>,
    model: ModelName,
    provider: ProviderName,
    upstream_model: UpstreamModel,
    sums: Sums,
}

#[derive(Default, Clone, Copy)]
struct Sums {
    requests: u64,
    errors: u64,
    unreported: u64,
    usage: Usage,
}

/// What a series is labelled with: names of resources, never a caller's bytes.
pub(crate) type Labels = (String, String);

struct Labelled {
    model: Option<ModelName>,
    provider: Option<ProviderName>,
    series: Series,
}

fn address(text: Option<&str>) -> usize {
    text.map_or(0, |text| text.as_ptr().addr())
}

impl Tally {
    pub(crate) fn count(&mut self, facts: &Facts, now: Timestamp) {
        let provider = facts.target.as_ref().map(|(provider, _)| provider);
        let at = (address(facts.model.as_ref().map(ModelName::as_str)), address(provider.map(ProviderName::as_str)));
        let labelled = self.series.entry(at).or_insert_with(|| Labelled {
            model: facts.model.clone(),
            provider: provider.cloned(),
            series: Series::default(),
        });
        labelled.series.note(facts);
        self.account(facts, now);
    }

    /// Usage is accounted for what reached a provider; what we refused costs nobody anything.
    fn account(&mut self, facts: &Facts, now: Timestamp) {
        let (Some((key, policy)), Some(model), Some((provider, upstream_model))) =
            (&facts.key, &facts.model, &facts.target)
        else {
            return;
        };
        let at = RowAddress {
            minute: now.minute(),
            key: *key,
            policy: Arc::as_ptr(policy).addr(),
            model: address(Some(model.as_str())),
            provider: address(Some(provider.as_str())),
            upstream_model: address(Some(upstream_model.as_str())),
        };
        let row = self.rows.entry(at).or_insert_with(|| Row {
            policy: Arc::clone(policy),
            model: model.clone(),
            provider: provider.clone(),
            upstream_model: upstream_model.clone(),
            sums: Sums::default(),
        });
        row.sums.note(facts);
    }

    /// Empties the rows into a report, where rows of the same names become one.
    pub(crate) fn report_into(&mut self, report: &mut BTreeMap<ReportKey, UsageRow>) {
        for (at, row) in self.rows.drain() {
            let policy = &row.policy;
            let names = [
                policy.team.as_ref().map_or("", |team| team.as_str()),
                policy.user.as_ref().map_or("", |user| user.as_str()),
                row.model.as_str(),
                row.provider.as_str(),
                row.upstream_model.as_str(),
            ];
            let key = ReportKey { minute: at.minute, key: at.key, names: names.map(str::to_string) };
            let target = report.entry(key).or_insert_with_key(ReportKey::row);
            row.sums.add_to(target);
        }
    }

    pub(crate) fn series_into(&mut self, all: &mut BTreeMap<Labels, Series>) {
        for labelled in self.series.drain().map(|(_, labelled)| labelled) {
            let model = labelled.model.as_ref().map_or("", ModelName::as_str);
            let provider = labelled.provider.as_ref().map_or("", ProviderName::as_str);
            all.entry((model.to_string(), provider.to_string())).or_default().add(&labelled.series);
        }
    }
}

impl Sums {
    fn note(&mut self, facts: &Facts) {
        self.requests += 1;
        let failed = facts.status >= 400 || facts.ending == Ending::BrokeOff;
        self.errors += u64::from(failed);
        match facts.usage {
            // What was streamed is paid for, also by a caller that left before the sum was told.
            None => {
                self.unreported += u64::from(!failed || facts.pieces > 0);
                let streamed = Usage { output: Tokens(facts.pieces), ..Usage::default() };
                self.usage = self.usage.saturating_add(streamed);
            }
            Some(usage) => self.usage = self.usage.saturating_add(usage),
        }
    }

    fn add_to(self, row: &mut UsageRow) {
        row.requests += self.requests;
        row.errors += self.errors;
        row.unreported += self.unreported;
        let usage = wire::row_usage(row).saturating_add(self.usage);
        wire::set_row_usage(row, usage);
    }
}

/// What makes two rows of a report the same row.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReportKey {
    minute: u64,
    key: KeyId,
    /// Team, user, model, provider, upstream model.
    names: [String; 5],
}

impl ReportKey {
    fn row(&self) -> UsageRow {
        let [team, user, model, provider, upstream_model] = self.names.clone();
        UsageRow {
            minute: self.minute,
            key: self.key.0,
            team,
            user,
            model,
            provider,
            upstream_model,
            ..UsageRow::default()
        }
    }

    /// Of a row that was reported before, so that late rows can join it.
    pub(crate) fn of(row: &UsageRow) -> ReportKey {
        let names = [&row.team, &row.user, &row.model, &row.provider, &row.upstream_model].map(Clone::clone);
        ReportKey { minute: row.minute, key: KeyId(row.key), names }
    }
}
