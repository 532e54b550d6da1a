//! Messages elsewhere and before: forwarding one or several, what an edited one said, what a transcript holds.

use anser_proto::v1::{self, Target};

use super::{Effect, Focus, State};
use crate::chat::kinds::Thing;
use crate::chat::overlay::{Forwarded, Overlay, Purpose, Question, Sheet};

/// Messages that one transcript may hold.
const MARKED_MAX: usize = 100;

impl State {
    /// Marks the chosen message to go with others, or not any more; and goes on to the next.
    pub(super) fn mark(&mut self) {
        let Some(item) = self.chosen().filter(|item| item.seq > 0 && item.said().is_some()) else { return };
        let seq = item.seq;
        let Some(open) = &mut self.open else { return };
        match open.marked.iter().position(|&marked| marked == seq) {
            Some(at) => drop(open.marked.remove(at)),
            None if open.marked.len() < MARKED_MAX => open.marked.push(seq),
            None => {}
        }
    }

    /// The marked messages, else the chosen one.
    fn meant(&self) -> Vec<u64> {
        let mut seqs = self.open.as_ref().map(|open| open.marked.clone()).unwrap_or_default();
        if seqs.is_empty() {
            seqs.extend(self.chosen().filter(|item| item.seq > 0).map(|item| item.seq));
        }
        seqs.sort_unstable();
        seqs
    }

    pub(super) fn begin_forward(&mut self) -> Vec<Effect> {
        let Some(cid) = self.open_cid() else { return vec![] };
        let mut seqs = self.meant();
        seqs.retain(|&seq| self.items().iter().any(|item| item.seq == seq && item.said().is_some()));
        if seqs.is_empty() {
            return vec![];
        }
        let title = self.open_row().map(|row| self.title(row).to_owned()).unwrap_or_default();
        self.begin_switch(Purpose::Forward(Forwarded { from: cid, seqs, title }))
    }

    pub(super) fn forward(&mut self, to: Target, what: Forwarded) -> Vec<Effect> {
        self.notice = Some(self.words.forwarded.to_owned());
        if let Some(open) = &mut self.open {
            open.marked.clear();
        }
        vec![Effect::Forward { from: what.from, seqs: what.seqs, to, title: what.title }]
    }

    /// What there is to see behind a message: what it said before, or what it holds.
    pub(super) fn details(&mut self) -> Vec<Effect> {
        let Some((item, cid)) = self.chosen().zip(self.open_cid()) else { return vec![] };
        let seq = item.seq;
        match item.said() {
            Some(said) if said.edits > 0 => return vec![Effect::Versions { cid, seq }],
            Some(said) => {
                if let Some(Thing::Transcript { title, items }) = &said.thing {
                    let lines = items.iter().map(|it| (it.name.clone(), it.at_ms, it.text.clone())).collect();
                    let title = title.clone();
                    self.overlay = Some(Overlay::Sheet(Sheet { title, lines, top: 0 }));
                    return vec![];
                }
            }
            None => {}
        }
        self.say(self.words.no_details.to_owned())
    }

    /// Asks whether messages shall go for oneself alone.
    pub(super) fn begin_hide(&mut self) {
        let (Some(cid), seqs) = (self.open_cid(), self.meant()) else { return };
        if !seqs.is_empty() {
            let text = (self.words.sure_hide)(seqs.len());
            self.overlay = Some(Overlay::Ask(text, Question::Hide { cid, seqs }));
        }
    }

    /// Asks whether all that was said shall go for oneself alone.
    pub(super) fn begin_clear(&mut self) {
        let (Some(cid), Some(row)) = (self.open_cid(), self.open_row()) else { return };
        let text = (self.words.sure_clear)(self.title(row));
        let newest = self.items().iter().map(|item| item.seq).max().unwrap_or_default();
        if newest > 0 {
            self.overlay = Some(Overlay::Ask(text, Question::Clear { cid, seq: newest }));
        }
    }

    /// Marks the open conversation as unread, and leaves it for the list.
    pub(super) fn mark_unread(&mut self) -> Vec<Effect> {
        let Some(row) = self.open_row().filter(|row| row.is_member()) else { return vec![] };
        let (cid, marked) = (row.cid, !row.marked_unread);
        self.set_focus(Focus::List);
        if let Some(open) = &mut self.open {
            open.unmark = true;
        }
        if marked {
            self.notice = Some(self.words.marked_unread.to_owned());
        }
        vec![Effect::MarkUnread { cid, marked }]
    }

    /// Asks who has read one's message.
    pub(super) fn read_by(&mut self) -> Vec<Effect> {
        let Some((item, cid)) = self.chosen().zip(self.open_cid()) else { return vec![] };
        let seq = item.seq;
        let group = self.open_row().is_some_and(|row| row.is_group());
        if seq > 0 && group { vec![Effect::Marks { cid, seq }] } else { vec![] }
    }

    /// Who has read a message and who has not: everybody who was a member when it was said, but its author.
    pub(super) fn show_marks(&mut self, seq: u64, marks: &[v1::MemberMark]) -> Vec<Effect> {
        let author = self.items().iter().find(|item| item.seq == seq).map(|item| item.author.get());
        let asked = marks.iter().filter(|it| it.joined_seq < seq && Some(it.account) != author);
        let (read, not_yet): (Vec<_>, Vec<_>) = asked.partition(|mark| mark.seq >= seq);
        let names = |marks: &[&v1::MemberMark]| {
            let members = self.members().iter();
            let named = members.filter(|member| marks.iter().any(|it| it.account == member.account.get()));
            named.map(|member| member.name.clone()).collect::<Vec<_>>().join("\n")
        };
        let (read, not_yet) = (&read[..], &not_yet[..]);
        let title = (self.words.read_by)(read.len(), read.len() + not_yet.len());
        let mut lines = vec![(self.words.read.to_owned(), 0, names(read))];
        lines.push((self.words.unread_yet.to_owned(), 0, names(not_yet)));
        self.overlay = Some(Overlay::Sheet(Sheet { title, lines, top: 0 }));
        vec![]
    }

    /// What a message said before, and what it says now.
    pub(super) fn show_versions(&mut self, versions: Vec<(u64, String)>, now: String) -> Vec<Effect> {
        let mut lines: Vec<_> =
            versions.into_iter().map(|(at_ms, text)| (String::new(), at_ms, text)).collect();
        lines.push((self.words.said_now.to_owned(), 0, now));
        let title = self.words.versions.to_owned();
        self.overlay = Some(Overlay::Sheet(Sheet { title, lines, top: 0 }));
        vec![]
    }
}
