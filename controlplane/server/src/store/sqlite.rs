//! An SQLite file that is certainly ours, and the one thread that uses it.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::{mpsc, oneshot};

use super::StoreError;

/// What a kind of file is known by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    pub(crate) file: &'static str,
    /// Stands in the header of the file.
    pub(crate) application: u32,
    /// The newest layout this program knows. Stands in the header, too.
    pub(crate) layout: u32,
    pub(crate) schema: &'static str,
    /// Larger files are opened without reading them through first.
    pub(crate) check_bytes_max: u64,
}

/// Where these numbers stand in the header: https://www.sqlite.org/fileformat.html#the_database_header
const HEADER_BYTES: usize = 100;
const MAGIC: &[u8] = b"SQLite format 3\0";
const PAGE_BYTES_AT: usize = 16;
const LAYOUT_AT: usize = 60;
const APPLICATION_AT: usize = 68;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// Enough for everybody who may be waiting; more wait for their turn.
const JOBS_MAX: usize = 1024;

/// Dropping it waits until what was begun is done and the file is free for the next.
pub(crate) struct Database {
    path: PathBuf,
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Database {
    pub(crate) async fn open(dir: &Path, format: Format) -> Result<Database, StoreError> {
        let (dir, path) = (dir.to_owned(), dir.join(format.file));
        Database::spawn(path, move || open_file(&dir, format)).await
    }

    /// Another thread on the same file, for reading at length while the first one writes. It goes first when both end.
    pub(crate) async fn reader(&self) -> Result<Database, StoreError> {
        let path = self.path.clone();
        let open = move || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let opened = Connection::open_with_flags(&path, flags).and_then(|connection| {
                connection.execute_batch("PRAGMA busy_timeout = 5000")?;
                Ok((connection, ()))
            });
            opened.map_err(|error| explain(&path, error))
        };
        Database::spawn(self.path.clone(), open).await
    }

    /// `held` is what has to be held as long as the connection is.
    async fn spawn<H>(
        path: PathBuf,
        open: impl FnOnce() -> Result<(Connection, H), StoreError> + Send + 'static,
    ) -> Result<Database, StoreError> {
        let (sender, mut receiver) = mpsc::channel::<Job>(JOBS_MAX);
        let (opened, is_open) = oneshot::channel();
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || match open() {
                Ok((mut connection, held)) => {
                    _ = opened.send(Ok(()));
                    while let Some(job) = receiver.blocking_recv() {
                        job(&mut connection);
                    }
                    drop(connection);
                    drop(held);
                }
                Err(error) => _ = opened.send(Err(error)),
            })
            .map_err(|error| StoreError::Unavailable(format!("no thread for {}: {error}", path.display())))?;
        let database = Database { path, jobs: Some(sender), thread: Some(thread) };
        is_open.await.map_err(|_| database.gone())??;
        Ok(database)
    }

    /// Does this on the thread of the file. There is no deadline: a disk that stalls leaves no doubt what it will have
    /// done once it goes on, a deadline would.
    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Whoever asked may have gone away meanwhile.
            _ = answer.send(work(connection));
        });
        let jobs = self.jobs.as_ref().ok_or_else(|| self.gone())?;
        jobs.send(job).await.map_err(|_| self.gone())?;
        answered.await.map_err(|_| self.gone())?
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn gone(&self) -> StoreError {
        StoreError::Unavailable(format!("the thread of {} has ended", self.path.display()))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has let go of the file as well.
            _ = thread.join();
        }
    }
}

fn open_file(dir: &Path, format: Format) -> Result<(Connection, File), StoreError> {
    let path = dir.join(format.file);
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| {
        StoreError::Unavailable(format!("the data directory {} cannot be made: {error}", dir.display()))
    })?;
    let lock = lock(&beside(&path, ".lock"))?;
    match File::open(&path) {
        Ok(file) => check_header(&path, file, format)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(dir, &path, format)?,
        Err(error) => return Err(StoreError::Unavailable(format!("{} cannot be opened: {error}", path.display()))),
    }
    let connection = open_checked(&path, format).map_err(|error| explain(&path, error))??;
    Ok((connection, lock))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600);
    options
}

/// Held as long as the file is; the system lets go of it when the process dies, however it dies.
fn lock(path: &Path) -> Result<File, StoreError> {
    let refused = |error: io::Error| StoreError::Unavailable(format!("{} cannot be written: {error}", path.display()));
    let mut file = private().truncate(false).open(path).map_err(refused)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            _ = file.read_to_string(&mut holder);
            return Err(StoreError::Taken(format!(
                "another process (pid {}) uses {}; one data directory serves one control plane: stop the other, or give this one its own --data-dir",
                holder.trim(),
                path.parent().unwrap_or(path).display(),
            )));
        }
        Err(TryLockError::Error(error)) => return Err(refused(error)),
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(refused)?;
    Ok(file)
}

/// Looks before SQLite does, so that a file that is not ours is not even touched.
fn check_header(path: &Path, file: File, format: Format) -> Result<(), StoreError> {
    let mut header = Vec::new();
    let read = file.metadata().and_then(|metadata| {
        file.take(HEADER_BYTES as u64).read_to_end(&mut header)?;
        Ok(metadata.len())
    });
    let bytes = read.map_err(|error| StoreError::Unavailable(format!("{} cannot be read: {error}", path.display())))?;
    if header.len() < HEADER_BYTES || !header.starts_with(MAGIC) {
        return Err(damaged(path, "it does not begin as an SQLite file does"));
    }
    let number = |at: usize| {
        let bytes = header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_be_bytes)
    };
    if number(APPLICATION_AT) != format.application {
        return Err(StoreError::Foreign(format!(
            "{} is an SQLite file of another program and was not touched; choose another --data-dir",
            path.display()
        )));
    }
    if number(LAYOUT_AT) > format.layout {
        return Err(StoreError::Foreign(format!(
            "{} was written by a newer version (layout {}, this one knows {}) and was not touched; upgrade this control plane",
            path.display(),
            number(LAYOUT_AT),
            format.layout
        )));
    }
    // SQLite would fill up half a page with zeros. While there is a log, the page may be whole in there.
    let page_bytes = u64::from(number(PAGE_BYTES_AT) >> 16);
    let has_log = std::fs::metadata(beside(path, "-wal")).is_ok_and(|metadata| 0 < metadata.len());
    if !has_log && 1 < page_bytes && !bytes.is_multiple_of(page_bytes) {
        return Err(damaged(path, "it ends in the middle of a page"));
    }
    Ok(())
}

fn damaged(path: &Path, why: &str) -> StoreError {
    StoreError::Corrupt(format!(
        "{} is damaged ({why}) and was not touched; put back a copy of it (with the -wal file beside it, if there is one), or move it away to begin anew",
        path.display()
    ))
}

/// Made under another name and then renamed, so that a file under the right name is always whole.
fn create(dir: &Path, path: &Path, format: Format) -> Result<(), StoreError> {
    let wal = beside(path, "-wal");
    if wal.exists() {
        return Err(StoreError::Corrupt(format!(
            "{} is missing, but {} is there and was not touched; put the file back, or move both away to begin anew",
            path.display(),
            wal.display()
        )));
    }
    let draft = beside(path, ".new");
    let made = || -> io::Result<()> {
        for leftover in [draft.clone(), beside(&draft, "-journal")] {
            match std::fs::remove_file(&leftover) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        private().truncate(true).open(&draft)?;
        let connection = Connection::open(&draft).map_err(io::Error::other)?;
        let id = trust::random_bytes::<16>().ok_or_else(|| io::Error::other("the system has no randomness to give"))?;
        connection
            .execute_batch(&format!(
                "PRAGMA synchronous = FULL; BEGIN; PRAGMA application_id = {}; PRAGMA user_version = {}; {}; \
                 CREATE TABLE identity (id TEXT NOT NULL); INSERT INTO identity VALUES ('{:032x}'); COMMIT;",
                format.application,
                format.layout,
                format.schema,
                u128::from_be_bytes(id)
            ))
            .map_err(io::Error::other)?;
        connection.close().map_err(|(_, error)| io::Error::other(error))?;
        File::open(&draft)?.sync_all()?;
        std::fs::rename(&draft, path)?;
        File::open(dir)?.sync_all()
    };
    made().map_err(|error| StoreError::Unavailable(format!("{} cannot be made: {error}", path.display())))
}

fn open_checked(path: &Path, format: Format) -> rusqlite::Result<Result<Connection, StoreError>> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // Until it has been found whole, nothing is written back into it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    if bytes <= format.check_bytes_max {
        let found: String = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0))?;
        if found != "ok" {
            return Ok(Err(damaged(path, &found)));
        }
    }
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;")?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok(Ok(connection))
}

/// The identity that was drawn when the file was made.
pub(crate) fn identity(connection: &Connection) -> rusqlite::Result<String> {
    connection.query_row("SELECT id FROM identity", (), |row| row.get(0))
}

/// In the operator's words.
#[expect(clippy::needless_pass_by_value, reason = "reads as the tail of map_err")]
pub(crate) fn explain(path: &Path, error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damaged(path, &error.to_string()),
        Some(ErrorCode::DiskFull) => {
            StoreError::Unavailable(format!("the disk that holds {} is full: make room", path.display()))
        }
        _ => StoreError::Unavailable(format!("{}: {error}", path.display())),
    }
}
