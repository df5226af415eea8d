//! Every route there is: the one table that serves, that counts, and that the OpenAPI document is held against.

use registry::ResourceKind;
use registry::ResourceKind::{Key, Model, Provider, Team, User};

#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    pub(super) method: &'static str,
    /// `{name}` is one or more characters, slashes included.
    pub(super) template: &'static str,
    pub(super) action: Action,
    /// Query parameters.
    pub(super) params: &'static [&'static str],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    OpenApi,
    List(ResourceKind),
    Get(ResourceKind),
    Put(ResourceKind),
    Patch(ResourceKind),
    Delete(ResourceKind),
    CreateKey,
    RotateKey,
    RevokeKey,
    Apply,
    Export,
    Proxies,
    Usage,
    Status,
}

impl Action {
    /// Whether it is answered to everybody. The one route of this kind describes the others.
    pub(super) fn is_public(self) -> bool {
        self == Action::OpenApi
    }
}

const NONE: &[&str] = &[];
const PAGE: &[&str] = &["limit", "cursor"];
const DRY: &[&str] = &["dryRun"];
pub(super) const USAGE: &[&str] =
    &["from", "to", "groupBy", "team", "key", "user", "model", "provider", "upstreamModel", "limit", "cursor"];

const fn route(method: &'static str, template: &'static str, action: Action, params: &'static [&'static str]) -> Route {
    Route { method, template, action, params }
}

pub(super) const ROUTES: &[Route] = &[
    route("GET", "/openapi.json", Action::OpenApi, NONE),
    route("GET", "/v1/providers", Action::List(Provider), PAGE),
    route("GET", "/v1/providers/{name}", Action::Get(Provider), NONE),
    route("PUT", "/v1/providers/{name}", Action::Put(Provider), DRY),
    route("PATCH", "/v1/providers/{name}", Action::Patch(Provider), DRY),
    route("DELETE", "/v1/providers/{name}", Action::Delete(Provider), DRY),
    route("GET", "/v1/models", Action::List(Model), PAGE),
    route("GET", "/v1/models/{name}", Action::Get(Model), NONE),
    route("PUT", "/v1/models/{name}", Action::Put(Model), DRY),
    route("PATCH", "/v1/models/{name}", Action::Patch(Model), DRY),
    route("DELETE", "/v1/models/{name}", Action::Delete(Model), DRY),
    route("GET", "/v1/teams", Action::List(Team), PAGE),
    route("GET", "/v1/teams/{name}", Action::Get(Team), NONE),
    route("PUT", "/v1/teams/{name}", Action::Put(Team), DRY),
    route("PATCH", "/v1/teams/{name}", Action::Patch(Team), DRY),
    route("DELETE", "/v1/teams/{name}", Action::Delete(Team), DRY),
    route("GET", "/v1/users", Action::List(User), PAGE),
    route("GET", "/v1/users/{name}", Action::Get(User), NONE),
    route("PUT", "/v1/users/{name}", Action::Put(User), DRY),
    route("PATCH", "/v1/users/{name}", Action::Patch(User), DRY),
    route("DELETE", "/v1/users/{name}", Action::Delete(User), DRY),
    route("GET", "/v1/keys", Action::List(Key), PAGE),
    route("POST", "/v1/keys", Action::CreateKey, DRY),
    route("GET", "/v1/keys/{name}", Action::Get(Key), NONE),
    route("PUT", "/v1/keys/{name}", Action::Put(Key), DRY),
    route("PATCH", "/v1/keys/{name}", Action::Patch(Key), DRY),
    route("DELETE", "/v1/keys/{name}", Action::Delete(Key), DRY),
    route("POST", "/v1/keys/{name}/rotate", Action::RotateKey, DRY),
    route("POST", "/v1/keys/{name}/revoke", Action::RevokeKey, DRY),
    route("POST", "/v1/apply", Action::Apply, DRY),
    route("GET", "/v1/export", Action::Export, NONE),
    route("GET", "/v1/proxies", Action::Proxies, NONE),
    route("GET", "/v1/usage", Action::Usage, USAGE),
    route("GET", "/v1/status", Action::Status, NONE),
];

/// Where a request leads.
#[derive(Debug)]
pub(super) enum Found<'p> {
    /// The name as it stands in the path, still encoded; empty where the template has none.
    Route(&'static Route, &'p str),
    /// The path is there, for these methods.
    OtherMethods(Vec<&'static str>),
    Nothing,
}

pub(super) fn find<'p>(method: &str, path: &'p str) -> Found<'p> {
    let mut others = Vec::new();
    for route in ROUTES {
        let Some(name) = fit(route.template, path) else { continue };
        if route.method == method {
            return Found::Route(route, name);
        }
        others.push(route.method);
    }
    if others.is_empty() { Found::Nothing } else { Found::OtherMethods(others) }
}

fn fit<'p>(template: &str, path: &'p str) -> Option<&'p str> {
    let Some((before, after)) = template.split_once("{name}") else {
        return (template == path).then_some("");
    };
    path.strip_prefix(before)?.strip_suffix(after).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &str, path: &str) -> (Option<Action>, String) {
        match find(method, path) {
            Found::Route(route, name) => (Some(route.action), name.to_owned()),
            Found::OtherMethods(methods) => (None, methods.join(",")),
            Found::Nothing => (None, String::new()),
        }
    }

    #[test]
    fn names_may_hold_slashes_and_even_the_words_of_routes() {
        assert_eq!(found("GET", "/v1/models/vendor/gpt"), (Some(Action::Get(Model)), "vendor/gpt".into()));
        assert_eq!(found("GET", "/v1/keys/a/rotate"), (Some(Action::Get(Key)), "a/rotate".into()));
        assert_eq!(found("POST", "/v1/keys/a/rotate/rotate"), (Some(Action::RotateKey), "a/rotate".into()));
        assert_eq!(found("GET", "/v1/keys"), (Some(Action::List(Key)), String::new()));
    }

    #[test]
    fn what_is_not_there_is_not_found_and_what_is_there_says_its_methods() {
        for path in ["/", "/v1", "/v1/", "/v1/key", "/v1/keys/", "/v1//keys", "/V1/keys", "/v1/%6beys", "/v1/keys?x"] {
            assert_eq!(found("GET", path), (None, String::new()), "{path}");
        }
        assert_eq!(found("POST", "/v1/status"), (None, "GET".into()));
        assert_eq!(found("POST", "/v1/teams/a"), (None, "GET,PUT,PATCH,DELETE".into()));
    }
}
