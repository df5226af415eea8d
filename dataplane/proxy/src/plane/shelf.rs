//! Where a proxy keeps what it must not lose: sealed files, each replaced as a whole.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use trust::{Keyring, Sealed};
use vocab::Secret;

const MAGIC: &[u8] = b"turnpike sealed 1\n";

pub(crate) struct Shelf {
    directory: PathBuf,
    keyring: Arc<Keyring>,
}

impl Shelf {
    pub(crate) fn open(directory: &Path, keyring: Arc<Keyring>) -> io::Result<Shelf> {
        fs::create_dir_all(directory)?;
        fs::set_permissions(directory, Permissions::from_mode(0o700))?;
        Ok(Shelf { directory: directory.to_path_buf(), keyring })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// How a sealed credential is opened.
    pub(crate) fn open_credential(&self, place: &str, sealed: &[u8]) -> Result<Secret, String> {
        open_credential(&self.keyring, place, sealed)
    }

    /// What was put there; nothing if nothing was.
    pub(crate) fn get(&self, name: &str, place: &str) -> Result<Option<Vec<u8>>, String> {
        let bytes = match fs::read(self.path(name)) {
            Ok(bytes) => bytes,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(why.to_string()),
        };
        let sealed = bytes.strip_prefix(MAGIC).ok_or("not a file of this gateway")?;
        self.keyring.open(place, &Sealed::from_bytes(sealed)).map(Some).map_err(|why| why.to_string())
    }

    /// Whole or not at all: written beside, made durable, then moved into place. What was there before goes to `old`.
    pub(crate) fn put(&self, name: &str, place: &str, plain: &[u8], old: Option<&str>) -> Result<(), String> {
        let sealed = self.keyring.seal(place, plain).map_err(|why| why.to_string())?;
        self.write(name, sealed.as_bytes(), old).map_err(|why| why.to_string())
    }

    fn write(&self, name: &str, sealed: &[u8], old: Option<&str>) -> io::Result<()> {
        let (new, current) = (self.path(&format!("{name}.new")), self.path(name));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(MAGIC)?;
        file.write_all(sealed)?;
        file.sync_all()?;
        if let Some(old) = old {
            unless_missing(fs::rename(&current, self.path(old)))?;
        }
        fs::rename(&new, &current)?;
        File::open(&self.directory)?.sync_all()
    }

    pub(crate) fn remove(&self, name: &str) -> Result<(), String> {
        unless_missing(fs::remove_file(self.path(name))).map_err(|why| why.to_string())
    }
}

pub(crate) fn open_credential(keyring: &Keyring, place: &str, sealed: &[u8]) -> Result<Secret, String> {
    let bytes = keyring.open(place, &Sealed::from_bytes(sealed)).map_err(|why| why.to_string())?;
    String::from_utf8(bytes).map(Secret::new).map_err(|_| "not text".to_string())
}

fn unless_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A shelf of its own for each test, gone when the test is.
    pub(crate) struct Borrowed(pub(crate) Shelf);

    impl Borrowed {
        pub(crate) fn new(name: &str, key: u8) -> Borrowed {
            let directory = std::env::temp_dir().join(format!("turnpike-{name}-{}", std::process::id()));
            let keyring = Keyring::parse(&Keyring::line([key; 32])).unwrap();
            Borrowed(Shelf::open(&directory, Arc::new(keyring)).unwrap())
        }

        pub(crate) fn tear(&self, name: &str) {
            let whole = fs::read(self.0.path(name)).unwrap();
            fs::write(self.0.path(name), &whole[..whole.len() - 1]).unwrap();
        }
    }

    impl Drop for Borrowed {
        fn drop(&mut self) {
            _ = fs::remove_dir_all(&self.0.directory);
        }
    }

    #[test]
    fn what_was_put_is_got_under_its_name_and_place_and_key() {
        let shelf = Borrowed::new("shelf", 1);
        assert_eq!(shelf.0.get("a", "place"), Ok(None));
        shelf.0.put("a", "place", b"one", None).unwrap();
        assert_eq!(shelf.0.get("a", "place"), Ok(Some(b"one".to_vec())));
        assert!(shelf.0.get("a", "elsewhere").is_err());
        let stranger = Borrowed::new("shelf", 2);
        assert!(stranger.0.get("a", "place").is_err());
        shelf.tear("a");
        assert!(shelf.0.get("a", "place").is_err());
        shelf.0.remove("a").unwrap();
        shelf.0.remove("a").unwrap();
        assert_eq!(shelf.0.get("a", "place"), Ok(None));
    }
}
