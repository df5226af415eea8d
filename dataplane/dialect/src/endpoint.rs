//! Which of the things an upstream can be asked for; each is a path, and no more than a path, to the pipeline.

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endpoint {
    ChatCompletions,
    Completions,
    Embeddings,
}

/// Clients disagree on what a base URL ends with, so one endpoint answers under each of these.
const BASES: [&str; 4] = ["/v1/", "/openai/v1/", "/api/v1/", "/"];

/// What stands behind the base URL a client was given.
pub fn below_base(path: &str) -> impl Iterator<Item = &str> {
    BASES.into_iter().filter_map(|base| path.strip_prefix(base))
}

impl Endpoint {
    pub const ALL: [Endpoint; 3] = [Endpoint::ChatCompletions, Endpoint::Completions, Endpoint::Embeddings];

    /// `path` is the path of a request, without its query.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Endpoint> {
        let named = |endpoint: &Endpoint| below_base(path).any(|rest| rest == endpoint.suffix());
        Endpoint::ALL.into_iter().find(named)
    }

    /// What stands behind the base URL of an upstream, without a slash in front.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Endpoint::ChatCompletions => "chat/completions",
            Endpoint::Completions => "completions",
            Endpoint::Embeddings => "embeddings",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_answers_under_every_base_that_clients_are_given() {
        for endpoint in Endpoint::ALL {
            for base in ["/v1", "", "/openai/v1", "/api/v1"] {
                assert_eq!(Endpoint::of_path(&format!("{base}/{}", endpoint.suffix())), Some(endpoint));
            }
        }
    }

    #[test]
    fn other_paths_are_no_endpoint() {
        for path in ["", "/", "v1/embeddings", "/v1/embeddings/", "/v1//embeddings", "/v2/embeddings", "/v1/chat"] {
            assert_eq!(Endpoint::of_path(path), None, "{path}");
        }
    }
}
