//! From a draft to a resource: what is secret gets sealed or hashed, what is missing gets minted.

use vocab::{KeyHash, KeyId, Secret, key};

use crate::draft::{Body, CredentialDraft, Draft, HttpDraft, KeyDraft, KeySecretDraft, PreviousDraft};
use crate::draft::{ProviderDraft, ReachDraft, Source};
use crate::fault::{Fault, join};
use crate::resource::{Http, Key, Previous, Provider, Reach, Resource, Sealed};

/// What the shell can do and this crate cannot. Every `Err` says to an operator what is wrong and what to do.
pub trait Sealer {
    /// `place` is authenticated with the value: sealed for one place, it opens in no other.
    fn seal(&mut self, place: &str, value: &Secret) -> Result<Vec<u8>, String>;
    /// Whether this is what was sealed; false when it cannot be opened.
    fn same(&self, place: &str, sealed: &[u8], value: &Secret) -> bool;
    /// SHA-256 of the whole presented string.
    fn hash(&self, secret: &Secret) -> KeyHash;
    /// Random, for a new key.
    fn key_id(&mut self) -> Result<KeyId, String>;
    /// A new secret for the key of that id.
    fn mint(&mut self, id: KeyId) -> Result<Secret, String>;
    /// From the environment or a file, if this shell may.
    fn outside(&mut self, source: &Source) -> Result<Secret, String>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    pub resource: Resource,
    /// The only time this secret is seen: to be shown once.
    pub minted: Option<Secret>,
}

/// The place that is authenticated with a provider's credential.
#[must_use]
pub fn credential_place(provider: &str) -> String {
    format!("Provider/{provider}/credential")
}

impl Draft {
    /// `existing` is the resource of that kind and name now in force: what the document does not say about secrets stays
    /// as it is, so that the same document twice changes nothing.
    pub fn settle(self, existing: Option<&Resource>, sealer: &mut dyn Sealer) -> Result<Settled, Fault> {
        let document = self.document;
        let subject = self.reference().to_string();
        let settled = match self.body {
            Body::Provider(draft) => {
                provider(draft, existing, sealer).map(|provider| (Resource::Provider(provider), None))
            }
            Body::Key(draft) => key(draft, existing.and_then(Resource::as_key), sealer)
                .map(|(key, minted)| (Resource::Key(key), minted)),
            Body::Model(model) => Ok((Resource::Model(model), None)),
            Body::Team(team) => Ok((Resource::Team(team), None)),
            Body::User(user) => Ok((Resource::User(user), None)),
        };
        settled.map(|(resource, minted)| Settled { resource, minted }).map_err(|(place, message)| Fault {
            document,
            path: join(&subject, place),
            message,
        })
    }
}

/// Where in the document, and what.
type Complaint = (&'static str, String);

fn provider(draft: ProviderDraft, existing: Option<&Resource>, sealer: &mut dyn Sealer) -> Result<Provider, Complaint> {
    let ProviderDraft { name, dialect, reach, keep_last_good } = draft;
    let held = existing.and_then(credential_of);
    let reach = match reach {
        ReachDraft::Demo(demo) => Reach::Demo(demo),
        ReachDraft::Http(http) => Reach::Http(settle_http(http, &credential_place(name.as_str()), held, sealer)?),
    };
    Ok(Provider { name, dialect, reach, keep_last_good })
}

fn credential_of(resource: &Resource) -> Option<&Sealed> {
    match resource {
        Resource::Provider(Provider { reach: Reach::Http(http), .. }) => http.credential.as_ref(),
        Resource::Provider(_) | Resource::Model(_) | Resource::Team(_) | Resource::User(_) | Resource::Key(_) => None,
    }
}

fn settle_http(
    draft: HttpDraft,
    place: &str,
    held: Option<&Sealed>,
    sealer: &mut dyn Sealer,
) -> Result<Http, Complaint> {
    let HttpDraft { base_url, credential, allow_link_local, ca, timeouts } = draft;
    let credential = match credential {
        None => None,
        Some(CredentialDraft::Sealed(sealed)) => Some(sealed),
        Some(CredentialDraft::Value(value)) => Some(seal(place, &value, held, sealer)?),
        Some(CredentialDraft::Outside(source)) => {
            let value = fetch(&source, sealer)?;
            Some(seal(place, &value, held, sealer)?)
        }
        Some(CredentialDraft::Unchanged) => {
            let none = "there is no credential yet that could stay: give `value`, `env` or `file`";
            Some(held.cloned().ok_or_else(|| ("credential.sealed", none.to_owned()))?)
        }
    };
    Ok(Http { base_url, credential, allow_link_local, ca, timeouts })
}

/// Sealing the same value again gives other bytes, and other bytes would be a change.
fn seal(place: &str, value: &Secret, held: Option<&Sealed>, sealer: &mut dyn Sealer) -> Result<Sealed, Complaint> {
    match held {
        Some(held) if sealer.same(place, held.as_bytes(), value) => Ok(held.clone()),
        _ => sealer.seal(place, value).map(Sealed::from_bytes).map_err(|why| ("credential", why)),
    }
}

fn fetch(source: &Source, sealer: &mut dyn Sealer) -> Result<Secret, Complaint> {
    let place = match source {
        Source::Env(_) => "credential.env",
        Source::File(_) => "credential.file",
    };
    let value = sealer.outside(source).map_err(|why| (place, why))?;
    // Files end with a line break that nobody means.
    let value = Secret::new(value.expose().trim_end_matches(['\r', '\n']).to_owned());
    check_credential(value.expose()).map_err(|why| (place, format!("what was found there {why}")))?;
    Ok(value)
}

const CREDENTIAL_BYTES_MAX: usize = 8192;

/// A credential is sent in a header.
pub(crate) fn check_credential(value: &str) -> Result<(), String> {
    if value.is_empty() {
        return Err("must not be empty".to_owned());
    }
    if value.len() > CREDENTIAL_BYTES_MAX {
        return Err(format!("has at most {CREDENTIAL_BYTES_MAX} bytes"));
    }
    if !value.bytes().all(|b| b.is_ascii_graphic() || b == b' ') || value.trim() != value {
        return Err("must be one line of printable ASCII, without space around it".to_owned());
    }
    Ok(())
}

fn key(draft: KeyDraft, existing: Option<&Key>, sealer: &mut dyn Sealer) -> Result<(Key, Option<Secret>), Complaint> {
    let id = match draft.id.or(existing.map(|key| key.id)).or_else(|| embedded(&draft.secret)) {
        Some(id) => id,
        None => sealer.key_id().map_err(|why| ("id", why))?,
    };
    let (sha256, minted) = match (&draft.secret, existing) {
        (KeySecretDraft::Given(secret), _) => (sealer.hash(secret), None),
        (KeySecretDraft::Sha256(sha256), _) => (*sha256, None),
        (KeySecretDraft::KeepOrMint, Some(existing)) => (existing.sha256, None),
        (KeySecretDraft::KeepOrMint, None) => {
            let secret = sealer.mint(id).map_err(|why| ("secret", why))?;
            (sealer.hash(&secret), Some(secret))
        }
    };
    let previous = previous(draft.previous, sha256, existing);
    let KeyDraft { name, team, user, models, expires, disabled, metadata, .. } = draft;
    Ok((Key { name, id, sha256, previous, team, user, models, expires, disabled, metadata }, minted))
}

/// A key minted here, perhaps by another control plane, brings its id along.
fn embedded(secret: &KeySecretDraft) -> Option<KeyId> {
    let KeySecretDraft::Given(secret) = secret else { return None };
    match key::shape(secret.expose()) {
        key::Shape::Ours(id) => Some(id),
        key::Shape::Mistyped | key::Shape::Foreign => None,
    }
}

fn previous(draft: PreviousDraft, sha256: KeyHash, existing: Option<&Key>) -> Option<Previous> {
    match draft {
        PreviousDraft::Given(previous) => Some(previous),
        PreviousDraft::Drop => None,
        PreviousDraft::Keep => existing.filter(|key| key.sha256 == sha256).and_then(|key| key.previous),
    }
}
