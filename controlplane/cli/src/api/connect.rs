//! From an address to a connection that takes requests.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Address;
use crate::trouble::Trouble;

const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

pub(super) type Sender = SendRequest<Full<Bytes>>;

pub(super) struct Tls(Arc<ClientConfig>);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(..)")
    }
}

impl Tls {
    pub(super) fn new(ca: Option<&Path>) -> Result<Tls, Trouble> {
        let pem = match ca {
            None => None,
            Some(path) => Some(
                std::fs::read(path)
                    .map_err(|why| Trouble::Local(format!("--ca {} cannot be read: {why}", path.display())))?,
            ),
        };
        let config =
            trust::client_config(pem.as_deref(), None).map_err(|why| Trouble::Local(format!("--ca: {why}")))?;
        Ok(Tls(Arc::new(config)))
    }
}

pub(super) async fn connect(address: &Address, tls: Option<&Tls>) -> Result<Sender, Trouble> {
    let connected = tokio::time::timeout(CONNECT_TIME_MAX, open(address, tls)).await;
    connected.unwrap_or_else(|_| {
        let seconds = CONNECT_TIME_MAX.as_secs();
        Err(Trouble::Unreachable(format!(
            "{address} could not be reached within {seconds} s: is a firewall in the way?"
        )))
    })
}

async fn open(address: &Address, tls: Option<&Tls>) -> Result<Sender, Trouble> {
    let stream = TcpStream::connect((address.host(), address.port())).await.map_err(|why| refused(address, &why))?;
    // Only speed is lost without it.
    _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return shake_hands(stream, address).await };
    let name = ServerName::try_from(address.host().to_owned())
        .map_err(|_| Trouble::Local(format!("{:?} cannot be the name in a certificate", address.host())))?;
    let stream = TlsConnector::from(Arc::clone(&tls.0)).connect(name, stream).await.map_err(|why| {
        let advice = "If its certificate is from a private authority, give that with --ca FILE.";
        Trouble::Unreachable(format!("no TLS with {address}: {why}.\n{advice}"))
    })?;
    shake_hands(stream, address).await
}

async fn shake_hands<S>(stream: S, address: &Address) -> Result<Sender, Trouble>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    TokioIo<S>: Read + Write,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|why| Trouble::Unreachable(format!("{address} does not speak HTTP: {why}")))?;
    // It ends with the sender or with the stream; what went wrong is told to the request in flight.
    drop(tokio::spawn(async move { _ = connection.await }));
    Ok(sender)
}

fn refused(address: &Address, why: &io::Error) -> Trouble {
    let advice = "Say where it is with --api URL or TURNPIKE_API.";
    Trouble::Unreachable(match why.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!("nothing listens at {address}: is the control plane running? Try `turnpike up`.\n{advice}")
        }
        _ => format!("cannot connect to {address}: {why}.\n{advice}"),
    })
}
