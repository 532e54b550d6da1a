//! The suite of the port on a folder, and what only a folder can suffer.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use anser_core::ports::blob::PART_BYTES;
use anser_core::ports::blob_conformance::{BlobFactory, check_blob};
use anser_core::ports::log_conformance::block_on;

use super::*;

const ONE: UploadId = UploadId(0x1f);
const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
const NEVER: UnixMillis = UnixMillis(NOW.0 + 1_000_000);

struct Folder(PathBuf);

impl BlobFactory for Folder {
    fn open(&self) -> Arc<dyn Blob> {
        Arc::new(FolderBlob::open(&self.0).unwrap())
    }
}

/// A folder with a store in it.
struct Subject {
    folder: tempfile::TempDir,
    blob: Option<FolderBlob>,
}

impl Subject {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let blob = Some(FolderBlob::open(&folder.path().join("blobs")).unwrap());
        Subject { folder, blob }
    }

    fn blob(&self) -> &FolderBlob {
        self.blob.as_ref().unwrap()
    }

    fn reopen(&mut self) {
        self.blob = None;
        self.blob = Some(FolderBlob::open(&self.folder.path().join("blobs")).unwrap());
    }

    fn upload_file(&self, extension: &str) -> PathBuf {
        self.folder.path().join(format!("blobs/upload/{:032x}.{extension}", ONE.0))
    }

    fn content_file(&self, content: ContentId) -> PathBuf {
        let name = content.to_string();
        self.folder.path().join("blobs/content").join(&name[..2]).join(&name[2..4]).join(name)
    }

    fn begin(&self, bytes: &Bytes) {
        block_on(self.blob().begin(ONE, NEVER)).unwrap();
        self.append(0, bytes.clone());
    }

    fn append(&self, offset: usize, mut bytes: Bytes) {
        let mut at = offset as u64;
        while !bytes.is_empty() {
            at = block_on(self.blob().append(ONE, at, bytes.split_to(bytes.len().min(PART_BYTES)))).unwrap();
        }
    }

    fn finish(&self) -> Result<Content, BlobError> {
        block_on(self.blob().finish(ONE, NOW))
    }

    fn store(&self, bytes: &Bytes) -> ContentId {
        self.begin(bytes);
        self.finish().unwrap().id
    }

    fn received(&self) -> usize {
        match block_on(self.blob().state(ONE)) {
            Ok(UploadState::Receiving { received }) => received as usize,
            other => panic!("the upload goes on, and is not {other:?}"),
        }
    }

    fn must_hold(&self, content: ContentId, bytes: &Bytes) {
        assert_eq!(block_on(self.blob().verify(content)), Ok(bytes.len() as u64));
        let expected = bytes.slice(..bytes.len().min(PART_BYTES));
        assert_eq!(block_on(self.blob().read(content, 0, usize::MAX)), Ok(expected));
    }
}

fn sample(bytes: usize) -> Bytes {
    (0..bytes).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

fn flip(path: &Path, offset: u64) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset as usize] ^= 4;
    fs::write(path, bytes).unwrap();
}

fn is_damaged<T: std::fmt::Debug>(result: Result<T, BlobError>) -> bool {
    matches!(result, Err(BlobError::Damaged(_)))
}

#[test]
fn conforms() {
    let mut folders = Vec::new();
    check_blob(&mut || {
        let folder = tempfile::tempdir().unwrap();
        let factory = Folder(folder.path().join("blobs"));
        folders.push(folder);
        Box::new(factory)
    });
}

#[test]
fn damage_is_found_wherever_it_is_and_healed_by_the_same_content() {
    let bytes = sample(200_000);
    let subject = Subject::new();
    let content = subject.store(&bytes);
    let path = subject.content_file(content);
    let whole = fs::metadata(&path).unwrap().len();
    assert_eq!(whole, 200_000 + 4 * 4 + 28);
    for offset in [0, 65_535, 65_536, 199_999, 200_000, 200_015, 200_016, whole - 1] {
        flip(&path, offset);
        assert!(is_damaged(block_on(subject.blob().verify(content))), "at {offset}");
        let read = [0, 65_536, 131_072, 196_608].map(|at| block_on(subject.blob().read(content, at, 1)));
        assert!(read.into_iter().any(is_damaged), "whoever reads there is told: at {offset}");
        flip(&path, offset);
        subject.must_hold(content, &bytes);
    }
    flip(&path, 70_000);
    assert_eq!(block_on(subject.blob().read(content, 0, 65_536)), Ok(bytes.slice(..65_536)), "what is whole");
    assert!(is_damaged(block_on(subject.blob().read(content, 65_000, 1_000))));
    block_on(subject.blob().abort(ONE)).unwrap();
    assert_eq!(subject.store(&bytes), content);
    subject.must_hold(content, &bytes);
}

#[test]
fn a_file_of_another_name_or_length_is_damaged() {
    let subject = Subject::new();
    let content = subject.store(&sample(100_000));
    let other = ContentId([7; 32]);
    fs::create_dir_all(subject.content_file(other).parent().unwrap()).unwrap();
    fs::copy(subject.content_file(content), subject.content_file(other)).unwrap();
    let Err(BlobError::Damaged(why)) = block_on(subject.blob().verify(other)) else {
        panic!("bytes under a name that is not their hash")
    };
    assert!(why.contains(&content.to_string()) && why.contains(&other.to_string()), "{why}");
    for cut in [99_000, 20, 0] {
        fs::File::options().write(true).open(subject.content_file(other)).unwrap().set_len(cut).unwrap();
        assert!(is_damaged(block_on(subject.blob().read(other, 0, 1))), "cut to {cut}");
        assert!(is_damaged(block_on(subject.blob().claim(vec![other], NOW))), "not to be built upon");
    }
    assert_eq!(block_on(subject.blob().list(None, 10)).map(|listed| listed.len()), Ok(2));
    assert_eq!(block_on(subject.blob().remove(vec![other], UnixMillis(u64::MAX >> 12))), Ok(vec![true]));
}

#[test]
fn an_upload_goes_on_behind_the_last_block_that_is_whole() {
    let bytes = sample(400_000);
    for (file, offset, expected) in [
        ("data", 0, 0),
        ("data", 65_536 * 3 + 5, 65_536 * 3),
        ("ledger", 24 + 4 * 2, 65_536 * 2),
        ("data", 399_999, 65_536 * 6),
    ] {
        let mut subject = Subject::new();
        subject.begin(&bytes);
        subject.blob = None;
        flip(&subject.upload_file(file), offset);
        subject.reopen();
        assert_eq!(subject.received(), expected, "{file} at {offset}");
        subject.append(expected, bytes.slice(expected..));
        let content = subject.finish().unwrap();
        subject.must_hold(content.id, &bytes);
    }
}

#[test]
fn a_finish_that_a_crash_interrupts_can_be_finished() {
    let bytes = sample(150_000);
    let mut subject = Subject::new();
    subject.begin(&bytes);
    // As after a crash between the seal and the name: the content lies where the upload was.
    let content = subject.finish().unwrap();
    fs::rename(subject.content_file(content.id), subject.upload_file("data")).unwrap();
    subject.reopen();
    assert_eq!(subject.received(), 150_000, "not finished: it has no name yet");
    assert_eq!(subject.finish(), Ok(content));
    subject.must_hold(content.id, &bytes);
    // As after a crash in the middle of writing the seal.
    fs::rename(subject.content_file(content.id), subject.upload_file("data")).unwrap();
    fs::write(subject.upload_file("seal"), b"ANSRSE").unwrap();
    subject.reopen();
    assert!(is_damaged(subject.finish()), "without a ledger there was an answer");
    block_on(subject.blob().abort(ONE)).unwrap();
    subject.begin(&bytes);
    fs::write(subject.upload_file("seal"), b"ANSRSE").unwrap();
    subject.reopen();
    let there = subject.received();
    subject.append(there, bytes.slice(there..));
    assert_eq!(subject.finish(), Ok(content));
    assert_eq!(block_on(subject.blob().state(ONE)), Ok(UploadState::Finished(content)));
}

#[test]
fn a_full_disk_is_no_space_and_passes() {
    let bytes = sample(100_000);
    let subject = Subject::new();
    subject.begin(&bytes);
    let (data, aside) = (subject.upload_file("data"), subject.folder.path().join("aside"));
    fs::rename(&data, &aside).unwrap();
    // Every write to this device finds the disk full.
    symlink("/dev/full", &data).unwrap();
    let full = block_on(subject.blob().append(ONE, 100_000, bytes.clone()));
    assert!(matches!(full, Err(BlobError::NoSpace(_))), "{full:?}");
    assert!(matches!(subject.finish(), Err(BlobError::NoSpace(_))));
    assert_eq!(subject.received(), 100_000, "nothing of it landed");
    fs::rename(&aside, &data).unwrap();
    let content = subject.finish().unwrap();
    subject.must_hold(content.id, &bytes);
}

#[test]
fn nothing_is_left_of_what_expired_or_belongs_to_nobody() {
    let subject = Subject::new();
    subject.begin(&sample(70_000));
    let upload = subject.folder.path().join("blobs/upload");
    fs::write(upload.join(format!("{:032x}.data", 99)), b"left by a crash").unwrap();
    fs::write(upload.join(format!("{:032x}.ledger", 98)), b"torn").unwrap();
    fs::write(upload.join("README"), b"none of ours").unwrap();
    assert_eq!(block_on(subject.blob().expire(NOW)), Ok(0));
    assert_eq!(fs::read_dir(&upload).unwrap().count(), 3, "what is under way stays, and what is not ours");
    assert_eq!(block_on(subject.blob().expire(NEVER)), Ok(1));
    assert_eq!(fs::read_dir(&upload).unwrap().count(), 1);
}

#[test]
fn files_are_for_their_owner_alone() {
    let subject = Subject::new();
    let content = subject.store(&sample(10));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let mut path = subject.content_file(content);
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&subject.upload_file("seal")), 0o600);
    while path.pop() && path != subject.folder.path() {
        assert_eq!(mode(&path), 0o700, "{}", path.display());
    }
}
