//! Conversations: the list, one of them, who is in it, and how far one has read.

use anser_model::Slot;
use anser_model::limits::{HIDDEN_RANGES_PER_COMMAND, PAGE_MESSAGES};
use anser_proto::ErrorCode;
use anser_proto::v1::client_frame::Request;
use anser_proto::v1::response::Result as Wire;
use anser_proto::{v1, wire};
use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::api::Api;
use super::super::body::{At, Caller, JsonBody, Params};
use super::super::facts::{self, AcceptedBody, HeadBody, MarksBody, MembersBody, Range};
use super::super::scalars::{Account, Timeline, Whole, conversation_id};
use super::super::{ApiError, HttpState};
use super::InConversation;

/// Accounts whose profiles are asked for at once.
pub const PROFILES: usize = 100;

/// Adds the operations.
pub fn add(api: &mut Api) {
    use ErrorCode as E;
    api.section("Conversations", "Direct conversations, groups, and one's own.");
    let summary = "The conversations that one is or was in";
    api.on((Method::GET, "/conversations"), ("listConversations", summary), list)
        .about("In an order of the server's own, page by page; sort them by at_ms.");
    let path = "/conversations/{conversation}";
    api.on((Method::GET, path), ("getConversation", "One conversation"), one).fails(&[E::NotFound]);
    let path = "/conversations/{conversation}/members";
    api.on((Method::GET, path), ("listMembers", "Who is in a conversation"), members)
        .fails(&[E::NotFound, E::NoLongerMember]);
    let path = "/conversations/{conversation}/read";
    api.on((Method::PUT, path), ("markRead", "Move one's own read mark"), read)
        .about("Idempotent by nature: a mark never moves back.")
        .fails(&[E::NotFound, E::NoLongerMember, E::ForeignTimeline, E::BeyondHead])
        .fails_as(StatusCode::CONFLICT, E::BadValue);
    let path = "/conversations/{conversation}/delivered";
    api.on(
        (Method::PUT, path),
        ("markDelivered", "Say how far messages have come to this device"),
        delivered,
    )
    .about("Direct conversations only. Idempotent by nature.")
    .fails(&[E::NotFound, E::NoLongerMember, E::ForeignTimeline, E::BeyondHead])
    .fails_as(StatusCode::CONFLICT, E::BadValue);
    let path = "/conversations/{conversation}/unread";
    api.on((Method::PUT, path), ("markUnread", "Mark a conversation as unread, or take that away"), unread)
        .about("For oneself, on all one's devices. Idempotent by nature.")
        .fails(&[E::NotFound, E::NoLongerMember])
        .fails_as(StatusCode::CONFLICT, E::BadValue);
    let path = "/conversations/{conversation}/hide";
    api.on((Method::POST, path), ("hideMessages", "Delete messages for oneself"), hide)
        .about("On all one's devices, for ever; the others see them. Idempotent by nature.")
        .fails(&[E::NotFound, E::NoLongerMember, E::ForeignTimeline, E::BeyondHead, E::TooManyHidden])
        .fails_as(StatusCode::CONFLICT, E::BadValue);
    let path = "/conversations/{conversation}/clear";
    api.on((Method::POST, path), ("clearHistory", "Hide everything up to a seq from oneself"), clear)
        .about("It counts as read. Idempotent by nature.")
        .fails(&[E::NotFound, E::NoLongerMember, E::ForeignTimeline, E::BeyondHead])
        .fails_as(StatusCode::CONFLICT, E::BadValue);
    let path = "/conversations/{conversation}/marks";
    api.on((Method::GET, path), ("listMarks", "How far the members of a conversation have read"), marks)
        .about("Whoever's mark lies at or past a message has read it. In a channel for admins and the owner.")
        .fails(&[E::NotFound, E::NoLongerMember, E::NotAllowed])
        .fails_as(StatusCode::CONFLICT, E::BadValue);
    api.on((Method::GET, "/profiles"), ("listProfiles", "Who people are"), profiles)
        .about("Unknown accounts are left out.");
}

#[derive(Deserialize, JsonSchema)]
pub struct ListParams {
    /// At most so many.
    #[serde(default = "usual_limit")]
    limit: Limit,
    /// What the page before said in `next`.
    #[schemars(with = "Option<Place>")]
    after: Option<Place>,
}

/// How many at once.
#[derive(Debug, Clone, Copy)]
pub struct Limit(pub u32);
super::super::scalars::schema_of!(Limit, {
    "type": "integer", "minimum": 1, "maximum": PAGE_MESSAGES, "default": 50,
});

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Whole(limit) = Whole::deserialize(from)?;
        match u32::try_from(limit) {
            Ok(limit) if (1..=PAGE_MESSAGES as u32).contains(&limit) => Ok(Limit(limit)),
            _ => Err(serde::de::Error::custom(format!("a limit lies between 1 and {PAGE_MESSAGES}"))),
        }
    }
}

pub fn usual_limit() -> Limit {
    Limit(50)
}

/// A place in the list: two hexadecimal digits for the slot, and a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(Slot, anser_model::ConversationId);
super::super::scalars::schema_of!(Place, {
    "type": "string", "pattern": "^[0-9a-f]{34}$", "minLength": 34, "maxLength": 34,
});

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let place = || {
            let (slot, cid) = text.split_at_checked(2)?;
            let is_hex = slot.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            Some(Place(Slot(u8::from_str_radix(slot, 16).ok().filter(|_| is_hex)?), conversation_id(cid)?))
        };
        place().ok_or_else(|| serde::de::Error::custom("is what the page before said in next"))
    }
}

impl Serialize for Place {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{:02x}{:032x}", self.0.0, u128::from_be_bytes(self.1.0)))
    }
}

#[derive(Serialize, JsonSchema)]
pub struct ListBody {
    #[schemars(length(max = PAGE_MESSAGES))]
    conversations: Vec<HeadBody>,
    /// Where the next page begins: give it as `after`. Absent: this was the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Place>,
}

pub async fn list(
    State(state): State<HttpState>,
    Caller(session): Caller,
    Params(params): Params<ListParams>,
) -> Result<Json<ListBody>, ApiError> {
    let from = params.after.map(|Place(slot, cid)| (slot, cid));
    let page = state.messaging.conversations(session.account(), from, params.limit.0 as usize).await?;
    Ok(Json(ListBody {
        conversations: page.heads.into_iter().filter_map(facts::head).collect(),
        next: page.next.map(|(slot, cid)| Place(slot, cid)),
    }))
}

pub async fn one(
    State(state): State<HttpState>,
    Caller(session): Caller,
    At(path): At<InConversation>,
) -> Result<Json<HeadBody>, ApiError> {
    let cid = path.conversation.id(session.account());
    let asked = Request::GetConversations(v1::GetConversations { cids: vec![wire::cid_bytes(cid)] });
    let Wire::ConversationList(list) = state.ask(&session, asked).await? else {
        return Err(facts::broken("a list's"));
    };
    let head = list.heads.into_iter().next().and_then(facts::head);
    head.map(Json).ok_or_else(|| ApiError::new(ErrorCode::NotFound, "there is no such conversation"))
}

pub async fn members(
    State(state): State<HttpState>,
    Caller(session): Caller,
    At(path): At<InConversation>,
) -> Result<Json<MembersBody>, ApiError> {
    let cid = wire::cid_bytes(path.conversation.id(session.account()));
    let answer = state.ask(&session, Request::GetMembers(v1::GetMembers { cid })).await?;
    facts::members(answer).map(Json)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadBody {
    /// Everything up to here is meant.
    seq: Whole,
    /// The timeline that the seq belongs to.
    timeline: Timeline,
}

pub async fn read(
    State(state): State<HttpState>,
    Caller(session): Caller,
    At(path): At<InConversation>,
    JsonBody(body): JsonBody<ReadBody>,
) -> Result<Json<AcceptedBody>, ApiError> {
    let read =
        v1::ReadUpTo { r#in: Some(path.conversation.target()), seq: body.seq.0, timeline: body.timeline.0 };
    facts::accepted(state.ask(&session, Request::ReadUpTo(read)).await?).map(Json)
}

pub async fn delivered(
    State(state): State<HttpState>,
    Caller(session): Caller,
    At(path): At<InConversation>,
    JsonBody(body): JsonBody<ReadBody>,
) -> Result<Json<AcceptedBody>, ApiError> {
    let r#in = Some(path.conversation.target());
    let delivered = v1::DeliveredUpTo { r#in, seq: body.seq.0, timeline: body.timeline.0 };
    facts::accepted(state.ask(&session, Request::DeliveredUpTo(delivered)).await?).map(Json)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnreadBody {
    /// Whether it is to be shown as unread.
    marked: bool,
}

pub async fn unread(
    State(state): State<HttpState>,
    Caller(session): Caller,
    At(path): At<InConversation>,
    JsonBody(body): JsonBody<UnreadBody>,
) -> Result<Json<AcceptedBody>, ApiError> {
    let mark = v1::MarkUnread { r#in: Some(path.conversation.target()), marked: body.marked };
    facts::accepted(state.ask(&session, Request::MarkUnread(mark)).await?).map(Json)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HideBody {
    #[serde(deserialize_with = "ranges")]
    #[schemars(length(min = 1, max = HIDDEN_RANGES_PER_COMMAND))]
    ranges: Vec<Range>,
    /// The timeline that the seqs belong to.
    timeline: Timeline,
}

fn ranges<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<Range>, D::Error> {
    let ranges = Vec::deserialize(from)?;
    match (1..=HIDDEN_RANGES_PER_COMMAND).contains(&ranges.len()) {
        true => Ok(ranges),
        false => Err(serde::de::Error::custom(format!("1 to {HIDDEN_RANGES_PER_COMMAND} ranges"))),
    }
}

pub async fn hide(
    State(state): State<HttpState>,
    Caller(session): Caller,
    At(path): At<InConversation>,
    JsonBody(body): JsonBody<HideBody>,
) -> Result<Json<AcceptedBody>, ApiError> {
    let ranges = body.ranges.into_iter().map(v1::SeqRange::from).collect();
    let r#in = Some(path.conversation.target());
    let hide = v1::Hide { r#in, ranges, timeline: body.timeline.0 };
    facts::accepted(state.ask(&session, Request::Hide(hide)).await?).map(Json)
}

pub async fn clear(
    State(state): State<HttpState>,
    Caller(session): Caller,
    At(path): At<InConversation>,
    JsonBody(body): JsonBody<ReadBody>,
) -> Result<Json<AcceptedBody>, ApiError> {
    let r#in = Some(path.conversation.target());
    let clear = v1::ClearHistory { r#in, seq: body.seq.0, timeline: body.timeline.0 };
    facts::accepted(state.ask(&session, Request::ClearHistory(clear)).await?).map(Json)
}

pub async fn marks(
    State(state): State<HttpState>,
    Caller(session): Caller,
    At(path): At<InConversation>,
) -> Result<Json<MarksBody>, ApiError> {
    let asked = v1::GetMarks { r#in: Some(path.conversation.target()) };
    facts::marks(state.ask(&session, Request::GetMarks(asked)).await?).map(Json)
}

#[derive(Deserialize, JsonSchema)]
pub struct ProfilesParams {
    /// Their ids, separated by commas.
    accounts: AccountList,
}

/// Some accounts.
#[derive(Debug)]
pub struct AccountList(pub Vec<u64>);
super::super::scalars::schema_of!(AccountList, {
    "type": "string", "pattern": "^[1-9][0-9]{0,18}(,[1-9][0-9]{0,18}){0,99}$", "maxLength": 1_999,
});

impl<'de> Deserialize<'de> for AccountList {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        use serde::de::IntoDeserializer as _;
        let text = String::deserialize(from)?;
        let accounts: Vec<u64> = text
            .split(',')
            .map(|id| Account::deserialize(id.into_deserializer()).map(|Account(account)| account.0))
            .collect::<Result<_, D::Error>>()?;
        match accounts.len() <= PROFILES {
            true => Ok(AccountList(accounts)),
            false => Err(serde::de::Error::custom(format!("at most {PROFILES} accounts"))),
        }
    }
}

#[derive(Serialize, JsonSchema)]
pub struct ProfilesBody {
    #[schemars(length(max = PROFILES))]
    profiles: Vec<super::accounts::PersonBody>,
}

pub async fn profiles(
    State(state): State<HttpState>,
    Caller(session): Caller,
    Params(params): Params<ProfilesParams>,
) -> Result<Json<ProfilesBody>, ApiError> {
    let asked = v1::GetProfiles { accounts: params.accounts.0 };
    let Wire::ProfileList(list) = state.ask(&session, Request::GetProfiles(asked)).await? else {
        return Err(facts::broken("a list of profiles"));
    };
    Ok(Json(ProfilesBody { profiles: list.profiles.into_iter().map(Into::into).collect() }))
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let written = json!("0f00112233445566778899aabbccddeeff");
        let place: Place = from_value(written.clone()).unwrap();
        assert_eq!(place.0, Slot(15));
        assert_eq!(to_value(place).unwrap(), written);
        for bad in ["", "0", "+f00112233445566778899aabbccddeeff", "0f00", "鸿雁"] {
            assert!(from_value::<Place>(json!(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_of_accounts_are_short() {
        let list = |text: String| from_value::<AccountList>(json!(text)).map(|list| list.0.len()).ok();
        assert_eq!(list("1,22".into()), Some(2));
        assert_eq!(list(vec!["7"; 100].join(",")), Some(100));
        for bad in [vec!["7"; 101].join(","), "".into(), "1,".into(), "1, 2".into()] {
            assert_eq!(list(bad), None);
        }
    }
}
