//! rustls configurations from PEM bytes.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use vocab::Secret;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTls {
    #[error("{what} is not PEM: {why}")]
    NotPem { what: &'static str, why: String },
    #[error("{0} holds no certificate")]
    Empty(&'static str),
    #[error("certificate and key do not fit: {0}")]
    Mismatch(String),
}

/// Who we are: a certificate chain and its key, both PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    pub chain: Vec<u8>,
    pub key: Secret,
}

/// Chooses the one crypto provider; call it once, first thing in main.
pub fn install_crypto() {
    // A second call finds the same provider installed, which is what is wanted.
    _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Trusts the public authorities and those in `extra`.
pub fn client_config(extra: Option<&[u8]>, identity: Option<&Identity>) -> Result<ClientConfig, BadTls> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(pem) = extra {
        add(&mut roots, "the CA file", pem)?;
    }
    let builder = ClientConfig::builder().with_root_certificates(roots);
    match identity {
        None => Ok(builder.with_no_client_auth()),
        Some(identity) => {
            let (chain, key) = parse(identity)?;
            builder.with_client_auth_cert(chain, key).map_err(|why| BadTls::Mismatch(why.to_string()))
        }
    }
}

/// With `clients`, a peer must show a certificate of one of those authorities.
pub fn server_config(identity: &Identity, clients: Option<&[u8]>) -> Result<ServerConfig, BadTls> {
    let (chain, key) = parse(identity)?;
    let builder = match clients {
        None => ServerConfig::builder().with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            add(&mut roots, "the client CA file", pem)?;
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
                .build()
                .map_err(|why| BadTls::Mismatch(why.to_string()))?;
            ServerConfig::builder().with_client_cert_verifier(verifier)
        }
    };
    builder.with_single_cert(chain, key).map_err(|why| BadTls::Mismatch(why.to_string()))
}

fn parse(identity: &Identity) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), BadTls> {
    let chain = certificates("the certificate file", &identity.chain)?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.expose().as_bytes())
        .map_err(|why| BadTls::NotPem { what: "the key file", why: why.to_string() })?;
    Ok((chain, key))
}

fn add(roots: &mut RootCertStore, what: &'static str, pem: &[u8]) -> Result<(), BadTls> {
    for certificate in certificates(what, pem)? {
        roots.add(certificate).map_err(|why| BadTls::NotPem { what, why: why.to_string() })?;
    }
    Ok(())
}

fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BadTls> {
    let list = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|why| BadTls::NotPem { what, why: why.to_string() })?;
    if list.is_empty() { Err(BadTls::Empty(what)) } else { Ok(list) }
}
