//! The last good snapshot on disk: sealed, replaced as a whole, two generations deep.
//!
//! It is written off the request's way, at most every few seconds, and read before the first word from the control
//! plane: a proxy needs nobody to go on serving what it had.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use policy::Snapshot;
use prost::Message as _;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use trust::{Keyring, Sealed};
use vocab::Revision;
use wire::Update;

use crate::gateway::Gateway;
use crate::plane::subscribe::open;

const MAGIC: &[u8] = b"turnpike last good 1\n";
const PLACE: &str = "last-good";
const PAUSE: Duration = Duration::from_secs(2);

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

    /// The newest generation that opens. One that does not is passed over whole, and said so.
    pub(crate) fn load(&self) -> Option<Snapshot> {
        ["last-good", "last-good.old"].into_iter().find_map(|name| match self.read(&self.path(name)) {
            Ok(snapshot) => snapshot,
            Err(why) => {
                tracing::warn!(file = %self.path(name).display(), %why, "passed over");
                None
            }
        })
    }

    fn read(&self, path: &Path) -> Result<Option<Snapshot>, String> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(why.to_string()),
        };
        let sealed = bytes.strip_prefix(MAGIC).ok_or("not a last good snapshot")?;
        let plain = self.keyring.open(PLACE, &Sealed::from_bytes(sealed)).map_err(|why| why.to_string())?;
        let update = Update::decode(plain.as_slice()).map_err(|why| why.to_string())?;
        let applied = Snapshot::empty()
            .apply(&update, &|place, sealed| open(&self.keyring, place, sealed))
            .map_err(|why| why.to_string())?;
        Ok(Some(applied.snapshot))
    }

    /// Whole or not at all: written beside, made durable, then moved into place.
    pub(crate) fn save(&self, snapshot: &Snapshot) -> Result<(), String> {
        let plain = snapshot.to_update().encode_to_vec();
        let sealed = self.keyring.seal(PLACE, &plain).map_err(|why| why.to_string())?;
        self.write(sealed.as_bytes()).map_err(|why| why.to_string())
    }

    fn write(&self, sealed: &[u8]) -> io::Result<()> {
        let (new, current, old) = (self.path("last-good.new"), self.path("last-good"), self.path("last-good.old"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(MAGIC)?;
        file.write_all(sealed)?;
        file.sync_all()?;
        match fs::rename(&current, &old) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
            _ => {}
        }
        fs::rename(&new, &current)?;
        File::open(&self.directory)?.sync_all()
    }
}

/// Writes what is in force whenever it has changed, but not more often than it takes to matter.
pub(crate) async fn keep_saved(gateway: Arc<Gateway>, shelf: Arc<Shelf>, mut applied: watch::Receiver<Revision>) {
    while applied.changed().await.is_ok() {
        let (snapshot, shelf) = (gateway.snapshot.load_full(), Arc::clone(&shelf));
        match spawn_blocking(move || shelf.save(&snapshot)).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::warn!(%why, "the last good snapshot is not saved"),
            Err(why) => tracing::error!(%why, "saving the last good snapshot failed"),
        }
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shelf(name: &str, key: u8) -> Shelf {
        let directory = std::env::temp_dir().join(format!("turnpike-{name}-{}", std::process::id()));
        let keyring = Keyring::parse(&Keyring::line([key; 32])).unwrap();
        Shelf::open(&directory, Arc::new(keyring)).unwrap()
    }

    fn snapshot(to: u64) -> Snapshot {
        let update = Update { store: "s".into(), to, digest: vec![0; 16].into(), ..Update::default() };
        Snapshot::empty().apply(&update, &|_, _| Err("sealed".into())).unwrap().snapshot
    }

    #[test]
    fn what_was_saved_is_loaded_and_a_torn_file_falls_back_to_the_one_before() {
        let shelf = shelf("torn", 1);
        assert!(shelf.load().is_none());
        shelf.save(&snapshot(1)).unwrap();
        shelf.save(&snapshot(2)).unwrap();
        assert_eq!(shelf.load().unwrap().revision(), Revision(2));
        let whole = fs::read(shelf.path("last-good")).unwrap();
        fs::write(shelf.path("last-good"), &whole[..whole.len() - 1]).unwrap();
        assert_eq!(shelf.load().unwrap().revision(), Revision(1));
        fs::remove_dir_all(&shelf.directory).unwrap();
    }

    #[test]
    fn another_key_reads_nothing() {
        let mine = shelf("key", 1);
        mine.save(&snapshot(1)).unwrap();
        assert!(shelf("key", 2).load().is_none());
        fs::remove_dir_all(&mine.directory).unwrap();
    }
}
