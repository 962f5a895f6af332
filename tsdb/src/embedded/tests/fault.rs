//! A failing disk, damaged files, other processes.

use std::sync::atomic::{AtomicBool, Ordering};

use redb::backends::FileBackend;
use redb::{DatabaseError, StorageBackend};

use super::*;

/// A disk that fails every write while `broken`.
#[derive(Debug)]
struct FakeDisk {
    file: FileBackend,
    broken: Arc<AtomicBool>,
}

impl FakeDisk {
    fn fail(&self) -> std::io::Result<()> {
        match self.broken.load(Ordering::SeqCst) {
            true => Err(std::io::Error::from(std::io::ErrorKind::StorageFull)),
            false => Ok(()),
        }
    }
}

impl StorageBackend for FakeDisk {
    fn len(&self) -> std::io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.fail()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.fail()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.fail()?;
        self.file.write(offset, data)
    }

    fn close(&self) -> std::io::Result<()> {
        self.file.close()
    }
}

fn on_fake_disk(dir: &Path, broken: &Arc<AtomicBool>, head_bytes: usize) -> Arc<EmbeddedStore> {
    let broken = Arc::clone(broken);
    let opener = move |path: &Path| {
        let file = std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = FileBackend::new(file.map_err(redb::StorageError::Io)?)?;
        Builder::new().create_with_backend(FakeDisk { file, broken: broken.clone() })
    };
    let opener: file::Opener = Box::new(move |path| -> Result<_, DatabaseError> { opener(path) });
    EmbeddedStore::open_with(dir, EmbeddedOptions { head_bytes, ..EmbeddedOptions::default() }, opener)
        .expect("open")
}

#[tokio::test]
async fn a_disk_that_comes_back_loses_nothing() {
    let dir = TempDir::new().expect("folder");
    let broken = Arc::new(AtomicBool::new(false));
    let store = on_fake_disk(dir.path(), &broken, usize::MAX);
    store.write(&[sample("a", 0, 1.0)], &at(1)).await.expect("write");
    store.flush().await.expect("flush");

    broken.store(true, Ordering::SeqCst);
    store.write(&[sample("a", MINUTE, 2.0)], &at(2)).await.expect("write");
    for _ in 0..2 {
        let error = store.flush().await.expect_err("disk is full");
        assert!(matches!(&error, WriteError::Transient { .. }), "{error}");
        assert!(error.to_string().contains("series.redb"), "{error}");
    }
    store.write(&[sample("a", 2 * MINUTE, 3.0)], &at(3)).await.expect("write");
    assert_eq!(store.position().await.expect("position"), Some(at(1)));

    broken.store(false, Ordering::SeqCst);
    store.flush().await.expect("flush");
    assert_eq!(store.position().await.expect("position"), Some(at(3)));
    drop(store);
    insta::assert_snapshot!(show(&open(dir.path()).read(&of(&[])).await.expect("read")), @r#"
    {metric="a"} 0 value=1
    {metric="a"} 1 value=2
    {metric="a"} 2 value=3
    "#);
}

#[tokio::test]
async fn a_full_head_over_a_full_disk_stops_writes_and_not_reads() {
    let dir = TempDir::new().expect("folder");
    let broken = Arc::new(AtomicBool::new(false));
    let store = on_fake_disk(dir.path(), &broken, 500);
    broken.store(true, Ordering::SeqCst);
    let points: Vec<_> = (0..100).map(|minute| sample("a", minute * MINUTE, 1.0)).collect();
    store.write(&points, &at(1)).await.expect("write");
    let error = store.write(&points, &at(2)).await.expect_err("full");
    assert!(matches!(error, WriteError::Transient { .. }), "{error}");
    broken.store(false, Ordering::SeqCst);
    store.write(&points, &at(2)).await.expect("write");
    assert_eq!(store.read(&of(&[])).await.expect("read")[0].times.len(), 100);
}

#[tokio::test]
async fn one_process_writes_and_readers_wait_until_it_is_gone() {
    let dir = TempDir::new().expect("folder");
    let error = EmbeddedStore::open_read_only(dir.path(), EmbeddedOptions::default()).expect_err("none");
    assert!(error.to_string().contains("there is no store at"), "{error}");

    let store = open(dir.path());
    store.write(&[sample("a", 0, 1.0)], &at(1)).await.expect("write");
    store.flush().await.expect("flush");
    for second in [
        EmbeddedStore::open(dir.path(), EmbeddedOptions::default()),
        EmbeddedStore::open_read_only(dir.path(), EmbeddedOptions::default()),
    ] {
        let error = second.expect_err("locked");
        assert!(error.to_string().ends_with("series.redb is open in another process"), "{error}");
    }
    let crashed = crash_image(dir.path());
    drop(store);
    for dir in [dir.path(), crashed.path()] {
        let reader = EmbeddedStore::open_read_only(dir, EmbeddedOptions::default()).expect("open");
        assert_eq!(show(&reader.read(&of(&[])).await.expect("read")), r#"{metric="a"} 0 value=1"#);
        let error = reader.write(&[sample("a", 0, 1.0)], &at(2)).await.expect_err("read-only");
        assert!(matches!(error, WriteError::Permanent { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_damaged_file_is_named() {
    let dir = TempDir::new().expect("folder");
    let store = open(dir.path());
    let points: Vec<_> = (0..5000).map(|minute| sample("a", minute * MINUTE, minute as f64)).collect();
    store.write(&points, &at(1)).await.expect("write");
    store.flush().await.expect("flush");
    drop(store);
    let whole = std::fs::read(path_in(dir.path())).expect("read");

    for (what, bytes) in [
        ("rubbish", b"this is no database, whatever its name says".repeat(200)),
        ("a torn head", whole[..300].to_vec()),
        ("zeros", vec![0; 100_000]),
    ] {
        std::fs::write(path_in(dir.path()), bytes).expect("write");
        let error = EmbeddedStore::open(dir.path(), EmbeddedOptions::default()).expect_err(what);
        assert!(error.to_string().contains("series.redb"), "{what}: {error}");
    }
}

#[tokio::test]
async fn flipped_bytes_give_an_error_or_the_right_rows_and_never_wrong_ones() {
    let dir = TempDir::new().expect("folder");
    let store = open(dir.path());
    let points: Vec<_> = (0..3000).map(|minute| sample("a", minute * MINUTE, minute as f64)).collect();
    store.write(&points, &at(1)).await.expect("write");
    store.flush().await.expect("flush");
    let good = store.read(&of(&[])).await.expect("read");
    drop(store);
    let whole = std::fs::read(path_in(dir.path())).expect("read");
    let mut named = 0;
    for at in (0..whole.len()).step_by(whole.len() / 60) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        std::fs::write(path_in(dir.path()), &bytes).expect("write");
        let Ok(store) = EmbeddedStore::open_read_only(dir.path(), EmbeddedOptions::default()) else {
            named += 1;
            continue;
        };
        match store.read(&of(&[])).await {
            Ok(found) if found.is_empty() => {}
            Ok(found) => assert_eq!(found, good, "byte {at}"),
            Err(error) => {
                assert!(error.to_string().contains("series.redb"), "{error}");
                named += 1;
            }
        }
    }
    assert!(named > 0, "no flipped byte was ever noticed");
}

#[tokio::test]
async fn a_file_of_a_newer_format_is_refused() {
    let dir = TempDir::new().expect("folder");
    let store = open(dir.path());
    let newer = store.inner.file.write(|transaction| {
        transaction.open_table(file::META)?.insert("format", 99)?;
        Ok(())
    });
    newer.expect("write");
    drop(store);
    let error = EmbeddedStore::open(dir.path(), EmbeddedOptions::default()).expect_err("newer");
    assert!(
        error
            .to_string()
            .ends_with("its format is 99, this Tidemark reads 1: use the Tidemark that wrote it"),
        "{error}"
    );
}
