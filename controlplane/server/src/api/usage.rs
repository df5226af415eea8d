//! What was used, in groups of the caller's choosing.

use http::StatusCode;
use registry::{ResourceKind, State};
use serde::Serialize;
use vocab::{KeyId, Timestamp};

use super::error::Error;
use super::query::Params;
use super::{Api, Call, Reply, json};
use crate::clock;
use crate::usage::{Dimension, Filter, Query, Row, Span};

const LIMIT: usize = 1000;
const LIMIT_MAX: usize = 10_000;
const DAY_MS: u64 = 24 * 3600 * 1000;
const MINUTE_MS: u64 = 60_000;

#[derive(Serialize)]
struct List {
    from: Timestamp,
    to: Timestamp,
    data: Vec<Shown>,
    next: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    #[serde(flatten)]
    time: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<KeyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_model: Option<String>,
    requests: u64,
    errors: u64,
    tokens_input: u64,
    tokens_cached: u64,
    tokens_output: u64,
    tokens_reasoning: u64,
    /// In dollars, as text: nothing is rounded away.
    cost: String,
    unreported: u64,
}

/// When the span of a row begins, under the name of the span.
#[derive(Default, Serialize)]
struct Time {
    #[serde(skip_serializing_if = "Option::is_none")]
    minute: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hour: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    day: Option<Timestamp>,
}

impl Api {
    pub(super) async fn query_usage(&self, call: &Call) -> Reply {
        let query = self.read_query(&call.params, clock::now())?;
        let page = self.usage.query(&query).await?;
        let state = self.latest.state();
        let data = page.rows.into_iter().map(|row| shown(&state, &query, row)).collect();
        let instant = |minute: u64| Timestamp::from_ms(minute.saturating_mul(MINUTE_MS));
        Ok(json(StatusCode::OK, &List { from: instant(query.from), to: instant(query.to), data, next: page.next }))
    }

    fn read_query(&self, params: &Params, now: Timestamp) -> Result<Query, Error> {
        let instant = |name: &str| {
            let parsed = params.get(name).map(str::parse::<Timestamp>).transpose();
            parsed.map_err(|why| Error::bad(format!("{name}: {why}")))
        };
        let to = instant("to")?.unwrap_or(now.plus_ms(MINUTE_MS));
        let from = instant("from")?.unwrap_or(Timestamp::from_ms(to.as_ms().saturating_sub(DAY_MS)));
        if to < from {
            return Err(Error::bad("from must not be later than to"));
        }
        let words = params.get("groupBy").unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty());
        let group = words.map(dimension).collect::<Result<Vec<_>, _>>()?;
        let spans = group.iter().filter(|dimension| matches!(dimension, Dimension::Time(_))).count();
        if spans > 1 {
            return Err(Error::bad("groupBy names one of minute, hour and day, or none"));
        }
        Ok(Query {
            from: from.minute(),
            // A minute that has begun belongs to what was asked for.
            to: to.as_ms().div_ceil(MINUTE_MS),
            group,
            filters: self.filters(params)?,
            limit: params.number("limit", LIMIT, LIMIT_MAX)?,
            after: params.get("cursor").map(str::to_owned),
        })
    }

    fn filters(&self, params: &Params) -> Result<Vec<Filter>, Error> {
        let values = |name: &str| {
            let text = params.get(name)?;
            Some(text.split(',').map(|value| value.trim().to_owned()).collect::<Vec<_>>())
        };
        let mut filters = Vec::new();
        if let Some(names) = values("key") {
            let state = self.latest.state();
            let ids = names.iter().map(|name| key_id(&state, name)).collect::<Result<_, _>>()?;
            filters.push(Filter::Key(ids));
        }
        filters.extend(values("team").map(Filter::Team));
        filters.extend(values("user").map(Filter::User));
        filters.extend(values("model").map(Filter::Model));
        filters.extend(values("provider").map(Filter::Provider));
        filters.extend(values("upstreamModel").map(Filter::UpstreamModel));
        Ok(filters)
    }
}

fn dimension(word: &str) -> Result<Dimension, Error> {
    Ok(match word {
        "minute" => Dimension::Time(Span::Minute),
        "hour" => Dimension::Time(Span::Hour),
        "day" => Dimension::Time(Span::Day),
        "key" => Dimension::Key,
        "team" => Dimension::Team,
        "user" => Dimension::User,
        "model" => Dimension::Model,
        "provider" => Dimension::Provider,
        "upstreamModel" => Dimension::UpstreamModel,
        other => {
            let words = "minute, hour, day, key, team, user, model, provider, upstreamModel";
            return Err(Error::bad(format!("groupBy: there is no {other:?}; there are: {words}")));
        }
    })
}

/// By name; a key that was deleted is known by its id alone.
fn key_id(state: &State, text: &str) -> Result<KeyId, Error> {
    let named = state.find(ResourceKind::Key, text).and_then(|stored| stored.resource.as_key()).map(|key| key.id);
    let id = named.or_else(|| text.parse().ok());
    id.ok_or_else(|| Error::bad(format!("key: there is no key {text:?}; one that was deleted is asked for by its id")))
}

fn shown(state: &State, query: &Query, row: Row) -> Shown {
    let instant = row.minute.map(|minute| Timestamp::from_ms(minute.saturating_mul(MINUTE_MS)));
    let name = |id: KeyId| state.key_by_id(id).map_or_else(|| id.to_string(), |key| key.name.to_string());
    Shown {
        time: time(query, instant),
        key: row.key.map(name),
        key_id: row.key,
        team: row.team,
        user: row.user,
        model: row.model,
        provider: row.provider,
        upstream_model: row.upstream_model,
        requests: row.requests,
        errors: row.errors,
        tokens_input: row.tokens.input.0,
        tokens_cached: row.tokens.cached.0,
        tokens_output: row.tokens.output.0,
        tokens_reasoning: row.tokens.reasoning.0,
        cost: row.cost.to_string(),
        unreported: row.unreported,
    }
}

fn time(query: &Query, at: Option<Timestamp>) -> Time {
    let span = query.group.iter().find_map(|dimension| match dimension {
        Dimension::Time(span) => Some(*span),
        Dimension::Key
        | Dimension::Team
        | Dimension::User
        | Dimension::Model
        | Dimension::Provider
        | Dimension::UpstreamModel => None,
    });
    match span {
        Some(Span::Minute) => Time { minute: at, ..Time::default() },
        Some(Span::Hour) => Time { hour: at, ..Time::default() },
        Some(Span::Day) => Time { day: at, ..Time::default() },
        None => Time::default(),
    }
}
