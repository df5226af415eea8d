//! Who may be a proxy here. A proxy sees what credentials are sealed into, so letting one in is an event.

use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};
use trust::equal;
use vocab::{ProxyName, Secret};

use crate::config::Planes;

/// What is configured is demanded: a token, a certificate, or both.
#[derive(Debug)]
pub(crate) struct Gate {
    token: Option<Secret>,
    wants_certificate: bool,
}

/// Somebody who may come in, under one of these names.
#[derive(Debug)]
pub(crate) enum Guest {
    AnyName,
    /// TLS has verified it already; what is left is whether it says the right name.
    Certified(CertificateDer<'static>),
}

impl Gate {
    pub(crate) fn new(planes: &Planes) -> Gate {
        Gate { token: planes.token.clone(), wants_certificate: planes.client_ca.is_some() }
    }

    pub(crate) fn admit<T>(&self, request: &Request<T>) -> Result<Guest, Status> {
        if let Some(token) = &self.token
            && !bearer(request.metadata()).is_some_and(|presented| equal(token, presented))
        {
            return Err(Status::unauthenticated(
                "the join token is missing or wrong: start the proxy with the join token of this control plane",
            ));
        }
        if !self.wants_certificate {
            return Ok(Guest::AnyName);
        }
        let certificates = request.peer_certs();
        let own = certificates.as_ref().and_then(|chain| chain.first());
        let own = own.ok_or_else(|| Status::unauthenticated("this control plane wants a client certificate"))?;
        Ok(Guest::Certified(own.clone()))
    }
}

/// A call with two tokens has none.
fn bearer(metadata: &MetadataMap) -> Option<&str> {
    let mut values = metadata.get_all("authorization").iter();
    let one = values.next().filter(|_| values.next().is_none())?;
    one.to_str().ok()?.strip_prefix("Bearer ")
}

impl Guest {
    pub(crate) fn name(&self, presented: &str) -> Result<ProxyName, Status> {
        let name = ProxyName::new(presented)
            .map_err(|why| Status::invalid_argument(format!("the proxy's name cannot be used: {why}")))?;
        let Guest::Certified(certificate) = self else { return Ok(name) };
        let says_so = || {
            let certificate = ParsedCertificate::try_from(certificate).ok()?;
            let server = ServerName::try_from(presented).ok()?;
            verify_server_name(&certificate, &server).ok()
        };
        match says_so() {
            Some(()) => Ok(name),
            None => Err(Status::permission_denied(format!(
                "the certificate does not carry the name {presented}: put it among the DNS names of the certificate"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(values: &[&str]) -> Request<()> {
        let mut request = Request::new(());
        for value in values {
            request.metadata_mut().append("authorization", value.parse().unwrap());
        }
        request
    }

    #[test]
    fn only_the_one_right_token_opens() {
        let gate = Gate { token: Some(Secret::new("t".into())), wants_certificate: false };
        assert!(gate.admit(&request(&["Bearer t"])).is_ok());
        for wrong in [&[][..], &["Bearer x"], &["t"], &["Bearer t", "Bearer t"], &["Basic t"]] {
            let status = gate.admit(&request(wrong)).unwrap_err();
            assert_eq!(status.code(), tonic::Code::Unauthenticated, "{wrong:?}");
        }
    }

    #[test]
    fn where_certificates_are_wanted_a_token_does_not_do() {
        let gate = Gate { token: None, wants_certificate: true };
        assert_eq!(gate.admit(&request(&["Bearer t"])).unwrap_err().code(), tonic::Code::Unauthenticated);
    }

    #[test]
    fn a_name_must_be_one() {
        assert!(Guest::AnyName.name("edge-1").is_ok());
        assert!(Guest::AnyName.name("").is_err());
        assert!(Guest::Certified(CertificateDer::from(vec![1, 2, 3])).name("edge-1").is_err());
    }
}
