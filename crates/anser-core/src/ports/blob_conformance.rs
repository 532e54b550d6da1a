//! What every [`Blob`] must do, as a suite that each adapter runs against itself.

use std::sync::Arc;

use anser_model::UnixMillis;
use bytes::Bytes;

use super::blob::{
    Blob, BlobError, CONTENTS_PER_CALL, Content, ContentId, PART_BYTES, UploadId, UploadState,
};
use super::log_conformance::block_on;

/// How the suite gets at the files.
pub trait BlobFactory {
    /// Opens the store: empty the first time, and after that with everything that was finished.
    /// The suite drops the store it had before it asks again.
    fn open(&self) -> Arc<dyn Blob>;
}

/// Runs the whole suite; `fresh` gives a factory of an empty store for every case.
///
/// # Panics
/// When the adapter breaks the port's promise, with the case in the message.
pub fn check_blob(fresh: &mut dyn FnMut() -> Box<dyn BlobFactory>) {
    an_empty_store_knows_nothing(&*fresh());
    content_is_named_by_its_hash(&*fresh());
    parts_of_every_size_become_one_content(&*fresh());
    a_part_lands_only_where_the_upload_ends(&*fresh());
    an_upload_goes_on_in_another_life(&*fresh());
    nothing_is_visible_before_it_is_finished(&*fresh());
    calls_may_be_repeated(&*fresh());
    an_aborted_upload_is_gone(&*fresh());
    uploads_expire(&*fresh());
    the_same_content_is_stored_once(&*fresh());
    ranges_are_cut_at_the_end(&*fresh());
    what_was_stored_or_claimed_since_is_not_removed(&*fresh());
    contents_are_listed_by_name(&*fresh());
    what_is_beyond_a_limit_is_refused(&*fresh());
    several_uploads_at_once_do_not_mix(&*fresh());
}

/// Contents whose SHA-256 is known: nothing, `abc` (FIPS 180-2), and a million times `a`.
const KNOWN: [(&[u8], usize, &str); 3] = [
    (b"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    (b"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (b"a", 1_000_000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
];
const ONE: UploadId = UploadId(1);
const TWO: UploadId = UploadId(u128::MAX);
const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
const LATER: UnixMillis = UnixMillis(NOW.0 + 60_000);
const NEVER: UnixMillis = UnixMillis(NOW.0 + 1_000_000_000);
const UNKNOWN: ContentId = ContentId([0x5a; 32]);

/// Bytes like those of no other number.
fn sample(number: u64, bytes: usize) -> Bytes {
    (0..bytes as u64).map(|at| (at ^ (at >> 8) ^ number.wrapping_mul(0x9d) ^ (at >> 16)) as u8).collect()
}

fn begin(blob: &dyn Blob, upload: UploadId) {
    assert_eq!(block_on(blob.begin(upload, NEVER)), Ok(()));
}

/// Adds the bytes in parts of at most `part_bytes`, from `offset` on.
fn append(blob: &dyn Blob, upload: UploadId, mut offset: u64, mut bytes: Bytes, part_bytes: usize) {
    while !bytes.is_empty() {
        let part = bytes.split_to(bytes.len().min(part_bytes));
        let end = offset + part.len() as u64;
        assert_eq!(block_on(blob.append(upload, offset, part)), Ok(end));
        offset = end;
    }
}

fn finish(blob: &dyn Blob, upload: UploadId, now: UnixMillis) -> Content {
    block_on(blob.finish(upload, now)).expect("an upload is finished")
}

fn store(blob: &dyn Blob, upload: UploadId, bytes: &Bytes, now: UnixMillis) -> ContentId {
    begin(blob, upload);
    append(blob, upload, 0, bytes.clone(), PART_BYTES);
    let content = finish(blob, upload, now);
    assert_eq!(content.bytes, bytes.len() as u64);
    content.id
}

fn state(blob: &dyn Blob, upload: UploadId) -> Result<UploadState, BlobError> {
    block_on(blob.state(upload))
}

/// How far an upload is that goes on.
fn received(blob: &dyn Blob, upload: UploadId) -> u64 {
    match state(blob, upload) {
        Ok(UploadState::Receiving { received }) => received,
        other => panic!("the upload goes on, and is not {other:?}"),
    }
}

fn read(blob: &dyn Blob, content: ContentId, offset: u64, bytes: usize) -> Result<Bytes, BlobError> {
    block_on(blob.read(content, offset, bytes))
}

/// Fails unless the store holds exactly these bytes under that name.
fn must_hold(blob: &dyn Blob, content: ContentId, bytes: &[u8]) {
    let mut at = 0;
    while at < bytes.len() {
        let read = read(blob, content, at as u64, usize::MAX).expect("what is stored is read");
        assert!(!read.is_empty() && read.len() <= PART_BYTES, "{} bytes at {at}", read.len());
        assert!(bytes[at..].starts_with(&read), "the bytes at {at} are those that were stored");
        at += read.len();
    }
    assert_eq!(read(blob, content, at as u64, 1), Ok(Bytes::new()), "nothing follows");
    assert_eq!(block_on(blob.verify(content)), Ok(bytes.len() as u64));
}

fn must_not_be_there(blob: &dyn Blob, content: ContentId) {
    assert_eq!(read(blob, content, 0, 1), Err(BlobError::NotFound));
    assert_eq!(block_on(blob.verify(content)), Err(BlobError::NotFound));
    assert!(!list(blob, None, CONTENTS_PER_CALL).contains(&content));
}

fn claim(blob: &dyn Blob, contents: &[ContentId], now: UnixMillis) -> Vec<Option<u64>> {
    block_on(blob.claim(contents.to_vec(), now)).expect("a claim is answered")
}

fn list(blob: &dyn Blob, after: Option<ContentId>, limit: usize) -> Vec<ContentId> {
    block_on(blob.list(after, limit)).expect("contents are listed")
}

fn remove(blob: &dyn Blob, contents: &[ContentId], stored_before: UnixMillis) -> Vec<bool> {
    block_on(blob.remove(contents.to_vec(), stored_before)).expect("a removal is answered")
}

fn an_empty_store_knows_nothing(factory: &dyn BlobFactory) {
    let blob = factory.open();
    must_not_be_there(&*blob, UNKNOWN);
    assert_eq!(claim(&*blob, &[UNKNOWN, UNKNOWN], NOW), [None, None]);
    assert_eq!(claim(&*blob, &[], NOW), []);
    assert_eq!(remove(&*blob, &[UNKNOWN], NEVER), [true], "what is not there is gone");
    assert_eq!(list(&*blob, None, 10), []);
    assert_eq!(state(&*blob, ONE), Err(BlobError::NotFound));
    assert_eq!(block_on(blob.append(ONE, 0, Bytes::from_static(b"a"))), Err(BlobError::NotFound));
    assert_eq!(block_on(blob.finish(ONE, NOW)), Err(BlobError::NotFound));
    assert_eq!(block_on(blob.abort(ONE)), Ok(()));
    assert_eq!(block_on(blob.expire(NEVER)), Ok(0));
    assert!(!BlobError::NotFound.retry_helps());
}

fn content_is_named_by_its_hash(factory: &dyn BlobFactory) {
    let blob = factory.open();
    let mut stored = Vec::new();
    for (number, (piece, times, name)) in (10u128..).zip(KNOWN) {
        let bytes = Bytes::from(piece.repeat(times));
        let content = store(&*blob, UploadId(number), &bytes, NOW);
        assert_eq!(content.to_string(), name);
        must_hold(&*blob, content, &bytes);
        stored.push((content, bytes));
    }
    drop(blob);
    let blob = factory.open();
    stored.iter().for_each(|(content, bytes)| must_hold(&*blob, *content, bytes));
}

fn parts_of_every_size_become_one_content(factory: &dyn BlobFactory) {
    let blob = factory.open();
    let mut whole = None;
    let bytes = sample(1, 2 * PART_BYTES + 4_097);
    for (number, part_bytes) in (1u128..).zip([PART_BYTES, 65_536, 65_537, 99_991, 16_384]) {
        let upload = UploadId(number);
        begin(&*blob, upload);
        append(&*blob, upload, 0, bytes.clone(), part_bytes);
        let content = finish(&*blob, upload, NOW).id;
        assert_eq!(*whole.get_or_insert(content), content, "however it is cut: by {part_bytes}");
        must_hold(&*blob, content, &bytes);
    }
    let small = sample(2, 300);
    begin(&*blob, TWO);
    append(&*blob, TWO, 0, small.clone(), 1);
    must_hold(&*blob, finish(&*blob, TWO, NOW).id, &small);
}

fn a_part_lands_only_where_the_upload_ends(factory: &dyn BlobFactory) {
    let blob = factory.open();
    let bytes = sample(3, 1_000);
    begin(&*blob, ONE);
    append(&*blob, ONE, 0, bytes.slice(..600), 600);
    for offset in [0, 599, 601, u64::MAX] {
        let outcome = block_on(blob.append(ONE, offset, bytes.slice(..10)));
        assert_eq!(outcome, Err(BlobError::WrongOffset { received: 600 }), "at {offset}");
    }
    assert_eq!(block_on(blob.append(ONE, 600, Bytes::new())), Ok(600), "a part of nothing");
    append(&*blob, ONE, 600, bytes.slice(600..), 400);
    must_hold(&*blob, finish(&*blob, ONE, NOW).id, &bytes);
}

fn an_upload_goes_on_in_another_life(factory: &dyn BlobFactory) {
    let bytes = sample(4, PART_BYTES + 70_001);
    let blob = factory.open();
    begin(&*blob, ONE);
    begin(&*blob, TWO);
    append(&*blob, ONE, 0, bytes.slice(..PART_BYTES / 2 + 7), 50_000);
    drop(blob);
    for life in 0..2 {
        let blob = factory.open();
        let there = received(&*blob, ONE);
        assert!(there <= (PART_BYTES / 2 + 7) as u64 + life * 100, "no more than was sent");
        let end = (there as usize + 100).min(bytes.len());
        append(&*blob, ONE, there, bytes.slice(there as usize..end), PART_BYTES);
    }
    let blob = factory.open();
    let there = received(&*blob, ONE);
    append(&*blob, ONE, there, bytes.slice(there as usize..), 77_777);
    must_hold(&*blob, finish(&*blob, ONE, NOW).id, &bytes);
    assert_eq!(received(&*blob, TWO), 0, "one that was begun and got nothing");
}

fn nothing_is_visible_before_it_is_finished(factory: &dyn BlobFactory) {
    let bytes = sample(5, 100_000);
    let blob = factory.open();
    let content = store(&*blob, ONE, &bytes, NOW);
    assert_eq!(remove(&*blob, &[content], NEVER), [true]);
    must_not_be_there(&*blob, content);
    begin(&*blob, TWO);
    append(&*blob, TWO, 0, bytes.clone(), PART_BYTES);
    must_not_be_there(&*blob, content);
    assert_eq!(claim(&*blob, &[content], NOW), [None]);
    assert_eq!(list(&*blob, None, 10), []);
    assert_eq!(finish(&*blob, TWO, NOW).id, content);
    must_hold(&*blob, content, &bytes);
}

fn calls_may_be_repeated(factory: &dyn BlobFactory) {
    let bytes = sample(6, 10_000);
    let blob = factory.open();
    begin(&*blob, ONE);
    append(&*blob, ONE, 0, bytes.clone(), PART_BYTES);
    begin(&*blob, ONE);
    assert_eq!(received(&*blob, ONE), 10_000, "what was begun goes on");
    let content = finish(&*blob, ONE, NOW);
    drop(blob);
    let blob = factory.open();
    for _ in 0..2 {
        assert_eq!(finish(&*blob, ONE, NOW), content);
        begin(&*blob, ONE);
        assert_eq!(state(&*blob, ONE), Ok(UploadState::Finished(content)));
    }
    let outcome = block_on(blob.append(ONE, 10_000, bytes.clone()));
    assert_eq!(outcome, Err(BlobError::NotFound), "what is finished gets no more");
    assert_eq!(finish(&*blob, ONE, LATER), content);
    assert_eq!(remove(&*blob, &[content.id], LATER), [false], "a repeated finish is a claim");
    assert_eq!(remove(&*blob, &[content.id], NEVER), [true]);
    assert_eq!(block_on(blob.finish(ONE, NEVER)), Err(BlobError::NotFound), "no more than a name is left");
}

fn an_aborted_upload_is_gone(factory: &dyn BlobFactory) {
    let bytes = sample(7, 200_000);
    let blob = factory.open();
    begin(&*blob, ONE);
    append(&*blob, ONE, 0, bytes.clone(), PART_BYTES);
    (0..2).for_each(|_| assert_eq!(block_on(blob.abort(ONE)), Ok(())));
    assert_eq!(state(&*blob, ONE), Err(BlobError::NotFound));
    drop(blob);
    let blob = factory.open();
    assert_eq!(state(&*blob, ONE), Err(BlobError::NotFound));
    assert_eq!(list(&*blob, None, 10), []);
    let content = store(&*blob, TWO, &bytes, NOW);
    assert_eq!(block_on(blob.abort(TWO)), Ok(()));
    assert_eq!(state(&*blob, TWO), Err(BlobError::NotFound));
    must_hold(&*blob, content, &bytes);
}

fn uploads_expire(factory: &dyn BlobFactory) {
    let bytes = sample(8, 150_000);
    let blob = factory.open();
    let [old, older, young, finished] = [1, 2, 3, 4].map(UploadId);
    for (upload, expires_at) in [(old, LATER), (older, NOW), (young, NEVER), (finished, LATER)] {
        assert_eq!(block_on(blob.begin(upload, expires_at)), Ok(()));
        append(&*blob, upload, 0, bytes.clone(), PART_BYTES);
    }
    let content = finish(&*blob, finished, NOW);
    assert_eq!(block_on(blob.expire(NOW)), Ok(1));
    assert_eq!(state(&*blob, older), Err(BlobError::NotFound));
    assert_eq!(received(&*blob, old), 150_000);
    drop(blob);
    let blob = factory.open();
    assert_eq!(block_on(blob.expire(LATER)), Ok(2));
    for gone in [old, older, finished] {
        assert_eq!(state(&*blob, gone), Err(BlobError::NotFound));
        assert_eq!(block_on(blob.append(gone, 0, bytes.clone())), Err(BlobError::NotFound));
    }
    must_hold(&*blob, content.id, &bytes);
    let there = received(&*blob, young);
    append(&*blob, young, there, bytes.slice(there as usize..), PART_BYTES);
    assert_eq!(finish(&*blob, young, NOW), content);
}

fn the_same_content_is_stored_once(factory: &dyn BlobFactory) {
    let bytes = sample(9, 70_000);
    let blob = factory.open();
    let content = store(&*blob, ONE, &bytes, NOW);
    assert_eq!(store(&*blob, TWO, &bytes, NOW), content);
    assert_eq!(list(&*blob, None, 10), [content]);
    must_hold(&*blob, content, &bytes);
}

fn ranges_are_cut_at_the_end(factory: &dyn BlobFactory) {
    let bytes = sample(10, 200_000);
    let blob = factory.open();
    let content = store(&*blob, ONE, &bytes, NOW);
    let boundaries = [0usize, 1, 65_535, 65_536, 65_537, 131_072, 196_608, 199_999, 200_000];
    for from in boundaries {
        for asked in [0, 1, 2, 65_535, 65_536, 65_537, 131_073, usize::MAX] {
            let to = from.saturating_add(asked).min(bytes.len());
            let expected = bytes.slice(from..to);
            assert_eq!(read(&*blob, content, from as u64, asked), Ok(expected), "{asked} bytes at {from}");
        }
    }
    for past in [200_001, 1 << 40, u64::MAX] {
        assert_eq!(read(&*blob, content, past, 10), Ok(Bytes::new()), "at {past}");
    }
}

fn what_was_stored_or_claimed_since_is_not_removed(factory: &dyn BlobFactory) {
    let blob = factory.open();
    let contents = [11, 12, 13, 14]
        .map(|number| store(&*blob, UploadId(u128::from(number)), &sample(number, 1_000), NOW));
    let [old, claimed, stored_again, kept] = contents;
    assert_eq!(claim(&*blob, &[claimed, UNKNOWN], LATER), [Some(1_000), None]);
    assert_eq!(store(&*blob, ONE, &sample(13, 1_000), LATER), stored_again);
    let asked = [old, claimed, UNKNOWN, stored_again];
    assert_eq!(remove(&*blob, &asked, NOW), [false, false, true, false], "as of then, all were there");
    assert_eq!(remove(&*blob, &asked, LATER), [true, false, true, false]);
    must_not_be_there(&*blob, old);
    must_hold(&*blob, kept, &sample(14, 1_000));
    must_hold(&*blob, claimed, &sample(12, 1_000));
    must_hold(&*blob, stored_again, &sample(13, 1_000));
    assert_eq!(remove(&*blob, &asked, NEVER), [true; 4]);
    drop(blob);
    assert_eq!(list(&*factory.open(), None, 10), [kept]);
    let blob = factory.open();
    assert_eq!(store(&*blob, TWO, &sample(11, 1_000), NOW), old, "what was removed can come back");
    must_hold(&*blob, old, &sample(11, 1_000));
}

fn contents_are_listed_by_name(factory: &dyn BlobFactory) {
    let blob = factory.open();
    let mut stored: Vec<ContentId> = (0..40u64)
        .map(|number| store(&*blob, UploadId(u128::from(number)), &sample(number, 20), NOW))
        .collect();
    stored.sort();
    assert_eq!(list(&*blob, None, CONTENTS_PER_CALL), stored);
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = list(&*blob, after, 7);
        assert!(page.len() <= 7);
        let Some(&last) = page.last() else { break };
        after = Some(last);
        paged.extend(page);
    }
    assert_eq!(paged, stored);
    let mut between = stored[20];
    between.0[4..].fill(0);
    assert_eq!(list(&*blob, Some(between), 1), [stored[20]], "after a name that is not there");
    assert_eq!(list(&*blob, None, 0), []);
}

fn what_is_beyond_a_limit_is_refused(factory: &dyn BlobFactory) {
    let blob = factory.open();
    begin(&*blob, ONE);
    let part = Bytes::from(vec![0; PART_BYTES + 1]);
    let too_large = |limit: usize| BlobError::TooLarge { limit: limit as u64 };
    assert_eq!(block_on(blob.append(ONE, 0, part)), Err(too_large(PART_BYTES)));
    assert_eq!(received(&*blob, ONE), 0, "nothing of it landed");
    let many = vec![UNKNOWN; CONTENTS_PER_CALL + 1];
    assert_eq!(block_on(blob.claim(many.clone(), NOW)), Err(too_large(CONTENTS_PER_CALL)));
    assert_eq!(block_on(blob.remove(many, NOW)), Err(too_large(CONTENTS_PER_CALL)));
    assert_eq!(block_on(blob.list(None, CONTENTS_PER_CALL + 1)), Err(too_large(CONTENTS_PER_CALL)));
    assert!(!too_large(1).retry_helps());
}

fn several_uploads_at_once_do_not_mix(factory: &dyn BlobFactory) {
    let blob = factory.open();
    let uploads: Vec<std::thread::JoinHandle<()>> = (0..8u64)
        .map(|number| {
            let blob = Arc::clone(&blob);
            // Two of each, so that the same content is finished twice at the same time.
            let bytes = sample(number / 2, 400_000);
            std::thread::spawn(move || {
                for round in 0..4 {
                    let content = store(&*blob, UploadId(u128::from(number) << 64 | round), &bytes, NOW);
                    must_hold(&*blob, content, &bytes);
                }
            })
        })
        .collect();
    uploads.into_iter().for_each(|upload| upload.join().expect("an upload does not disturb another"));
    assert_eq!(list(&*blob, None, 10).len(), 4);
}
