//! House rules as a test: layering, files, words, documents.
//!
//! Each finding says where it is and what to do about it.

#[cfg(test)]
#[path = "tidy/layers.rs"]
mod layers;
#[cfg(test)]
#[path = "tidy/manifest.rs"]
mod manifest;
#[cfg(test)]
#[path = "tidy/prose.rs"]
mod prose;
#[cfg(test)]
#[path = "tidy/reference.rs"]
mod reference;
#[cfg(test)]
#[path = "tidy/sources.rs"]
mod sources;
#[cfg(test)]
#[path = "tidy/tree.rs"]
mod tree;
