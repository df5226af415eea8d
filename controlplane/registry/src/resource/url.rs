//! Where a provider lives: a URL that holds nothing but scheme, host, port and path.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const BYTES_MAX: usize = 2048;
const HOST_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    #[error("starts with `http://` or `https://`")]
    Scheme,
    #[error("has at most {BYTES_MAX} bytes")]
    TooLong,
    #[error("must not hold a user or a password; they belong into `credential`")]
    UserInfo,
    #[error("must end with the path: no `?` and no `#`")]
    Query,
    #[error("must name a host")]
    NoHost,
    #[error("the host must be a DNS name in ASCII, an IPv4 address like 10.0.0.1, or an IPv6 address like [::1]")]
    Host,
    #[error("the port is a number from 1 to 65535")]
    Port,
    #[error("the path has a character that must be percent-encoded: {0:?}")]
    Path(char),
    #[error("a `%` in the path is followed by two hexadecimal digits")]
    Percent,
    #[error("the path must not hold `.` or `..` as a segment")]
    Dots,
}

/// `http` or `https`, a host, perhaps a port, perhaps a path; neither user nor query nor fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl(Box<str>);

impl BaseUrl {
    pub fn new(text: &str) -> Result<BaseUrl, BadUrl> {
        if text.len() > BYTES_MAX {
            return Err(BadUrl::TooLong);
        }
        let rest = after_scheme(text).ok_or(BadUrl::Scheme)?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(BadUrl::UserInfo);
        }
        if path.contains(['?', '#']) {
            return Err(BadUrl::Query);
        }
        let (host, port) = split_port(authority)?;
        check_host(host)?;
        check_port(port)?;
        check_path(path)?;
        Ok(BaseUrl(Box::from(text)))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address itself, when the host is one and not a name.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        let rest = after_scheme(&self.0)?;
        let authority = rest.split('/').next()?;
        let (host, _) = split_port(authority).ok()?;
        let v6 = || host.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
        let v4 = || host.strip_suffix('.').unwrap_or(host).parse().ok().map(IpAddr::V4);
        v6().or_else(v4)
    }
}

fn after_scheme(text: &str) -> Option<&str> {
    text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))
}

/// An IPv6 host keeps its brackets.
fn split_port(authority: &str) -> Result<(&str, Option<&str>), BadUrl> {
    if !authority.starts_with('[') {
        return Ok(authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))));
    }
    let end = authority.find(']').and_then(|at| at.checked_add(1)).ok_or(BadUrl::Host)?;
    let (host, rest) = authority.split_at_checked(end).ok_or(BadUrl::Host)?;
    match rest.strip_prefix(':') {
        Some(port) => Ok((host, Some(port))),
        None if rest.is_empty() => Ok((host, None)),
        None => Err(BadUrl::Host),
    }
}

fn check_host(host: &str) -> Result<(), BadUrl> {
    if host.is_empty() {
        return Err(BadUrl::NoHost);
    }
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
        return address.map(|_| ()).ok_or(BadUrl::Host);
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        let letters = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        letters && !label.is_empty() && label.len() <= LABEL_BYTES_MAX
    };
    if host.len() > HOST_BYTES_MAX || !host.split('.').all(is_label) {
        return Err(BadUrl::Host);
    }
    // Resolvers read 0x7f.1 and 2130706433 as addresses; such spellings only hide what is meant.
    let last = host.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x") || last.starts_with("0X");
    if numeric && host.parse::<Ipv4Addr>().is_err() {
        return Err(BadUrl::Host);
    }
    Ok(())
}

fn check_port(port: Option<&str>) -> Result<(), BadUrl> {
    let Some(port) = port else { return Ok(()) };
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    let number = port.parse::<u16>().ok().filter(|number| digits && *number > 0);
    number.map(|_| ()).ok_or(BadUrl::Port)
}

fn check_path(path: &str) -> Result<(), BadUrl> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "/-._~%!$&'()*+,;=:@".contains(c);
    if let Some(character) = path.chars().find(|c| !fits(*c)) {
        return Err(BadUrl::Path(character));
    }
    let is_escape = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !path.split('%').skip(1).all(is_escape) {
        return Err(BadUrl::Percent);
    }
    let is_dots = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    if path.split('/').any(is_dots) { Err(BadUrl::Dots) } else { Ok(()) }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl Serialize for BaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for BaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        BaseUrl::new(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
