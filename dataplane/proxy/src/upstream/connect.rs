//! Dialling a provider: resolve, check every address, connect to a checked one, shake hands.

use std::net::SocketAddr;
use std::sync::Arc;

use policy::Http;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use vocab::address::check_address;
use vocab::url::Scheme;

use crate::upstream::link::{Io, Link, Trouble, innermost};

pub(crate) async fn dial(http: &Http, tls: &Arc<ClientConfig>) -> Result<Link, Trouble> {
    let io = timeout(http.timeouts.connect, reach(http, tls)).await;
    let io = io.unwrap_or(Err(Trouble::ConnectTimeout(http.timeouts.connect)))?;
    Link::open(io, http.timeouts.idle).await
}

async fn reach(http: &Http, tls: &Arc<ClientConfig>) -> Result<Io, Trouble> {
    let stream = connect(&resolve(http).await?).await?;
    stream.set_nodelay(true).map_err(|why| Trouble::Connect(why.to_string()))?;
    match http.scheme {
        Scheme::Http => Ok(Io::Plain(stream)),
        Scheme::Https => {
            let name = ServerName::try_from(http.host.clone()).map_err(|why| Trouble::Tls(why.to_string()))?;
            let connector = TlsConnector::from(Arc::clone(tls));
            let stream = connector.connect(name, stream).await.map_err(|why| Trouble::Tls(innermost(&why)))?;
            Ok(Io::Tls(Box::new(stream)))
        }
    }
}

/// Only addresses that may be dialled; if one of them may not, none is: a name that points at both is up to no good.
async fn resolve(http: &Http) -> Result<Vec<SocketAddr>, Trouble> {
    let found = lookup_host((http.host.as_str(), http.port)).await.map_err(|why| Trouble::Name(why.to_string()))?;
    let addresses: Vec<SocketAddr> = found.collect();
    if addresses.is_empty() {
        return Err(Trouble::Name("no address".into()));
    }
    for address in &addresses {
        check_address(address.ip(), http.allow_link_local).map_err(Trouble::Forbidden)?;
    }
    Ok(addresses)
}

async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, Trouble> {
    let mut last = Trouble::Name("no address".into());
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(why) => last = Trouble::Connect(format!("{address}: {why}")),
        }
    }
    Err(last)
}
