//! Folded state as rows of the index: what [`crate::conversation`] holds, encoded for storage.

use std::collections::BTreeMap;
use std::sync::Arc;

use anser_model::{
    AccountId, ConversationId, DeviceId, Intervals, N, Ordinal, Seq, Slot, UnixMillis, Unread,
};
use bytes::Bytes;
use prost::Message as _;

use crate::conversation::{Conversation, Home, Member, Shared, Tombstone};
use crate::ports::index::{ConversationRow, ConversationRows, MemberRow};
use crate::storage::registers::{flat, runs};
use crate::storage::{
    StorageError, StoredFact, decode_stored, kind_from, kind_number, role_from, role_number,
};

#[derive(Clone, PartialEq, prost::Message)]
struct MarkedSchema {
    #[prost(fixed64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    value: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StandingFactSchema {
    #[prost(uint64, tag = "1")]
    n: u64,
    #[prost(bytes = "bytes", tag = "2")]
    fact: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SharedSchema {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(string, tag = "2")]
    title: String,
    #[prost(bool, tag = "3")]
    history_visible: bool,
    #[prost(uint64, tag = "4")]
    head: u64,
    #[prost(uint64, tag = "5")]
    ordinal: u64,
    #[prost(uint64, tag = "6")]
    at: u64,
    #[prost(uint64, tag = "7")]
    touched_at: u64,
    #[prost(uint64, tag = "8")]
    n_newest: u64,
    #[prost(message, optional, tag = "9")]
    last_message: Option<StandingFactSchema>,
    #[prost(message, repeated, tag = "10")]
    pair: Vec<MarkedSchema>,
    #[prost(uint32, tag = "11")]
    member_count: u32,
    #[prost(fixed64, repeated, tag = "12")]
    entered: Vec<u64>,
    #[prost(uint64, tag = "13")]
    account_version: u64,
    #[prost(message, repeated, tag = "14")]
    devices: Vec<MarkedSchema>,
    #[prost(message, repeated, tag = "40")]
    mention_all: Vec<MarkedSchema>,
    #[prost(message, repeated, tag = "50")]
    delivered: Vec<MarkedSchema>,
    #[prost(string, tag = "51")]
    avatar: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MemberSchema {
    #[prost(uint32, tag = "1")]
    role: u32,
    #[prost(uint64, tag = "2")]
    joined_at: u64,
    #[prost(uint64, tag = "3")]
    joined_seq: u64,
    #[prost(uint64, repeated, tag = "4")]
    intervals: Vec<u64>,
    #[prost(uint64, tag = "5")]
    mark: u64,
    #[prost(uint64, tag = "6")]
    base: u64,
    #[prost(uint64, tag = "7")]
    base_ordinal: u64,
    #[prost(uint64, repeated, tag = "8")]
    own_sends: Vec<u64>,
    #[prost(uint64, tag = "9")]
    newest_client_time: u64,
    #[prost(message, optional, tag = "10")]
    tombstone: Option<TombstoneSchema>,
    #[prost(uint64, repeated, tag = "40")]
    mentions: Vec<u64>,
    #[prost(uint64, tag = "50")]
    cleared: u64,
    #[prost(uint64, repeated, tag = "51")]
    hidden: Vec<u64>,
    #[prost(bool, tag = "52")]
    marked_unread: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TombstoneSchema {
    #[prost(uint64, tag = "1")]
    head: u64,
    #[prost(uint64, tag = "2")]
    ordinal: u64,
    #[prost(uint64, tag = "3")]
    at: u64,
    #[prost(string, tag = "4")]
    title: String,
    #[prost(message, optional, tag = "5")]
    last_message: Option<StandingFactSchema>,
    #[prost(uint32, tag = "6")]
    member_count: u32,
    #[prost(string, tag = "50")]
    avatar: String,
}

fn standing(fact: &Option<Arc<StoredFact>>) -> Option<StandingFactSchema> {
    fact.as_ref().map(|fact| StandingFactSchema { n: fact.n.0, fact: fact.encoded.clone() })
}

fn stands(slot: Slot, schema: Option<StandingFactSchema>) -> Result<Option<Arc<StoredFact>>, StorageError> {
    schema.map(|schema| decode_stored(slot, N(schema.n), &schema.fact)).transpose()
}

fn pairs(flat: &[u64]) -> Result<Vec<(u64, u64)>, StorageError> {
    if !flat.len().is_multiple_of(2) {
        return Err(StorageError::Impossible("list of pairs"));
    }
    Ok(flat.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

/// The row of what all members share.
pub fn conversation_row(shared: &Shared) -> ConversationRow {
    let schema = SharedSchema {
        kind: shared.kind.map_or(0, kind_number),
        title: shared.title.clone(),
        history_visible: shared.history_visible,
        head: shared.head.0,
        ordinal: shared.ordinal.0,
        at: shared.at.0,
        touched_at: shared.touched_at.0,
        n_newest: shared.n_newest.0,
        last_message: standing(&shared.last_message),
        pair: shared.pair.iter().map(|&(id, mark)| MarkedSchema { id: id.0, value: mark.0 }).collect(),
        member_count: shared.member_count,
        entered: shared.home.entered.to_vec(),
        account_version: shared.home.account_version,
        devices: shared.home.devices.iter().map(|(&id, &value)| MarkedSchema { id: id.0, value }).collect(),
        mention_all: shared
            .mention_all
            .iter()
            .map(|&(seq, author)| MarkedSchema { id: author.0, value: seq.0 })
            .collect(),
        delivered: shared
            .delivered
            .iter()
            .map(|(&id, &seq)| MarkedSchema { id: id.0, value: seq.0 })
            .collect(),
        avatar: shared.avatar.clone(),
    };
    ConversationRow {
        cid: shared.cid,
        n_shared: shared.n_shared,
        n_receipts: shared.n_receipts,
        state: schema.encode_to_vec().into(),
    }
}

/// Reads [`conversation_row`] back.
pub fn shared_from(slot: Slot, row: &ConversationRow) -> Result<Shared, StorageError> {
    let schema = SharedSchema::decode(row.state.clone())?;
    let entered = schema.entered.try_into().map_err(|_| StorageError::Impossible("set of slots"))?;
    Ok(Shared {
        cid: row.cid,
        kind: if schema.kind == 0 { None } else { Some(kind_from(schema.kind)?) },
        title: schema.title,
        avatar: schema.avatar,
        history_visible: schema.history_visible,
        head: Seq(schema.head),
        ordinal: Ordinal(schema.ordinal),
        at: UnixMillis(schema.at),
        touched_at: UnixMillis(schema.touched_at),
        n_shared: row.n_shared,
        n_receipts: row.n_receipts,
        n_newest: N(schema.n_newest),
        last_message: stands(slot, schema.last_message)?,
        pair: schema.pair.iter().map(|marked| (AccountId(marked.id), Seq(marked.value))).collect(),
        mention_all: schema.mention_all.iter().map(|it| (Seq(it.value), AccountId(it.id))).collect(),
        delivered: schema.delivered.iter().map(|marked| (AccountId(marked.id), Seq(marked.value))).collect(),
        member_count: schema.member_count,
        home: Home {
            entered,
            account_version: schema.account_version,
            devices: schema.devices.iter().map(|marked| (DeviceId(marked.id), marked.value)).collect(),
        },
    })
}

/// The row of one member.
pub fn member_row(cid: ConversationId, account: AccountId, member: &Member) -> MemberRow {
    let schema = MemberSchema {
        role: role_number(member.role),
        joined_at: member.joined_at.0,
        joined_seq: member.joined_seq.0,
        intervals: member.intervals.parts().iter().flat_map(|&(low, high)| [low.0, high.0]).collect(),
        mark: member.mark.0,
        base: member.unread.base().0,
        base_ordinal: member.unread.base_ordinal().0,
        own_sends: member.unread.own_sends().iter().flat_map(|&(seq, ordinal)| [seq.0, ordinal.0]).collect(),
        newest_client_time: member.newest_client_time.0,
        tombstone: member.tombstone.as_ref().map(|tombstone| TombstoneSchema {
            head: tombstone.head.0,
            ordinal: tombstone.ordinal.0,
            at: tombstone.at.0,
            title: tombstone.title.clone(),
            last_message: standing(&tombstone.last_message),
            member_count: tombstone.member_count,
            avatar: tombstone.avatar.clone(),
        }),
        mentions: member.unread.mentions().iter().map(|seq| seq.0).collect(),
        cleared: member.cleared.0,
        hidden: flat(&member.hidden),
        marked_unread: member.marked_unread,
    };
    MemberRow {
        cid,
        account,
        n: member.n,
        present: member.intervals.is_open(),
        state: schema.encode_to_vec().into(),
    }
}

/// Reads [`member_row`] back.
pub fn member_from(slot: Slot, row: &MemberRow) -> Result<Member, StorageError> {
    let schema = MemberSchema::decode(row.state.clone())?;
    let intervals = pairs(&schema.intervals)?;
    let bounds = intervals.iter().all(|(low, high)| low <= high);
    if !bounds || !intervals.windows(2).all(|pair| pair[0].1 < pair[1].0) {
        return Err(StorageError::Impossible("list of intervals"));
    }
    let own_sends = pairs(&schema.own_sends)?;
    if !own_sends.iter().map(|(seq, _)| *seq).is_sorted_by(|one, next| one < next)
        || own_sends.first().is_some_and(|&(seq, _)| seq <= schema.base)
    {
        return Err(StorageError::Impossible("list of own sends"));
    }
    if !schema.mentions.is_sorted_by(|one, next| one < next)
        || schema.mentions.first().is_some_and(|&seq| seq <= schema.base)
    {
        return Err(StorageError::Impossible("list of mentions"));
    }
    let mentions = schema.mentions.into_iter().map(Seq).collect();
    let intervals = intervals.into_iter().map(|(low, high)| (Seq(low), Seq(high))).collect();
    let own_sends = own_sends.into_iter().map(|(seq, ordinal)| (Seq(seq), Ordinal(ordinal))).collect();
    let tombstone = schema
        .tombstone
        .map(|tombstone| -> Result<_, StorageError> {
            Ok(Box::new(Tombstone {
                head: Seq(tombstone.head),
                ordinal: Ordinal(tombstone.ordinal),
                at: UnixMillis(tombstone.at),
                title: tombstone.title,
                last_message: stands(slot, tombstone.last_message)?,
                member_count: tombstone.member_count,
                avatar: tombstone.avatar,
            }))
        })
        .transpose()?;
    let member = Member {
        role: role_from(schema.role)?,
        joined_at: UnixMillis(schema.joined_at),
        joined_seq: Seq(schema.joined_seq),
        intervals: Intervals::from_parts(intervals),
        mark: Seq(schema.mark),
        unread: Unread::from_parts(Seq(schema.base), Ordinal(schema.base_ordinal), own_sends, mentions),
        marked_unread: schema.marked_unread,
        cleared: Seq(schema.cleared),
        hidden: runs(&schema.hidden)?,
        newest_client_time: UnixMillis(schema.newest_client_time),
        n: row.n,
        tombstone,
    };
    if member.intervals.is_open() != row.present || member.tombstone.is_some() == row.present {
        return Err(StorageError::Impossible("membership"));
    }
    Ok(member)
}

/// Reads a whole conversation back.
pub fn conversation_from(slot: Slot, rows: &ConversationRows) -> Result<Conversation, StorageError> {
    let shared = shared_from(slot, &rows.conversation)?;
    let members = rows
        .members
        .iter()
        .map(|row| Ok((row.account, member_from(slot, row)?)))
        .collect::<Result<BTreeMap<_, _>, StorageError>>()?;
    Ok(Conversation::from_rows(shared, members))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by `prove fuzz`: a list that no writer makes ended the process instead of the reading.
    #[test]
    fn impossible_lists_of_a_member_are_errors() {
        let read_with = |intervals: &[u64], own_sends: &[u64], mentions: &[u64]| {
            let schema = MemberSchema {
                role: 1,
                intervals: intervals.into(),
                own_sends: own_sends.into(),
                mentions: mentions.into(),
                base: 4,
                ..MemberSchema::default()
            };
            let state = schema.encode_to_vec().into();
            let (cid, account) = (ConversationId([7; 16]), AccountId(1));
            member_from(Slot(0), &MemberRow { cid, account, n: N(1), present: true, state }).map(|_| ())
        };
        let read = |intervals: &[u64], own_sends: &[u64]| read_with(intervals, own_sends, &[5, 7]);
        assert_eq!(read(&[1, 3, 5, u64::MAX], &[5, 1, 6, 2]), Ok(()));
        for impossible in [&[4][..], &[7, 6], &[5, 5]] {
            let read = read_with(&[1, u64::MAX], &[], impossible);
            assert_eq!(read, Err(StorageError::Impossible("list of mentions")), "{impossible:?}");
        }
        let intervals = Err(StorageError::Impossible("list of intervals"));
        for impossible in [&[5, 6, 1, u64::MAX][..], &[1, 5, 5, u64::MAX], &[3, 2, 4, u64::MAX]] {
            assert_eq!(read(impossible, &[]), intervals, "{impossible:?}");
        }
        for impossible in [&[6, 1, 5, 2][..], &[5, 1, 5, 2], &[4, 1]] {
            assert_eq!(read(&[1, u64::MAX], impossible), Err(StorageError::Impossible("list of own sends")));
        }
    }
}
