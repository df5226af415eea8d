//! Certificates: the control plane's own, and those that name proxies.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::house::{ADMIN, House, converse};
use crate::proxy::{Held, Proxy, hello};

fn pem(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "pem", name].iter().collect()
}

fn text(name: &str) -> String {
    std::fs::read_to_string(pem(name)).unwrap()
}

fn flag(flag: &str, name: &str) -> String {
    format!("--{flag}={}", pem(name).display())
}

async fn dial(house: &House, identity: Option<&str>) -> Result<Channel, tonic::transport::Error> {
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(text("ca.crt"))).domain_name("localhost");
    if let Some(name) = identity {
        tls = tls.identity(Identity::from_pem(text(&format!("{name}.crt")), text(&format!("{name}.key"))));
    }
    let uri = format!("https://{}", house.server.listen.planes);
    Endpoint::from_shared(uri).unwrap().tls_config(tls).unwrap().connect().await
}

#[tokio::test]
async fn a_proxy_is_who_its_certificate_says() {
    let flags = [
        flag("planes-tls-cert", "server.crt"),
        flag("planes-tls-key", "server.key"),
        flag("planes-client-ca", "ca.crt"),
        "--join-token=".to_owned(),
    ];
    let house = House::start_with(&flags.each_ref().map(String::as_str)).await;
    let join = async |name: &str| {
        let channel = dial(&house, Some("edge-1")).await.unwrap();
        Proxy::say(channel, hello(name, &Held::default()), Held::default(), None).await.unwrap().part().await
    };
    assert_eq!(join("edge-1").await.unwrap().from, 0);
    assert_eq!(join("edge-2").await.unwrap_err().code(), Code::PermissionDenied);
    let stranger = match dial(&house, None).await {
        Err(_) => return,
        Ok(channel) => Proxy::say(channel, hello("edge-1", &Held::default()), Held::default(), None).await,
    };
    assert!(stranger.is_err(), "without a certificate nobody comes in");
}

#[tokio::test]
async fn the_api_speaks_tls_when_it_is_told_to() {
    let flags = [flag("api-tls-cert", "server.crt"), flag("api-tls-key", "server.key")];
    let house = House::start_with(&flags.each_ref().map(String::as_str)).await;
    let client = trust::client_config(Some(text("ca.crt").as_bytes()), None).unwrap();
    let stream = TcpStream::connect(house.server.listen.api).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(client)).connect(name, stream).await.unwrap();
    let bearer = format!("Bearer {ADMIN}");
    let reply = converse(TokioIo::new(stream), "GET", "/v1/status", &[("authorization", &bearer)], Bytes::new()).await;
    assert_eq!(reply.status, 200);
}
