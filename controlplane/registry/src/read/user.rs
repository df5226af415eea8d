//! User documents.

use serde_json::{Map, Value};
use vocab::{TeamName, UserName};

use super::fields::Fields;
use super::known;
use crate::draft::Body;
use crate::fault::Report;
use crate::resource::User;

const EMAIL_BYTES_MAX: usize = 254;

pub(super) fn read(map: &Map<String, Value>, report: &mut Report) -> Option<Body> {
    let fields = Fields::new("", map, known!["email", "team"], report);
    let name = fields.required_parsed("name", UserName::new, report);
    let email = fields.parsed("email", email, report);
    let team = fields.parsed("team", TeamName::new, report);
    Some(Body::User(User { name: name?, email, team }))
}

/// Whether mail arrives there is not for us to know.
fn email(text: &str) -> Result<String, String> {
    let parts = text.split_once('@').filter(|(local, domain)| !local.is_empty() && !domain.is_empty());
    let fits = text.len() <= EMAIL_BYTES_MAX && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    match parts {
        Some((_, domain)) if fits && !domain.contains('@') => Ok(text.to_owned()),
        _ => Err(format!("must be an address like ada@example.com of at most {EMAIL_BYTES_MAX} bytes")),
    }
}
