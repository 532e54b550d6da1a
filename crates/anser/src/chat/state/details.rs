//! Messages elsewhere and before: forwarding one or several, what an edited one said, what a transcript holds.

use anser_proto::v1::Target;

use super::{Effect, State};
use crate::chat::kinds::Thing;
use crate::chat::overlay::{Forwarded, Overlay, Purpose, Sheet};

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

    pub(super) fn begin_forward(&mut self) -> Vec<Effect> {
        let (Some(cid), Some(open)) = (self.open_cid(), &self.open) else { return vec![] };
        let mut seqs = open.marked.clone();
        if seqs.is_empty() {
            let chosen = self.chosen().filter(|item| item.seq > 0 && item.said().is_some());
            seqs.extend(chosen.map(|item| item.seq));
        }
        if seqs.is_empty() {
            return vec![];
        }
        seqs.sort_unstable();
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
