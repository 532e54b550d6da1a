//! What was appended and what became of it: the truth that a recovered log is compared with.

use std::collections::BTreeMap;

use anser_core::ports::log::{AppendError, LogError};
use anser_core::record::Record;
use anser_embedded::log::SteppedLog;
use anser_model::{N, Reign, Slot, Timeline};

use super::finding::{Breach, Finding};

/// The senders' side of the log.
#[derive(Clone, Default)]
pub(crate) struct Ledger {
    timeline: Option<Timeline>,
    slots: BTreeMap<Slot, Line>,
}

#[derive(Clone, Default)]
struct Line {
    /// Acknowledged, or seen after a recovery: must be there from now on. In order, from n 1.
    kept: Vec<Record>,
    /// Of unknown fate: a prefix of these may be there.
    maybe: Vec<Record>,
    /// What was asked to be forgotten below.
    floor: N,
}

/// What of the disk may explain an append's failure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Excuse {
    /// A fault has struck.
    pub struck: bool,
    /// The log had not failed before the append began.
    pub was_whole: bool,
}

impl Line {
    fn head(&self) -> (N, Reign) {
        let last = self.maybe.last().or(self.kept.last());
        last.map_or((N(0), Reign(0)), |record| (record.header.last_n(), record.header.reign))
    }
}

impl Ledger {
    /// Last n and reign in force of a slot, as far as the appender knows.
    pub fn head(&self, slot: Slot) -> (N, Reign) {
        self.slots.get(&slot).map_or((N(0), Reign(0)), Line::head)
    }

    /// Notes that everything below `n` may go.
    pub fn may_forget(&mut self, slot: Slot, n: N) {
        let line = self.slots.entry(slot).or_default();
        line.floor = line.floor.max(n);
    }

    /// How many records must be there.
    pub fn kept(&self) -> usize {
        self.slots.values().map(|line| line.kept.len()).sum()
    }

    /// Compares what the log answered with what it had to answer, and notes it.
    pub fn note(
        &mut self,
        records: &[Record],
        outcomes: &[Result<(), AppendError>],
        excuse: Excuse,
    ) -> Result<(), Finding> {
        assert_eq!(records.len(), outcomes.len(), "one outcome for each record");
        for (record, outcome) in records.iter().zip(outcomes) {
            let line = self.slots.entry(record.header.slot).or_default();
            let (last, reign) = line.head();
            let follows = record.header.follows(reign, last);
            let misjudged = || {
                Err(Finding::new(
                    Breach::Misjudged,
                    format!("{:?} after n {last}: {outcome:?}", record.header),
                ))
            };
            match outcome {
                Ok(()) if !follows || !line.maybe.is_empty() => return misjudged(),
                Ok(()) => line.kept.push(record.clone()),
                Err(AppendError::Fenced { .. }) if follows => return misjudged(),
                Err(AppendError::Fenced { .. }) => {}
                // Promised: nothing landed, nor will it.
                Err(AppendError::NoSpace(_)) if excuse.struck => {}
                Err(AppendError::Broken(_)) if excuse.struck => {
                    if follows && excuse.was_whole {
                        line.maybe.push(record.clone());
                    }
                }
                Err(_) => return misjudged(),
            }
        }
        Ok(())
    }

    /// Compares the log with the ledger. What turns out to be there must be there from now on, and
    /// what does not, never.
    pub fn check(&mut self, log: &SteppedLog) -> Result<(), Finding> {
        if *self.timeline.get_or_insert(log.timeline()) != log.timeline() {
            return Err(Finding::new(Breach::Lost, "the log began another timeline"));
        }
        let nothing = Line::default();
        for head in log.heads() {
            let line = self.slots.get(&head.slot).unwrap_or(&nothing);
            if head.first > line.floor.max(N(1)) {
                let what = format!("slot {} begins at n {}, floor {}", head.slot, head.first, line.floor);
                return Err(Finding::new(Breach::Lost, what));
            }
            if line.kept.is_empty() && line.maybe.is_empty() && head.last > N(0) {
                return Err(Finding::new(Breach::Invented, format!("slot {} is not empty", head.slot)));
            }
        }
        for (&slot, line) in &mut self.slots {
            line.check(slot, log)?;
        }
        Ok(())
    }

    /// Compares what was read of a slot from `from` on, as far as the reader wanted.
    pub fn check_part(&self, slot: Slot, from: N, read: &[Record]) -> Result<(), Finding> {
        let kept = self.slots.get(&slot).map_or(&[][..], |line| &line.kept);
        let rest = &kept[kept.partition_point(|record| record.header.last_n() < from)..];
        if read.is_empty() != rest.is_empty() || !rest.starts_with(read) {
            let what = format!("slot {slot}, read from n {from} on, is not what was appended");
            return Err(Finding::new(Breach::Altered, what));
        }
        Ok(())
    }

    /// For a log whose medium was damaged: every answer is an error or the truth. Whether one was an error.
    pub fn check_honest(&self, log: &SteppedLog) -> Result<bool, Finding> {
        let mut told = false;
        for (&slot, line) in &self.slots {
            let first = log.heads()[slot.index()].first;
            let Ok(read) = log.read(slot, first, usize::MAX) else {
                told = true;
                continue;
            };
            let kept: Vec<&Record> =
                line.kept.iter().filter(|record| record.header.first_n >= first).collect();
            if kept.iter().copied().eq(&read) {
                continue;
            }
            // Without its end, and nobody was told: cut away as if it had never been durable.
            let breach = match kept.iter().copied().take(read.len()).eq(&read) {
                true => Breach::Undetected,
                false => Breach::Altered,
            };
            return Err(Finding::new(breach, format!("slot {slot} serves other than was appended")));
        }
        Ok(told)
    }
}

impl Line {
    fn check(&mut self, slot: Slot, log: &SteppedLog) -> Result<(), Finding> {
        let head = log.heads()[slot.index()];
        let read = log
            .read(slot, head.first, usize::MAX)
            .map_err(|error| Finding::new(Breach::Refused, format!("slot {slot} cannot be read: {error}")))?;
        let trimmed = self.kept.partition_point(|record| record.header.first_n < head.first);
        let maybe = std::mem::take(&mut self.maybe);
        let mut expected = self.kept[trimmed..].iter().chain(&maybe);
        let mut seen = 0;
        for record in &read {
            let Some(right) = expected.next() else {
                return Err(self.explain(slot, record, "after all that was appended"));
            };
            if record != right {
                return Err(self.explain(
                    slot,
                    record,
                    &format!("where n {} was appended", right.header.first_n),
                ));
            }
            seen += 1;
        }
        let kept = self.kept.len() - trimmed;
        if seen < kept {
            let lost = &self.kept[trimmed + seen].header;
            let what = format!("slot {slot}: n {} of {} was acknowledged", lost.first_n, lost.reign);
            return Err(Finding::new(Breach::Lost, what));
        }
        self.kept.extend(maybe.into_iter().take(seen - kept));
        if (head.last, head.reign) != self.head() {
            return Err(Finding::new(
                Breach::Misjudged,
                format!("slot {slot}: {head:?} is not its last record's"),
            ));
        }
        if head.first > N(1) {
            let below = log.read(slot, N(head.first.0 - 1), usize::MAX);
            if !matches!(below, Err(LogError::OutOfRange { first, .. }) if first == head.first) {
                return Err(Finding::new(
                    Breach::Misjudged,
                    format!("slot {slot}: trimmed, yet not out of range"),
                ));
            }
        }
        Ok(())
    }

    fn explain(&self, slot: Slot, record: &Record, place: &str) -> Finding {
        let header = &record.header;
        let breach = match self.kept.iter().filter(|kept| kept.header == *header).count() {
            0 => Breach::Invented,
            _ if self.kept.iter().any(|kept| kept == record) => Breach::Duplicated,
            _ => Breach::Altered,
        };
        Finding::new(breach, format!("slot {slot}: n {} of {} {place}", header.first_n, header.reign))
    }
}
