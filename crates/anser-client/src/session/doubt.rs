//! What is held of a conversation and may be void: facts were missed that may have changed it.

use anser_model::ConversationId;
use anser_model::limits::PAGE_MESSAGES;
use anser_proto::v1;

use crate::session::ranges::Ranges;

/// Runs of held facts that are right as of some n, and to be asked about before they are shown.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Doubt {
    runs: Ranges,
    /// Every one of them is right as of this n.
    right_n: u64,
}

impl Doubt {
    /// The runs.
    pub fn runs(&self) -> &Ranges {
        &self.runs
    }

    /// Whether a seq is in doubt.
    pub fn contains(&self, seq: u64) -> bool {
        self.runs.contains(seq)
    }

    /// `low..=high` is right as of `right_n`, and perhaps no longer.
    pub fn raise(&mut self, low: u64, high: u64, right_n: u64) {
        self.right_n = if self.runs.is_empty() { right_n } else { self.right_n.min(right_n) };
        self.runs.insert(low, high);
    }

    /// `low..=high` is in doubt no more.
    pub fn clear(&mut self, low: u64, high: u64) {
        self.runs.remove(low, high);
    }

    /// Whether everything that changed after `n` is everything that can have changed.
    pub fn is_settled_by(&self, n: u64) -> bool {
        n <= self.right_n
    }

    /// What to ask next: what has changed in the first run.
    pub fn question(&self, cid: ConversationId) -> Option<v1::GetPage> {
        let &(low, high) = self.runs.islands().first()?;
        let high = high.min(low.saturating_add(PAGE_MESSAGES as u64 - 1));
        Some(v1::GetPage {
            r#in: Some(v1::Target::cid(cid)),
            after_seq: low.saturating_sub(1),
            before_seq: high.saturating_add(1),
            limit: PAGE_MESSAGES as u32,
            changed_after_n: self.right_n,
            ..v1::GetPage::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_n_counts_and_runs_are_asked_about_in_pages() {
        let mut doubt = Doubt::default();
        let cid = ConversationId([1; 16]);
        assert_eq!(doubt.question(cid), None);
        doubt.raise(5, 300, 40);
        doubt.raise(400, 401, 30);
        doubt.raise(600, 601, 50);
        let asked = |doubt: &Doubt| {
            doubt.question(cid).map(|page| (page.after_seq, page.before_seq, page.changed_after_n))
        };
        assert_eq!(asked(&doubt), Some((4, 205, 30)));
        assert!(doubt.is_settled_by(30) && !doubt.is_settled_by(40));
        doubt.clear(5, 204);
        assert_eq!(asked(&doubt), Some((204, 301, 30)));
        doubt.clear(0, 700);
        assert_eq!(asked(&doubt), None);
        doubt.raise(1, 2, 90);
        assert_eq!(asked(&doubt), Some((0, 3, 90)), "what is settled does not hold it back");
    }
}
