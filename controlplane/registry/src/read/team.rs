//! Team documents.

use serde_json::{Map, Value};
use vocab::TeamName;

use super::fields::{Fields, plain_text};
use super::known;
use crate::draft::Body;
use crate::fault::Report;
use crate::resource::Team;

const DESCRIPTION_BYTES_MAX: usize = 1024;

pub(super) fn read(map: &Map<String, Value>, report: &mut Report) -> Option<Body> {
    let fields = Fields::new("", map, known!["description"], report);
    let name = fields.required_parsed("name", TeamName::new, report);
    let description = fields.parsed("description", plain_text(DESCRIPTION_BYTES_MAX), report);
    Some(Body::Team(Team { name: name?, description }))
}
