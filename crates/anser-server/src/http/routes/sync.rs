//! Sync by long poll, for clients that cannot hold a socket: the same sync, with the same cursor.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anser_model::AccountId;
use anser_proto::{ErrorCode, v1};
use axum::Json;
use axum::extract::State;
use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::api::Api;
use super::super::body::{Bearer, Caller, JsonBody};
use super::super::facts::{self, CursorBody, EventBody, HeadBody};
use super::super::kinds::SlotNumbers;
use super::super::scalars::{Timeline, Whole};
use super::super::{ApiError, HttpState};

/// Seconds that a sync may wait for something to happen.
const WAIT_S_MAX: u64 = 50;
/// Syncs of one account that may wait at once.
const WAITING_PER_ACCOUNT: usize = 8;
/// After how long one that was refused for that may be asked again.
const WAITING_RETRY_MS: u64 = 1_000;

/// Adds the operations.
pub fn add(api: &mut Api) {
    api.section("Sync", "What changed since the last time, for clients that cannot hold a socket.");
    api.on((Method::POST, "/sync"), ("sync", "What changed since a cursor"), sync).about(
        "Answers at once if something did, else as soon as something does, at most wait_s later. Give the \
         cursor of the answer the next time; without one, everything is told. Heads and events may tell the \
         same thing twice: the larger n is right.",
    )
    .fails(&[ErrorCode::Replaced, ErrorCode::Deactivated, ErrorCode::TooSlow]);
}

/// Who waits.
#[derive(Default)]
pub struct Waiting(Mutex<HashMap<AccountId, usize>>);

impl Waiting {
    /// Counts one more until it is dropped, if there may be one more.
    fn enter(self: &Arc<Self>, account: AccountId) -> Option<Waiter> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.entry(account).or_default();
        if *count >= WAITING_PER_ACCOUNT {
            return None;
        }
        *count += 1;
        Some(Waiter { waiting: self.clone(), account })
    }
}

/// One who waits.
struct Waiter {
    waiting: Arc<Waiting>,
    account: AccountId,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.get_mut(&self.account).expect("who waits is counted");
        *count -= 1;
        if *count == 0 {
            waiting.remove(&self.account);
        }
    }
}

/// How long to wait.
#[derive(Debug, Clone, Copy, Default)]
struct WaitSeconds(u64);
super::super::scalars::schema_of!(WaitSeconds, { "type": "integer", "minimum": 0, "maximum": WAIT_S_MAX });

impl<'de> Deserialize<'de> for WaitSeconds {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Whole::deserialize(from)?.0 {
            seconds if seconds <= WAIT_S_MAX => Ok(WaitSeconds(seconds)),
            seconds => Err(serde::de::Error::custom(format!("at most {WAIT_S_MAX} seconds, not {seconds}"))),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SyncBody {
    /// What the answer before gave; without it, everything is told.
    cursor: Option<CursorBody>,
    /// For how many seconds to wait if nothing changed.
    #[serde(default)]
    wait_s: WaitSeconds,
}

#[derive(Serialize, JsonSchema)]
pub struct SyncedBody {
    /// To be given the next time.
    cursor: CursorBody,
    /// Conversations that changed since the cursor.
    #[schemars(length(max = 100_000))]
    conversations: Vec<HeadBody>,
    /// What happened after that.
    #[schemars(length(max = 100_000))]
    events: Vec<EventBody>,
    /// More lies ready: ask again at once.
    more: bool,
}

pub async fn sync(
    State(state): State<HttpState>,
    Caller(session): Caller,
    Bearer(token): Bearer,
    JsonBody(body): JsonBody<SyncBody>,
) -> Result<Json<SyncedBody>, ApiError> {
    let _waiter = state.waiting.enter(session.account()).ok_or_else(|| {
        let what = format!("{WAITING_PER_ACCOUNT} syncs of this account wait already");
        ApiError::from(v1::Error::new(ErrorCode::RateLimited, what).after_ms(WAITING_RETRY_MS))
    })?;
    let cursor = body.cursor.map(|cursor| v1::Cursor {
        timeline: cursor.timeline.0,
        slots: cursor.slots.0.into_iter().map(|(slot, Whole(n))| (u32::from(slot), n)).collect(),
    });
    let wait = Duration::from_secs(body.wait_s.0);
    let polled = state.messaging.poll(token, cursor.unwrap_or_default(), wait).await?;
    let slots = polled.slots.into_iter().filter_map(|(slot, n)| Some((u8::try_from(slot).ok()?, Whole(n))));
    Ok(Json(SyncedBody {
        cursor: CursorBody { timeline: Timeline(polled.timeline), slots: SlotNumbers(slots.collect()) },
        conversations: polled.heads.into_iter().filter_map(facts::head).collect(),
        events: polled.events.into_iter().map(facts::event).collect(),
        more: polled.more,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_of_an_account_wait_and_no_more() {
        let waiting = Arc::new(Waiting::default());
        let ann: Vec<_> = (0..WAITING_PER_ACCOUNT).map(|_| waiting.enter(AccountId(1))).collect();
        assert!(ann.iter().all(Option::is_some) && waiting.enter(AccountId(1)).is_none());
        assert!(waiting.enter(AccountId(2)).is_some());
        drop(ann);
        assert!(waiting.0.lock().unwrap().is_empty(), "nobody is counted who is gone");
        assert!(waiting.enter(AccountId(1)).is_some());
    }
}
