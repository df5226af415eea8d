//! authenticate: whose key is it?

use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use policy::{Denied, Key, Snapshot};
use vocab::Timestamp;

use crate::error::Error;
use crate::gateway::Gateway;

/// Where callers put their keys besides `Authorization`, which holds the provider's key, or nothing of worth, where one
/// of the first is there.
const KEY_HEADERS_FIRST: [&str; 2] = ["x-portkey-api-key", "x-litellm-api-key"];
const KEY_HEADERS_LAST: [&str; 3] = ["x-api-key", "api-key", "x-goog-api-key"];
/// No key anybody mints is longer; what is longer is not even hashed.
const KEY_BYTES_MAX: usize = 512;

pub(super) fn caller<'s>(
    gateway: &Gateway,
    snapshot: &'s Snapshot,
    head: &Parts,
    now: Timestamp,
) -> Result<&'s Key, Error> {
    if !gateway.life.configured.load(std::sync::atomic::Ordering::Relaxed) {
        return Err(Error::NotReady);
    }
    let presented = presented(&head.headers).map_err(Error::Denied)?;
    policy::spelled(presented).map_err(Error::Denied)?;
    policy::caller(snapshot, &trust::hash_key(presented), now).map_err(Error::Denied)
}

/// One key, presented once: a header that is there twice is nobody's.
fn presented(headers: &HeaderMap) -> Result<&str, Denied> {
    let first = one_of(headers, &KEY_HEADERS_FIRST)?;
    let bearer = once(headers, AUTHORIZATION.as_str())?.and_then(bearer_token);
    let last = one_of(headers, &KEY_HEADERS_LAST)?;
    let key = first.or(bearer).or(last).map(str::trim).filter(|key| !key.is_empty()).ok_or(Denied::Missing)?;
    if key.len() > KEY_BYTES_MAX { Err(Denied::Mistyped) } else { Ok(key) }
}

fn one_of<'h>(headers: &'h HeaderMap, names: &[&str]) -> Result<Option<&'h str>, Denied> {
    for name in names {
        if let Some(value) = once(headers, name)? {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

fn once<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Denied> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().and_then(|value| value.to_str().ok());
    if values.next().is_some() { Err(Denied::Mistyped) } else { Ok(value) }
}

fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case("bearer ").then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&'static str, &str)], expected: Result<&str, Denied>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        assert_eq!(presented(&map), expected, "{headers:?}");
    }

    #[test]
    fn a_key_is_found_wherever_clients_put_it() {
        check(&[("authorization", "Bearer sk-1")], Ok("sk-1"));
        check(&[("authorization", "bearer  sk-1 ")], Ok("sk-1"));
        for name in KEY_HEADERS_LAST {
            check(&[(name, "sk-2")], Ok("sk-2"));
            check(&[(name, "sk-2"), ("authorization", "Bearer sk-1")], Ok("sk-1"));
        }
        for name in KEY_HEADERS_FIRST {
            check(&[(name, "sk-2"), ("authorization", "Bearer sk-1"), ("x-api-key", "sk-3")], Ok("sk-2"));
        }
    }

    #[test]
    fn no_key_or_two_are_nobodys() {
        check(&[], Err(Denied::Missing));
        check(&[("authorization", "Basic abc")], Err(Denied::Missing));
        check(&[("authorization", "Bearer ")], Err(Denied::Missing));
        check(&[("authorization", "Bearer a"), ("authorization", "Bearer b")], Err(Denied::Mistyped));
        check(&[("x-api-key", "a"), ("x-api-key", "a")], Err(Denied::Mistyped));
        check(&[("x-api-key", &"k".repeat(513))], Err(Denied::Mistyped));
    }
}
