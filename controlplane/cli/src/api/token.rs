//! The admin token, and where it came from: the first question when it is refused.

use std::path::Path;

use http::HeaderValue;
use vocab::Secret;

use crate::args::ApiArgs;
use crate::trouble::Trouble;

/// Where `turnpike up` puts it, if told nothing else.
const DEFAULT_FILE: &str = "./data/admin.token";
const HOW: &str = "Give one with --token-file FILE, TURNPIKE_TOKEN_FILE or TURNPIKE_TOKEN. \
                   `turnpike up` writes it to admin.token in its data directory.";

#[derive(Clone, Debug)]
pub(crate) struct Token {
    secret: Secret,
    origin: String,
}

impl Token {
    pub(crate) fn find(args: &ApiArgs) -> Result<Token, Trouble> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(token) = &args.token {
            return Token::new(token, "--token");
        }
        if let Some(path) = &args.token_file {
            return Token::read(path);
        }
        if let Some(token) = set("TURNPIKE_TOKEN") {
            return Token::new(&token, "TURNPIKE_TOKEN");
        }
        if let Some(path) = set("TURNPIKE_TOKEN_FILE") {
            return Token::read(Path::new(&path));
        }
        let default = Path::new(DEFAULT_FILE);
        if default.exists() {
            return Token::read(default);
        }
        Err(Trouble::Local(format!("no admin token: none was given and there is no {DEFAULT_FILE} here.\n{HOW}")))
    }

    pub(crate) fn read(path: &Path) -> Result<Token, Trouble> {
        let text = std::fs::read_to_string(path).map_err(|why| {
            Trouble::Local(format!("the admin token in {} cannot be read: {why}.\n{HOW}", path.display()))
        })?;
        Token::new(&text, &path.display().to_string())
    }

    fn new(text: &str, origin: &str) -> Result<Token, Trouble> {
        let text = text.trim();
        if text.is_empty() || text.chars().any(|c| c.is_control() || !c.is_ascii()) {
            return Err(Trouble::Local(format!("{origin} holds no admin token: it is one line of plain text.\n{HOW}")));
        }
        Ok(Token { secret: Secret::new(text.to_owned()), origin: origin.to_owned() })
    }

    pub(crate) fn header(&self) -> Result<HeaderValue, Trouble> {
        let text = Secret::new(format!("Bearer {}", self.secret.expose()));
        let mut value = HeaderValue::from_str(text.expose())
            .map_err(|_| Trouble::Local(format!("{} holds no admin token", self.origin)))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// What to say when it was not accepted.
    pub(crate) fn advice(&self) -> String {
        format!("The token came from {}. {HOW}", self.origin)
    }
}
