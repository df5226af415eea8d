//! Where the API is, and how what is asked for is spelled in a URL.

use std::fmt::{self, Write as _};
use std::net::IpAddr;

use http::Uri;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    tls: bool,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    /// In front of every path; empty, or starts with a slash and does not end with one.
    prefix: String,
}

impl Address {
    pub(crate) fn parse(text: &str) -> Result<Address, String> {
        let wrong = |why: &str| format!("--api {text:?} is not an address: {why}; write it like http://127.0.0.1:8090");
        let uri: Uri = text.trim().parse().map_err(|why| wrong(&format!("{why}")))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(other) => return Err(wrong(&format!("{other}:// is neither http:// nor https://"))),
            None => return Err(wrong("it does not start with http:// or https://")),
        };
        let authority =
            uri.authority().filter(|authority| !authority.host().is_empty()).ok_or_else(|| wrong("no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("the token does not go there; use --token-file"));
        }
        if uri.query().is_some() {
            return Err(wrong("it ends in a query"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = match (authority.port_u16(), authority.as_str() == authority.host()) {
            (Some(port), _) => port,
            (None, true) => {
                if tls {
                    443
                } else {
                    80
                }
            }
            (None, false) => return Err(wrong("a port is a number up to 65535")),
        };
        let prefix = uri.path().trim_end_matches('/').to_owned();
        Ok(Address { tls, host, port, prefix })
    }

    pub(crate) fn loopback(port: u16) -> Address {
        Address { tls: false, host: "127.0.0.1".to_owned(), port, prefix: String::new() }
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.tls
    }

    pub(crate) fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn authority(&self) -> String {
        let host = &self.host;
        if host.contains(':') { format!("[{host}]:{}", self.port) } else { format!("{host}:{}", self.port) }
    }

    pub(crate) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.prefix)
    }
}

/// One segment of a path or one value of a query. A name may hold slashes: they are part of it.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

pub(crate) fn query(path: &str, parameters: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, shown, authority) in [
            ("http://127.0.0.1:8090", "http://127.0.0.1:8090", "127.0.0.1:8090"),
            ("https://tp.example/", "https://tp.example:443", "tp.example:443"),
            ("http://[::1]:80/turnpike/", "http://[::1]:80/turnpike", "[::1]:80"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.to_string().as_str(), address.authority().as_str()), (shown, authority));
        }
        assert_eq!(Address::parse("http://h/a/b/").unwrap().path("/v1/keys"), "/a/b/v1/keys");
    }

    #[test]
    fn what_is_no_address_is_refused_with_an_example() {
        for text in
            ["", "127.0.0.1:8090", "ftp://h", "http://", "http://me:pw@h", "http://h?x=1", "http://h:99999", "a b"]
        {
            let why = Address::parse(text).unwrap_err();
            assert!(why.contains("http://127.0.0.1:8090"), "{text}: {why}");
        }
    }

    #[test]
    fn loopback_is_known_by_its_names() {
        for (text, expected) in
            [("http://localhost", true), ("http://127.8.0.1", true), ("http://[::1]", true), ("http://10.0.0.1", false)]
        {
            assert_eq!(Address::parse(text).unwrap().is_loopback(), expected, "{text}");
        }
    }

    #[test]
    fn names_are_one_segment_whatever_is_in_them() {
        assert_eq!(encode("openai/gpt-4o:free@x+y é"), "openai%2Fgpt-4o%3Afree%40x%2By%20%C3%A9");
        assert_eq!(query("/v1/usage", &[("groupBy", "team,model"), ("a", "1")]), "/v1/usage?groupBy=team%2Cmodel&a=1");
        assert_eq!(query("/v1/usage", &[]), "/v1/usage");
    }
}
