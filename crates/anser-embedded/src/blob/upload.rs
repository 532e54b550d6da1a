//! Uploads on their way: the bytes in one file, and what is needed to go on in another life beside it.
//!
//! A *ledger* holds the checksum of every whole block that arrived. Parts are not synced: after a crash
//! an upload goes on behind the last block that is what the ledger says. Before a content takes its
//! name, a *seal* says durably what it will be, so that a finish can be finished and asked again.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use anser_core::ports::blob::{
    BlobError, CONTENT_BYTES, Content, ContentId, PART_BYTES, UploadId, UploadState,
};
use anser_model::UnixMillis;
use sha2::{Digest, Sha256};

use super::content::{BLOCK_BYTES, Contents, footer, mark_stored};
use super::medium::{Medium, because, from_hex, if_there, remove_file, writing};

/// Uploads that may be under way at once, those that idle until they expire included.
const UPLOADS: usize = 16 * 1024;
/// Locks that the uploads share: as good as one each, for a few threads.
const STRIPES: usize = 64;
/// Bytes of a ledger's head: magic, format, when it expires, and a CRC32C of these.
const LEDGER_HEAD_BYTES: usize = 24;
const LEDGER_MAGIC: [u8; 8] = *b"ANSRUPLD";
/// Bytes of a seal: the same head, then the content's name, its length, and a CRC32C of all.
const SEAL_BYTES: usize = 68;
const SEAL_MAGIC: [u8; 8] = *b"ANSRSEAL";
const FORMAT: u32 = 1;

type Stripe = HashMap<UploadId, Receiving>;

/// The uploads of a folder.
pub(super) struct Uploads {
    folder: PathBuf,
    stripes: Vec<Mutex<Stripe>>,
}

/// What is known of the bytes that arrived, without reading them again.
struct Receiving {
    expires_at: UnixMillis,
    received: u64,
    hash: Sha256,
    /// Of every whole block.
    sums: Vec<u32>,
    /// Of what has arrived of the next one.
    open_sum: u32,
}

/// What became of an upload.
enum Found<'a> {
    Receiving(&'a mut Receiving),
    /// Its content is known; it may still have to take its name.
    Sealed(Content),
    Nothing,
}

/// The files of one upload.
struct Files {
    data: PathBuf,
    ledger: PathBuf,
    seal: PathBuf,
}

impl Receiving {
    fn new(expires_at: UnixMillis) -> Self {
        Receiving { expires_at, received: 0, hash: Sha256::new(), sums: Vec::new(), open_sum: 0 }
    }

    /// The checksums of the blocks that `part` would fill, and that of what it would leave open.
    fn sums_with(&self, part: &[u8]) -> (Vec<u32>, u32) {
        let (mut filled, mut open_sum, mut at) = (Vec::new(), self.open_sum, self.received);
        let mut rest = part;
        while !rest.is_empty() {
            let room = (BLOCK_BYTES - at % BLOCK_BYTES) as usize;
            let (now, later) = rest.split_at(rest.len().min(room));
            open_sum = crc32c::crc32c_append(open_sum, now);
            at += now.len() as u64;
            if at.is_multiple_of(BLOCK_BYTES) {
                filled.push(std::mem::take(&mut open_sum));
            }
            rest = later;
        }
        (filled, open_sum)
    }

    fn add(&mut self, part: &[u8], filled: Vec<u32>, open_sum: u32) {
        self.hash.update(part);
        self.received += part.len() as u64;
        self.sums.extend(filled);
        self.open_sum = open_sum;
        assert_eq!(self.sums.len() as u64, self.received / BLOCK_BYTES, "every whole block has a checksum");
    }

    fn content(&self) -> Content {
        Content { id: ContentId(self.hash.clone().finalize().into()), bytes: self.received }
    }
}

impl Uploads {
    pub fn open(folder: PathBuf, medium: &Medium) -> Result<Self, BlobError> {
        medium.create_folder(&folder)?;
        let stripes = (0..STRIPES).map(|_| Mutex::default()).collect();
        Ok(Uploads { folder, stripes })
    }

    fn stripe(&self, upload: UploadId) -> MutexGuard<'_, Stripe> {
        let stripe = &self.stripes[(upload.0 % STRIPES as u128) as usize];
        stripe.lock().expect("nothing panics while it holds uploads")
    }

    fn files(&self, upload: UploadId) -> Files {
        let path = |extension: &str| self.folder.join(format!("{:032x}.{extension}", upload.0));
        Files { data: path("data"), ledger: path("ledger"), seal: path("seal") }
    }

    pub fn begin(&self, medium: &Medium, upload: UploadId, expires_at: UnixMillis) -> Result<(), BlobError> {
        let mut stripe = self.stripe(upload);
        let files = self.files(upload);
        if !matches!(find(&mut stripe, upload, &files)?, Found::Nothing) {
            return Ok(());
        }
        if stripe.len() >= UPLOADS / STRIPES {
            return Err(BlobError::Unavailable(format!("{UPLOADS} uploads are under way already")));
        }
        // What a crash left of an upload of that name never counted.
        files.remove()?;
        let begun = write_new(medium, &files.ledger, &head(LEDGER_MAGIC, expires_at))
            .and_then(|()| medium.sync_folder(&self.folder));
        match begun {
            Ok(()) => _ = stripe.insert(upload, Receiving::new(expires_at)),
            // The error that counts is the first one.
            Err(_) => _ = files.remove(),
        }
        begun
    }

    pub fn state(&self, upload: UploadId) -> Result<UploadState, BlobError> {
        let files = self.files(upload);
        match find(&mut self.stripe(upload), upload, &files)? {
            Found::Receiving(receiving) => Ok(UploadState::Receiving { received: receiving.received }),
            // It lacks its name still, so it is not to be found: whoever asks goes on to finish it.
            Found::Sealed(content) if files.data.exists() => {
                Ok(UploadState::Receiving { received: content.bytes })
            }
            Found::Sealed(content) => Ok(UploadState::Finished(content)),
            Found::Nothing => Err(BlobError::NotFound),
        }
    }

    pub fn append(&self, upload: UploadId, offset: u64, part: &[u8]) -> Result<u64, BlobError> {
        if part.len() > PART_BYTES {
            return Err(BlobError::TooLarge { limit: PART_BYTES as u64 });
        }
        let files = self.files(upload);
        let mut stripe = self.stripe(upload);
        let Found::Receiving(receiving) = find(&mut stripe, upload, &files)? else {
            return Err(BlobError::NotFound);
        };
        if offset != receiving.received {
            return Err(BlobError::WrongOffset { received: receiving.received });
        }
        if offset + part.len() as u64 > CONTENT_BYTES {
            return Err(BlobError::TooLarge { limit: CONTENT_BYTES });
        }
        let data = writing().open(&files.data).map_err(because("opening", &files.data))?;
        if let Err(error) = data.write_all_at(part, offset) {
            // Gives back what room it took; what stays behind the end is written over.
            _ = data.set_len(offset);
            return Err(because("writing", &files.data)(error));
        }
        let (filled, open_sum) = receiving.sums_with(part);
        if !filled.is_empty() {
            let ledger = File::options().write(true).open(&files.ledger);
            let at = LEDGER_HEAD_BYTES as u64 + 4 * receiving.sums.len() as u64;
            let entries: Vec<u8> = filled.iter().flat_map(|sum| sum.to_le_bytes()).collect();
            let noted = ledger.and_then(|ledger| ledger.write_all_at(&entries, at));
            noted.map_err(because("writing", &files.ledger))?;
        }
        receiving.add(part, filled, open_sum);
        Ok(receiving.received)
    }

    pub fn finish(
        &self,
        medium: &Medium,
        contents: &Contents,
        upload: UploadId,
        now: UnixMillis,
    ) -> Result<Content, BlobError> {
        let files = self.files(upload);
        let mut stripe = self.stripe(upload);
        let content = match find(&mut stripe, upload, &files)? {
            Found::Nothing => return Err(BlobError::NotFound),
            Found::Sealed(content) => content,
            Found::Receiving(receiving) => match self.seal(medium, &files, receiving, now) {
                Ok(content) => {
                    stripe.remove(&upload);
                    content
                }
                Err(failure) => {
                    if failure.bytes_lost {
                        stripe.remove(&upload);
                        files.remove()?;
                    }
                    return Err(failure.error);
                }
            },
        };
        if files.data.exists() {
            let data = File::open(&files.data).map_err(because("opening", &files.data))?;
            mark_stored(&data, &files.data, now)?;
            contents.publish(medium, &files.data, content.id)?;
        } else if contents.claim(medium, content.id, now)?.is_none() {
            return Err(BlobError::NotFound);
        }
        // Of no use any more; what cannot be removed now goes when the upload expires.
        _ = remove_file(&files.ledger);
        Ok(content)
    }

    /// Makes the bytes durable, and then what they are.
    fn seal(
        &self,
        medium: &Medium,
        files: &Files,
        receiving: &Receiving,
        now: UnixMillis,
    ) -> Result<Content, SealFailure> {
        let content = receiving.content();
        let mut sums = receiving.sums.clone();
        if !content.bytes.is_multiple_of(BLOCK_BYTES) {
            sums.push(receiving.open_sum);
        }
        let footer = footer(&sums, content.bytes);
        let data = writing().open(&files.data).map_err(because("opening", &files.data))?;
        let write = || {
            data.write_all_at(&footer, content.bytes)?;
            data.set_len(content.bytes + footer.len() as u64)
        };
        write().map_err(because("writing", &files.data))?;
        mark_stored(&data, &files.data, now)?;
        medium.sync(&data, &files.data).map_err(|error| SealFailure { error, bytes_lost: true })?;
        let mut seal = head(SEAL_MAGIC, receiving.expires_at).to_vec();
        seal.extend(content.id.0);
        seal.extend(content.bytes.to_le_bytes());
        seal.extend(crc32c::crc32c(&seal).to_le_bytes());
        let sealed = write_new(medium, &files.seal, &seal).and_then(|()| medium.sync_folder(&self.folder));
        if let Err(error) = sealed {
            remove_file(&files.seal)?;
            return Err(error.into());
        }
        Ok(content)
    }

    pub fn abort(&self, upload: UploadId) -> Result<(), BlobError> {
        let mut stripe = self.stripe(upload);
        stripe.remove(&upload);
        self.files(upload).remove()
    }

    /// Forgets what has expired, and files that belong to no upload; says how many uploads there were.
    pub fn expire(&self, now: UnixMillis) -> Result<usize, BlobError> {
        let listing = because("listing", &self.folder);
        let mut uploads = BTreeSet::new();
        for entry in std::fs::read_dir(&self.folder).map_err(&listing)? {
            let name = entry.map_err(&listing)?.file_name();
            let number =
                name.to_str().and_then(|name| name.split_once('.')).and_then(|(number, _)| from_hex(number));
            uploads.extend(number.map(|number| UploadId(u128::from_be_bytes(number))));
        }
        let mut expired = 0;
        for upload in uploads {
            let mut stripe = self.stripe(upload);
            let files = self.files(upload);
            let expires_at = files.expires_at()?;
            if expires_at.is_none_or(|expires_at| expires_at <= now) {
                expired += usize::from(expires_at.is_some());
                stripe.remove(&upload);
                files.remove()?;
            }
        }
        Ok(expired)
    }
}

/// Why an upload was not sealed.
struct SealFailure {
    error: BlobError,
    /// The bytes that arrived may not be there any more, though they can still be read.
    bytes_lost: bool,
}

impl From<BlobError> for SealFailure {
    fn from(error: BlobError) -> Self {
        SealFailure { error, bytes_lost: false }
    }
}

impl Files {
    fn remove(&self) -> Result<(), BlobError> {
        // The bytes go last: alone they are nothing, and the next expiry finds them.
        [&self.seal, &self.ledger, &self.data].into_iter().try_for_each(|path| remove_file(path))
    }

    /// When the upload expires; nothing where none of its files says so.
    fn expires_at(&self) -> Result<Option<UnixMillis>, BlobError> {
        for (path, magic) in [(&self.seal, SEAL_MAGIC), (&self.ledger, LEDGER_MAGIC)] {
            if let Some(expires_at) = read_file(path)?.and_then(|file| read_head(&file, magic)) {
                return Ok(Some(expires_at));
            }
        }
        Ok(None)
    }
}

/// Looks an upload up, in memory and then on the disk.
fn find<'a>(stripe: &'a mut Stripe, upload: UploadId, files: &Files) -> Result<Found<'a>, BlobError> {
    let vacant = match stripe.entry(upload) {
        Entry::Occupied(known) => return Ok(Found::Receiving(known.into_mut())),
        Entry::Vacant(vacant) => vacant,
    };
    let ledger = read_file(&files.ledger)?;
    match read_file(&files.seal)?.map(|seal| read_seal(&seal)) {
        Some(Some(content)) => return Ok(Found::Sealed(content)),
        // Torn by a crash, before anybody was told.
        Some(None) if ledger.is_some() => {}
        Some(None) => return Err(BlobError::Damaged(format!("{} is damaged", files.seal.display()))),
        None => {}
    }
    let Some((expires_at, ledger)) =
        ledger.and_then(|ledger| Some((read_head(&ledger, LEDGER_MAGIC)?, ledger)))
    else {
        return Ok(Found::Nothing);
    };
    let receiving = load(&files.data, &ledger[LEDGER_HEAD_BYTES..], expires_at)?;
    Ok(Found::Receiving(vacant.insert(receiving)))
}

/// What of an upload's bytes is what the ledger says.
fn load(path: &Path, ledger: &[u8], expires_at: UnixMillis) -> Result<Receiving, BlobError> {
    let mut receiving = Receiving::new(expires_at);
    let Some(data) = if_there(File::open(path)).map_err(because("opening", path))? else {
        return Ok(receiving);
    };
    let mut block = vec![0; BLOCK_BYTES as usize];
    let (entries, _) = ledger.as_chunks::<4>();
    for entry in entries {
        match data.read_exact_at(&mut block, receiving.received) {
            Ok(()) if crc32c::crc32c(&block) == u32::from_le_bytes(*entry) => {
                let (filled, open_sum) = receiving.sums_with(&block);
                receiving.add(&block, filled, open_sum);
            }
            Ok(()) => break,
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(because("reading", path)(error)),
        }
    }
    Ok(receiving)
}

fn read_file(path: &Path) -> Result<Option<Vec<u8>>, BlobError> {
    if_there(std::fs::read(path)).map_err(because("reading", path))
}

/// Writes a small file as a whole, over what there may be, durable but for its name.
fn write_new(medium: &Medium, path: &Path, bytes: &[u8]) -> Result<(), BlobError> {
    let file = writing().open(path).map_err(because("creating", path))?;
    let write = || {
        file.write_all_at(bytes, 0)?;
        file.set_len(bytes.len() as u64)
    };
    write().map_err(because("writing", path))?;
    medium.sync(&file, path)
}

fn head(magic: [u8; 8], expires_at: UnixMillis) -> [u8; LEDGER_HEAD_BYTES] {
    let mut head = [0; LEDGER_HEAD_BYTES];
    head[..8].copy_from_slice(&magic);
    head[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    head[12..20].copy_from_slice(&expires_at.0.to_le_bytes());
    let sum = crc32c::crc32c(&head[..20]);
    head[20..].copy_from_slice(&sum.to_le_bytes());
    head
}

fn read_head(file: &[u8], magic: [u8; 8]) -> Option<UnixMillis> {
    let found = file.get(..LEDGER_HEAD_BYTES)?;
    let expires_at = UnixMillis(u64::from_le_bytes(found[12..20].try_into().ok()?));
    (found == head(magic, expires_at)).then_some(expires_at)
}

fn read_seal(file: &[u8]) -> Option<Content> {
    read_head(file, SEAL_MAGIC)?;
    let (sealed, sum) = file.split_last_chunk::<4>()?;
    if file.len() != SEAL_BYTES || crc32c::crc32c(sealed) != u32::from_le_bytes(*sum) {
        return None;
    }
    let id = ContentId(sealed[24..56].try_into().ok()?);
    Some(Content { id, bytes: u64::from_le_bytes(sealed[56..].try_into().ok()?) })
}
