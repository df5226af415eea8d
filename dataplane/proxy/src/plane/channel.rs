//! Reaching a control plane: one of several, with a token or a certificate, and patience that grows.

use std::time::Duration;

use http::Uri;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

use crate::config::Planes;

const CONNECT: Duration = Duration::from_secs(3);
/// A full sync travels in parts; this bounds one part.
pub(crate) const MESSAGE_BYTES_MAX: usize = 16 << 20;
const BACKOFF_FIRST_MS: u64 = 100;
const BACKOFF_MAX_MS: u64 = 10_000;

pub(crate) struct Dialer {
    endpoints: Vec<Endpoint>,
    token: Option<MetadataValue<Ascii>>,
    /// Whose turn it was, and whose it is.
    last: usize,
    next: usize,
    failures: u32,
}

/// Shows the token with every call.
#[derive(Clone)]
pub(crate) struct Show(Option<MetadataValue<Ascii>>);

impl Interceptor for Show {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl Dialer {
    pub(crate) fn new(planes: &Planes) -> Result<Dialer, String> {
        let endpoints = planes.uris.iter().map(|uri| endpoint(uri, planes)).collect::<Result<Vec<_>, _>>()?;
        let token = match &planes.token {
            None => None,
            Some(token) => {
                let mut value: MetadataValue<Ascii> = format!("Bearer {}", token.expose())
                    .parse()
                    .map_err(|_| "the join token holds characters that cannot travel in a header".to_string())?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Dialer { endpoints, token, last: 0, next: 0, failures: 0 })
    }

    pub(crate) fn show(&self) -> Show {
        Show(self.token.clone())
    }

    /// The next control plane in turn.
    pub(crate) async fn dial(&mut self) -> Result<Channel, String> {
        let endpoint =
            self.endpoints.get(self.next % self.endpoints.len().max(1)).ok_or("no control plane is named")?;
        self.last = self.next;
        self.next = self.next.wrapping_add(1);
        endpoint
            .connect()
            .await
            .map_err(|why| format!("{}: {}", endpoint.uri(), crate::upstream::link::innermost(&why)))
    }

    pub(crate) fn went_well(&mut self) {
        self.failures = 0;
        // Stay with the one that works.
        self.next = self.last;
    }

    /// How long to wait before the next try: longer each time, and never the same for two proxies.
    pub(crate) fn pause(&mut self, roll: u64) -> Duration {
        let ceiling = BACKOFF_FIRST_MS.saturating_mul(1 << self.failures.min(10)).min(BACKOFF_MAX_MS);
        self.failures = self.failures.saturating_add(1);
        Duration::from_millis(ceiling / 2 + roll % (ceiling / 2 + 1))
    }
}

fn endpoint(uri: &Uri, planes: &Planes) -> Result<Endpoint, String> {
    let endpoint = Endpoint::from(uri.clone())
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true)
        .initial_stream_window_size(Some(4 << 20))
        .initial_connection_window_size(Some(8 << 20));
    if uri.scheme_str() != Some("https") {
        return Ok(endpoint);
    }
    let mut tls = ClientTlsConfig::new();
    tls = match &planes.ca {
        Some(pem) => tls.ca_certificate(Certificate::from_pem(pem)),
        None => tls.with_webpki_roots(),
    };
    if let Some(identity) = &planes.identity {
        tls = tls.identity(Identity::from_pem(&identity.chain, identity.key.expose()));
    }
    endpoint.tls_config(tls).map_err(|why| format!("{uri}: {why}"))
}
