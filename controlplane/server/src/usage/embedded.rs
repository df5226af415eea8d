//! The usage log of one machine: an SQLite file of its own, one row per minute and who used what.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params_from_iter};
use tokio::sync::oneshot;
use vocab::Timestamp;
use wire::UsageReport;

use super::query::{Dimension, Filter, Page, Query, Value};
use super::sums::{Minutes, Sums, Who};
use super::{Appended, Pruned, UsageLog, cutoff};
use crate::store::StoreError;
use crate::store::sqlite::{self, Database, Format};

const FORMAT: Format = Format {
    file: "usage.db",
    application: u32::from_be_bytes(*b"TPKU"),
    layout: 1,
    // Texts repeat in every row, so rows have their numbers.
    schema: "CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE); \
             CREATE TABLE used (minute INTEGER NOT NULL, key INTEGER NOT NULL, team INTEGER NOT NULL, user INTEGER NOT NULL, \
             model INTEGER NOT NULL, provider INTEGER NOT NULL, upstream INTEGER NOT NULL, requests INTEGER NOT NULL, \
             errors INTEGER NOT NULL, input INTEGER NOT NULL, cached INTEGER NOT NULL, output INTEGER NOT NULL, \
             reasoning INTEGER NOT NULL, cost INTEGER NOT NULL, unreported INTEGER NOT NULL, \
             PRIMARY KEY (minute, key, team, user, model, provider, upstream)) WITHOUT ROWID; \
             CREATE TABLE boot (proxy TEXT NOT NULL, boot INTEGER NOT NULL, seq INTEGER NOT NULL, minute INTEGER NOT NULL, \
             PRIMARY KEY (proxy, boot)) WITHOUT ROWID",
    // A few seconds of reading; what is larger is found out page by page.
    check_bytes_max: 256 * 1024 * 1024,
};

/// The bound of `Sums`, so that adding in the file cannot leave the integers either.
const UPSERT: &str = "INSERT INTO used VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
     ON CONFLICT DO UPDATE SET requests = min(requests + excluded.requests, 9007199254740992), \
     errors = min(errors + excluded.errors, 9007199254740992), input = min(input + excluded.input, 9007199254740992), \
     cached = min(cached + excluded.cached, 9007199254740992), output = min(output + excluded.output, 9007199254740992), \
     reasoning = min(reasoning + excluded.reasoning, 9007199254740992), cost = min(cost + excluded.cost, 9007199254740992), \
     unreported = min(unreported + excluded.unreported, 9007199254740992)";

type Waiting = (Vec<UsageReport>, oneshot::Sender<Result<Vec<Appended>, StoreError>>);

#[derive(Debug)]
pub struct Embedded {
    /// Before the writer, so that it is closed first.
    reader: Database,
    database: Database,
    days: u32,
    /// Whoever comes while the disk is busy shares the next write.
    waiting: Arc<Mutex<Vec<Waiting>>>,
}

impl Embedded {
    pub async fn open(dir: &Path, days: u32) -> Result<Embedded, StoreError> {
        let database = Database::open(dir, FORMAT).await?;
        Ok(Embedded { reader: database.reader().await?, database, days, waiting: Arc::default() })
    }
}

#[async_trait]
impl UsageLog for Embedded {
    async fn append(&self, reports: &[UsageReport]) -> Result<Vec<Appended>, StoreError> {
        let (sender, answer) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push((reports.to_vec(), sender));
        let (waiting, path) = (Arc::clone(&self.waiting), self.database.path().to_owned());
        self.database
            .run(move |connection| {
                let waiting = std::mem::take(&mut *waiting.lock().unwrap_or_else(PoisonError::into_inner));
                let written = if waiting.is_empty() { Ok(Vec::new()) } else { append(connection, &waiting) };
                let answers = written.map_err(|error| sqlite::explain(&path, error));
                for (n, (_, sender)) in waiting.into_iter().enumerate() {
                    let own = |answers: &Vec<Vec<Appended>>| answers.get(n).cloned().unwrap_or_default();
                    // Whoever asked may have gone away meanwhile.
                    _ = sender.send(answers.as_ref().map(own).map_err(StoreError::clone));
                }
                Ok(())
            })
            .await?;
        answer.await.map_err(|_| StoreError::Unavailable("the usage log has been closed".to_owned()))?
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        let (question, limit) = (Question::of(query)?, query.limit);
        let path = self.reader.path().to_owned();
        let ask =
            move |connection: &mut Connection| question.ask(connection).map_err(|error| sqlite::explain(&path, error));
        Ok(Page::of(self.reader.run(ask).await?, limit))
    }

    async fn prune(&self, now: Timestamp) -> Result<Pruned, StoreError> {
        let cutoff = number(cutoff(now, self.days));
        let path = self.database.path().to_owned();
        let forget = move |connection: &mut Connection| {
            forget(connection, cutoff).map_err(|error| sqlite::explain(&path, error))
        };
        self.database.run(forget).await
    }
}

fn forget(connection: &mut Connection, cutoff: i64) -> rusqlite::Result<Pruned> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let rows = transaction.execute("DELETE FROM used WHERE minute < ?", [cutoff])?;
    // Minute 0 is a run that has not reported a row yet.
    let boots = transaction.execute("DELETE FROM boot WHERE minute < ? AND 0 < minute", [cutoff])?;
    transaction.commit()?;
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    Ok(Pruned { rows: count(rows), boots: count(boots) })
}

fn append(connection: &mut Connection, waiting: &[Waiting]) -> rusqlite::Result<Vec<Vec<Appended>>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut minutes = Minutes::default();
    let mut answers = Vec::new();
    for (reports, _) in waiting {
        let mut answer = Vec::new();
        for report in reports {
            answer.push(count(&transaction, report, &mut minutes)?);
        }
        answers.push(answer);
    }
    write(&transaction, &minutes)?;
    transaction.commit()?;
    Ok(answers)
}

/// Moves the mark of its run and collects its rows, if it is new.
fn count(transaction: &Transaction<'_>, report: &UsageReport, minutes: &mut Minutes) -> rusqlite::Result<Appended> {
    let boot = ordered(report.boot);
    let mut find = transaction.prepare_cached("SELECT seq FROM boot WHERE proxy = ? AND boot = ?")?;
    let counted: Option<i64> = find.query_row((&report.proxy, boot), |row| row.get(0)).optional()?;
    let appended = Appended::rule(counted.map_or(0, unnumber), report.seq);
    if appended.repeated {
        return Ok(appended);
    }
    report.rows.iter().for_each(|row| minutes.add(row));
    let newest = report.rows.iter().map(|row| row.minute).max().unwrap_or(0);
    transaction
        .prepare_cached(
            "INSERT INTO boot VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq, minute = max(minute, excluded.minute)",
        )?
        .execute((&report.proxy, boot, number(report.seq), number(newest)))?;
    Ok(appended)
}

fn write(transaction: &Transaction<'_>, minutes: &Minutes) -> rusqlite::Result<()> {
    let mut words = HashMap::new();
    let mut upsert = transaction.prepare_cached(UPSERT)?;
    for (minute, rows) in &minutes.0 {
        for (who, sums) in rows {
            let Who { key, team, user, model, provider, upstream_model } = who;
            let mut columns = vec![number(*minute), ordered(*key)];
            for text in [team, user, model, provider, upstream_model] {
                columns.push(word(transaction, &mut words, text)?);
            }
            let Sums { requests, errors, input, cached, output, reasoning, cost, unreported } = *sums;
            columns.extend([requests, errors, input, cached, output, reasoning, cost, unreported].map(number));
            upsert.execute(params_from_iter(columns))?;
        }
    }
    Ok(())
}

fn word<'w>(transaction: &Transaction<'_>, known: &mut HashMap<&'w str, i64>, text: &'w str) -> rusqlite::Result<i64> {
    if let Some(id) = known.get(text) {
        return Ok(*id);
    }
    let mut find = transaction.prepare_cached("SELECT id FROM word WHERE text = ?")?;
    let id = match find.query_row([text], |row| row.get(0)).optional()? {
        Some(id) => id,
        None => transaction.prepare_cached("INSERT INTO word (text) VALUES (?)")?.insert([text])?,
    };
    known.insert(text, id);
    Ok(id)
}

/// A query in SQL.
struct Question {
    dimensions: Vec<Dimension>,
    sql: String,
    arguments: Vec<Sql>,
}

impl Question {
    fn of(query: &Query) -> Result<Question, StoreError> {
        let dimensions = query.dimensions();
        let mut arguments = vec![Sql::Integer(number(query.from)), Sql::Integer(number(query.to))];
        let mut conditions = "minute >= ? AND minute < ?".to_owned();
        for filter in &query.filters {
            let (condition, values) = condition(filter);
            conditions = format!("{conditions} AND {condition}");
            arguments.extend(values);
        }
        // Added up by the numbers of words first, and put into words and into order afterwards.
        let mut inner = String::new();
        let (mut outer, mut joins) = (Vec::new(), String::new());
        for (n, dimension) in dimensions.iter().enumerate() {
            inner = format!("{inner}{} AS d{n}, ", column(*dimension));
            match dimension {
                Dimension::Time(_) | Dimension::Key => outer.push(format!("d{n}")),
                Dimension::Team
                | Dimension::User
                | Dimension::Model
                | Dimension::Provider
                | Dimension::UpstreamModel => {
                    outer.push(format!("w{n}.text"));
                    joins = format!("{joins} JOIN word w{n} ON w{n}.id = d{n}");
                }
            }
        }
        let groups: Vec<_> = (0..dimensions.len()).map(|n| format!("d{n}")).collect();
        let mut sql = format!(
            "SELECT {}requests, errors, input, cached, output, reasoning, cost, unreported FROM (SELECT {inner}{} FROM used WHERE {conditions}",
            outer.iter().map(|column| format!("{column}, ")).collect::<String>(),
            sums(),
        );
        if !groups.is_empty() {
            sql = format!("{sql} GROUP BY {}", groups.join(", "));
        }
        sql = format!("{sql}){joins}");
        let seen = query.seen()?.unwrap_or_default();
        if !seen.is_empty() {
            sql = format!("{sql} WHERE ({}) > ({})", outer.join(", "), vec!["?"; seen.len()].join(", "));
            arguments.extend(dimensions.iter().zip(seen).map(|(dimension, value)| sql_value(*dimension, value)));
        }
        if !outer.is_empty() {
            sql = format!("{sql} ORDER BY {}", outer.join(", "));
        }
        sql.push_str(" LIMIT ?");
        arguments.push(Sql::Integer(i64::try_from(query.limit.saturating_add(1)).unwrap_or(i64::MAX)));
        Ok(Question { dimensions, sql, arguments })
    }

    fn ask(self, connection: &Connection) -> rusqlite::Result<Vec<(Vec<Value>, super::Row)>> {
        let mut statement = connection.prepare_cached(&self.sql)?;
        let mut rows = statement.query(params_from_iter(self.arguments))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let at = self.dimensions.len();
            let sum = |n: usize| row.get::<_, i64>(at + n).map(unnumber);
            let sums = Sums {
                requests: sum(0)?,
                errors: sum(1)?,
                input: sum(2)?,
                cached: sum(3)?,
                output: sum(4)?,
                reasoning: sum(5)?,
                cost: sum(6)?,
                unreported: sum(7)?,
            };
            let mut answer = sums.into_row();
            let mut values = Vec::new();
            for (n, dimension) in self.dimensions.iter().enumerate() {
                let value = match dimension {
                    Dimension::Time(_) => Value::Number(unnumber(row.get(n)?)),
                    Dimension::Key => Value::Number(unordered(row.get(n)?)),
                    Dimension::Team
                    | Dimension::User
                    | Dimension::Model
                    | Dimension::Provider
                    | Dimension::UpstreamModel => Value::Text(row.get(n)?),
                };
                answer.set(*dimension, value.clone());
                values.push(value);
            }
            found.push((values, answer));
        }
        Ok(found)
    }
}

fn sums() -> String {
    let columns = ["requests", "errors", "input", "cached", "output", "reasoning", "cost", "unreported"];
    columns.map(|column| format!("coalesce(sum({column}), 0) AS {column}")).join(", ")
}

fn column(dimension: Dimension) -> String {
    match dimension {
        Dimension::Time(span) => format!("minute - minute % {}", span.minutes()),
        Dimension::Key => "key".to_owned(),
        Dimension::Team => "team".to_owned(),
        Dimension::User => "user".to_owned(),
        Dimension::Model => "model".to_owned(),
        Dimension::Provider => "provider".to_owned(),
        Dimension::UpstreamModel => "upstream".to_owned(),
    }
}

fn condition(filter: &Filter) -> (String, Vec<Sql>) {
    let words = |column: &str, texts: &[String]| {
        let places = vec!["?"; texts.len()].join(", ");
        let condition = format!("{column} IN (SELECT id FROM word WHERE text IN ({places}))");
        (condition, texts.iter().cloned().map(Sql::Text).collect())
    };
    match filter {
        Filter::Key(keys) => {
            let condition = format!("key IN ({})", vec!["?"; keys.len()].join(", "));
            (condition, keys.iter().map(|key| Sql::Integer(ordered(key.0))).collect())
        }
        Filter::Team(texts) => words("team", texts),
        Filter::User(texts) => words("user", texts),
        Filter::Model(texts) => words("model", texts),
        Filter::Provider(texts) => words("provider", texts),
        Filter::UpstreamModel(texts) => words("upstream", texts),
    }
}

fn sql_value(dimension: Dimension, value: Value) -> Sql {
    match value {
        Value::Number(id) if dimension == Dimension::Key => Sql::Integer(ordered(id)),
        Value::Number(minute) => Sql::Integer(number(minute)),
        Value::Text(text) => Sql::Text(text),
    }
}

/// Counts: SQLite's integers have a sign, and no honest count needs it.
fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn unnumber(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}

/// Ids use all their bits. Turning the highest one over keeps their order.
fn ordered(id: u64) -> i64 {
    (id ^ (1 << 63)).cast_signed()
}

fn unordered(id: i64) -> u64 {
    id.cast_unsigned() ^ (1 << 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_their_order() {
        let ids = [0, 1, (1 << 63) - 1, 1 << 63, u64::MAX];
        assert!(ids.map(ordered).is_sorted());
        assert_eq!(ids.map(|id| unordered(ordered(id))), ids);
    }
}
