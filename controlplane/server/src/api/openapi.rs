//! The description of this API, for machines. Written by hand; a test holds it against the routes and the documents.

use http::StatusCode;

use super::bytes;
use crate::door::Answer;

const DOCUMENT: &str = include_str!("openapi.json");

pub(super) fn answer() -> Answer {
    bytes(StatusCode::OK, "application/json", DOCUMENT)
}

#[cfg(test)]
mod tests;
