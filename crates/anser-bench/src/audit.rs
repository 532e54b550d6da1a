//! The verifier: reads every conversation back through the public protocol, and compares it with the
//! ledger, with every device, and with a naive recount.

use std::collections::HashMap;

use anser_client::Client;
use anser_model::limits::{OWN_SENDS_KEPT, PAGE_MESSAGES};
use anser_model::{AccountId, ConversationId};
use anser_proto::v1::{self, Target};
use anyhow::Context as _;

use crate::book::{Book, Entry, Faults, RECALLED, Tag, digest_of, tag_of};
use crate::device::Seen;

/// What was found wrong.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Acknowledged and not there, or not where it was acknowledged; or there and not on a device.
    pub lost: u64,
    /// One message at two seqs, or something that nobody said.
    pub doubled: u64,
    /// One sender's messages out of their order, or a conversation's seqs with a gap.
    pub reordered: u64,
    /// Unread counts that are not what a recount gives.
    pub unread_mismatches: u64,
    /// Something that is there and says, or is, something else than it should.
    pub altered: u64,
    /// Something told to somebody who may not see it.
    pub leaked: u64,
    /// Those and anything else, in words.
    pub faults: Faults,
}

impl Verdict {
    /// Whether nothing was wrong.
    pub fn is_clean(&self) -> bool {
        self.faults.count == 0
    }

    /// Adds what was found elsewhere.
    pub fn take(&mut self, other: Verdict) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.reordered += other.reordered;
        self.unread_mismatches += other.unread_mismatches;
        self.altered += other.altered;
        self.leaked += other.leaked;
        self.faults.take(other.faults);
    }

    /// Counts something that is gone.
    pub fn lose(&mut self, what: impl FnOnce() -> String) {
        self.lost += 1;
        self.faults.add(what);
    }

    /// Counts something that is there twice, or should not be.
    pub fn double(&mut self, what: impl FnOnce() -> String) {
        self.doubled += 1;
        self.faults.add(what);
    }

    /// Counts something that is not in its place.
    pub fn reorder(&mut self, what: impl FnOnce() -> String) {
        self.reordered += 1;
        self.faults.add(what);
    }

    /// Counts something that is not what it should be.
    pub fn alter(&mut self, what: impl FnOnce() -> String) {
        self.altered += 1;
        self.faults.add(what);
    }

    /// Counts something that somebody may not see.
    pub fn leak(&mut self, what: impl FnOnce() -> String) {
        self.leaked += 1;
        self.faults.add(what);
    }
}

/// A conversation as the server tells it to one who reads it afresh.
#[derive(Debug, Default)]
struct Truth {
    rows: Vec<Row>,
    newest_by: HashMap<AccountId, Tag>,
    /// What was edited since it was read.
    edited: Vec<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    digest: u64,
    author: AccountId,
    is_message: bool,
    /// Through which n the page that showed it was complete.
    as_of: u64,
}

/// What the server tells, and what was found wrong with it.
#[derive(Debug, Default)]
pub struct Audit {
    /// What was found wrong so far.
    pub verdict: Verdict,
    truths: HashMap<ConversationId, Truth>,
    places: HashMap<Tag, (ConversationId, u64)>,
}

impl Audit {
    /// Reads what a conversation gained since it was last read.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn read(&mut self, client: &Client, cid: ConversationId) -> anyhow::Result<()> {
        loop {
            let known = self.newest(cid);
            let page = page_after(client, cid, known).await.with_context(|| format!("reading {cid:?}"))?;
            self.take(cid, page.n, &page.events);
            for seq in self.edited(cid) {
                let page = page_of(client, cid, seq).await.with_context(|| format!("{cid:?} seq {seq}"))?;
                self.take_edited(cid, seq, page.n, &page.events);
            }
            if self.newest(cid) == known || (known > 0 && !page.more) {
                return Ok(());
            }
        }
    }

    /// The newest seq of a conversation.
    pub fn newest(&self, cid: ConversationId) -> u64 {
        self.truths.get(&cid).map_or(0, |truth| truth.rows.len() as u64)
    }

    fn take(&mut self, cid: ConversationId, as_of: u64, events: &[v1::Event]) {
        let (truth, verdict) = (self.truths.entry(cid).or_default(), &mut self.verdict);
        for event in events {
            let expected = truth.rows.len() as u64 + 1;
            if event.seq != expected {
                verdict.reorder(|| format!("{cid:?}: seq {} follows {}", event.seq, expected - 1));
                if event.seq < expected {
                    continue;
                }
                let hole = Row { digest: 0, author: AccountId(0), is_message: false, as_of };
                truth.rows.resize(event.seq as usize - 1, hole);
            }
            let (author, digest) = (AccountId(event.author), digest_of(event));
            let message = match &event.change {
                Some(v1::event::Change::Message(message)) => Some(message),
                _ => None,
            };
            truth.rows.push(Row { digest, author, is_message: message.is_some(), as_of });
            match &event.change {
                Some(v1::event::Change::Recalled(recalled)) => {
                    truth.amend(cid, recalled.seq, (event.n, RECALLED), verdict);
                }
                Some(v1::event::Change::Edited(edited)) => truth.edit(cid, edited.seq, event.n, verdict),
                _ => {}
            }
            let Some(tag) = message.and_then(tag_of) else { continue };
            if let Some(before) = self.places.insert(tag, (cid, event.seq)) {
                verdict.double(|| format!("message {tag} is at {before:?} and at {cid:?} seq {}", event.seq));
            }
            let newest = truth.newest_by.entry(author).or_default();
            if tag < *newest {
                verdict.reorder(|| format!("{cid:?} seq {}: {tag} behind {newest} of {author}", event.seq));
            }
            *newest = tag.max(*newest);
        }
    }

    /// Messages that were edited since they were read, and are to be read again.
    fn edited(&mut self, cid: ConversationId) -> Vec<u64> {
        self.truths.get_mut(&cid).map_or(Vec::new(), |truth| std::mem::take(&mut truth.edited))
    }

    /// Reads one message again.
    fn take_edited(&mut self, cid: ConversationId, seq: u64, as_of: u64, events: &[v1::Event]) {
        let (Some(truth), verdict) = (self.truths.get_mut(&cid), &mut self.verdict) else { return };
        let (event, place) = (events.iter().find(|event| event.seq == seq), seq as usize - 1);
        match (event, truth.rows.get_mut(place)) {
            (Some(event), Some(row)) => (row.digest, row.as_of) = (digest_of(event), as_of),
            _ => verdict.lose(|| format!("{cid:?} seq {seq} was edited, and is gone")),
        }
    }

    /// Compares entries of the ledger, all of them older than what was read, with it.
    pub fn check_entries(&mut self, entries: &[(Tag, Entry)], book: &Book) {
        for (tag, entry) in entries {
            let expected = book.amended(entry.cid, entry.seq).unwrap_or(entry.digest);
            let rows = self.truths.get(&entry.cid).map_or(&[][..], |truth| &truth.rows);
            let row = rows.get((entry.seq as usize).wrapping_sub(1));
            if row.is_none_or(|row| row.digest != expected) {
                let (found, place) = (row.copied(), self.places.get(tag));
                self.verdict.lose(|| {
                    format!(
                        "message {tag}, acknowledged as {entry:?}: there is {found:?}; it is at {place:?}"
                    )
                });
            }
        }
    }

    /// Whether whatever is there was acknowledged, once everybody has all answers.
    pub fn check_nothing_else(&mut self, book: &Book) {
        for (tag, &(cid, seq)) in &self.places {
            if book.entry(*tag).is_none_or(|entry| (entry.cid, entry.seq) != (cid, seq)) {
                self.verdict.double(|| {
                    format!("message {tag} is at {cid:?} seq {seq} and was not acknowledged there")
                });
            }
        }
        for (cid, truth) in &self.truths {
            let others = truth.rows.iter().filter(|row| !row.is_message).count();
            let amendments = book.amendments(*cid);
            if others != 1 + amendments {
                self.verdict.double(|| {
                    format!("{cid:?}: {others} facts are no messages; the creation, and {amendments} changes of messages")
                });
            }
        }
    }

    /// Compares what a device has seen with what the server tells, in the conversations it is in.
    pub fn check_device(&mut self, name: &str, seen: &Seen, conversations: &[ConversationId], book: &Book) {
        let verdict = &mut self.verdict;
        for &cid in conversations {
            let rows = self.truths.get(&cid).map_or(&[][..], |truth| &truth.rows);
            let digests = seen.rows.get(&cid).map_or(&[][..], |rows| &rows.digests);
            for (place, row) in rows.iter().enumerate() {
                match digests.get(place) {
                    Some(&digest) if digest == row.digest => {}
                    None | Some(0) => verdict.lose(|| format!("{name} lacks {cid:?} seq {}", place + 1)),
                    Some(_) => verdict.double(|| format!("{name} has another {cid:?} seq {}", place + 1)),
                }
            }
            if digests.len() > rows.len() {
                verdict.double(|| {
                    format!("{name} has {} facts of {cid:?}, there are {}", digests.len(), rows.len())
                });
            }
        }
        for cid in seen.rows.keys().filter(|cid| !conversations.contains(cid) && !cid_is_self(seen, **cid)) {
            verdict.double(|| format!("{name} was told of {cid:?}, in which it is not"));
        }
        for (tag, &client_id) in &seen.own_ids {
            if book.entry(*tag).is_none_or(|entry| entry.client_id != client_id) {
                verdict
                    .double(|| format!("{name}: message {tag} carries client id {client_id:?}, not its own"));
            }
        }
        verdict.doubled += seen.doubled;
        verdict.reordered += seen.reordered;
        if seen.doubled + seen.reordered > 0 {
            let (doubled, reordered) = (seen.doubled, seen.reordered);
            verdict
                .faults
                .add(|| format!("{name}: {doubled} events came twice, {reordered} behind a later one"));
        }
        verdict.faults.take(seen.faults.clone());
    }

    /// Compares the heads that a device shows, and those that the server tells, with a naive recount.
    /// `marks` says how far the mark was certainly and at most moved.
    pub fn check_heads(
        &mut self,
        name: &str,
        account: AccountId,
        shown: &[v1::Head],
        fresh: &[v1::Head],
        marks: impl Fn(ConversationId) -> (u64, u64),
    ) {
        let shown = shown.iter().map(|head| (&head.cid, head)).collect::<HashMap<_, _>>();
        for head in fresh {
            let Ok(cid) = anser_proto::wire::cid(&head.cid) else { continue };
            let Some(truth) = self.truths.get(&cid) else { continue };
            let expected = truth.unread(account, head.mark);
            let (moved, wanted) = marks(cid);
            let device = shown.get(&head.cid).map(|shown| (shown.seq, shown.mark, shown.unread));
            let newest = truth.rows.len() as u64;
            let right = (newest, head.mark, expected);
            let marked = (moved..=wanted.max(moved)).contains(&head.mark);
            if !marked || (head.seq, head.mark, head.unread) != right || device != Some(right) {
                self.verdict.unread_mismatches += 1;
                let told = (head.seq, head.mark, head.unread);
                self.verdict.faults.add(|| {
                    format!(
                        "{name} {cid:?} (seq, mark, unread): recounted {right:?}, told {told:?}, shown {device:?}; \
                         the mark was moved to {moved}, at most {wanted}"
                    )
                });
            }
        }
    }
}

impl Truth {
    /// A fact changed the message at a seq: whoever read it since must have been given the new form.
    fn amend(&mut self, cid: ConversationId, seq: u64, (n, digest): (u64, u64), verdict: &mut Verdict) {
        let Some(row) = self.rows.get_mut((seq as usize).wrapping_sub(1)) else {
            return verdict.reorder(|| format!("{cid:?} seq {seq} is changed before it is said"));
        };
        if row.as_of < n {
            row.digest = digest;
        } else if row.digest != digest {
            verdict.double(|| format!("{cid:?} seq {seq} was changed at n {n} and is shown as it was"));
        }
    }

    /// A fact says that the message at a seq says something else; what, only its row says.
    fn edit(&mut self, cid: ConversationId, seq: u64, n: u64, verdict: &mut Verdict) {
        match self.rows.get((seq as usize).wrapping_sub(1)) {
            None => verdict.reorder(|| format!("{cid:?} seq {seq} is edited before it is said")),
            Some(row) if row.as_of < n => self.edited.push(seq),
            Some(_) => {}
        }
    }

    /// Messages of others past the base, which is the largest of the mark and the cap: the own send
    /// before the newest 64. Whoever is here joined with the creation, which is no message.
    fn unread(&self, account: AccountId, mark: u64) -> u64 {
        let seqs = || self.rows.iter().zip(1u64..).filter(|(row, _)| row.is_message);
        let own = seqs().filter(|(row, _)| row.author == account).map(|(_, seq)| seq).collect::<Vec<_>>();
        let cap = own.len().checked_sub(OWN_SENDS_KEPT + 1).map_or(0, |place| own[place]);
        let base = mark.max(cap);
        seqs().filter(|(row, seq)| row.author != account && *seq > base).count() as u64
    }
}

/// The self conversation holds nothing that is sequenced.
fn cid_is_self(seen: &Seen, cid: ConversationId) -> bool {
    seen.rows.get(&cid).is_some_and(|rows| rows.head == 0)
}

/// The facts behind `known`; to begin with, the first alone.
async fn page_after(client: &Client, cid: ConversationId, known: u64) -> anyhow::Result<v1::Page> {
    let first = v1::GetPage { before_seq: 2, limit: 1, ..v1::GetPage::default() };
    let next = v1::GetPage { after_seq: known, limit: PAGE_MESSAGES as u32, ..v1::GetPage::default() };
    let asked = if known == 0 { first } else { next };
    Ok(client.page(v1::GetPage { r#in: Some(Target::cid(cid)), ..asked }).await?)
}

/// One row alone.
async fn page_of(client: &Client, cid: ConversationId, seq: u64) -> anyhow::Result<v1::Page> {
    let (after_seq, before_seq, limit) = (seq - 1, seq + 1, 1);
    let asked =
        v1::GetPage { r#in: Some(Target::cid(cid)), after_seq, before_seq, limit, ..v1::GetPage::default() };
    Ok(client.page(asked).await?)
}

#[cfg(test)]
mod tests;
