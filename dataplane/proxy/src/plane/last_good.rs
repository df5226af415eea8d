//! The last good snapshot on disk, two generations deep.
//!
//! It is written off the request's way, at most every few seconds, and read before the first word from the control
//! plane: a proxy needs nobody to go on serving what it had.

use std::sync::Arc;
use std::time::Duration;

use policy::Snapshot;
use prost::Message as _;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use vocab::Revision;
use wire::Update;

use crate::gateway::Gateway;
use crate::plane::shelf::Shelf;

const PLACE: &str = "last-good";
const CURRENT: &str = "last-good";
const OLD: &str = "last-good.old";
const PAUSE: Duration = Duration::from_secs(2);

/// The newest generation that opens. One that does not is passed over whole, and said so.
pub(crate) fn load(shelf: &Shelf) -> Option<Snapshot> {
    [CURRENT, OLD].into_iter().find_map(|name| match read(shelf, name) {
        Ok(snapshot) => snapshot,
        Err(why) => {
            tracing::warn!(file = name, %why, "passed over");
            None
        }
    })
}

fn read(shelf: &Shelf, name: &str) -> Result<Option<Snapshot>, String> {
    let Some(plain) = shelf.get(name, PLACE)? else { return Ok(None) };
    let update = Update::decode(plain.as_slice()).map_err(|why| why.to_string())?;
    let open = |place: &str, sealed: &[u8]| shelf.open_credential(place, sealed);
    let applied = Snapshot::empty().apply(&update, &open).map_err(|why| why.to_string())?;
    Ok(Some(applied.snapshot))
}

fn save(shelf: &Shelf, snapshot: &Snapshot) -> Result<(), String> {
    shelf.put(CURRENT, PLACE, &snapshot.to_update().encode_to_vec(), Some(OLD))
}

/// Writes what is in force whenever it has changed, but not more often than it takes to matter.
pub(crate) async fn keep_saved(gateway: Arc<Gateway>, shelf: Arc<Shelf>, mut applied: watch::Receiver<Revision>) {
    while applied.changed().await.is_ok() {
        let (snapshot, shelf) = (gateway.snapshot.load_full(), Arc::clone(&shelf));
        match spawn_blocking(move || save(&shelf, &snapshot)).await {
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
    use crate::plane::shelf::tests::Borrowed;

    fn snapshot(to: u64) -> Snapshot {
        let update = Update { store: "s".into(), to, digest: vec![0; 16].into(), ..Update::default() };
        Snapshot::empty().apply(&update, &|_, _| Err("sealed".into())).unwrap().snapshot
    }

    #[test]
    fn what_was_saved_is_loaded_and_a_torn_file_falls_back_to_the_one_before() {
        let shelf = Borrowed::new("last-good", 1);
        assert!(load(&shelf.0).is_none());
        save(&shelf.0, &snapshot(1)).unwrap();
        save(&shelf.0, &snapshot(2)).unwrap();
        assert_eq!(load(&shelf.0).unwrap().revision(), Revision(2));
        shelf.tear(CURRENT);
        assert_eq!(load(&shelf.0).unwrap().revision(), Revision(1));
    }
}
