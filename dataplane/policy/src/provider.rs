//! Somebody who answers: what it speaks, and how it is reached.

use std::time::Duration;

use prost::Message;
use vocab::pem::check_certificates;
use vocab::url::{BaseUrl, Scheme};
use vocab::{Dialect, ProviderName, Secret};

use crate::apply::Open;
use crate::rejected::Fault;

/// What a provider is given when its document says nothing. Zero on the wire means that nothing was said.
const TIMEOUT_CONNECT_MS: u32 = 2_000;
const TIMEOUT_IDLE_MS: u32 = 60_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    pub name: ProviderName,
    pub dialect: Dialect,
    pub reach: Reach,
    /// Another whenever the contents are, the same whenever they are the same: connections are pooled by it.
    pub serial: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    Http(Http),
    Demo(Demo),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    pub scheme: Scheme,
    /// To be resolved: a name in lowercase, or an address without brackets.
    pub host: String,
    pub port: u16,
    /// What the Host header says.
    pub authority: String,
    /// Empty, or with a slash in front and none behind.
    pub path_prefix: String,
    /// Fit for a header.
    pub credential: Option<Secret>,
    /// Lets a link-local or metadata address be dialled.
    pub allow_link_local: bool,
    /// Extra certificate authorities, PEM.
    pub ca: Option<String>,
    pub timeouts: Timeouts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Duration,
    /// Between two reads of an answer, the first included.
    pub idle: Duration,
}

/// Answers without an account, from within the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demo {
    pub latency: Duration,
    /// Between two chunks of a stream.
    pub chunk: Duration,
    /// At most 1000.
    pub fail_permille: u32,
}

impl Provider {
    pub(crate) fn name_of(id: &[u8]) -> Result<ProviderName, Fault> {
        let id = std::str::from_utf8(id).map_err(|_| Fault::IdText)?;
        ProviderName::new(id).map_err(Fault::Id)
    }

    pub(crate) fn read(resource: &wire::Resource, open: &Open<'_>) -> Result<Provider, Fault> {
        let name = Provider::name_of(&resource.id)?;
        let body = wire::Provider::decode(&*resource.body)?;
        let dialect = Dialect::parse(&body.dialect).ok_or(Fault::Dialect(body.dialect))?;
        let reach = match body.reach.ok_or(Fault::Reach)? {
            wire::provider::Reach::Http(http) => Reach::Http(read_http(&name, http, open)?),
            wire::provider::Reach::Demo(demo) => Reach::Demo(read_demo(demo)?),
        };
        let serial = u64::try_from(wire::digest_resource(resource).0 >> 64).unwrap_or(u64::MAX);
        Ok(Provider { name, dialect, reach, serial })
    }
}

fn read_http(name: &ProviderName, http: wire::Http, open: &Open<'_>) -> Result<Http, Fault> {
    let BaseUrl { scheme, host, port, authority, path_prefix } = BaseUrl::parse(&http.base_url)?;
    let credential = if http.credential.is_empty() {
        None
    } else {
        let secret = open(&format!("Provider/{name}/credential"), &http.credential).map_err(Fault::Sealed)?;
        Some(fit_for_a_header(secret)?)
    };
    let ca = if http.ca.is_empty() { None } else { Some(read_ca(http.ca.into())?) };
    let or = |ms: u32, unsaid: u32| Duration::from_millis(if ms == 0 { unsaid } else { ms }.into());
    let timeouts = Timeouts {
        connect: or(http.timeout_connect_ms, TIMEOUT_CONNECT_MS),
        idle: or(http.timeout_idle_ms, TIMEOUT_IDLE_MS),
    };
    let allow_link_local = http.allow_link_local;
    Ok(Http { scheme, host, port, authority, path_prefix, credential, allow_link_local, ca, timeouts })
}

fn fit_for_a_header(secret: Secret) -> Result<Secret, Fault> {
    let text = secret.expose();
    let fits = !text.is_empty() && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if fits { Ok(secret) } else { Err(Fault::Credential) }
}

/// Only a glance, enough to tell a certificate from a path or a key; whoever dials reads it in earnest.
fn read_ca(pem: Vec<u8>) -> Result<String, Fault> {
    let text = String::from_utf8(pem).map_err(|_| Fault::Ca)?;
    check_certificates(&text).map(|()| text).map_err(|_| Fault::Ca)
}

fn read_demo(demo: wire::Demo) -> Result<Demo, Fault> {
    if demo.fail_permille > 1000 {
        return Err(Fault::Permille(demo.fail_permille));
    }
    Ok(Demo {
        latency: Duration::from_millis(demo.latency_ms.into()),
        chunk: Duration::from_millis(demo.chunk_ms.into()),
        fail_permille: demo.fail_permille,
    })
}
