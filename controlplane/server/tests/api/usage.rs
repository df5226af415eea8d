//! What was used is counted once, and answered in the operator's terms.

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use wire::usage_client::UsageClient;
use wire::{Receipt, UsageReport, UsageRow};

use crate::house::{DOCUMENTS, House, JOIN};
use crate::proxy::{channel, with_token};

/// 2026-06-01T12:00:00Z
const MINUTE: u64 = 29_671_920;
const DAY: &str = "from=2026-06-01T00:00:00Z&to=2026-06-02T00:00:00Z";

struct Reporter {
    up: mpsc::Sender<UsageReport>,
    receipts: Streaming<Receipt>,
}

impl Reporter {
    async fn open(house: &House, token: Option<&str>) -> Result<Reporter, Status> {
        let (up, outgoing) = mpsc::channel(16);
        let request = with_token(ReceiverStream::new(outgoing), token);
        let receipts = UsageClient::new(channel(house).await).report(request).await?.into_inner();
        Ok(Reporter { up, receipts })
    }

    async fn send(&mut self, report: UsageReport) -> Result<u64, Status> {
        self.up.send(report).await.unwrap();
        self.receipts.message().await?.map(|receipt| receipt.seq).ok_or_else(|| Status::cancelled("the end"))
    }
}

fn report(seq: u64, rows: Vec<UsageRow>) -> UsageReport {
    UsageReport { proxy: "edge".into(), boot: 7, seq, rows }
}

fn row(key: u64, minute: u64) -> UsageRow {
    UsageRow {
        minute,
        key,
        team: "search".into(),
        model: "gpt-4o-mini".into(),
        provider: "mock".into(),
        upstream_model: "gpt-4o-mini".into(),
        requests: 2,
        errors: 1,
        tokens_input: 10,
        tokens_cached: 4,
        tokens_output: 20,
        tokens_reasoning: 5,
        cost_nanodollars: 1_000_000_003,
        ..UsageRow::default()
    }
}

async fn key_id(house: &House) -> u64 {
    let id = house.get("/v1/keys/bench").await.is(200).json()["id"].as_str().unwrap().to_owned();
    id.parse::<vocab::KeyId>().unwrap().0
}

async fn rows(house: &House, query: &str) -> Vec<Value> {
    house.get(&format!("/v1/usage?{DAY}&{query}")).await.is(200).json()["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_report_counts_once_however_often_it_is_sent() {
    let house = House::start().await;
    house.apply(DOCUMENTS).await.is(200);
    let key = key_id(&house).await;
    let mut reporter = Reporter::open(&house, Some(JOIN)).await.unwrap();
    assert_eq!(reporter.send(report(1, vec![row(key, MINUTE)])).await.unwrap(), 1);
    assert_eq!(reporter.send(report(1, vec![row(key, MINUTE)])).await.unwrap(), 1);
    assert_eq!(reporter.send(report(2, vec![row(key, MINUTE), row(key, MINUTE + 1)])).await.unwrap(), 2);
    // The same run over another stream, after a restart: still the same run.
    let house = house.restart().await;
    let mut reporter = Reporter::open(&house, Some(JOIN)).await.unwrap();
    assert_eq!(reporter.send(report(1, vec![row(key, MINUTE)])).await.unwrap(), 2);
    assert_eq!(reporter.send(report(2, vec![row(key, MINUTE)])).await.unwrap(), 2);
    let total = rows(&house, "").await;
    assert_eq!((total.len(), &total[0]["requests"], &total[0]["errors"]), (1, &json!(6), &json!(3)));
    assert_eq!((&total[0]["tokensInput"], &total[0]["cost"]), (&json!(30), &json!("3.000000009")));
}

#[tokio::test]
async fn rows_are_grouped_filtered_and_named() {
    let house = House::start().await;
    house.apply(DOCUMENTS).await.is(200);
    let key = key_id(&house).await;
    let stranger = UsageRow { team: String::new(), model: "other".into(), ..row(99, MINUTE + 61) };
    let mut reporter = Reporter::open(&house, Some(JOIN)).await.unwrap();
    reporter.send(report(1, vec![row(key, MINUTE), row(key, MINUTE + 1), stranger])).await.unwrap();

    let by_key = rows(&house, "groupBy=key").await;
    assert_eq!(by_key.len(), 2);
    let named = by_key.iter().find(|row| row["key"] == "bench").unwrap();
    assert_eq!((&named["requests"], &named["keyId"]), (&json!(4), &json!(vocab::KeyId(key))));
    assert!(by_key.iter().any(|row| row["key"] == json!(vocab::KeyId(99))));

    let by_hour = rows(&house, "groupBy=hour,model").await;
    let shown: Vec<_> =
        by_hour.iter().map(|row| (row["hour"].as_str().unwrap(), row["model"].as_str().unwrap())).collect();
    assert_eq!(shown, [("2026-06-01T12:00:00Z", "gpt-4o-mini"), ("2026-06-01T13:00:00Z", "other")]);
    assert_eq!(rows(&house, "groupBy=minute").await.len(), 3);
    assert_eq!(rows(&house, "key=bench").await[0]["requests"], 4);
    assert_eq!(rows(&house, &format!("key={}", vocab::KeyId(99))).await[0]["requests"], 2);
    assert_eq!(rows(&house, "team=search&model=gpt-4o-mini,other").await[0]["requests"], 4);

    let page = house.get(&format!("/v1/usage?{DAY}&groupBy=minute&limit=2")).await.is(200).json();
    let next = page["next"].as_str().unwrap();
    let rest = house.get(&format!("/v1/usage?{DAY}&groupBy=minute&limit=2&cursor={next}")).await.is(200).json();
    assert_eq!((page["data"].as_array().unwrap().len(), rest["data"].as_array().unwrap().len()), (2, 1));
    assert_eq!(rest["next"], Value::Null);

    // A key that is deleted is known by its id from then on.
    house.call("DELETE", "/v1/keys/bench", "").await.is(204);
    assert!(rows(&house, "groupBy=key").await.iter().any(|row| row["key"] == json!(vocab::KeyId(key))));
    for bad in
        ["groupBy=colour", "groupBy=minute,hour", "from=yesterday", "key=nobody", "limit=0", "cursor=x", "group=key"]
    {
        assert_eq!(house.get(&format!("/v1/usage?{bad}")).await.is(400).code(), "bad_request", "{bad}");
    }
    house.get("/v1/usage?from=2026-06-02T00:00:00Z&to=2026-06-01T00:00:00Z").await.is(400);
}

#[tokio::test]
async fn a_stream_speaks_for_one_run_of_one_proxy_that_shows_the_token() {
    let house = House::start().await;
    assert_eq!(Reporter::open(&house, Some("wrong")).await.err().unwrap().code(), Code::Unauthenticated);
    assert_eq!(Reporter::open(&house, None).await.err().unwrap().code(), Code::Unauthenticated);
    let plain = report(2, vec![row(1, MINUTE)]);
    for (other, code) in [
        (UsageReport { proxy: "other".into(), ..plain.clone() }, Code::PermissionDenied),
        (UsageReport { boot: 8, ..plain.clone() }, Code::PermissionDenied),
        (UsageReport { seq: 0, ..plain.clone() }, Code::InvalidArgument),
    ] {
        let mut reporter = Reporter::open(&house, Some(JOIN)).await.unwrap();
        assert_eq!(reporter.send(report(1, vec![row(1, MINUTE)])).await.unwrap(), 1);
        assert_eq!(reporter.send(other).await.unwrap_err().code(), code);
    }
    assert_eq!(rows(&house, "").await[0]["requests"], 2);
}

#[tokio::test]
async fn a_row_that_cannot_be_is_left_out_and_holds_nothing_up() {
    let house = House::start().await;
    let mut reporter = Reporter::open(&house, Some(JOIN)).await.unwrap();
    let impossible = UsageRow { requests: u64::MAX, ..row(1, MINUTE) };
    assert_eq!(reporter.send(report(1, vec![impossible, row(1, MINUTE)])).await.unwrap(), 1);
    assert_eq!(reporter.send(report(2, vec![row(1, MINUTE)])).await.unwrap(), 2);
    assert_eq!(rows(&house, "").await[0]["requests"], 4);
}
