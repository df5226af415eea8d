//! Where operators look: is it alive, is it ready, what has it done, what does it hold.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::edge::drain::Stopping;
use crate::gateway::Gateway;
use crate::telemetry::exposition;

/// Operators and their machines ask briefly.
const CONVERSATION_MAX: Duration = Duration::from_secs(30);
/// A place is not kept for those who say nothing.
const HEAD_MAX: Duration = Duration::from_secs(2);
const CONNECTIONS_MAX: usize = 256;

/// Serves until told to stop; readiness says no before that, liveness never does.
pub(crate) async fn serve(gateway: Arc<Gateway>, listener: TcpListener, mut stopping: Stopping) {
    let mut conversations = JoinSet::new();
    let mut told = pin!(stopping.wait());
    loop {
        tokio::select! {
            biased;
            () = &mut told => return,
            Some(_) = conversations.join_next(), if !conversations.is_empty() => {}
            accepted = listener.accept(), if conversations.len() < CONNECTIONS_MAX => {
                let Ok((stream, _)) = accepted else { continue };
                let gateway = Arc::clone(&gateway);
                let service = service_fn(move |request| {
                    let response = answer(&gateway, &request);
                    async move { Ok::<_, Infallible>(response) }
                });
                let connection = http1::Builder::new()
                    .max_headers(100)
                    .keep_alive(false)
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_MAX)
                    .serve_connection(TokioIo::new(stream), service);
                conversations.spawn_local(async move {
                    // How such a connection ends is nobody's concern.
                    _ = timeout(CONVERSATION_MAX, connection).await;
                });
            }
        }
    }
}

fn answer(gateway: &Gateway, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".into());
    }
    match request.uri().path() {
        "/livez" => text(StatusCode::OK, "alive\n".into()),
        "/readyz" => {
            match (gateway.life.is_ready(), gateway.life.draining.load(std::sync::atomic::Ordering::Acquire)) {
                (true, _) => text(StatusCode::OK, "ready\n".into()),
                (false, true) => text(StatusCode::SERVICE_UNAVAILABLE, "draining\n".into()),
                (false, false) => text(StatusCode::SERVICE_UNAVAILABLE, "no configuration yet\n".into()),
            }
        }
        "/metrics" => metrics(gateway),
        "/snapshot" => json(snapshot(gateway)),
        _ => text(StatusCode::NOT_FOUND, "/livez /readyz /metrics /snapshot\n".into()),
    }
}

fn metrics(gateway: &Gateway) -> Response<Full<Bytes>> {
    let text_body = gateway.collect_series(|all| exposition(gateway, all));
    let mut response = text(StatusCode::OK, text_body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4"));
    response
}

/// What this proxy holds, without a secret in it.
fn snapshot(gateway: &Gateway) -> String {
    let snapshot = gateway.snapshot.load();
    let counts = snapshot.counts();
    let rejected: Vec<_> = snapshot
        .rejected()
        .map(|rejected| {
            serde_json::json!({
                "kind": rejected.kind_name(),
                "name": rejected.id_text(),
                "why": rejected.why,
                "kept": rejected.kept,
            })
        })
        .collect();
    let body = serde_json::json!({
        "proxy": gateway.name.as_str(),
        "boot": gateway.boot.to_string(),
        "store": snapshot.store(),
        "revision": snapshot.revision().0,
        "digest": snapshot.digest().to_string(),
        "counts": {
            "keys": counts.keys,
            "models": counts.models,
            "providers": counts.providers,
            "policies": counts.policies,
            "rejected": counts.rejected,
        },
        "models": snapshot.models().map(|model| model.name.as_str()).collect::<Vec<_>>(),
        "rejected": rejected,
    });
    let mut out = String::new();
    _ = writeln!(out, "{body:#}");
    out
}

fn json(body: String) -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::OK, body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
