//! The base URL of a provider, read once into parts that can be dialled and sent. Both planes read it by this code, so
//! that what is accepted when it is written down is not refused when it arrives.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const BYTES_MAX: usize = 2048;
const HOST_BYTES_MAX: usize = 253;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// Says what is wrong without quoting the URL, which may hold a password in a place where none belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    #[error("it has more than {BYTES_MAX} bytes")]
    TooLong,
    #[error("it must start with http:// or https://")]
    Scheme,
    #[error("it may hold printable ASCII only, without quotes, backslashes and brackets")]
    Character,
    #[error("it must not hold a user or password: the credential has its own place")]
    User,
    #[error("it must not hold a query or fragment")]
    Query,
    #[error("its host must be a name or an address")]
    Host,
    #[error("its port must be a number from 1 to 65535")]
    Port,
    #[error("its path must not hold `.` or `..` as a part, nor a stray %")]
    Path,
}

#[derive(Debug, PartialEq, Eq)]
pub struct BaseUrl {
    pub scheme: Scheme,
    /// To be resolved: a name in lowercase, or an address without brackets.
    pub host: String,
    pub port: u16,
    /// As the Host header says it: with brackets where they belong, without the port where it is the usual one.
    pub authority: String,
    /// Empty, or with a slash in front and none behind.
    pub path_prefix: String,
}

impl BaseUrl {
    pub fn parse(text: &str) -> Result<BaseUrl, BadUrl> {
        if BYTES_MAX < text.len() {
            return Err(BadUrl::TooLong);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'\\<>^`{|}".contains(&byte)) {
            return Err(BadUrl::Character);
        }
        let (scheme, rest) = text.split_once("://").ok_or(BadUrl::Scheme)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(BadUrl::Scheme),
        };
        if rest.contains(['?', '#']) {
            return Err(BadUrl::Query);
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(BadUrl::User);
        }
        let (host, port) = split_port(authority)?;
        let port = port.map_or(Ok(scheme.port()), parse_port)?;
        let (host, mut authority) = parse_host(host)?;
        if port != scheme.port() {
            authority = format!("{authority}:{port}");
        }
        Ok(BaseUrl { scheme, host, port, authority, path_prefix: parse_path(path)? })
    }

    /// The address itself, when the host is one and not a name.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.host.strip_suffix('.').unwrap_or(&self.host).parse().ok()
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), BadUrl> {
    let end_of_brackets = authority.find(']').map_or(0, |at| at + 1);
    let (bracketed, rest) = authority.split_at(end_of_brackets);
    match (bracketed, rest.split_once(':')) {
        ("", _) if rest.starts_with('[') => Err(BadUrl::Host),
        ("", Some((host, port))) => Ok((host, Some(port))),
        ("", None) => Ok((rest, None)),
        (address, Some(("", port))) => Ok((address, Some(port))),
        (address, None) if rest.is_empty() => Ok((address, None)),
        _ => Err(BadUrl::Host),
    }
}

fn parse_port(text: &str) -> Result<u16, BadUrl> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0).ok_or(BadUrl::Port)
}

/// The host to dial, and the host to say.
fn parse_host(text: &str) -> Result<(String, String), BadUrl> {
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr = address.parse().map_err(|_| BadUrl::Host)?;
        return Ok((address.to_string(), format!("[{address}]")));
    }
    let host = text.to_ascii_lowercase();
    let mut labels = host.strip_suffix('.').unwrap_or(&host).split('.');
    let is_label = |label: &str| {
        let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        plain && !label.is_empty() && label.len() < 64 && !label.starts_with('-') && !label.ends_with('-')
    };
    // A name that ends in a number is an address to whoever resolves it; it had better be a whole one.
    let is_number = labels
        .clone()
        .next_back()
        .is_some_and(|last| last.starts_with(|c: char| c.is_ascii_digit()) && is_numeral(last));
    let is_address = host.parse::<Ipv4Addr>().is_ok();
    if host.len() > HOST_BYTES_MAX || !labels.all(is_label) || (is_number && !is_address) {
        return Err(BadUrl::Host);
    }
    Ok((host.clone(), host))
}

fn is_numeral(label: &str) -> bool {
    let hex = label.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hex || label.bytes().all(|byte| byte.is_ascii_digit())
}

fn parse_path(path: &str) -> Result<String, BadUrl> {
    let path = path.trim_end_matches('/');
    let dotted =
        path.split('/').any(|part| matches!(part.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | ".."));
    let stray = path
        .split('%')
        .skip(1)
        .any(|after| !after.get(..2).is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit())));
    if dotted || stray || path.contains(['[', ']']) { Err(BadUrl::Path) } else { Ok(path.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_operators_write_is_read() {
        for (text, scheme, host, port, authority, path_prefix) in [
            ("http://127.0.0.1:18080/v1", Scheme::Http, "127.0.0.1", 18080, "127.0.0.1:18080", "/v1"),
            ("https://api.openai.com/v1/", Scheme::Https, "api.openai.com", 443, "api.openai.com", "/v1"),
            ("HTTPS://API.Example.COM", Scheme::Https, "api.example.com", 443, "api.example.com", ""),
            ("https://h:443/", Scheme::Https, "h", 443, "h", ""),
            ("http://h:443", Scheme::Http, "h", 443, "h:443", ""),
            ("http://[::1]:8000/a/b//", Scheme::Http, "::1", 8000, "[::1]:8000", "/a/b"),
            ("https://[2001:DB8::1]", Scheme::Https, "2001:db8::1", 443, "[2001:db8::1]", ""),
            (
                "http://my_model.svc.cluster.local.",
                Scheme::Http,
                "my_model.svc.cluster.local.",
                80,
                "my_model.svc.cluster.local.",
                "",
            ),
            ("http://h/x%20y/~z", Scheme::Http, "h", 80, "h", "/x%20y/~z"),
            ("http://0xide.computer", Scheme::Http, "0xide.computer", 80, "0xide.computer", ""),
        ] {
            let expected = BaseUrl {
                scheme,
                host: host.into(),
                port,
                authority: authority.into(),
                path_prefix: path_prefix.into(),
            };
            assert_eq!(BaseUrl::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused_with_a_reason() {
        for (text, fault) in [
            ("", BadUrl::Scheme),
            ("api.openai.com/v1", BadUrl::Scheme),
            ("ftp://h", BadUrl::Scheme),
            ("file:///etc/passwd", BadUrl::Scheme),
            ("http://", BadUrl::Host),
            ("http:///v1", BadUrl::Host),
            ("http://:80", BadUrl::Host),
            ("http://a..b", BadUrl::Host),
            ("http://-a", BadUrl::Host),
            ("http://a,b", BadUrl::Host),
            ("http://[::1", BadUrl::Host),
            ("http://[::1]x", BadUrl::Host),
            ("http://x[::1]", BadUrl::Host),
            ("http://[fe80::1%25eth0]", BadUrl::Host),
            ("http://::1", BadUrl::Port),
            ("http://2852039166", BadUrl::Host),
            ("http://0xa9fea9fe", BadUrl::Host),
            ("http://169.254.43518", BadUrl::Host),
            ("http://1.2.3.256", BadUrl::Host),
            ("http://h:", BadUrl::Port),
            ("http://h:0", BadUrl::Port),
            ("http://h:65536", BadUrl::Port),
            ("http://h:+80", BadUrl::Port),
            ("http://h:80:80", BadUrl::Port),
            ("http://user:secret@h", BadUrl::User),
            ("http://h@evil", BadUrl::User),
            ("http://h/v1?key=secret", BadUrl::Query),
            ("http://h#@evil", BadUrl::Query),
            ("http://h/../admin", BadUrl::Path),
            ("http://h/./x", BadUrl::Path),
            ("http://h/%zz", BadUrl::Path),
            ("http://h/%2", BadUrl::Path),
            ("http://h/a b", BadUrl::Character),
            ("http://h\r\nx: y", BadUrl::Character),
            ("http://bücher.example", BadUrl::Character),
            ("http://h\\@evil", BadUrl::Character),
        ] {
            assert_eq!(BaseUrl::parse(text), Err(fault), "{text}");
        }
    }
}
