//! Instants worth a kill, seen from outside: by what the server does to the files of its folder.

use std::mem::MaybeUninit;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::process::Pid;
use tokio::time::Instant;

use crate::server::kill_now;

/// Bytes of notices that are read at once.
const NOTICES_BYTES: usize = 16 * 1024;
/// How long one wait for a notice lasts.
const WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// What the server is doing when it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// Anything.
    Random,
    /// Going on to another log segment: a `.segment` file appears, or the spare for the next one.
    Roll,
    /// Writing the index: `index.sqlite-wal` is written to.
    Flush,
    /// Writing the history with its checkpoint: a file appears in its folder, or is renamed there.
    Checkpoint,
}

impl Moment {
    /// All of them.
    pub const ALL: [Moment; 4] = [Moment::Random, Moment::Roll, Moment::Flush, Moment::Checkpoint];

    fn is_told_by(self, name: &str, what: ReadFlags) -> bool {
        let appeared = what.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
        match self {
            Moment::Random => false,
            Moment::Roll => appeared && (name.ends_with(".segment") || name == "spare.tmp"),
            Moment::Flush => what.contains(ReadFlags::MODIFY) && name == "index.sqlite-wal",
            Moment::Checkpoint => appeared,
        }
    }
}

/// A kill.
#[derive(Debug, Clone, Copy)]
pub struct Hit {
    /// At which moment.
    pub moment: Moment,
    /// Sends without an answer just before.
    pub in_flight: usize,
}

/// Kills at the `skip`th notice of a moment from now at which enough is in flight; at once for a random
/// one. Blocks.
///
/// # Errors
/// The moment does not come, or the folder cannot be watched.
pub fn kill_at(
    (moment, skip): (Moment, usize),
    (pid, data): (Pid, &Path),
    (in_flight, at_least): (impl Fn() -> usize, usize),
    patience: Duration,
) -> anyhow::Result<Hit> {
    let deadline = Instant::now() + patience;
    let strike = |in_flight| -> anyhow::Result<Hit> {
        kill_now(pid)?;
        Ok(Hit { moment, in_flight })
    };
    let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    let wanted = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::MODIFY;
    match moment {
        Moment::Random => {}
        // The log's own writes are many and tell nothing: only its names are watched.
        Moment::Roll => {
            inotify::add_watch(&watch, data.join("log"), WatchFlags::CREATE | WatchFlags::MOVED_TO)?;
        }
        Moment::Flush => {
            inotify::add_watch(&watch, data, wanted)?;
        }
        Moment::Checkpoint => {
            inotify::add_watch(&watch, data.join("history"), WatchFlags::CREATE | WatchFlags::MOVED_TO)?;
        }
    }
    let mut buffer = [MaybeUninit::uninit(); NOTICES_BYTES];
    let mut notices = Reader::new(&watch, &mut buffer);
    let mut told = 0;
    while Instant::now() < deadline {
        if moment == Moment::Random {
            let flying = in_flight();
            if flying >= at_least {
                return strike(flying);
            }
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        match notices.next() {
            Ok(notice) => {
                let name = notice.file_name().and_then(|name| name.to_str().ok()).unwrap_or_default();
                told += usize::from(moment.is_told_by(name, notice.events()));
                if told > skip {
                    let flying = in_flight();
                    if flying >= at_least {
                        return strike(flying);
                    }
                    told = 0;
                }
            }
            Err(rustix::io::Errno::AGAIN) => {
                poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&WAIT))?;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    anyhow::bail!(
        "{moment:?} with {at_least} sends in flight did not come within {patience:?}: {} are",
        in_flight()
    )
}
