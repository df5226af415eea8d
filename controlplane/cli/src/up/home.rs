//! The data directory: made once, kept ever after, readable by its owner only, used by one `turnpike up` at a time.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use trust::Keyring;
use vocab::Secret;

use crate::screen;
use crate::trouble::Trouble;

#[derive(Debug)]
pub(super) struct Home {
    /// Absolute, so that what is printed works from everywhere.
    pub(super) folder: PathBuf,
    pub(super) proxy: PathBuf,
    pub(super) logs: PathBuf,
    pub(super) admin_token: PathBuf,
    pub(super) join_token: PathBuf,
    pub(super) seal_keys: PathBuf,
    pub(super) demo_key: PathBuf,
    /// Held as long as we live; the system lets go of it however we end.
    _lock: File,
}

impl Home {
    pub(super) fn open(given: &Path) -> Result<Home, Trouble> {
        let wrong = |what: &Path, why: io::Error| Trouble::Local(format!("--data-dir: {}: {why}", what.display()));
        make(given).map_err(|why| wrong(given, why))?;
        let folder = fs::canonicalize(given).map_err(|why| wrong(given, why))?;
        let lock = lock(&folder)?;
        let at = |name: &str| folder.join(name);
        let home = Home {
            proxy: at("proxy"),
            logs: at("logs"),
            admin_token: at("admin.token"),
            join_token: at("join.token"),
            seal_keys: at("seal.keys"),
            demo_key: at("demo.key"),
            folder,
            _lock: lock,
        };
        for folder in [&home.proxy, &home.logs] {
            make(folder).map_err(|why| wrong(folder, why))?;
        }
        // New keys would open nothing of what is there.
        if !home.seal_keys.exists() && home.folder.join("config.db").exists() {
            return Err(Trouble::Local(format!(
                "{} is missing, but the credentials in config.db were sealed with it: put it back, or begin anew in another --data-dir",
                home.seal_keys.display()
            )));
        }
        for (file, secret) in
            [(&home.admin_token, token()?), (&home.join_token, token()?), (&home.seal_keys, seal_key()?)]
        {
            if !is_kept(file).map_err(|why| wrong(file, why))? {
                write(file, &secret).map_err(|why| wrong(file, why))?;
            }
        }
        Ok(home)
    }

    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }
}

fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn lock(folder: &Path) -> Result<File, Trouble> {
    let path = folder.join("up.lock");
    let wrong = |why: io::Error| Trouble::Local(format!("--data-dir: {}: {why}", path.display()));
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(wrong)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(why)) => Err(wrong(why)),
        Err(TryLockError::WouldBlock) => {
            let folder = folder.display();
            let advice = "Stop that one, or give another --data-dir.";
            Err(Trouble::Local(format!("another `turnpike up` runs on {folder}.\n{advice}")))
        }
    }
}

/// Whether there is such a file with something in it, from an earlier run or from the operator.
fn is_kept(file: &Path) -> io::Result<bool> {
    let known = match fs::metadata(file) {
        Ok(known) => known,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(why) => return Err(why),
    };
    if known.len() == 0 {
        return Ok(false);
    }
    if known.permissions().mode() & 0o077 != 0 {
        screen::warn(format_args!("{} can be read by others: chmod 600 it", file.display()));
    }
    Ok(true)
}

/// All of it or nothing, and on the disk before anybody relies on it.
pub(super) fn write(file: &Path, secret: &Secret) -> io::Result<()> {
    let new = file.with_extension("new");
    // Left over from a run that was cut short.
    match fs::remove_file(&new) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
        _ => {}
    }
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    out.write_all(secret.expose().as_bytes())?;
    out.write_all(b"\n")?;
    out.sync_all()?;
    fs::rename(&new, file)?;
    let folder = file.parent().unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn random() -> Result<[u8; 32], Trouble> {
    trust::random_bytes().ok_or_else(|| Trouble::Failed("the operating system gave no random bytes".to_owned()))
}

fn token() -> Result<Secret, Trouble> {
    Ok(Secret::new(random()?.iter().map(|byte| format!("{byte:02x}")).collect()))
}

fn seal_key() -> Result<Secret, Trouble> {
    Ok(Keyring::line(random()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("turnpike-cli-home-{}-{name}", std::process::id()))
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_home_is_for_its_owner_only_and_its_keys_are_good() {
        let folder = folder("new");
        let home = Home::open(&folder.join("deep/down")).unwrap();
        assert_eq!([mode(&home.folder), mode(&home.logs), mode(&home.proxy)], [0o700; 3]);
        assert_eq!([mode(&home.admin_token), mode(&home.join_token), mode(&home.seal_keys)], [0o600; 3]);
        let ring = fs::read_to_string(&home.seal_keys).unwrap();
        assert!(Keyring::parse(&Secret::new(ring)).is_ok());
        let [admin, join] = [&home.admin_token, &home.join_token].map(|file| fs::read_to_string(file).unwrap());
        assert_eq!((admin.trim().len(), admin == join), (64, false));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_is_there_is_kept_and_what_is_empty_is_not() {
        let folder = folder("kept");
        let first = Home::open(&folder).unwrap();
        let token = fs::read_to_string(&first.admin_token).unwrap();
        fs::write(&first.join_token, "").unwrap();
        drop(first);
        let second = Home::open(&folder).unwrap();
        assert_eq!(fs::read_to_string(&second.admin_token).unwrap(), token);
        assert_eq!(fs::read_to_string(&second.join_token).unwrap().trim().len(), 64);
        assert!(!folder.join("admin.new").exists());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn lost_seal_keys_are_not_replaced_while_something_is_sealed_with_them() {
        let folder = folder("lost");
        drop(Home::open(&folder).unwrap());
        fs::write(folder.join("config.db"), "").unwrap();
        fs::remove_file(folder.join("seal.keys")).unwrap();
        let refused = Home::open(&folder).err().map(|trouble| trouble.to_string()).unwrap_or_default();
        assert!(refused.contains("put it back"), "{refused}");
        assert!(!folder.join("seal.keys").exists());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn two_cannot_live_in_one_home() {
        let folder = folder("two");
        let first = Home::open(&folder).unwrap();
        let why = Home::open(&folder).unwrap_err().to_string();
        assert!(why.contains("another `turnpike up`"), "{why}");
        drop(first);
        Home::open(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
    }
}
