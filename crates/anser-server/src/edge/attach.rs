//! Attach and sync: a session enters the routing first, then asks what it missed, so that nothing
//! falls between the two.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use anser_core::engine::{Answer, HomeView, Query, ReplyTo};
use anser_model::{AccountId, ConversationId, N, Refusal, SessionId, Slot};
use anser_proto::{ErrorCode, VERSION_MAX, VERSION_MIN, negotiate, v1};

use super::connection::{Attached, Connection, Owed};
use super::{EdgeShared, convert};
use crate::accounts::{Grant, TokenError};

/// How long until a slot that could not answer is asked again.
const SYNC_RETRY: Duration = Duration::from_millis(500);
/// What a client's backoff starts from.
const BACKOFF_BASE_MS: u64 = 500;
/// Bytes of the client's name.
const CLIENT_NAME_BYTES: usize = 64;

impl EdgeShared {
    /// Answers a hello. An error closes the connection.
    pub(super) async fn hello(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        id: u64,
        hello: v1::Hello,
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
        let cursor = cursor_of(self, hello.cursor)?;
        let grant = self.verify(&hello.token)?;
        let account = grant.account;
        if self.people.profile_version(account) == 0 {
            // Looked up once, so that what it sends bears it.
            self.people.missing(vec![account]).await?;
        }
        let attached = Attached::new(grant, self.people.profile_version(account), hello.send_only);
        connection.state().attached = Some(Box::new(attached));
        self.sessions.enter(account, connection.session, || self.node.enter(account, self.id));
        let home = match self.home(account).await {
            Ok(home) => home,
            Err(refusal) => return Err(convert::error(&refusal)),
        };
        if !admits(&home, &grant) {
            let why = "the device was signed out, or its credentials were changed: sign in again";
            return Err(v1::Error::new(ErrorCode::Revoked, why));
        }
        let slots = if hello.send_only { Vec::new() } else { home.slots };
        let now = self.clock.now();
        let ticket = self.tokens.ticket(&grant, SessionId(connection.session), now);
        let welcome = v1::Welcome {
            version,
            account: account.0,
            device: grant.device.0,
            session: connection.session,
            server_time_ms: now.0,
            heartbeat_interval_ms: self.config.heartbeat_interval_ms,
            timeline: self.node.timeline().0,
            owing: slots.iter().map(|slot| u32::from(slot.0)).collect(),
            resume_ticket: ticket.expose().to_owned(),
            backoff_base_ms: BACKOFF_BASE_MS,
            backoff_cap_ms: self.config.backoff_cap_ms,
        };
        connection.push_frame(&v1::ServerFrame::response(id, v1::response::Result::Welcome(welcome)));
        self.begin_sync(connection, account, &slots, &cursor);
        Ok(())
    }

    /// Answers a sync: after a resync, or out of caution.
    pub(super) async fn sync(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        id: u64,
        account: AccountId,
        sync: v1::Sync,
    ) -> Result<(), v1::Error> {
        let cursor = cursor_of(self, sync.cursor)?;
        {
            let mut state = connection.state();
            if let Some(attached) = &mut state.attached {
                if attached.send_only {
                    return Err(v1::Error::new(
                        ErrorCode::BadValue,
                        "the connection said send_only in its hello",
                    ));
                }
                // From here on everything is kept back, as at attach.
                attached.attaching = true;
                attached.stale = false;
                attached.owing.clear();
            }
        }
        let home = self.home(account).await.map_err(|refusal| convert::error(&refusal))?;
        let owing = home.slots.iter().map(|slot| u32::from(slot.0)).collect();
        let started = v1::response::Result::SyncStarted(v1::SyncStarted { owing });
        connection.push_frame(&v1::ServerFrame::response(id, started));
        self.begin_sync(connection, account, &home.slots, &cursor);
        Ok(())
    }

    fn begin_sync(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        account: AccountId,
        slots: &[Slot],
        cursor: &HashMap<Slot, N>,
    ) {
        let owing: BTreeMap<Slot, Owed> = slots
            .iter()
            .map(|&slot| (slot, Owed::since(cursor.get(&slot).copied().unwrap_or_default())))
            .collect();
        let asks: Vec<(Slot, N)> = owing.iter().map(|(&slot, owed)| (slot, owed.after)).collect();
        let round = {
            let mut state = connection.state();
            state.begin_sync(owing);
            state.attached.as_ref().map_or(0, |attached| attached.round)
        };
        for (slot, after) in asks {
            self.ask_changes(connection, account, slot, after, round);
        }
    }

    fn ask_changes(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        account: AccountId,
        slot: Slot,
        after: N,
        round: u32,
    ) {
        let reply = ReplyTo::Sync { edge: self.id.0, session: connection.session, slot, round };
        if self.node.query(slot, reply, Query::Changes { account, after }).is_err() {
            self.sync_later(connection.clone(), slot, round);
        }
    }

    /// Asks a slot again that could not answer now.
    pub(super) fn sync_later(self: &Arc<Self>, connection: Arc<Connection>, slot: Slot, round: u32) {
        let edge = self.clone();
        self.tracker.spawn(async move {
            tokio::time::sleep(SYNC_RETRY).await;
            let owed = {
                let state = connection.state();
                state.attached.as_ref().filter(|attached| attached.round == round).and_then(|attached| {
                    attached.owing.get(&slot).map(|owed| (attached.grant.account, owed.after))
                })
            };
            let is_here = edge.sessions.read().connection(connection.session).is_some();
            if let Some((account, after)) = owed
                && is_here
            {
                edge.ask_changes(&connection, account, slot, after, round);
            }
        });
    }

    /// What the account's home keeps.
    pub(super) async fn home(&self, account: AccountId) -> Result<HomeView, Refusal> {
        let cid = ConversationId::of_self(account);
        match self.node.ask_query(self.node.slot(cid), Query::Home { cid }).await? {
            Answer::Home(home) => Ok(home),
            _ => Err(Refusal::Unavailable),
        }
    }

    fn verify(&self, token: &str) -> Result<Grant, v1::Error> {
        let now = self.clock.now();
        let verified = match self.tokens.verify_access(token, now) {
            Err(TokenError::NotOurs) => self.tokens.verify_ticket(token, now).map(|(grant, _)| grant),
            verified => verified,
        };
        verified.map_err(|error| v1::Error::new(ErrorCode::Unauthenticated, error.to_string()))
    }
}

/// Whether the home lets these credentials in.
fn admits(home: &HomeView, grant: &Grant) -> bool {
    grant.account_version >= home.account_version
        && home
            .devices
            .iter()
            .all(|&(device, version)| device != grant.device || grant.device_version >= version)
}

/// A cursor by slots; one of another timeline counts as none.
fn cursor_of(edge: &EdgeShared, cursor: Option<v1::Cursor>) -> Result<HashMap<Slot, N>, v1::Error> {
    let Some(cursor) = cursor.filter(|cursor| cursor.timeline == edge.node.timeline().0) else {
        return Ok(HashMap::new());
    };
    cursor
        .slots
        .into_iter()
        .map(|(slot, n)| match u8::try_from(slot) {
            Ok(slot) => Ok((Slot(slot), N(n))),
            Err(_) => Err(v1::Error::new(ErrorCode::BadValue, format!("cursor.slots: 0 to 255, not {slot}"))),
        })
        .collect()
}
