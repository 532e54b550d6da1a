//! Where in a segment to look for an n: the heads of all slots at every so many bytes.

use anser_model::{N, Slot};

use super::heads::Heads;

/// Bytes of a stretch, about: what a read of one record checks. Its 4 KiB of heads are below 1 %.
const STRETCH_BYTES: u64 = 512 * 1024;

/// The stretches of one segment, in order.
pub(crate) struct SegmentIndex(Vec<Mark>);

/// Where a stretch begins.
struct Mark {
    offset: u64,
    /// Before the stretch's first record.
    heads: Heads,
}

impl SegmentIndex {
    pub fn new() -> Self {
        SegmentIndex(Vec::new())
    }

    /// Notes that a block begins at `offset`, with `heads` before its records. Called in log order.
    pub fn note(&mut self, offset: u64, heads: &Heads) {
        if self.0.last().is_none_or(|last| offset >= last.offset + STRETCH_BYTES) {
            self.0.push(Mark { offset, heads: heads.clone() });
        }
    }

    /// Where the stretch that holds `n` of `slot` begins, and where the next one does. `None` where n
    /// lies before the first.
    pub fn stretch(&self, slot: Slot, n: N) -> Option<(u64, Option<u64>)> {
        let at = self.0.partition_point(|mark| mark.heads.last(slot) < n).checked_sub(1)?;
        Some((self.0[at].offset, self.0.get(at + 1).map(|next| next.offset)))
    }
}

#[cfg(test)]
mod tests {
    use anser_model::Reign;

    use super::*;

    fn heads(last: u64) -> Heads {
        Heads::from_slots((0..256).map(|slot| (N(if slot == 7 { last } else { 0 }), Reign(1))))
    }

    #[test]
    fn the_stretch_that_holds_an_n_is_the_last_that_begins_before_it() {
        let mut index = SegmentIndex::new();
        for (block, offset) in (8_192..).step_by(128 * 1024).take(12).enumerate() {
            index.note(offset, &heads(10 + block as u64));
        }
        let second = 8_192 + STRETCH_BYTES;
        assert_eq!(index.stretch(Slot(7), N(10)), None);
        assert_eq!(index.stretch(Slot(7), N(11)), Some((8_192, Some(second))));
        assert_eq!(index.stretch(Slot(7), N(14)), Some((8_192, Some(second))));
        assert_eq!(index.stretch(Slot(7), N(15)), Some((second, Some(second + STRETCH_BYTES))));
        assert_eq!(index.stretch(Slot(7), N(99)), Some((second + STRETCH_BYTES, None)));
    }
}
