//! Where machines look: is it alive, is it ready, what are the figures.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use registry::ResourceKind;
use tokio::sync::watch;

use crate::door::Answer;
use crate::proxies::Proxies;
use crate::publish::Latest;
use crate::stop::Stop;
use crate::telemetry::{Gauges, Metrics};

#[derive(Debug)]
pub(crate) struct Ops {
    pub(crate) metrics: Arc<Metrics>,
    /// There as soon as configuration has been loaded.
    pub(crate) loaded: OnceLock<(Arc<Latest>, Arc<Proxies>)>,
    pub(crate) is_ready: watch::Sender<bool>,
    pub(crate) stop: Stop,
}

impl Ops {
    pub(crate) fn ready(&self, latest: Arc<Latest>, proxies: Arc<Proxies>) {
        // It becomes ready once.
        _ = self.loaded.set((latest, proxies));
        self.is_ready.send_replace(true);
    }

    pub(crate) async fn serve(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        self.answer(request.method(), request.uri().path())
    }

    fn answer(&self, method: &Method, path: &str) -> Answer {
        if method != Method::GET {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        }
        match path {
            "/livez" => text(StatusCode::OK, "alive\n"),
            // What is in force is served whatever the store does, so the store has no say in this.
            "/readyz" if self.stop.is_wanted() => text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
            "/readyz" if self.loaded.get().is_some() => text(StatusCode::OK, "ready\n"),
            "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, "configuration has not been loaded yet\n"),
            "/metrics" => text(StatusCode::OK, self.metrics.render(&self.gauges())),
            _ => text(StatusCode::NOT_FOUND, "there are /livez /readyz /metrics\n"),
        }
    }

    fn gauges(&self) -> Gauges {
        let Some((latest, proxies)) = self.loaded.get() else { return Gauges::default() };
        let state = latest.state();
        let (connected, current) = proxies.count(state.revision());
        Gauges {
            ready: !self.stop.is_wanted(),
            store_up: latest.is_store_up(),
            revision: state.revision().0,
            proxies_connected: connected,
            proxies_current: current,
            resources: ResourceKind::ALL.map(|kind| (kind.collection(), state.count(kind))).to_vec(),
        }
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stop::stop;

    #[test]
    fn it_is_alive_before_it_is_ready() {
        let (stopper, stop) = stop();
        let ops = Ops { metrics: Arc::default(), loaded: OnceLock::new(), is_ready: watch::Sender::new(false), stop };
        let status = |path| ops.answer(&Method::GET, path).status().as_u16();
        assert_eq!((status("/livez"), status("/readyz"), status("/metrics"), status("/x")), (200, 503, 200, 404));
        stopper.stop();
        assert_eq!((status("/livez"), status("/readyz")), (200, 503));
        assert_eq!(ops.answer(&Method::POST, "/livez").status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
