//! Messages as they stand: each edit and recall read off again, from the first on.

use anser_model::limits::{VERSIONS_BYTES, VERSIONS_KEPT};
use anser_model::{
    AccountId, Change, ConversationFact, Edits, Message, N, Rewrite, Rewritten, Seq, UnixMillis, Version,
};

use super::conversation::PlainConversation;

/// One fact that rewrote a message.
#[derive(Debug, Clone)]
pub(super) struct PlainRewrite {
    /// Its n.
    pub n: N,
    /// Its seq.
    pub by: Seq,
    /// When it was, and what the message says since; nothing: it was recalled.
    pub edit: Option<(UnixMillis, Message)>,
}

impl PlainConversation {
    /// The sequenced fact at a seq as it stands in the end, under the n that its row carries.
    pub fn standing(&self, seq: Seq) -> Option<(N, ConversationFact)> {
        self.stood(seq, N(u64::MAX))
    }

    /// The same as an account may be shown it, as of some n.
    pub fn shown(&self, account: AccountId, seq: Seq, as_of: N) -> Option<(N, ConversationFact)> {
        let (n, mut fact) = self.stood(seq, as_of)?;
        if let Some(Rewritten { by, what: what @ Rewrite::Edited(_), .. }) = fact.rewritten.as_deref_mut()
            && !self.may_see(account, *by)
        {
            *what = Rewrite::Withheld;
            say_nothing(&mut fact);
        }
        Some((n, fact))
    }

    /// The sequenced fact at a seq as it stood as of some n: a rewritten message under the n of what
    /// rewrote it last; an edit itself names its message alone.
    pub fn stood(&self, seq: Seq, as_of: N) -> Option<(N, ConversationFact)> {
        let (own_n, mut fact) = self.fact(seq)?.clone();
        if let Change::Edited { stands, .. } = &mut fact.change {
            *stands = None;
        }
        let so_far = self.rewrites.get(&seq).map(Vec::as_slice).unwrap_or_default();
        let so_far = &so_far[..so_far.partition_point(|rewrite| rewrite.n <= as_of)];
        let Some(last) = so_far.last() else { return Some((own_n, fact)) };
        let what = match &last.edit {
            None => {
                say_nothing(&mut fact);
                Rewrite::Recalled
            }
            Some((at, _)) => {
                let versions = say_anew(seq, &mut fact, so_far);
                Rewrite::Edited(Edits { at: *at, times: so_far.len() as u32, versions })
            }
        };
        fact.rewritten = Some(Box::new(Rewritten { by: last.by, n: own_n, what }));
        Some((last.n, fact))
    }

    /// The message at a seq as it would stand, were it edited at `at` to say this.
    pub fn as_if_edited(&mut self, seq: Seq, at: UnixMillis, said: &Message) -> Option<ConversationFact> {
        let by = Seq(self.head().0 + 1);
        let edit = PlainRewrite { n: N(u64::MAX), by, edit: Some((at, said.clone())) };
        self.rewrites.entry(seq).or_default().push(edit);
        self.standing(seq).map(|(_, fact)| fact)
    }

    pub(super) fn is_recalled(&self, seq: Seq) -> bool {
        self.rewrites.get(&seq).is_some_and(|all| all.iter().any(|rewrite| rewrite.edit.is_none()))
    }
}

fn say_nothing(fact: &mut ConversationFact) {
    if let Change::MessageSent(message) = &mut fact.change {
        let said = std::mem::take(message);
        (message.kind, message.uncounted) = (said.kind, said.uncounted);
    }
}

/// Has a message say what the last of these edits says; what it said before, the newest of it.
fn say_anew(seq: Seq, fact: &mut ConversationFact, edits: &[PlainRewrite]) -> Vec<Version> {
    let Change::MessageSent(message) = &mut fact.change else { return Vec::new() };
    let version =
        |by, at, said: &Message| Version { by, at, text: said.text.clone(), body: said.body.clone() };
    let mut all = vec![version(seq, fact.at, message)];
    for edit in edits {
        let Some((at, said)) = &edit.edit else { continue };
        all.push(version(edit.by, *at, said));
        message.text.clone_from(&said.text);
        message.body.clone_from(&said.body);
        message.mentions.clone_from(&said.mentions);
        message.mention_all = said.mention_all;
    }
    all.pop();
    let fit = |kept: &[Version]| {
        let bytes: usize = kept.iter().map(|it| it.text.len() + it.body.len()).sum();
        kept.len() <= VERSIONS_KEPT && bytes <= VERSIONS_BYTES
    };
    while !fit(&all) {
        all.remove(0);
    }
    all
}
