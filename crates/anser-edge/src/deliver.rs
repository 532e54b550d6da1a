//! A durable fact, to the sessions of an edge that it is for: encoded once for each form in use.

use anser_core::engine::{Event, ReplyTo, Typing, Void};
use anser_core::fanout::EdgeId;
use anser_model::{AccountId, Change};
use anser_proto::Encoding;
use bytes::Bytes;

use crate::session::Session;
use crate::{Shell, convert};

/// The sessions of an edge by account.
pub trait Table {
    /// Calls `with` for every session of the account but `except`, in an order of its own that is always the
    /// same. What the session has to say then is to be written.
    fn each_of(&mut self, account: AccountId, except: Option<u64>, with: &mut dyn FnMut(&mut Session));
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
    let mut forms: [Option<Bytes>; 2] = [None, None];
    for &account in accounts {
        table.each_of(account, origin, &mut |session| {
            let encoding = session.encoding();
            let form = &mut forms[usize::from(encoding == Encoding::Json)];
            if form.is_none() {
                *form = convert::event(&event.fact).map(|wire| shell.frame(&wire.into(), encoding));
            }
            // Facts of the server's own have no form.
            if let Some(bytes) = form {
                session.offer_event(slot, n, bytes, shell);
            }
        });
    }
}

/// Tells sessions of these accounts that somebody types, as far as they can take it now.
pub fn pass_on(typing: &Typing, accounts: &[AccountId], shell: &dyn Shell, table: &mut impl Table) {
    let frame = convert::typing(typing);
    let mut forms: [Option<Bytes>; 2] = [None, None];
    for &account in accounts {
        table.each_of(account, None, &mut |session| {
            let encoding = session.encoding();
            let form = &mut forms[usize::from(encoding == Encoding::Json)];
            let bytes = form.get_or_insert_with(|| shell.frame(&frame, encoding));
            session.offer_ephemeral(bytes, shell);
        });
    }
}

/// Has sessions of these accounts sync the slot.
pub fn resync(void: &Void, shell: &dyn Shell, table: &mut impl Table) {
    for &account in void.accounts.iter() {
        table.each_of(account, None, &mut |session| session.resync(&[void.slot], shell));
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
