//! Where a provider lives, as the operator wrote it.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use vocab::url::{self, BadUrl};

/// A text that reads as a base URL, kept as it was written.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl(Box<str>);

impl BaseUrl {
    pub fn new(text: &str) -> Result<BaseUrl, BadUrl> {
        url::BaseUrl::parse(text).map(|_| BaseUrl(Box::from(text)))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address itself, when the host is one and not a name.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        url::BaseUrl::parse(&self.0).ok()?.address()
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl Serialize for BaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for BaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        BaseUrl::new(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
