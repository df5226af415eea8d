//! authenticate: whose key is it?

use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use policy::{Denied, Key, Snapshot};
use vocab::Timestamp;

use crate::error::Error;
use crate::gateway::Gateway;

/// Where callers of other systems put their keys, besides `Authorization`. The first that is there counts.
const KEY_HEADERS: [&str; 5] = ["x-api-key", "api-key", "x-goog-api-key", "x-portkey-api-key", "x-litellm-api-key"];
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

/// One key, presented once: two different `Authorization` headers are nobody's.
fn presented(headers: &HeaderMap) -> Result<&str, Denied> {
    let mut bearers = headers.get_all(AUTHORIZATION).iter();
    let bearer = bearers.next().and_then(|value| value.to_str().ok()).and_then(bearer_token);
    if bearers.next().is_some() {
        return Err(Denied::Mistyped);
    }
    let other = || KEY_HEADERS.iter().find_map(|name| headers.get(*name)?.to_str().ok());
    let key = bearer.or_else(other).map(str::trim).filter(|key| !key.is_empty()).ok_or(Denied::Missing)?;
    if key.len() > KEY_BYTES_MAX { Err(Denied::Mistyped) } else { Ok(key) }
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
        for name in KEY_HEADERS {
            check(&[(name, "sk-2")], Ok("sk-2"));
            check(&[(name, "sk-2"), ("authorization", "Bearer sk-1")], Ok("sk-1"));
        }
    }

    #[test]
    fn no_key_or_two_are_nobodys() {
        check(&[], Err(Denied::Missing));
        check(&[("authorization", "Basic abc")], Err(Denied::Missing));
        check(&[("authorization", "Bearer ")], Err(Denied::Missing));
        check(&[("authorization", "Bearer a"), ("authorization", "Bearer b")], Err(Denied::Mistyped));
        check(&[("x-api-key", &"k".repeat(513))], Err(Denied::Mistyped));
    }
}
