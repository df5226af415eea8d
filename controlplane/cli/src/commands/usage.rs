//! `turnpike usage`: requests, tokens and cost by group.

use serde_json::Value;
use vocab::Money;

use crate::api::Api;
use crate::args::UsageArgs;
use crate::render::{self, Format, field};
use crate::screen;
use crate::table::{Align, Table};
use crate::trouble::Trouble;

const COUNTS: [(&str, &str); 7] = [
    ("requests", "requests"),
    ("errors", "errors"),
    ("tokensInput", "input"),
    ("tokensCached", "cached"),
    ("tokensOutput", "output"),
    ("tokensReasoning", "reasoning"),
    ("unreported", "unreported"),
];

pub(super) async fn usage(api: &Api, args: &UsageArgs, output: Option<Format>) -> Result<(), Trouble> {
    let format = Format::among(output, &[Format::Table, Format::Json, Format::Yaml])?;
    let groups = args.by.join(",");
    let from = args.since.to_string();
    let until = args.until.map(|until| until.to_string());
    let filters = [
        ("to", &until),
        ("team", &args.team),
        ("key", &args.key),
        ("user", &args.user),
        ("model", &args.model),
        ("provider", &args.provider),
    ];
    let mut parameters = vec![("from", from.as_str()), ("groupBy", groups.as_str())];
    parameters.extend(filters.iter().filter_map(|(name, value)| value.as_deref().map(|value| (*name, value))));
    let rows = api.list("/v1/usage", &parameters).await?;
    match format {
        Format::Json => screen::out(&render::json(&Value::Array(rows))),
        Format::Yaml => screen::out(&render::yaml(&Value::Array(rows))?),
        Format::Table | Format::Secret if rows.is_empty() => {
            screen::note(format_args!("no requests since {from}"));
            Ok(())
        }
        Format::Table | Format::Secret => screen::out(&table(&args.by, &rows).render()),
    }
}

fn table(groups: &[String], rows: &[Value]) -> Table {
    // A column of nothing but zeros is noise where zero is the rule.
    let counts =
        COUNTS.iter().filter(|(name, _)| *name != "unreported" || rows.iter().any(|row| 0 < number(row, name)));
    let counts: Vec<_> = counts.copied().collect();
    let heads: Vec<&str> = groups.iter().map(String::as_str).collect();
    let mut table = Table::new().columns(&heads);
    for (_, head) in &counts {
        table = table.column(head, Align::Right);
    }
    let mut table = table.column("cost", Align::Right);
    for row in rows {
        let group = groups.iter().map(|name| field(row, name));
        let numbers = counts.iter().map(|(name, _)| number(row, name).to_string());
        table.row(group.chain(numbers).chain([dollars(cost(row))]));
    }
    if 1 < rows.len() {
        let sum = |name: &str| rows.iter().fold(0u64, |sum, row| sum.saturating_add(number(row, name))).to_string();
        let money = rows.iter().fold(Money::ZERO, |sum, row| sum.saturating_add(cost(row)));
        let label = groups.iter().enumerate().map(|(at, _)| if at == 0 { "total".to_owned() } else { " ".to_owned() });
        table.row(label.chain(counts.iter().map(|(name, _)| sum(name))).chain([dollars(money)]));
    }
    table
}

fn number(row: &Value, name: &str) -> u64 {
    row.get(name).and_then(Value::as_u64).unwrap_or_default()
}

/// Dollars with up to nine decimals, as the API writes them.
fn cost(row: &Value) -> Money {
    let text = field(row, "cost");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let nanos = format!("{fraction:0<9}").get(..9).and_then(|digits| digits.parse::<u64>().ok()).unwrap_or_default();
    let dollars = whole.parse::<u64>().unwrap_or_default().saturating_mul(1_000_000_000);
    Money(dollars.saturating_add(nanos))
}

/// As many decimals as say something, but at least cents.
fn dollars(money: Money) -> String {
    let text = money.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    format!("${whole}.{:0<2}", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn groups_come_first_then_numbers_then_the_total() {
        let rows = [
            json!({"team": "search", "model": "gpt", "requests": 10, "errors": 1, "tokensInput": 100, "tokensCached": 5,
                   "tokensOutput": 20, "tokensReasoning": 0, "cost": "0.001500000", "unreported": 0}),
            json!({"team": null, "model": "gpt", "requests": 2, "errors": 0, "tokensInput": 7, "tokensCached": 0,
                   "tokensOutput": 3, "tokensReasoning": 1, "cost": "1.000000001", "unreported": 0}),
        ];
        let expected = "\
TEAM    MODEL  REQUESTS  ERRORS  INPUT  CACHED  OUTPUT  REASONING          COST
search  gpt          10       1    100       5      20          0       $0.0015
-       gpt           2       0      7       0       3          1  $1.000000001
total                12       1    107       5      23          1  $1.001500001
";
        assert_eq!(table(&["team".to_owned(), "model".to_owned()], &rows).render(), expected);
    }

    #[test]
    fn what_providers_left_uncounted_is_shown_only_if_there_is_some() {
        let rows = [json!({"team": "a", "requests": 1, "unreported": 1, "cost": "0.000000000"})];
        let text = table(&["team".to_owned()], &rows).render();
        assert!(text.contains("UNREPORTED") && text.contains("$0.00\n"), "{text}");
    }
}
