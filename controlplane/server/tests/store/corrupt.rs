//! Files that are not what they should be: a clear word, and not a byte changed.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use server::store::{Place, StoreError, open};
use vocab::Revision;

use crate::scratch::Scratch;
use crate::shared::{key, put};

async fn error_of(dir: &Path) -> StoreError {
    match open(&Place::Embedded { dir: dir.to_owned() }).await {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

/// A closed store with many documents.
async fn filled() -> (Scratch, PathBuf) {
    let scratch = Scratch::new();
    let dir = scratch.path().join("data");
    let store = open(&Place::Embedded { dir: dir.clone() }).await.unwrap();
    for n in 0..50 {
        store.commit(put(Revision(n), key(n), &format!("body {n} {}", "x".repeat(1000)))).await.unwrap();
    }
    drop(store);
    let file = dir.join("config.db");
    (scratch, file)
}

async fn is_refused_untouched(file: &Path, words: &[&str]) -> StoreError {
    let before = std::fs::read(file).unwrap();
    let error = error_of(file.parent().unwrap()).await;
    for word in words.iter().chain([&"config.db"]) {
        assert!(error.to_string().contains(word), "{error} does not say {word}");
    }
    assert!(before == std::fs::read(file).unwrap(), "it was touched: {error}");
    error
}

#[tokio::test]
async fn a_torn_file_is_refused_untouched() {
    let (_scratch, file) = filled().await;
    let whole = std::fs::read(&file).unwrap();
    for length in [0, 1, 99, 100, 4095, 4096, 4097, whole.len() / 2, whole.len() - 4096, whole.len() - 1] {
        std::fs::write(&file, &whole[..length]).unwrap();
        let error = is_refused_untouched(&file, &["damaged", "not touched", "copy"]).await;
        assert!(matches!(error, StoreError::Corrupt(_)), "{length}: {error:?}");
    }
    std::fs::write(&file, &whole).unwrap();
    open(&Place::Embedded { dir: file.parent().unwrap().to_owned() }).await.unwrap();
}

#[tokio::test]
async fn a_file_full_of_garbage_is_refused_untouched() {
    let (_scratch, file) = filled().await;
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, vec![0xa5; whole.len()]).unwrap();
    is_refused_untouched(&file, &["damaged"]).await;
    std::fs::write(&file, "kind: Provider\nname: mock\n".repeat(100)).unwrap();
    is_refused_untouched(&file, &["damaged"]).await;
    for page in 1..4 {
        let mut torn = whole.clone();
        torn[page * 4096..page * 4096 + 512].fill(0x5a);
        std::fs::write(&file, &torn).unwrap();
        is_refused_untouched(&file, &["damaged"]).await;
    }
}

#[tokio::test]
async fn a_file_of_another_program_or_a_newer_version_is_refused_untouched() {
    let (_scratch, file) = filled().await;
    let whole = std::fs::read(&file).unwrap();
    let mut newer = whole.clone();
    newer[60..64].copy_from_slice(&2_u32.to_be_bytes());
    std::fs::write(&file, &newer).unwrap();
    let error = is_refused_untouched(&file, &["newer version", "layout 2", "upgrade"]).await;
    assert!(matches!(error, StoreError::Foreign(_)));
    let mut foreign = whole;
    foreign[68..72].copy_from_slice(b"FSLM");
    std::fs::write(&file, &foreign).unwrap();
    let error = is_refused_untouched(&file, &["another program", "--data-dir"]).await;
    assert!(matches!(error, StoreError::Foreign(_)));
}

#[tokio::test]
async fn a_log_without_its_file_is_not_taken_for_a_new_store() {
    let (_scratch, file) = filled().await;
    std::fs::rename(&file, file.with_extension("db-wal")).unwrap();
    let error = error_of(file.parent().unwrap()).await;
    assert!(matches!(&error, StoreError::Corrupt(why) if why.contains("config.db-wal")), "{error}");
    assert!(!file.exists());
}

#[tokio::test]
async fn a_document_whose_bytes_rotted_is_skipped_named_and_kept() {
    let (_scratch, file) = filled().await;
    let mut bytes = std::fs::read(&file).unwrap();
    let body = b"body 7 xxxx";
    // The file may hold more than one copy: pages are not wiped when their rows move.
    while let Some(at) = bytes.windows(body.len()).position(|window| window == body) {
        bytes[at] = b'B';
    }
    std::fs::write(&file, &bytes).unwrap();

    let store = open(&Place::Embedded { dir: file.parent().unwrap().to_owned() }).await.unwrap();
    let loaded = store.load().await.unwrap();
    assert_eq!((loaded.docs.len(), loaded.undecodable.len()), (49, 1));
    assert_eq!(loaded.undecodable[0].place, "Key/k7");
    let refused = store.commit(put(loaded.head, key(7), "new")).await;
    assert!(matches!(&refused, Err(StoreError::Corrupt(why)) if why.contains("Key/k7")), "{refused:?}");
    store.commit(put(loaded.head, key(8), "new")).await.unwrap();
}

#[tokio::test]
async fn a_directory_serves_one_store_at_a_time() {
    let scratch = Scratch::new();
    let place = Place::Embedded { dir: scratch.path().join("deep/data") };
    let store = open(&place).await.unwrap();
    let error = open(&place).await.unwrap_err();
    let pid = std::process::id().to_string();
    assert!(matches!(&error, StoreError::Taken(why) if why.contains(&pid) && why.contains("deep/data")), "{error:?}");
    drop(store);
    open(&place).await.unwrap();
}

#[tokio::test]
async fn nobody_else_may_read_the_files() {
    let scratch = Scratch::new();
    let dir = scratch.path().join("data");
    let store = open(&Place::Embedded { dir: dir.clone() }).await.unwrap();
    store.commit(put(Revision(0), key(1), "secret")).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for file in std::fs::read_dir(&dir).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let scratch = Scratch::new();
    let file = scratch.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = error_of(&file.join("data")).await;
    assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("file/data")), "{error:?}");
}

#[tokio::test]
async fn a_making_that_was_cut_short_is_begun_anew() {
    let scratch = Scratch::new();
    let dir = scratch.path().to_owned();
    std::fs::write(dir.join("config.db.new"), "half of it").unwrap();
    let store = open(&Place::Embedded { dir: dir.clone() }).await.unwrap();
    store.commit(put(Revision(0), key(1), "x")).await.unwrap();
    assert!(!dir.join("config.db.new").exists());
}
