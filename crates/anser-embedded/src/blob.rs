//! The `Blob` port in a folder: every content a file of its own, by its hash.
//!
//! ```text
//! content/ab/cd/abcd…      a content: its bytes, a checksum of every block, a tail
//! upload/<number>.data     the bytes of an upload
//! upload/<number>.ledger   when it expires, and a checksum of every whole block
//! upload/<number>.seal     what it became
//! ```

mod content;
mod medium;
mod upload;

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anser_core::ports::PortFuture;
use anser_core::ports::blob::{
    Blob, BlobError, CONTENTS_PER_CALL, Content, ContentId, UploadId, UploadState,
};
use anser_model::UnixMillis;
use bytes::Bytes;
use tokio::sync::oneshot;

use content::Contents;
use medium::Medium;
use upload::Uploads;

/// Threads for what people wait for.
const THREADS: usize = 4;
/// Calls that may wait for them, each with up to a part in memory.
const CALLS_WAITING: usize = 128;
/// Sweeps that may wait for the one thread that makes them.
const SWEEPS_WAITING: usize = 16;

/// The files of an installation on one machine. Dropping it waits for what is under way. The exclusive
/// right to the folder is for the caller to hold.
pub struct FolderBlob {
    calls: Option<SyncSender<Job>>,
    sweeps: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

type Job = Box<dyn FnOnce(&Store) + Send>;

/// What the threads share.
struct Store {
    medium: Medium,
    contents: Contents,
    uploads: Uploads,
}

impl FolderBlob {
    /// Opens the files in `folder`, making it, in one that is there, where there is none.
    ///
    /// # Errors
    /// Each [`BlobError`] that the system gives cause for.
    pub fn open(folder: &Path) -> Result<Self, BlobError> {
        let medium = Medium::default();
        medium.create_folder(folder)?;
        let contents = Contents::open(folder.join("content"), &medium)?;
        let uploads = Uploads::open(folder.join("upload"), &medium)?;
        let store = Arc::new(Store { medium, contents, uploads });
        let (calls, calling) = sync_channel(CALLS_WAITING);
        let (sweeps, sweeping) = sync_channel(SWEEPS_WAITING);
        let mut blob = FolderBlob { calls: Some(calls), sweeps: Some(sweeps), threads: Vec::new() };
        blob.start("blob", THREADS, &store, calling)?;
        blob.start("blob sweep", 1, &store, sweeping)?;
        Ok(blob)
    }

    fn start(
        &mut self,
        name: &str,
        count: usize,
        store: &Arc<Store>,
        jobs: Receiver<Job>,
    ) -> Result<(), BlobError> {
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..count {
            let (jobs, store) = (Arc::clone(&jobs), Arc::clone(store));
            let work = move || {
                loop {
                    let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    match next {
                        Ok(job) => job(&store),
                        Err(_) => return,
                    }
                }
            };
            let thread = std::thread::Builder::new().name(name.into()).spawn(work);
            self.threads.push(
                thread.map_err(|error| {
                    BlobError::Unavailable(format!("no thread could be started: {error}"))
                })?,
            );
        }
        Ok(())
    }

    fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, BlobError> + Send + 'static,
    ) -> PortFuture<Result<T, BlobError>> {
        submit(self.calls.as_ref(), work)
    }

    /// A call that changes something, which it must not once the medium has failed.
    fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, BlobError> + Send + 'static,
    ) -> PortFuture<Result<T, BlobError>> {
        self.call(move |store| store.medium.check().and_then(|()| work(store)))
    }
}

impl Drop for FolderBlob {
    fn drop(&mut self) {
        drop((self.calls.take(), self.sweeps.take()));
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the stored files panicked");
            }
        }
    }
}

fn submit<T: Send + 'static>(
    queue: Option<&SyncSender<Job>>,
    work: impl FnOnce(&Store) -> Result<T, BlobError> + Send + 'static,
) -> PortFuture<Result<T, BlobError>> {
    let (answer, answered) = oneshot::channel();
    // Whoever asked may have gone; the work was done all the same.
    let job: Job = Box::new(move |store| drop(answer.send(work(store))));
    let queue = queue.expect("the queue is there until the store is dropped");
    let died = || BlobError::Damaged("a thread of the stored files has died".into());
    let refused = match queue.try_send(job) {
        Ok(()) => None,
        Err(TrySendError::Full(_)) => {
            Some(BlobError::Unavailable("too many calls wait for the files".into()))
        }
        Err(TrySendError::Disconnected(_)) => Some(died()),
    };
    Box::pin(async move {
        match refused {
            Some(error) => Err(error),
            None => answered.await.unwrap_or_else(|_| Err(died())),
        }
    })
}

fn check_count(count: usize) -> Result<(), BlobError> {
    match count <= CONTENTS_PER_CALL {
        true => Ok(()),
        false => Err(BlobError::TooLarge { limit: CONTENTS_PER_CALL as u64 }),
    }
}

impl Blob for FolderBlob {
    fn begin(&self, upload: UploadId, expires_at: UnixMillis) -> PortFuture<Result<(), BlobError>> {
        self.change(move |store| store.uploads.begin(&store.medium, upload, expires_at))
    }

    fn state(&self, upload: UploadId) -> PortFuture<Result<UploadState, BlobError>> {
        self.call(move |store| store.uploads.state(upload))
    }

    fn append(&self, upload: UploadId, offset: u64, part: Bytes) -> PortFuture<Result<u64, BlobError>> {
        self.change(move |store| store.uploads.append(upload, offset, &part))
    }

    fn finish(&self, upload: UploadId, now: UnixMillis) -> PortFuture<Result<Content, BlobError>> {
        self.change(move |store| store.uploads.finish(&store.medium, &store.contents, upload, now))
    }

    fn abort(&self, upload: UploadId) -> PortFuture<Result<(), BlobError>> {
        self.change(move |store| store.uploads.abort(upload))
    }

    fn expire(&self, now: UnixMillis) -> PortFuture<Result<usize, BlobError>> {
        submit(self.sweeps.as_ref(), move |store| {
            store.medium.check()?;
            store.uploads.expire(now)
        })
    }

    fn claim(
        &self,
        contents: Vec<ContentId>,
        now: UnixMillis,
    ) -> PortFuture<Result<Vec<Option<u64>>, BlobError>> {
        self.change(move |store| {
            check_count(contents.len())?;
            contents.into_iter().map(|content| store.contents.claim(&store.medium, content, now)).collect()
        })
    }

    fn read(&self, content: ContentId, offset: u64, bytes: usize) -> PortFuture<Result<Bytes, BlobError>> {
        self.call(move |store| store.contents.read(content, offset, bytes))
    }

    fn verify(&self, content: ContentId) -> PortFuture<Result<u64, BlobError>> {
        submit(self.sweeps.as_ref(), move |store| store.contents.verify(content))
    }

    fn list(&self, after: Option<ContentId>, limit: usize) -> PortFuture<Result<Vec<ContentId>, BlobError>> {
        submit(self.sweeps.as_ref(), move |store| {
            check_count(limit)?;
            store.contents.list(after, limit)
        })
    }

    fn remove(
        &self,
        contents: Vec<ContentId>,
        stored_before: UnixMillis,
    ) -> PortFuture<Result<Vec<bool>, BlobError>> {
        self.change(move |store| {
            check_count(contents.len())?;
            let remove = |content| store.contents.remove(&store.medium, content, stored_before);
            contents.into_iter().map(remove).collect()
        })
    }
}

#[cfg(test)]
mod tests;
