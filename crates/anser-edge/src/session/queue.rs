//! What waits to be written to one client.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

/// Bytes that may wait for a slow reader before it is told to resync.
pub const QUEUE_BYTES_MAX: usize = 256 * 1024;
/// Bytes that may wait while something is still sent that is of use only now.
pub const QUEUE_BYTES_EPHEMERAL: usize = QUEUE_BYTES_MAX / 8;
/// Bytes that may wait at all: answers are not dropped, so a session beyond this is closed.
pub const QUEUE_BYTES_FATAL: usize = 4 * QUEUE_BYTES_MAX;

/// Frames in order, counted to the last byte. Owns nothing once it has rested while it was empty.
#[derive(Debug, Default)]
pub(super) struct Queue {
    frames: VecDeque<Bytes>,
    bytes: usize,
}

impl Queue {
    pub(super) fn push(&mut self, bytes: Bytes) {
        self.bytes += bytes.len();
        self.frames.push_back(bytes);
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A single frame that waits for nothing else may be as long as it is.
    pub(super) fn is_beyond_bearing(&self) -> bool {
        self.bytes > QUEUE_BYTES_FATAL && self.frames.len() > 1
    }

    /// Drops all but the first, which may be half written.
    pub(super) fn keep_first(&mut self) {
        self.frames.truncate(1);
        self.bytes = self.frames.iter().map(Bytes::len).sum();
    }

    pub(super) fn frames(&self) -> impl ExactSizeIterator<Item = &Bytes> {
        self.frames.iter()
    }

    /// So many bytes from the front are gone.
    pub(super) fn written(&mut self, mut count: usize) {
        self.bytes -= count;
        while count > 0 {
            let front = self.frames.front_mut().expect("what was written was queued");
            if front.len() > count {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.frames.pop_front();
        }
    }

    /// Lets go of its room. Not after every write: a busy session would ask for it again at once.
    pub(super) fn rest(&mut self) {
        if self.frames.is_empty() {
            self.frames = VecDeque::new();
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.frames.capacity()
    }

    /// Everything at once.
    pub(super) fn take(&mut self) -> VecDeque<Bytes> {
        self.bytes = 0;
        std::mem::take(&mut self.frames)
    }
}
