//! The second version of HTTP: the same answers, several at once on one connection, each cancelled on its own.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::harness::client::{chat_body, stream_body};
use crate::harness::cluster::KEY;
use crate::harness::script::{self, chunk, event, stream_head};
use crate::harness::{Cluster, Step, Upstream};

async fn connect(cluster: &Cluster) -> SendRequest<Full<Bytes>> {
    let stream = tokio::net::TcpStream::connect(cluster.proxies[0].front).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(body: String, key: &str) -> http::Request<Full<Bytes>> {
    http::Request::post("http://turnpike/v1/chat/completions")
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(Full::from(body))
        .unwrap()
}

async fn text(response: http::Response<hyper::body::Incoming>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn one_connection_carries_many_requests_at_once() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let sender = connect(&cluster).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..50 {
        let mut sender = sender.clone();
        tasks.spawn(async move {
            let body = if n % 2 == 0 { chat_body("small") } else { stream_body("small") };
            let response = sender.send_request(request(body, KEY)).await.unwrap();
            assert_eq!(response.status(), 200);
            text(response).await
        });
    }
    let streamed = ["Hel", "lo ", "there."].map(event).concat() + script::DONE;
    let mut seen = [0, 0];
    while let Some(told) = tasks.join_next().await {
        let told = told.unwrap();
        let which = usize::from(told == streamed);
        assert!(which == 1 || told == script::CHAT, "{told}");
        seen[which] += 1;
    }
    assert_eq!(seen, [25, 25]);
    let mut sender = sender;
    let refused = sender.send_request(request(chat_body("small"), "sk-unknown")).await.unwrap();
    assert_eq!(refused.status(), 401);
}

#[tokio::test]
async fn a_cancelled_stream_cancels_its_upstream_and_no_other() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let first = [stream_head(), chunk(&event("first"))].concat();
    upstream.on("upstream-small", vec![Step::Send(first), Step::Stall]);
    let mut sender = connect(&cluster).await;
    let stays = sender.send_request(request(stream_body("small"), KEY)).await.unwrap();
    let leaves = sender.send_request(request(stream_body("small"), KEY)).await.unwrap();
    upstream.reached(2).await;
    drop(leaves);
    upstream.abandoned(1).await;
    assert!(upstream.seen()[0].abandoned.is_none(), "the other goes on");
    let other = sender.send_request(request(chat_body("gpt-4o-mini"), KEY)).await.unwrap();
    assert_eq!(text(other).await, script::CHAT);
    drop(stays);
    upstream.abandoned(0).await;
}

#[tokio::test]
async fn a_large_body_and_a_large_answer_pass_the_flow_control() {
    let upstream = Upstream::start().await;
    let cluster = Cluster::serving(&upstream).await;
    let answer = format!(r#"{{"choices":[],"text":"{}"}}"#, "y".repeat(4 << 20));
    upstream.on("gpt-4o-mini", script::json(&answer));
    let body = format!(r#"{{"model":"gpt-4o-mini","x":"{}"}}"#, "x".repeat(4 << 20));
    let mut sender = connect(&cluster).await;
    let response = sender.send_request(request(body.clone(), KEY)).await.unwrap();
    assert!(text(response).await == answer);
    assert!(upstream.last().message.body == body.as_bytes());
}
