//! What `registry` cannot do itself: seal, hash, mint, and fetch what is not in a document.

use std::path::Path;
use std::sync::Arc;

use registry::{Sealer, Source};
use trust::{Keyring, Sealed};
use vocab::{KeyHash, KeyId, Secret, key};

use crate::config::Credentials;

const NO_DICE: &str = "the operating system gave no random bytes; try again";
const FILE_BYTES_MAX: u64 = 64 * 1024;

#[derive(Clone, Debug)]
pub(crate) struct Vault {
    keyring: Arc<Keyring>,
    credentials: Credentials,
}

impl Vault {
    pub(crate) fn new(keyring: Keyring, credentials: Credentials) -> Vault {
        Vault { keyring: Arc::new(keyring), credentials }
    }

    /// Whether a proxy with our seal keys could open this.
    pub(crate) fn check(&self, place: &str, sealed: &[u8]) -> Result<(), String> {
        self.keyring.open(place, &Sealed::from_bytes(sealed)).map(|_| ()).map_err(|why| why.to_string())
    }
}

impl Sealer for Vault {
    fn seal(&mut self, place: &str, value: &Secret) -> Result<Vec<u8>, String> {
        let sealed = self.keyring.seal(place, value.expose().as_bytes());
        sealed.map(|sealed| sealed.as_bytes().to_vec()).map_err(|why| why.to_string())
    }

    fn same(&self, place: &str, sealed: &[u8], value: &Secret) -> bool {
        let sealed = Sealed::from_bytes(sealed);
        // A value under an older key is sealed anew when it is said again: that is how a ring is rotated.
        let opened = self.keyring.open(place, &sealed).ok().filter(|_| self.keyring.is_current(&sealed));
        let opened = opened.and_then(|bytes| String::from_utf8(bytes).ok()).map(Secret::new);
        opened.is_some_and(|opened| trust::equal(&opened, value.expose()))
    }

    fn hash(&self, secret: &Secret) -> KeyHash {
        trust::hash_key(secret.expose())
    }

    fn key_id(&mut self) -> Result<KeyId, String> {
        let id = trust::random_bytes().map(u64::from_be_bytes).filter(|id| *id != 0);
        id.map(KeyId).ok_or_else(|| NO_DICE.to_owned())
    }

    fn mint(&mut self, id: KeyId) -> Result<Secret, String> {
        trust::random_bytes().map(|random| key::mint(id, random)).ok_or_else(|| NO_DICE.to_owned())
    }

    fn outside(&mut self, source: &Source) -> Result<Secret, String> {
        let Credentials::Environment { dir } = &self.credentials else {
            return Err(
                "this control plane fetches no credentials: apply with `turnpike apply`, which fetches them where \
                        it runs, or start the control plane with --credentials-from-environment"
                    .to_owned(),
            );
        };
        match source {
            Source::Env(name) => variable(name),
            Source::File(path) => file(dir.as_deref(), path),
        }
    }
}

/// Our own variables hold tokens and seal keys: those are nobody's credential.
fn variable(name: &str) -> Result<Secret, String> {
    let letters = name.starts_with(|c: char| c.is_ascii_uppercase());
    if !letters || !name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_') {
        return Err("a variable is named with capitals, digits and _".to_owned());
    }
    if name.starts_with("TURNPIKE_") {
        return Err("variables that begin with TURNPIKE_ belong to Turnpike itself".to_owned());
    }
    std::env::var(name).map(Secret::new).map_err(|_| "this control plane has no such variable".to_owned())
}

/// The path is resolved first, links and all, so that it cannot lead out of the one directory.
fn file(dir: Option<&Path>, path: &str) -> Result<Secret, String> {
    let Some(dir) = dir else {
        return Err("this control plane reads no files: start it with --credential-dir".to_owned());
    };
    let unreadable = |_| format!("cannot be read below {}", dir.display());
    let dir = dir.canonicalize().map_err(unreadable)?;
    let path = dir.join(path).canonicalize().map_err(unreadable)?;
    if !path.starts_with(&dir) {
        return Err(format!("is not below {}", dir.display()));
    }
    let size = path.metadata().map_err(unreadable)?.len();
    if FILE_BYTES_MAX < size {
        return Err(format!("has at most {FILE_BYTES_MAX} bytes"));
    }
    std::fs::read_to_string(&path).map(Secret::new).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(credentials: Credentials) -> Vault {
        Vault::new(Keyring::parse(&Keyring::line([1; 32])).unwrap(), credentials)
    }

    #[test]
    fn what_was_sealed_is_known_again_in_its_place_only() {
        let mut vault = vault(Credentials::DocumentsOnly);
        let value = Secret::new("sk-upstream".into());
        let sealed = vault.seal("Provider/a/credential", &value).unwrap();
        assert!(vault.same("Provider/a/credential", &sealed, &value));
        assert!(!vault.same("Provider/b/credential", &sealed, &value));
        assert!(!vault.same("Provider/a/credential", &sealed, &Secret::new("sk-other".into())));
        assert!(vault.check("Provider/a/credential", &sealed).is_ok());
        assert!(vault.check("Provider/b/credential", &sealed).is_err());
    }

    #[test]
    fn minted_keys_are_ours() {
        let mut vault = vault(Credentials::DocumentsOnly);
        let id = vault.key_id().unwrap();
        let secret = vault.mint(id).unwrap();
        assert_eq!(key::shape(secret.expose()), key::Shape::Ours(id));
    }

    #[test]
    fn nothing_is_fetched_unless_the_operator_says_so() {
        let why = vault(Credentials::DocumentsOnly).outside(&Source::Env("PATH".into())).unwrap_err();
        assert!(why.contains("turnpike apply"), "{why}");
        let mut open = vault(Credentials::Environment { dir: None });
        assert!(open.outside(&Source::Env("PATH".into())).is_ok());
        assert!(open.outside(&Source::File("/etc/hostname".into())).is_err());
        for refused in ["TURNPIKE_SEAL_KEYS", "path", "1A", "", "A-B"] {
            assert!(open.outside(&Source::Env(refused.into())).is_err(), "{refused}");
        }
    }

    #[test]
    fn files_are_read_below_one_directory_only() {
        let base = tempfile::tempdir().unwrap();
        let dir = base.path().join("credentials");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("openai"), "sk-1").unwrap();
        std::fs::write(base.path().join("secret"), "no").unwrap();
        std::os::unix::fs::symlink("../secret", dir.join("link")).unwrap();
        let mut vault = vault(Credentials::Environment { dir: Some(dir.clone()) });
        let mut read = |path: &str| vault.outside(&Source::File(path.into()));
        assert_eq!(read("openai").unwrap().expose(), "sk-1");
        assert_eq!(read(dir.join("openai").to_str().unwrap()).unwrap().expose(), "sk-1");
        for outside in ["../secret", "link", "/etc/hostname", "missing", "."] {
            assert!(read(outside).is_err(), "{outside}");
        }
    }
}
