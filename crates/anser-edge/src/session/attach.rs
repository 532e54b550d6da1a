//! Attach and sync: a session enters the routing first, then asks what it missed, so that nothing
//! falls between the two.

use anser_core::engine::{Answer, HomeView, Query, ReplyTo};
use anser_model::{AccountId, N, Refusal, Slot, UnixMillis, planted};
use anser_proto::v1::response::Result as Wire;
use anser_proto::{ErrorCode, VERSION_MAX, VERSION_MIN, negotiate, v1};
use bytes::Bytes;

use super::kept::KeptBack;
use super::requests::{Greeting, Waiting, ask_home, home};
use super::{Attached, Session};
use crate::quota::Bucket;
use crate::{Effect, Form, Framing, Grant, Question, Shell, Verified, convert};

/// How long until a slot that could not answer is asked again.
pub const SYNC_RETRY_MS: u64 = 500;
/// What a client's backoff starts from.
pub const BACKOFF_BASE_MS: u64 = 500;
/// Bytes of the client's name.
const CLIENT_NAME_BYTES: usize = 64;
/// Bytes of heads in one frame, before it is closed.
const HEADS_SOFT_BYTES: usize = 32 * 1024;

impl Session {
    /// Takes a hello: whose token is it? An error closes the connection.
    pub(super) fn hello(
        &mut self,
        id: u64,
        hello: v1::Hello,
        shell: &dyn Shell,
        effects: &mut Vec<Effect>,
    ) -> Result<(), v1::Error> {
        let version = negotiate(hello.version_min, hello.version_max).ok_or_else(|| {
            let asked = format!("{} to {}", hello.version_min, hello.version_max);
            let speaks = format!("{VERSION_MIN} to {VERSION_MAX}");
            v1::Error::new(
                ErrorCode::UnsupportedVersion,
                format!("the client speaks versions {asked}, this server {speaks}"),
            )
        })?;
        if hello.client.len() > CLIENT_NAME_BYTES {
            return Err(v1::Error::new(ErrorCode::BadValue, "client: at most 64 bytes"));
        }
        let cursor = cursor_of(hello.cursor, shell)?;
        self.wait(Waiting::Token(Greeting { id, version, send_only: hello.send_only, cursor }));
        effects.push(Effect::Ask(Question::Token(hello.token)));
        Ok(())
    }

    /// It is known whose token it was: the session enters the routing, then asks the home. From here on events
    /// reach it, and are kept back.
    pub(super) fn verified(
        &mut self,
        verified: Result<Verified, v1::Error>,
        shell: &dyn Shell,
        effects: &mut Vec<Effect>,
    ) {
        let Waiting::Token(greeting) = self.waited() else { unreachable!("only a hello brings a token") };
        let Verified { grant, profile_version } = match verified {
            Ok(verified) => verified,
            Err(error) => return self.refuse_and_close(greeting.id, error, shell),
        };
        let send_only = greeting.send_only;
        let kept = Some(Box::new(KeptBack::attaching()));
        self.attached = Some(Box::new(Attached {
            grant,
            profile_version,
            round: 0,
            quota: Bucket::default(),
            has_entered: true,
            send_only,
            kept,
            watching: None,
        }));
        self.wait(Waiting::Welcome(greeting));
        effects.push(Effect::Enter(grant.account));
        effects.push(ask_home(grant.account, shell));
    }

    /// The home has answered a hello. An error closes the connection.
    pub(super) fn welcome(
        &mut self,
        greeting: Greeting,
        answer: Result<Answer, Refusal>,
        now: UnixMillis,
        shell: &dyn Shell,
        effects: &mut Vec<Effect>,
    ) -> Result<(), v1::Error> {
        let home = home(answer)?;
        let attached = self.attached.as_ref().expect("it asked the home when it was attached");
        let (grant, profile_version) = (attached.grant, attached.profile_version);
        if !admits(&home, &grant) {
            let why = "the device was signed out, or its credentials were changed: sign in again";
            return Err(v1::Error::new(ErrorCode::Revoked, why));
        }
        let slots = if greeting.send_only { Vec::new() } else { home.slots };
        let owing = owing(slots, &greeting.cursor, shell);
        let terms = shell.terms();
        let welcome = v1::Welcome {
            version: greeting.version,
            account: grant.account.0,
            device: grant.device.0,
            session: self.id(),
            server_time_ms: now.0,
            heartbeat_interval_ms: self.heartbeat_interval_ms.unwrap_or(terms.heartbeat_interval_ms),
            timeline: terms.timeline.0,
            owing: numbers(&owing),
            resume_ticket: shell.resume_ticket(&grant, self.id(), now),
            backoff_base_ms: BACKOFF_BASE_MS,
            backoff_cap_ms: terms.backoff_cap_ms,
            profile_version,
        };
        self.push_result(greeting.id, Wire::Welcome(welcome), shell);
        self.begin_sync(owing, &greeting.cursor, shell, effects);
        Ok(())
    }

    /// Takes a sync: after a resync, or out of caution.
    pub(super) fn sync(
        &mut self,
        id: u64,
        account: AccountId,
        sync: v1::Sync,
        shell: &dyn Shell,
        effects: &mut Vec<Effect>,
    ) -> Result<(), v1::Error> {
        let cursor = cursor_of(sync.cursor, shell)?;
        let attached = self.attached.as_mut().expect("only who is attached syncs");
        if attached.send_only {
            return Err(v1::Error::new(ErrorCode::BadValue, "the connection said send_only in its hello"));
        }
        attached.kept.get_or_insert_default().restart();
        self.watch_nobody();
        self.wait(Waiting::Sync { id, cursor });
        effects.push(ask_home(account, shell));
        Ok(())
    }

    /// The home has answered a sync.
    pub(super) fn sync_started(
        &mut self,
        id: u64,
        slots: Vec<Slot>,
        cursor: &Cursor,
        shell: &dyn Shell,
        effects: &mut Vec<Effect>,
    ) {
        let owing = owing(slots, cursor, shell);
        self.push_result(id, Wire::SyncStarted(v1::SyncStarted { owing: numbers(&owing) }), shell);
        self.begin_sync(owing, cursor, shell, effects);
    }

    /// The home could not answer a sync: the answers that were kept back must not wait for another one, so the
    /// events before them are missed.
    pub(super) fn sync_refused(&mut self, id: u64, error: v1::Error, shell: &dyn Shell) {
        self.refuse(id, error, shell);
        let attached = self.attached.as_mut().expect("only who is attached syncs");
        let kept = attached.kept.as_mut().expect("everything is kept back until the slots are known");
        let answers = kept.give_up();
        self.push_resync(Vec::new(), shell);
        answers.into_iter().for_each(|bytes| self.push(bytes, shell));
    }

    /// The slots that owe a sync are known: they are asked, and events of the others flow.
    fn begin_sync(
        &mut self,
        owing: Vec<Slot>,
        cursor: &Cursor,
        shell: &dyn Shell,
        effects: &mut Vec<Effect>,
    ) {
        let attached = self.attached.as_mut().expect("only who is attached syncs");
        attached.round += 1;
        let (round, account) = (attached.round, attached.grant.account);
        let kept = attached.kept.as_mut().expect("everything is kept back until the slots are known");
        let free = kept.begin(owing, |slot| cursor.after(slot));
        let asks: Vec<(Slot, N)> = kept.owing().collect();
        let missed = kept.missed();
        self.settle_if_done();
        free.into_iter().for_each(|bytes| self.push(bytes, shell));
        if let Some(missed) = missed {
            self.push_resync(missed, shell);
        }
        for (slot, after) in asks {
            effects.push(self.ask_changes(account, slot, after, round, shell));
        }
    }

    fn ask_changes(&self, account: AccountId, slot: Slot, after: N, round: u32, shell: &dyn Shell) -> Effect {
        let reply = ReplyTo::Sync { edge: shell.terms().edge.0, session: self.id(), slot, round };
        Effect::Query { slot, reply, query: Query::Changes { account, after } }
    }

    /// Asks a slot again that could not answer, if it still owes its heads.
    pub(super) fn ask_again(&self, slot: Slot, round: u32, shell: &dyn Shell, effects: &mut Vec<Effect>) {
        let Some(attached) = self.attached.as_ref().filter(|attached| attached.round == round) else {
            return;
        };
        if let Some(after) = attached.kept.as_ref().and_then(|kept| kept.owed_after(slot)) {
            effects.push(self.ask_changes(attached.grant.account, slot, after, round, shell));
        }
    }

    /// A slot has answered a sync: its heads, then what happened since.
    pub(super) fn sync_answered(
        &mut self,
        slot: Slot,
        round: u32,
        answer: Result<Answer, Refusal>,
        shell: &dyn Shell,
        effects: &mut Vec<Effect>,
    ) {
        let Some(attached) = self.attached.as_mut().filter(|attached| attached.round == round) else {
            return;
        };
        let Some(kept) = attached.kept.as_mut().filter(|kept| kept.owed_after(slot).is_some()) else {
            return;
        };
        let Ok(Answer::Heads { n, heads, .. }) = answer else {
            let pending = v1::SyncHeads { slot: slot.0.into(), pending: true, ..v1::SyncHeads::default() };
            self.push_frame(&pending.into(), shell);
            return effects.push(Effect::AskLater { slot, round });
        };
        let later = kept.settle(slot, n);
        self.settle_if_done();
        let wire = heads.iter().map(convert::head).collect();
        let heads = heads_frames(slot, n, wire, shell, self.form());
        heads.into_iter().chain(later).for_each(|bytes| self.push(bytes, shell));
    }

    /// A session that is owed nothing keeps nothing.
    fn settle_if_done(&mut self) {
        if let Some(attached) = &mut self.attached
            && attached.kept.as_ref().is_some_and(|kept| kept.is_settled())
        {
            attached.kept = None;
        }
    }
}

/// Whether the home lets these credentials in.
fn admits(home: &HomeView, grant: &Grant) -> bool {
    if planted!(RevocationUnchecked) {
        return true;
    }
    grant.account_version >= home.account_version
        && home
            .devices
            .iter()
            .all(|&(device, version)| device != grant.device || grant.device_version >= version)
}

/// The slots that may have something for a cursor. Most have nothing for who was away for a short while, and where that is
/// known they need not be asked.
fn owing(mut slots: Vec<Slot>, cursor: &Cursor, shell: &dyn Shell) -> Vec<Slot> {
    let has_nothing = |slot: Slot| {
        let after = cursor.after(slot);
        shell
            .newest(slot)
            .is_some_and(|newest| newest == after || planted!(SyncPassesOverOne) && newest == after.next())
    };
    slots.retain(|&slot| !has_nothing(slot));
    slots
}

fn numbers(slots: &[Slot]) -> Vec<u32> {
    slots.iter().map(|slot| slot.0.into()).collect()
}

/// How far a client has come, slot by slot; 0 where it has nothing.
#[derive(Debug, Clone)]
pub(super) struct Cursor(Box<[N; Slot::COUNT]>);

impl Cursor {
    fn after(&self, slot: Slot) -> N {
        self.0[slot.index()]
    }
}

/// What a client says of how far it has come; of another timeline that counts as nothing.
fn cursor_of(cursor: Option<v1::Cursor>, shell: &dyn Shell) -> Result<Cursor, v1::Error> {
    let mut by_slot = Cursor(Box::new([N(0); Slot::COUNT]));
    let cursor = cursor.filter(|cursor| cursor.timeline == shell.terms().timeline.0);
    for (slot, n) in cursor.map(|cursor| cursor.slots).unwrap_or_default() {
        let Ok(slot) = u8::try_from(slot) else {
            return Err(v1::Error::new(ErrorCode::BadValue, format!("cursor.slots: 0 to 255, not {slot}")));
        };
        by_slot.0[Slot(slot).index()] = N(n);
    }
    Ok(by_slot)
}

/// The heads of a slot in frames of bearable size; the last one says that the slot is done.
fn heads_frames(slot: Slot, n: N, heads: Vec<v1::Head>, framing: &dyn Framing, form: Form) -> Vec<Bytes> {
    let number = u32::from(slot.0);
    let mut frames = Vec::new();
    let mut page = Vec::new();
    let mut size = 0;
    for head in heads {
        size += prost::Message::encoded_len(&head);
        page.push(head);
        if size > HEADS_SOFT_BYTES {
            let heads = std::mem::take(&mut page);
            let part = v1::SyncHeads { slot: number, heads, ..v1::SyncHeads::default() };
            frames.push(framing.frame(&part.into(), form));
            size = 0;
        }
    }
    let last = v1::SyncHeads { slot: number, done: true, n: n.0, heads: page, pending: false };
    frames.push(framing.frame(&last.into(), form));
    frames
}
