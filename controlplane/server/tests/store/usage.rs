//! The promises of every usage log.

use server::store::StoreError;
use server::usage::{Appended, Dimension, Filter, Pruned, Query, Row, Span, UsageLog};
use vocab::{KeyId, Money, Timestamp, Tokens, Usage};
use wire::{UsageReport, UsageRow};

use crate::world::World;

/// Late in 2026.
const NOW: u64 = 29_900_000;

fn row(minute: u64, key: u64, team: &str, model: &str) -> UsageRow {
    UsageRow {
        minute,
        key,
        team: team.into(),
        user: String::new(),
        model: model.into(),
        provider: "openai".into(),
        upstream_model: format!("{model}-2026"),
        requests: 10,
        errors: 1,
        tokens_input: 1000,
        tokens_cached: 100,
        tokens_output: 50,
        tokens_reasoning: 5,
        cost_nanodollars: 123_456,
        unreported: 2,
    }
}

fn report(boot: u64, seq: u64, rows: Vec<UsageRow>) -> UsageReport {
    UsageReport { proxy: "eu/proxy-1".into(), boot, seq, rows }
}

fn all() -> Query {
    Query { from: 0, to: u64::MAX, limit: 1000, ..Query::default() }
}

fn counted(durable_seq: u64) -> Appended {
    Appended { durable_seq, repeated: false, gap: 0 }
}

async fn requests(log: &dyn UsageLog) -> u64 {
    log.query(&all()).await.unwrap().rows[0].requests
}

pub(crate) async fn a_report_is_counted_once_wherever_it_is_sent(world: World) {
    let log = world.open_log().await;
    let beside = world.open_log_beside(&log).await;
    assert_eq!(requests(&*log).await, 0);
    let first = report(7, 1, vec![row(NOW, 1, "a", "m"), row(NOW, 1, "a", "m")]);
    assert_eq!(log.append(std::slice::from_ref(&first)).await, Ok(vec![counted(1)]));
    let again = Appended { repeated: true, ..counted(1) };
    assert_eq!(log.append(std::slice::from_ref(&first)).await, Ok(vec![again]));
    assert_eq!(beside.append(std::slice::from_ref(&first)).await, Ok(vec![again]));
    assert_eq!(requests(&*log).await, 20);

    // The next ones, sent to both at once, some of them together, over and over.
    let reports: Vec<_> = (2..=20).map(|seq| report(7, seq, vec![row(NOW, seq % 3, "a", "m")])).collect();
    let (left, right) = (log.clone(), beside.clone());
    let (one, two) = (reports.clone(), reports);
    let singly = tokio::spawn(async move {
        for report in one {
            let seq = report.seq;
            let appended = left.append(&[report]).await.unwrap();
            assert!(seq <= appended[0].durable_seq);
        }
    });
    let in_threes = tokio::spawn(async move {
        for some in two.chunks(3) {
            right.append(some).await.unwrap();
            right.append(some).await.unwrap();
        }
    });
    singly.await.unwrap();
    in_threes.await.unwrap();
    assert_eq!(requests(&*log).await, 20 + 190);
    assert_eq!(requests(&*beside).await, 20 + 190);
    // To one, to the other, and back: neither trusts its memory of the run.
    for (seq, log) in [(21, &log), (22, &beside), (23, &log), (24, &beside)] {
        let next = report(7, seq, vec![row(NOW, 100 + seq, "a", "m")]);
        assert_eq!(log.append(std::slice::from_ref(&next)).await, Ok(vec![counted(seq)]));
    }
    let again = report(7, 22, vec![row(NOW, 122, "a", "m")]);
    assert_eq!(log.append(&[again]).await, Ok(vec![Appended { repeated: true, ..counted(24) }]));
    assert_eq!(requests(&*log).await, 250);
    // Another run of the same proxy numbers anew.
    let mixed =
        [report(8, 1, vec![row(NOW, 1, "a", "m")]), report(7, 20, vec![]), report(8, 2, vec![row(NOW, 1, "a", "m")])];
    let answers = beside.append(&mixed).await.unwrap();
    assert_eq!(answers, [counted(1), Appended { repeated: true, ..counted(24) }, counted(2)]);
    assert_eq!(requests(&*log).await, 270);
}

pub(crate) async fn a_gap_is_told_and_what_came_is_counted(world: World) {
    let log = world.open_log().await;
    let reports = [1, 5, 4, 6].map(|seq| report(1, seq, vec![row(NOW, 1, "a", "m")]));
    let answers = log.append(&reports).await.unwrap();
    let late = Appended { durable_seq: 5, repeated: true, gap: 0 };
    assert_eq!(answers, [counted(1), Appended { gap: 3, ..counted(5) }, late, counted(6)]);
    assert_eq!(requests(&*log).await, 30);
    assert_eq!(log.append(&[report(2, 3, vec![])]).await, Ok(vec![Appended { gap: 2, ..counted(3) }]));
}

const HOUR: u64 = NOW - NOW % 60;

/// Five rows, of which two are the same one.
async fn mixed(log: &dyn UsageLog) {
    let rows = vec![
        row(HOUR, 1, "search", "gpt"),
        row(HOUR + 1, 1, "search", "gpt"),
        row(HOUR + 61, 1, "search", "claude"),
        row(HOUR + 61, u64::MAX, "", "gpt"),
    ];
    log.append(&[report(1, 1, rows)]).await.unwrap();
    log.append(&[report(1, 2, vec![row(HOUR, 1, "search", "gpt")])]).await.unwrap();
}

/// So many of `row` added up.
fn sum(n: u64, row: Row) -> Row {
    let tokens =
        Usage { input: Tokens(1000 * n), cached: Tokens(100 * n), output: Tokens(50 * n), reasoning: Tokens(5 * n) };
    Row { requests: 10 * n, errors: n, tokens, cost: Money(123_456 * n), unreported: 2 * n, ..row }
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

async fn ask(log: &dyn UsageLog, group: &[Dimension], filters: &[Filter]) -> Vec<Row> {
    let page = log.query(&Query { group: group.to_vec(), filters: filters.to_vec(), ..all() }).await.unwrap();
    assert_eq!(page.next, None);
    page.rows
}

pub(crate) async fn rows_add_up_in_any_grouping(world: World) {
    let log = world.open_log().await;
    mixed(&*log).await;
    let none = Row::default;
    assert_eq!(ask(&*log, &[], &[]).await, [sum(5, none())]);
    assert_eq!(
        ask(&*log, &[Dimension::Key, Dimension::Time(Span::Hour)], &[]).await,
        [
            sum(3, Row { minute: Some(HOUR), key: Some(KeyId(1)), ..none() }),
            sum(1, Row { minute: Some(HOUR + 60), key: Some(KeyId(1)), ..none() }),
            sum(1, Row { minute: Some(HOUR + 60), key: Some(KeyId(u64::MAX)), ..none() }),
        ]
    );
    assert_eq!(
        ask(&*log, &[Dimension::Model, Dimension::Team], &[]).await,
        [
            sum(1, Row { team: text(""), model: text("gpt"), ..none() }),
            sum(1, Row { team: text("search"), model: text("claude"), ..none() }),
            sum(3, Row { team: text("search"), model: text("gpt"), ..none() }),
        ]
    );
    let everything = [
        Dimension::Time(Span::Minute),
        Dimension::Key,
        Dimension::Team,
        Dimension::User,
        Dimension::Model,
        Dimension::Provider,
        Dimension::UpstreamModel,
    ];
    let rows = ask(&*log, &everything, &[]).await;
    assert_eq!(rows.len(), 4);
    let first = Row {
        minute: Some(HOUR),
        key: Some(KeyId(1)),
        team: text("search"),
        user: text(""),
        model: text("gpt"),
        provider: text("openai"),
        upstream_model: text("gpt-2026"),
        ..none()
    };
    assert_eq!(rows[0], sum(2, first));
}

pub(crate) async fn only_what_was_asked_for_is_added_up(world: World) {
    let log = world.open_log().await;
    mixed(&*log).await;
    let none = Row::default;
    let gpt = Filter::Model(vec!["gpt".into(), "nobody".into()]);
    assert_eq!(ask(&*log, &[], std::slice::from_ref(&gpt)).await, [sum(4, none())]);
    assert_eq!(ask(&*log, &[], &[gpt, Filter::Key(vec![KeyId(u64::MAX)])]).await, [sum(1, none())]);
    assert_eq!(ask(&*log, &[], &[Filter::Team(vec!["nobody".into()])]).await, [sum(0, none())]);
    assert_eq!(ask(&*log, &[Dimension::Team], &[Filter::Team(vec![])]).await, []);
    let window = Query { from: HOUR + 1, to: HOUR + 61, ..all() };
    assert_eq!(log.query(&window).await.unwrap().rows, [sum(1, none())]);
    let backwards = Query { from: HOUR + 61, to: HOUR, ..all() };
    assert_eq!(log.query(&backwards).await.unwrap().rows, [sum(0, none())]);
}

pub(crate) async fn pages_follow_each_other_without_a_row_lost(world: World) {
    let log = world.open_log().await;
    let rows = (0..100).map(|n| row(NOW + n % 4, n % 10 * (u64::MAX / 10), &format!("team {}", n % 7), "m")).collect();
    log.append(&[report(1, 1, rows)]).await.unwrap();
    for group in [
        vec![Dimension::Time(Span::Minute), Dimension::Key],
        vec![Dimension::Team],
        vec![Dimension::Key, Dimension::Team, Dimension::Time(Span::Day)],
    ] {
        let whole = log.query(&Query { group: group.clone(), ..all() }).await.unwrap();
        assert_eq!(whole.next, None);
        let mut paged = Vec::new();
        let mut query = Query { group, limit: 3, ..all() };
        loop {
            let page = log.query(&query).await.unwrap();
            assert!(page.rows.len() == 3 || page.next.is_none());
            paged.extend(page.rows);
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
        }
        assert_eq!(paged, whole.rows);
        assert_eq!(paged.iter().map(|row| row.requests).sum::<u64>(), 1000);
    }
    let strange = Query { group: vec![Dimension::Team], after: Some("n31".into()), ..all() };
    assert_eq!(log.query(&strange).await, Err(StoreError::BadCursor));
}

pub(crate) async fn reports_of_any_size_are_counted_once(world: World) {
    let log = world.open_log().await;
    let beside = world.open_log_beside(&log).await;
    // Many keys in one minute, long names, a proxy that was alone for hours, and small ones in between and together.
    let many = report(1, 1, (0..4000).map(|n| row(NOW, n, &"t".repeat(200), &format!("m{}", n % 300))).collect());
    let lonely = report(1, 2, (0..600).map(|n| row(NOW - 600 + n, 1, "a", "m")).collect());
    let small: Vec<_> =
        (3..60).map(|seq| report(1, seq, vec![row(NOW, seq, "a", "m"), row(NOW + 1, seq, "a", "m")])).collect();
    let reports = [vec![many, lonely], small].concat();
    let total = 10 * (4000 + 600 + 57 * 2);
    let answers = log.append(&reports).await.unwrap();
    assert!(answers.iter().all(|answer| !answer.repeated && answer.gap == 0));
    assert_eq!(requests(&*log).await, total);
    for log in [&log, &beside] {
        let answers = log.append(&reports).await.unwrap();
        assert!(answers.iter().all(|answer| answer.repeated));
    }
    assert_eq!(requests(&*beside).await, total);
    let by_key = Query { group: vec![Dimension::Key], limit: 10_000, ..all() };
    assert_eq!(log.query(&by_key).await.unwrap().rows.len(), 4000);
}

pub(crate) async fn a_reopened_log_goes_on_where_it_was(world: World) {
    let log = world.open_log().await;
    log.append(&[report(1, 1, vec![row(NOW, 1, "a", "m")]), report(1, 2, vec![row(NOW, 1, "a", "m")])]).await.unwrap();
    drop(log);
    let log = world.open_log().await;
    let again = report(1, 2, vec![row(NOW, 1, "a", "m")]);
    let next = report(1, 3, vec![row(NOW, 1, "a", "m")]);
    let answers = log.append(&[again, next]).await.unwrap();
    assert_eq!(answers, [Appended { repeated: true, ..counted(2) }, counted(3)]);
    assert_eq!(requests(&*log).await, 30);
}

pub(crate) async fn old_minutes_are_forgotten_and_young_ones_kept(world: World) {
    const DAY: u64 = 24 * 60;
    let log = world.open_log().await;
    let beside = world.open_log_beside(&log).await;
    log.append(&[report(1, 1, vec![row(NOW - 9 * DAY, 1, "old", "m")])]).await.unwrap();
    log.append(&[report(2, 1, vec![row(NOW - 9 * DAY, 1, "old", "m"), row(NOW - 7 * DAY, 1, "young", "m")])])
        .await
        .unwrap();
    log.append(&[report(3, 1, vec![])]).await.unwrap();
    let now = Timestamp::from_ms(NOW * 60_000);
    let [first, second] = [log.prune(now).await.unwrap(), beside.prune(now).await.unwrap()];
    assert_eq!((first.boots, second), (1, Pruned::default()));
    assert!(0 < first.rows);
    let page = log.query(&Query { group: vec![Dimension::Team], ..all() }).await.unwrap();
    assert_eq!(page.rows.iter().map(|row| row.team.as_deref()).collect::<Vec<_>>(), [Some("young")]);
    // A run that still speaks is still known.
    let answers = log.append(&[report(2, 1, vec![row(NOW, 1, "young", "m")]), report(3, 1, vec![])]).await.unwrap();
    assert!(answers.iter().all(|answer| answer.repeated));
}
