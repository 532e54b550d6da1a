//! The storage schema: how facts and folded state are written, apart from the wire's schema.
//!
//! Fields are numbered for ever; a field that a later version adds is carried along unread, because
//! what is stored is the bytes as they were first written.

pub(crate) mod registers;
mod rewritten;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use anser_model::change::CommandKey;
use anser_model::{
    AccountId, Change, ClientId, ConversationFact, ConversationId, ConversationKind, DeviceId, Fact,
    KickReason, Message, N, Ordinal, Reign, Role, Seq, Slot, SlotFact, UnixMillis,
};
use bytes::Bytes;
use prost::Message as _;

use registers::{MessagesHiddenSchema, UnreadMarkedSchema};
use rewritten::{EditsSchema, RecallSchema};

/// A fact of a conversation where it stands in the log, with the bytes that say so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFact {
    /// Its number in its slot.
    pub n: N,
    /// The slot.
    pub slot: Slot,
    /// What happened.
    pub fact: ConversationFact,
    /// As recorded, without n and slot, which follow from where it stands.
    pub encoded: Bytes,
}

impl StoredFact {
    /// An earlier fact as it stands from this one on, under this one's n: what replaces it in memory, in
    /// every copy and in its row.
    pub fn rewritten(&self) -> Option<Arc<StoredFact>> {
        let stands = match &self.fact.change {
            Change::Recalled { stands } => stands,
            Change::Edited { stands, .. } => stands.as_ref()?,
            _ => return None,
        };
        let (fact, encoded) = (stands.as_ref().clone(), encode_fact(stands));
        Some(Arc::new(StoredFact { n: self.n, slot: self.slot, fact, encoded }))
    }

    /// This fact as it is kept beside what it rewrote: an edit without the message, which a later recall
    /// would not find here.
    pub fn kept(self: &Arc<Self>) -> Arc<StoredFact> {
        let Change::Edited { seq, to_all, stands: Some(_) } = self.fact.change else { return self.clone() };
        let change = Change::Edited { seq, to_all, stands: None };
        let ConversationFact { cid, at, author, device, author_profile_version, command, .. } = self.fact;
        let ConversationFact { seq, ordinal, .. } = self.fact;
        let rewritten = None;
        let fact = ConversationFact {
            cid,
            at,
            author,
            device,
            author_profile_version,
            command,
            seq,
            ordinal,
            rewritten,
            change,
        };
        let encoded = encode_fact(&fact);
        Arc::new(StoredFact { n: self.n, slot: self.slot, fact, encoded })
    }

    /// This message as it is shown to one who may not see the fact that edited it last.
    pub fn withheld(&self) -> Arc<StoredFact> {
        let (n, slot) = (self.n, self.slot);
        Arc::new(StoredFact { n, slot, fact: self.fact.withheld(), encoded: Bytes::new() })
    }

    /// n of the fact itself, whatever has rewritten it since.
    pub fn first_n(&self) -> N {
        self.fact.rewritten.as_ref().map_or(self.n, |rewritten| rewritten.n)
    }
}

/// What is stored cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// Not in the schema.
    #[error("stored bytes do not decode: {0}")]
    Malformed(String),
    /// Written by a newer version.
    #[error("a stored fact is of a kind that this version does not know")]
    UnknownKind,
    /// A field holds what it never may.
    #[error("a stored {0} is impossible")]
    Impossible(&'static str),
}

impl From<prost::DecodeError> for StorageError {
    fn from(error: prost::DecodeError) -> Self {
        StorageError::Malformed(error.to_string())
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct FactSchema {
    #[prost(bytes = "bytes", tag = "1")]
    cid: Bytes,
    #[prost(uint64, tag = "2")]
    at: u64,
    #[prost(fixed64, tag = "3")]
    author: u64,
    #[prost(fixed64, tag = "4")]
    device: u64,
    #[prost(uint64, tag = "5")]
    author_profile_version: u64,
    #[prost(bytes = "bytes", tag = "6")]
    client_id: Bytes,
    #[prost(fixed64, tag = "7")]
    request_hash: u64,
    #[prost(uint64, tag = "8")]
    seq: u64,
    #[prost(uint64, tag = "9")]
    ordinal: u64,
    #[prost(message, optional, tag = "10")]
    recalled: Option<RecallSchema>,
    #[prost(message, optional, tag = "11")]
    edits: Option<EditsSchema>,
    #[prost(
        oneof = "ChangeSchema",
        tags = "20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 40, 41"
    )]
    change: Option<ChangeSchema>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum ChangeSchema {
    #[prost(message, tag = "20")]
    Created(CreatedSchema),
    #[prost(message, tag = "21")]
    MessageSent(MessageSchema),
    #[prost(message, tag = "22")]
    MembersAdded(MembersAddedSchema),
    #[prost(message, tag = "23")]
    MemberRemoved(MemberRemovedSchema),
    #[prost(message, tag = "24")]
    RoleSet(RoleSetSchema),
    #[prost(string, tag = "25")]
    Renamed(String),
    #[prost(message, tag = "26")]
    ReadUpTo(ReadUpToSchema),
    #[prost(message, tag = "27")]
    Entered(EnteredSchema),
    #[prost(message, tag = "28")]
    CredentialsRaised(CredentialsRaisedSchema),
    #[prost(message, tag = "29")]
    Recalled(RecalledSchema),
    #[prost(message, tag = "30")]
    Edited(EditedSchema),
    #[prost(bool, tag = "31")]
    Dissolved(bool),
    #[prost(string, tag = "32")]
    AvatarSet(String),
    #[prost(bool, tag = "33")]
    HistoryVisibleSet(bool),
    #[prost(message, tag = "34")]
    DeliveredUpTo(ReadUpToSchema),
    #[prost(message, tag = "35")]
    UnreadMarked(UnreadMarkedSchema),
    #[prost(message, tag = "36")]
    MessagesHidden(MessagesHiddenSchema),
    #[prost(message, tag = "37")]
    HistoryCleared(ReadUpToSchema),
    #[prost(fixed64, tag = "40")]
    SlotOpened(u64),
    #[prost(bool, tag = "41")]
    SlotClosed(bool),
}

#[derive(Clone, PartialEq, prost::Message)]
struct CreatedSchema {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(string, tag = "2")]
    title: String,
    #[prost(fixed64, repeated, tag = "3")]
    members: Vec<u64>,
    #[prost(bool, tag = "4")]
    history_visible: bool,
    #[prost(string, tag = "5")]
    avatar: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct MessageSchema {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "2")]
    text: String,
    #[prost(bytes = "bytes", tag = "3")]
    body: Bytes,
    #[prost(uint64, tag = "4")]
    reply_to: u64,
    #[prost(fixed64, repeated, tag = "5")]
    mentions: Vec<u64>,
    #[prost(bool, tag = "6")]
    mention_all: bool,
    #[prost(bool, tag = "7")]
    uncounted: bool,
    #[prost(bool, tag = "8")]
    forwarded: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MembersAddedSchema {
    #[prost(fixed64, repeated, tag = "1")]
    members: Vec<u64>,
    #[prost(uint64, tag = "2")]
    visible_from: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MemberRemovedSchema {
    #[prost(fixed64, tag = "1")]
    member: u64,
    #[prost(bool, tag = "2")]
    left: bool,
    #[prost(fixed64, tag = "3")]
    new_owner: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RoleSetSchema {
    #[prost(fixed64, tag = "1")]
    member: u64,
    #[prost(uint32, tag = "2")]
    role: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ReadUpToSchema {
    #[prost(fixed64, tag = "1")]
    member: u64,
    #[prost(uint64, tag = "2")]
    seq: u64,
    #[prost(uint64, tag = "3")]
    ordinal: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct EnteredSchema {
    #[prost(fixed64, tag = "1")]
    account: u64,
    #[prost(uint32, tag = "2")]
    slot: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct CredentialsRaisedSchema {
    #[prost(fixed64, tag = "1")]
    account: u64,
    #[prost(uint64, tag = "2")]
    account_version: u64,
    #[prost(fixed64, tag = "3")]
    device: u64,
    #[prost(uint64, tag = "4")]
    device_version: u64,
    #[prost(uint32, tag = "5")]
    why: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RecalledSchema {
    /// The message as it stands from now on: a fact of its own, encoded.
    #[prost(bytes = "bytes", tag = "1")]
    stands: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct EditedSchema {
    #[prost(uint64, tag = "1")]
    seq: u64,
    #[prost(bool, tag = "2")]
    to_all: bool,
    /// As in [`RecalledSchema`]; empty where the edit itself is kept.
    #[prost(bytes = "bytes", tag = "3")]
    stands: Bytes,
}

pub(crate) fn kind_number(kind: ConversationKind) -> u32 {
    match kind {
        ConversationKind::Direct => 1,
        ConversationKind::Group => 2,
        ConversationKind::OfSelf => 3,
        ConversationKind::Channel => 4,
    }
}

pub(crate) fn kind_from(number: u32) -> Result<ConversationKind, StorageError> {
    match number {
        1 => Ok(ConversationKind::Direct),
        2 => Ok(ConversationKind::Group),
        3 => Ok(ConversationKind::OfSelf),
        4 => Ok(ConversationKind::Channel),
        _ => Err(StorageError::Impossible("conversation kind")),
    }
}

pub(crate) fn role_number(role: Role) -> u32 {
    match role {
        Role::Member => 1,
        Role::Admin => 2,
        Role::Owner => 3,
    }
}

pub(crate) fn role_from(number: u32) -> Result<Role, StorageError> {
    match number {
        1 => Ok(Role::Member),
        2 => Ok(Role::Admin),
        3 => Ok(Role::Owner),
        _ => Err(StorageError::Impossible("role")),
    }
}

fn numbers(accounts: &[AccountId]) -> Vec<u64> {
    accounts.iter().map(|account| account.0).collect()
}

fn accounts(numbers: Vec<u64>) -> Vec<AccountId> {
    numbers.into_iter().map(AccountId).collect()
}

/// The recorded form of a conversation's fact.
pub fn encode_fact(fact: &ConversationFact) -> Bytes {
    let schema = FactSchema {
        cid: Bytes::copy_from_slice(&fact.cid.0),
        at: fact.at.0,
        author: fact.author.0,
        device: fact.device.0,
        author_profile_version: fact.author_profile_version,
        client_id: fact.command.map_or(Bytes::new(), |key| Bytes::copy_from_slice(key.client_id.as_bytes())),
        request_hash: fact.command.map_or(0, |key| key.request_hash),
        seq: fact.seq.map_or(0, |seq| seq.0),
        ordinal: fact.ordinal.0,
        recalled: None,
        edits: None,
        change: Some(change_schema(&fact.change)),
    };
    let note = fact.rewritten.as_deref().map(rewritten::note_of);
    let (recalled, edits) = note.unwrap_or_default();
    FactSchema { recalled, edits, ..schema }.encode_to_vec().into()
}

fn change_schema(change: &Change) -> ChangeSchema {
    match change {
        Change::Created { kind, title, members, history_visible, avatar } => {
            ChangeSchema::Created(CreatedSchema {
                kind: kind_number(*kind),
                title: title.clone(),
                members: numbers(members),
                history_visible: *history_visible,
                avatar: avatar.clone(),
            })
        }
        Change::MessageSent(message) => ChangeSchema::MessageSent(MessageSchema {
            kind: message.kind.clone(),
            text: message.text.clone(),
            body: message.body.clone(),
            reply_to: message.reply_to.map_or(0, |seq| seq.0),
            mentions: numbers(&message.mentions),
            mention_all: message.mention_all,
            uncounted: message.uncounted,
            forwarded: message.forwarded,
        }),
        Change::MembersAdded { members, visible_from } => ChangeSchema::MembersAdded(MembersAddedSchema {
            members: numbers(members),
            visible_from: visible_from.0,
        }),
        Change::MemberRemoved { member, left, new_owner } => {
            ChangeSchema::MemberRemoved(MemberRemovedSchema {
                member: member.0,
                left: *left,
                new_owner: new_owner.map_or(0, |owner| owner.0),
            })
        }
        Change::RoleSet { member, role } => {
            ChangeSchema::RoleSet(RoleSetSchema { member: member.0, role: role_number(*role) })
        }
        Change::Renamed { title } => ChangeSchema::Renamed(title.clone()),
        Change::ReadUpTo { member, seq, ordinal } => {
            ChangeSchema::ReadUpTo(ReadUpToSchema { member: member.0, seq: seq.0, ordinal: ordinal.0 })
        }
        Change::AvatarSet { avatar } => ChangeSchema::AvatarSet(avatar.clone()),
        Change::HistoryVisibleSet { visible } => ChangeSchema::HistoryVisibleSet(*visible),
        Change::Dissolved => ChangeSchema::Dissolved(true),
        Change::DeliveredUpTo { .. }
        | Change::UnreadMarked { .. }
        | Change::MessagesHidden { .. }
        | Change::HistoryCleared { .. } => registers::schema(change),
        Change::Entered { account, slot } => {
            ChangeSchema::Entered(EnteredSchema { account: account.0, slot: u32::from(slot.0) })
        }
        Change::CredentialsRaised { account, account_version, device, why } => {
            ChangeSchema::CredentialsRaised(CredentialsRaisedSchema {
                account: account.0,
                account_version: *account_version,
                device: device.map_or(0, |(device, _)| device.0),
                device_version: device.map_or(0, |(_, version)| version),
                why: *why as u32,
            })
        }
        Change::Recalled { stands } => ChangeSchema::Recalled(RecalledSchema { stands: encode_fact(stands) }),
        Change::Edited { seq, to_all, stands } => ChangeSchema::Edited(EditedSchema {
            seq: seq.0,
            to_all: *to_all,
            stands: stands.as_deref().map(encode_fact).unwrap_or_default(),
        }),
    }
}

fn change_from(schema: ChangeSchema) -> Result<Change, StorageError> {
    Ok(match schema {
        ChangeSchema::Recalled(recalled) => {
            let stands = stands_from(&recalled.stands, |fact| fact.recalled.is_some(), "recall")?;
            Change::Recalled { stands: Box::new(stands) }
        }
        ChangeSchema::Edited(edited) => edited_from(edited)?,
        ChangeSchema::Created(created) => Change::Created {
            kind: kind_from(created.kind)?,
            title: created.title,
            members: accounts(created.members),
            history_visible: created.history_visible,
            avatar: created.avatar,
        },
        ChangeSchema::MessageSent(message) => Change::MessageSent(Message {
            kind: message.kind,
            text: message.text,
            body: message.body,
            reply_to: (message.reply_to != 0).then_some(Seq(message.reply_to)),
            mentions: accounts(message.mentions),
            mention_all: message.mention_all,
            uncounted: message.uncounted,
            forwarded: message.forwarded,
        }),
        ChangeSchema::MembersAdded(added) => {
            Change::MembersAdded { members: accounts(added.members), visible_from: Seq(added.visible_from) }
        }
        ChangeSchema::MemberRemoved(removed) => Change::MemberRemoved {
            member: AccountId(removed.member),
            left: removed.left,
            new_owner: (removed.new_owner != 0).then_some(AccountId(removed.new_owner)),
        },
        ChangeSchema::RoleSet(set) => {
            Change::RoleSet { member: AccountId(set.member), role: role_from(set.role)? }
        }
        ChangeSchema::Renamed(title) => Change::Renamed { title },
        ChangeSchema::ReadUpTo(read) => Change::ReadUpTo {
            member: AccountId(read.member),
            seq: Seq(read.seq),
            ordinal: Ordinal(read.ordinal),
        },
        ChangeSchema::AvatarSet(avatar) => Change::AvatarSet { avatar },
        ChangeSchema::HistoryVisibleSet(visible) => Change::HistoryVisibleSet { visible },
        ChangeSchema::Dissolved(true) => Change::Dissolved,
        ChangeSchema::Dissolved(false) => return Err(StorageError::Impossible("dissolution")),
        ChangeSchema::DeliveredUpTo(_)
        | ChangeSchema::UnreadMarked(_)
        | ChangeSchema::MessagesHidden(_)
        | ChangeSchema::HistoryCleared(_) => registers::change(schema)?,
        ChangeSchema::Entered(entered) => Change::Entered {
            account: AccountId(entered.account),
            slot: Slot(u8::try_from(entered.slot).map_err(|_| StorageError::Impossible("slot"))?),
        },
        ChangeSchema::CredentialsRaised(raised) => Change::CredentialsRaised {
            account: AccountId(raised.account),
            account_version: raised.account_version,
            device: (raised.device != 0).then_some((DeviceId(raised.device), raised.device_version)),
            why: KickReason::from_number(u64::from(raised.why)).unwrap_or_default(),
        },
        ChangeSchema::SlotOpened(_) | ChangeSchema::SlotClosed(_) => {
            return Err(StorageError::Impossible("conversation of a slot's fact"));
        }
    })
}

/// What a recall leaves of its message, or an edit makes of it. The kinds are looked at before anything
/// inside is read.
fn stands_from(
    stands: &Bytes,
    is_so: impl Fn(&FactSchema) -> bool,
    what: &'static str,
) -> Result<ConversationFact, StorageError> {
    let schema = FactSchema::decode(stands.clone())?;
    if !matches!(schema.change, Some(ChangeSchema::MessageSent(_))) || !is_so(&schema) {
        return Err(StorageError::Impossible(what));
    }
    let Fact::Conversation(fact) = fact_from(schema)? else { unreachable!("a message is no slot's fact") };
    Ok(fact)
}

fn edited_from(edited: EditedSchema) -> Result<Change, StorageError> {
    let seq = Seq(edited.seq);
    let stands = match edited.stands.is_empty() {
        true => None,
        false => Some(Box::new(stands_from(&edited.stands, |fact| fact.edits.is_some(), "edit")?)),
    };
    if seq == Seq(0) || stands.as_ref().is_some_and(|stands| stands.seq != Some(seq)) {
        return Err(StorageError::Impossible("edit"));
    }
    Ok(Change::Edited { seq, to_all: edited.to_all, stands })
}

/// The recorded form of a slot's fact.
pub fn encode_slot_fact(fact: &SlotFact) -> Bytes {
    let (at, change) = match fact {
        SlotFact::Opened { after, at } => (at, ChangeSchema::SlotOpened(after.0)),
        SlotFact::Closed { at } => (at, ChangeSchema::SlotClosed(true)),
    };
    FactSchema { at: at.0, change: Some(change), ..FactSchema::default() }.encode_to_vec().into()
}

/// Reads a recorded fact.
pub fn decode_fact(bytes: &Bytes) -> Result<Fact, StorageError> {
    fact_from(FactSchema::decode(bytes.clone())?)
}

fn fact_from(schema: FactSchema) -> Result<Fact, StorageError> {
    let change = schema.change.ok_or(StorageError::UnknownKind)?;
    let at = UnixMillis(schema.at);
    if let ChangeSchema::SlotOpened(after) = change {
        return Ok(Fact::Slot(SlotFact::Opened { after: Reign(after), at }));
    }
    if let ChangeSchema::SlotClosed(_) = change {
        return Ok(Fact::Slot(SlotFact::Closed { at }));
    }
    let change = change_from(change)?;
    let cid = schema.cid.as_ref().try_into().map_err(|_| StorageError::Impossible("conversation id"))?;
    let command = if schema.client_id.is_empty() {
        None
    } else {
        let client_id =
            ClientId::from_bytes(&schema.client_id).map_err(|_| StorageError::Impossible("client id"))?;
        Some(CommandKey { client_id, request_hash: schema.request_hash })
    };
    if change.is_sequenced() != (schema.seq != 0) {
        return Err(StorageError::Impossible("seq"));
    }
    let rewritten = rewritten::from_note(schema.recalled, schema.edits)?;
    if rewritten.is_some() && !matches!(change, Change::MessageSent(_)) {
        return Err(StorageError::Impossible("rewrite"));
    }
    Ok(Fact::Conversation(ConversationFact {
        cid: ConversationId(cid),
        at: UnixMillis(schema.at),
        author: AccountId(schema.author),
        device: DeviceId(schema.device),
        author_profile_version: schema.author_profile_version,
        command,
        seq: (schema.seq != 0).then_some(Seq(schema.seq)),
        ordinal: Ordinal(schema.ordinal),
        rewritten,
        change,
    }))
}

/// Reads a stored fact of a conversation back to where it stands.
pub fn decode_stored(slot: Slot, n: N, bytes: &Bytes) -> Result<Arc<StoredFact>, StorageError> {
    match decode_fact(bytes)? {
        Fact::Conversation(fact) => Ok(Arc::new(StoredFact { n, slot, fact, encoded: bytes.clone() })),
        Fact::Slot(_) => Err(StorageError::Impossible("fact of a conversation")),
    }
}

/// Appends one encoded fact to a record's payload, length first.
pub fn push_fact(payload: &mut Vec<u8>, encoded: &[u8]) {
    prost::encoding::encode_varint(encoded.len() as u64, payload);
    payload.extend_from_slice(encoded);
}

/// Splits a record's payload into its encoded facts, without copying.
pub fn split_facts(payload: &Bytes) -> Result<Vec<Bytes>, StorageError> {
    let mut rest = payload.clone();
    let mut facts = Vec::new();
    while !rest.is_empty() {
        let length = prost::encoding::decode_varint(&mut rest)? as usize;
        if length > rest.len() {
            return Err(StorageError::Malformed("a fact is longer than its record".into()));
        }
        facts.push(rest.split_to(length));
    }
    Ok(facts)
}
