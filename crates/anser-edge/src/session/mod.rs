//! One connection of a client, from its hello to its last frame, as a machine without I/O.
//!
//! Inputs go in one at a time through [`Session::step`], effects come out and are performed in order;
//! frames for the client gather in a queue that the shell writes. While the session waits for the answer
//! to an [`Effect::Ask`] it is busy and takes no further frame.
//!
//! - [`attach`]: hello and sync
//! - [`requests`]: everything else that clients ask
//! - [`kept`]: events that are kept back, or were missed
//! - [`queue`]: what waits to be written
//! - [`watching`]: of whom it wants to know whether they are there

mod attach;
mod kept;
mod queue;
mod requests;
#[cfg(test)]
mod tests;
mod watching;

use std::collections::VecDeque;

use anser_core::engine::{Answer, ReplyTo};
use anser_model::{AccountId, Actor, DeviceId, KickReason, N, Refusal, Slot, UnixMillis, planted};
use anser_proto::{Encoding, ErrorCode, v1};
use bytes::Bytes;

use self::kept::{Fate, KeptBack};
use self::queue::Queue;
use self::requests::Waiting;
use self::watching::Watching;
use crate::admission::Class;
use crate::quota::Bucket;
use crate::{Asked, Effect, Form, Framing, Grant, Input, Shell, Transport, Verified, convert};

pub use attach::{BACKOFF_BASE_MS, SYNC_RETRY_MS};
pub use queue::{QUEUE_BYTES_EPHEMERAL, QUEUE_BYTES_FATAL, QUEUE_BYTES_MAX};
pub use requests::RECONNECT_AFTER_MS;
pub(crate) use watching::parting;

/// One connection of a client: see the module. Between frames it owns nothing but who is on it.
#[derive(Debug)]
pub struct Session {
    id: u64,
    queue: Queue,
    /// After how long without a frame the client is asked to ping, if not after what the terms say.
    heartbeat_interval_ms: Option<u64>,
    json: bool,
    transport: Transport,
    /// The last frame is queued.
    closing: bool,
    /// Something was put off for want of time or quota, and the shell has not been told.
    put_off: bool,
    /// What it asked for before it takes another frame.
    waiting: Option<Box<Waiting>>,
    attached: Option<Box<Attached>>,
}

/// Who is on a connection, and what it is owed.
#[derive(Debug)]
struct Attached {
    grant: Grant,
    profile_version: u64,
    /// Counts its syncs: an answer to an earlier one is of no use.
    round: u32,
    /// What it may still ask.
    quota: Bucket,
    /// It is in the routing.
    has_entered: bool,
    /// No events are sent.
    send_only: bool,
    kept: Option<Box<KeptBack>>,
    /// Whom it watches, if anybody.
    watching: Option<Box<Watching>>,
}

impl Session {
    /// A connection that nobody has spoken on. Ids are never used again at an edge.
    pub fn new(id: u64) -> Self {
        let queue = Queue::default();
        Session {
            id,
            queue,
            heartbeat_interval_ms: None,
            json: false,
            transport: Transport::default(),
            closing: false,
            put_off: false,
            waiting: None,
            attached: None,
        }
    }

    /// The same over another transport, and whose client is asked to ping after another time than the terms say:
    /// something between here and there may forget a connection that is silent.
    pub fn over(id: u64, transport: Transport, heartbeat_interval_ms: u64) -> Self {
        Session { heartbeat_interval_ms: Some(heartbeat_interval_ms), transport, ..Session::new(id) }
    }

    /// A session inside the server, of somebody whom its opener has let in. It asks, and is sent no events.
    pub fn admitted(id: u64, verified: Verified) -> Self {
        let Verified { grant, profile_version } = verified;
        let quota = Bucket::default();
        let attached = Attached {
            grant,
            profile_version,
            round: 0,
            quota,
            has_entered: false,
            send_only: true,
            kept: None,
            watching: None,
        };
        Session { attached: Some(Box::new(attached)), ..Session::new(id) }
    }

    /// Which one it is at its edge.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// After how long without a frame its client is asked to ping, if not after what the terms say.
    pub fn heartbeat_interval_ms(&self) -> Option<u64> {
        self.heartbeat_interval_ms
    }

    /// The form of its frames.
    pub fn form(&self) -> Form {
        let encoding = if self.json { Encoding::Json } else { Encoding::Binary };
        Form { encoding, transport: self.transport }
    }

    /// Who is on it, once the token was good: it has been entered in the routing.
    pub fn account(&self) -> Option<AccountId> {
        self.attached.as_ref().map(|attached| attached.grant.account)
    }

    /// In whose name it has entered the routing: somebody is there on it.
    pub fn entered(&self) -> Option<Grant> {
        self.attached.as_ref().filter(|attached| attached.has_entered).map(|attached| attached.grant)
    }

    /// Whether it waits for the answer to an [`Effect::Ask`]: no frame may be given to it.
    pub fn is_busy(&self) -> bool {
        self.waiting.is_some()
    }

    /// Whether its last frame is queued: nothing more is, and frames of the client are of no use.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Whether something was put off since this was last asked: then the shell reads no more of the client for a
    /// [`Pause`](crate::admission::Pause), or until there is room again.
    pub fn was_put_off(&mut self) -> bool {
        std::mem::take(&mut self.put_off)
    }

    /// With what error every send in binary form is answered now, where there is no time to read them.
    pub fn puts_off_sends(&self, shell: &dyn Shell) -> Option<v1::Error> {
        if self.attached.is_none() || self.closing || self.is_busy() || self.json || shell.is_draining() {
            return None;
        }
        requests::admit(Class::Act, shell).err()
    }

    /// Queues such answers.
    pub fn push_put_off(&mut self, answers: Bytes, framing: &dyn Framing) {
        self.put_off = true;
        self.push(answers, framing);
    }

    /// Takes one input. `now` is the wall clock.
    pub fn step(&mut self, input: Input, now: UnixMillis, shell: &dyn Shell, effects: &mut Vec<Effect>) {
        match input {
            Input::Frame { encoding, frame } => self.frame(encoding, frame, now, shell, effects),
            Input::Verified(verified) => self.verified(verified, shell, effects),
            Input::Told(answer) => self.told(answer, now, shell, effects),
            Input::Missing(missing) => self.existing(missing, shell, effects),
            Input::Profiles(profiles) => self.profiles(profiles, shell),
            Input::Answered(Asked::Request(id), Ok(Answer::Acquainted(found))) => {
                self.acquainted(id, found, shell, effects);
            }
            Input::Answered(Asked::Request(id), answer) => self.answered(id, &answer, shell),
            Input::Answered(Asked::Sync(slot, round), answer) => {
                self.sync_answered(slot, round, answer, shell, effects);
            }
            Input::NotTaken(Asked::Request(id), refusal) => {
                self.refuse(id, convert::error(&refusal), shell);
            }
            Input::NotTaken(Asked::Sync(slot, round), _) => effects.push(Effect::AskLater { slot, round }),
            Input::Looked { request, cid, presences } => self.looked(request, cid, presences, shell),
            Input::AskAgain { slot, round } => self.ask_again(slot, round, shell, effects),
        }
    }

    /// Offers an event as `shell` framed it in this session's encoding: sent, kept back until its slot has
    /// answered the sync, or dropped with a resync if more waits than a client that reads leaves waiting.
    pub fn offer_event(&mut self, slot: Slot, n: N, bytes: &Bytes, framing: &dyn Framing) {
        let Some(attached) = self.attached.as_mut().filter(|attached| !attached.send_only) else { return };
        if attached.kept.as_ref().is_some_and(|kept| kept.has_missed(slot)) {
            return;
        }
        let kept_bytes = attached.kept.as_ref().map_or(0, |kept| kept.bytes());
        if kept_bytes + self.queue.bytes() + bytes.len() > QUEUE_BYTES_MAX {
            return self.resync(&[], framing);
        }
        let fate = attached.kept.as_mut().map_or(Fate::Flows, |kept| kept.offer(slot, n, bytes));
        if fate == Fate::Flows {
            self.push(bytes.clone(), framing);
        }
    }

    /// Offers what is of use only now: sent if the session is owed nothing and reads, else dropped without a word.
    pub fn offer_ephemeral(&mut self, bytes: &Bytes, framing: &dyn Framing) {
        let hears = self.attached.as_ref().is_some_and(|it| !it.send_only && it.kept.is_none());
        if hears && self.queue.bytes() + bytes.len() <= QUEUE_BYTES_EPHEMERAL {
            self.push(bytes.clone(), framing);
        }
    }

    /// Events of these slots may have been missed, of all if none is named: the client is told, and gets
    /// none of them until it has synced.
    pub fn resync(&mut self, slots: &[Slot], framing: &dyn Framing) {
        if planted!(DropFanout) {
            return;
        }
        self.watch_nobody();
        let Some(attached) = self.attached.as_mut().filter(|attached| !attached.send_only) else { return };
        let kept = attached.kept.get_or_insert_default();
        // Before its welcome a client knows of nothing that it could have missed: it is told after it.
        if kept.miss(slots) && !kept.is_attaching() {
            let slots = slots.iter().map(|slot| u32::from(slot.0)).collect();
            self.push_resync(slots, framing);
        }
    }

    /// Ends it if its credentials are below these.
    pub fn revoke_below(
        &mut self,
        account_version: u64,
        device: Option<(DeviceId, u64)>,
        why: KickReason,
        framing: &dyn Framing,
    ) {
        let void = self.attached.as_ref().is_some_and(|attached| {
            attached.grant.account_version < account_version
                || device.is_some_and(|(device, version)| {
                    attached.grant.device == device && attached.grant.device_version < version
                })
        });
        if void {
            let (code, message) = match why {
                KickReason::Revoked => {
                    (ErrorCode::Revoked, "the device was signed out, or its credentials were changed")
                }
                KickReason::Replaced => (ErrorCode::Replaced, "another device has signed in, in place of it"),
                KickReason::Deactivated => (ErrorCode::Deactivated, "this account was deactivated"),
            };
            let kicked = v1::Kicked { code: code.as_str().into(), message: message.into() };
            let frame = v1::server_frame::Frame::Kicked(kicked);
            self.push_frame(&v1::ServerFrame { frame: Some(frame) }, framing);
            self.close(framing.close(self.transport));
        }
    }

    /// Refuses request `id` (0: no request in particular) and closes.
    pub fn refuse_and_close(&mut self, id: u64, error: v1::Error, framing: &dyn Framing) {
        self.refuse(id, error, framing);
        self.close(framing.close(self.transport));
    }

    /// Queues a frame for this session alone.
    pub fn push_frame(&mut self, frame: &v1::ServerFrame, framing: &dyn Framing) {
        let bytes = framing.frame(frame, self.form());
        self.push(bytes, framing);
    }

    /// Queues bytes as they are.
    pub fn push(&mut self, bytes: Bytes, framing: &dyn Framing) {
        if self.closing {
            return;
        }
        self.queue.push(bytes);
        if self.queue.is_beyond_bearing() {
            self.queue.keep_first();
            let error = v1::Error::new(ErrorCode::TooSlow, "too many answers wait to be read");
            self.queue.push(framing.frame(&v1::ServerFrame::error(0, error), self.form()));
            self.close(framing.close(self.transport));
        }
    }

    /// Queues the last words, if there are any: the connection is closed once the queue is written.
    pub fn close(&mut self, last: Option<Bytes>) {
        if !self.closing {
            last.into_iter().for_each(|bytes| self.queue.push(bytes));
            self.closing = true;
        }
    }

    /// What waits to be written, in order.
    pub fn outgoing(&self) -> impl ExactSizeIterator<Item = &Bytes> {
        self.queue.frames()
    }

    /// So many bytes of it were written.
    pub fn written(&mut self, count: usize) {
        self.queue.written(count);
    }

    /// Lets go of what only a busy session needs.
    pub fn rest(&mut self) {
        self.queue.rest();
    }

    /// Takes everything that waits to be written.
    pub fn take_outgoing(&mut self) -> VecDeque<Bytes> {
        self.queue.take()
    }

    fn push_resync(&mut self, slots: Vec<u32>, framing: &dyn Framing) {
        let resync = v1::server_frame::Frame::Resync(v1::Resync { slots });
        self.push_frame(&v1::ServerFrame { frame: Some(resync) }, framing);
    }

    fn refuse(&mut self, id: u64, error: v1::Error, framing: &dyn Framing) {
        self.push_frame(&v1::ServerFrame::error(id, error), framing);
    }

    fn answered(&mut self, id: u64, answer: &Result<Answer, Refusal>, framing: &dyn Framing) {
        let frame = match answer {
            Ok(answer) => v1::ServerFrame::response(id, convert::result(answer)),
            Err(refusal) => v1::ServerFrame::error(id, convert::error(refusal)),
        };
        let form = self.form();
        let kept = self.attached.as_mut().and_then(|attached| attached.kept.as_mut());
        match kept.filter(|kept| kept.is_attaching()) {
            Some(kept) => kept.keep_answer(framing.frame(&frame, form)),
            None => self.push_frame(&frame, framing),
        }
    }

    fn actor(&self) -> Option<Actor> {
        self.attached.as_ref().map(|attached| Actor {
            account: attached.grant.account,
            device: attached.grant.device,
            profile_version: attached.profile_version,
        })
    }

    fn reply_to(&self, id: u64, shell: &dyn Shell) -> ReplyTo {
        ReplyTo::Session { edge: shell.terms().edge.0, session: self.id, request: id }
    }

    /// What the answer that came was asked for.
    fn waited(&mut self) -> Waiting {
        *self.waiting.take().expect("an answer follows a question, and none is given twice")
    }

    fn wait(&mut self, waiting: Waiting) {
        assert!(self.waiting.is_none(), "a session asks one thing at a time");
        self.waiting = Some(Box::new(waiting));
    }
}
