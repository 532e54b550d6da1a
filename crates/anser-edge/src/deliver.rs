//! A durable fact, to the sessions of an edge that it is for: encoded once for each form in use.

use anser_core::engine::{Event, ReplyTo, Typing, Void};
use anser_core::fanout::EdgeId;
use anser_model::{AccountId, Change};
use anser_proto::v1;
use bytes::Bytes;

use crate::session::{Session, parting};
use crate::{Form, Shell, convert};

/// The sessions of an edge by account.
pub trait Table {
    /// Calls `with` for every session of the account but `except`, in an order of its own that is always the
    /// same. What the session has to say then is to be written.
    fn each_of(&mut self, account: AccountId, except: Option<u64>, with: &mut dyn FnMut(&mut Session));

    /// Calls `with` for every session that watches the account, in such an order, and forgets that it does where
    /// the answer is no.
    fn each_watching(&mut self, account: AccountId, with: &mut dyn FnMut(&mut Session) -> bool);
}

/// Tells sessions of these accounts. Credentials that were raised end those below them.
pub fn deliver(event: &Event, accounts: &[AccountId], shell: &dyn Shell, table: &mut impl Table) {
    if let Change::CredentialsRaised { account, account_version, device, why } = event.fact.fact.change {
        return table.each_of(account, None, &mut |session| {
            session.revoke_below(account_version, device, why, shell);
        });
    }
    let origin = origin_of(event, shell.terms().edge);
    let (slot, n) = (event.fact.slot, event.fact.n);
    let (cid, parting) = (event.fact.fact.cid, parting(&event.fact.fact.change));
    let mut forms: [Option<Bytes>; Form::COUNT] = [const { None }; Form::COUNT];
    for &account in accounts {
        table.each_of(account, origin, &mut |session| {
            if let Some(who) = parting {
                session.part(cid, who);
            }
            let form = session.form();
            let encoded = &mut forms[form.place()];
            if encoded.is_none() {
                *encoded = convert::event(&event.fact).map(|wire| shell.frame(&wire.into(), form));
            }
            // Facts of the server's own have no form.
            if let Some(bytes) = encoded {
                session.offer_event(slot, n, bytes, shell);
            }
        });
    }
}

/// Tells sessions of these accounts that somebody types, as far as they can take it now.
pub fn pass_on(typing: &Typing, accounts: &[AccountId], shell: &dyn Shell, table: &mut impl Table) {
    let mut forms = Forms::of(convert::typing(typing));
    for &account in accounts {
        table.each_of(account, None, &mut |session| {
            session.offer_ephemeral(forms.fit(session, shell), shell);
        });
    }
}

/// What others see of an account now, to its own sessions if its profile is another one.
pub fn tell_own(presence: &v1::Presence, shell: &dyn Shell, table: &mut impl Table) {
    let mut forms = Forms::of(convert::presence(*presence));
    table.each_of(AccountId(presence.account), None, &mut |session| {
        session.own_profile(presence.profile_version, forms.fit(session, shell), shell);
    });
}

/// The same, to the sessions that watch it.
pub fn tell_watching(presence: &v1::Presence, shell: &dyn Shell, table: &mut impl Table) {
    let mut forms = Forms::of(convert::presence(*presence));
    let account = AccountId(presence.account);
    table.each_watching(account, &mut |session| {
        session.offer_presence(account, forms.fit(session, shell), shell)
    });
}

/// Has sessions of these accounts sync the slot.
pub fn resync(void: &Void, shell: &dyn Shell, table: &mut impl Table) {
    for &account in void.accounts.iter() {
        table.each_of(account, None, &mut |session| session.resync(&[void.slot], shell));
    }
}

/// A frame, encoded once for each form in use.
struct Forms {
    frame: v1::ServerFrame,
    encoded: [Option<Bytes>; Form::COUNT],
}

impl Forms {
    fn of(frame: v1::ServerFrame) -> Self {
        Forms { frame, encoded: [const { None }; Form::COUNT] }
    }

    /// The form that the session speaks.
    fn fit(&mut self, session: &Session, shell: &dyn Shell) -> &Bytes {
        let form = session.form();
        self.encoded[form.place()].get_or_insert_with(|| shell.frame(&self.frame, form))
    }
}

/// The session at this edge that knows all of a message with its answer, since it sent it. Of any other fact
/// the answer tells too little: where a mark leaves the unread, who was there already.
fn origin_of(event: &Event, here: EdgeId) -> Option<u64> {
    match event.origin {
        ReplyTo::Session { edge, session, .. }
            if edge == here.0 && matches!(event.fact.fact.change, Change::MessageSent(_)) =>
        {
            Some(session)
        }
        _ => None,
    }
}
