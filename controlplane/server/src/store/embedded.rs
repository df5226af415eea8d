//! The store of one machine: an SQLite file, synced at every commit.

mod journal;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, Row, TransactionBehavior};
use vocab::{Digest, Revision};

use super::sqlite::{self, Database, Format};
use super::{Committed, Doc, DocKey, Loaded, Store, StoreError, Txn, Undecodable, Watch};
use journal::Journal;

const FORMAT: Format = Format {
    file: "config.db",
    application: u32::from_be_bytes(*b"TPKC"),
    layout: 1,
    // The sum finds what the file's own structure does not: a body that is no longer what was written.
    schema: "CREATE TABLE head (revision INTEGER NOT NULL); INSERT INTO head VALUES (0); \
             CREATE TABLE doc (kind TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL, sum BLOB NOT NULL, \
             body BLOB NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID",
    check_bytes_max: u64::MAX,
};

#[derive(Debug)]
pub struct Embedded {
    id: String,
    // Before the journal: what is still being committed is still told.
    database: Database,
    journal: Arc<Journal>,
    /// Documents that were found damaged: they are kept for whoever wants to save them.
    damaged: Arc<Mutex<BTreeSet<DocKey>>>,
}

impl Embedded {
    pub async fn open(dir: &Path) -> Result<Embedded, StoreError> {
        let database = Database::open(dir, FORMAT).await?;
        let path = database.path().to_owned();
        let (id, head) = database
            .run(move |connection| {
                let read = sqlite::identity(connection).and_then(|id| Ok((id, head(connection)?)));
                read.map_err(|error| sqlite::explain(&path, error))
            })
            .await?;
        Ok(Embedded { id, database, journal: Arc::new(Journal::new(head)), damaged: Arc::default() })
    }
}

#[async_trait]
impl Store for Embedded {
    fn kind(&self) -> &'static str {
        "embedded"
    }

    fn id(&self) -> &str {
        &self.id
    }

    async fn head(&self) -> Result<Revision, StoreError> {
        let path = self.database.path().to_owned();
        self.database.run(move |connection| head(connection).map_err(|error| sqlite::explain(&path, error))).await
    }

    async fn load(&self) -> Result<Loaded, StoreError> {
        let path = self.database.path().to_owned();
        let (loaded, damaged) = self
            .database
            .run(move |connection| load(connection).map_err(|error| sqlite::explain(&path, error)))
            .await?;
        *self.damaged.lock().unwrap_or_else(PoisonError::into_inner) = damaged;
        Ok(loaded)
    }

    async fn commit(&self, txn: Txn) -> Result<Revision, StoreError> {
        txn.check(&self.damaged.lock().unwrap_or_else(PoisonError::into_inner))?;
        let (path, journal) = (self.database.path().to_owned(), Arc::clone(&self.journal));
        self.database
            .run(move |connection| {
                let revision = commit(connection, &txn).map_err(|refused| refused.explain(&path))?;
                journal.write(Committed::of(revision, txn.changes));
                Ok(revision)
            })
            .await
    }

    fn watch(&self, after: Revision) -> Watch {
        let reader = self.journal.read();
        Watch::spawn(move |listener| reader.tell(after, listener))
    }
}

enum Refused {
    Conflict(Revision),
    Sqlite(rusqlite::Error),
    /// The last step failed: what was written before it may be found again after a restart.
    AtCommit(rusqlite::Error),
}

impl Refused {
    fn explain(self, path: &Path) -> StoreError {
        match self {
            Refused::Conflict(head) => StoreError::Conflict { head },
            Refused::Sqlite(error) => sqlite::explain(path, error),
            Refused::AtCommit(error) => StoreError::Unsure(format!("{}: {error}", path.display())),
        }
    }
}

impl From<rusqlite::Error> for Refused {
    fn from(error: rusqlite::Error) -> Refused {
        Refused::Sqlite(error)
    }
}

fn commit(connection: &mut Connection, txn: &Txn) -> Result<Revision, Refused> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = head(&transaction)?;
    if found != txn.expect {
        return Err(Refused::Conflict(found));
    }
    let revision = found.next();
    let number = signed(revision);
    {
        let mut put = transaction
            .prepare_cached("INSERT OR REPLACE INTO doc (kind, name, revision, sum, body) VALUES (?, ?, ?, ?, ?)")?;
        let mut delete = transaction.prepare_cached("DELETE FROM doc WHERE kind = ? AND name = ?")?;
        for (key, body) in &txn.changes {
            match body {
                Some(body) => put.execute((&key.kind, &key.name, number, sum(key, body), body.as_ref()))?,
                None => delete.execute((&key.kind, &key.name))?,
            };
        }
        transaction.prepare_cached("UPDATE head SET revision = ?")?.execute([number])?;
    }
    transaction.commit().map_err(Refused::AtCommit)?;
    Ok(revision)
}

fn head(connection: &Connection) -> rusqlite::Result<Revision> {
    connection.prepare_cached("SELECT revision FROM head")?.query_row((), |row| row.get(0)).map(unsigned)
}

fn load(connection: &mut Connection) -> rusqlite::Result<(Loaded, BTreeSet<DocKey>)> {
    let transaction = connection.transaction()?;
    let mut loaded = Loaded { head: head(&transaction)?, ..Loaded::default() };
    let mut damaged = BTreeSet::new();
    let mut docs = transaction.prepare_cached("SELECT kind, name, revision, sum, body FROM doc ORDER BY kind, name")?;
    let mut rows = docs.query(())?;
    while let Some(row) = rows.next()? {
        let key = DocKey::new(row.get::<_, String>(0)?, row.get::<_, String>(1)?);
        match doc(&key, row)? {
            Some(doc) => loaded.docs.push(doc),
            None => {
                let why = "its bytes are not those that were written".to_owned();
                loaded.undecodable.push(Undecodable { place: key.to_string(), why });
                damaged.insert(key);
            }
        }
    }
    Ok((loaded, damaged))
}

fn doc(key: &DocKey, row: &Row<'_>) -> rusqlite::Result<Option<Doc>> {
    let revision = unsigned(row.get(2)?);
    let written: Vec<u8> = row.get(3)?;
    let body = Bytes::from(row.get::<_, Vec<u8>>(4)?);
    let whole = written == sum(key, &body);
    Ok(whole.then(|| Doc { key: key.clone(), revision, body }))
}

fn sum(key: &DocKey, body: &[u8]) -> [u8; 16] {
    Digest::of(0, key.to_string().as_bytes(), body).to_bytes()
}

/// SQLite's integers have a sign; a counter that starts at 1 will not need it.
fn signed(revision: Revision) -> i64 {
    i64::try_from(revision.0).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> Revision {
    Revision(u64::try_from(number).unwrap_or_default())
}
