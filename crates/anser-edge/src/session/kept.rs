//! What a session that does not simply get every event is owed: slots without their heads, events kept back
//! until these have been sent, events that were missed.

use std::collections::{BTreeMap, BTreeSet};

use anser_model::{N, Slot, planted};
use bytes::Bytes;

/// What is kept back from a session. One that is owed nothing has none.
#[derive(Debug, Default)]
pub(super) struct KeptBack {
    /// Which slots owe a sync is not known yet: everything is kept back.
    attaching: bool,
    /// Slots that owe their heads, with the events kept back until then.
    owing: BTreeMap<Slot, Owed>,
    /// What is kept back while `attaching`, in order.
    early: Vec<Early>,
    /// Where events were missed since the last sync was asked for: none are sent.
    missed: Missed,
    bytes: usize,
}

/// What came while it was not known which slots owe a sync.
#[derive(Debug)]
enum Early {
    Event(Slot, N, Bytes),
    /// An answer must not overtake an event with a smaller n: it would move the client's cursor past it.
    Answer(Bytes),
}

/// What is kept back until a slot has answered a sync.
#[derive(Debug)]
struct Owed {
    after: N,
    events: Vec<(N, Bytes)>,
}

/// Where events were missed.
#[derive(Debug, Default, PartialEq, Eq)]
enum Missed {
    #[default]
    Nowhere,
    In(BTreeSet<Slot>),
    Everywhere,
}

impl Missed {
    fn covers(&self, slot: Slot) -> bool {
        match self {
            Missed::Nowhere => false,
            Missed::In(slots) => slots.contains(&slot),
            Missed::Everywhere => true,
        }
    }
}

/// What is to be done with an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Send it.
    Flows,
    /// It is kept back, or of no use before the next sync.
    Taken,
}

impl KeptBack {
    /// Of a session whose sync has been asked for.
    pub(super) fn attaching() -> Self {
        KeptBack { attaching: true, ..KeptBack::default() }
    }

    /// A sync is asked for (again): from here on everything is kept back, as at attach.
    pub(super) fn restart(&mut self) {
        self.attaching = true;
        self.missed = Missed::Nowhere;
        self.owing.clear();
        self.count();
    }

    pub(super) fn is_attaching(&self) -> bool {
        self.attaching
    }

    /// Whether nothing is owed any more.
    pub(super) fn is_settled(&self) -> bool {
        !self.attaching && self.owing.is_empty() && self.missed == Missed::Nowhere
    }

    /// Bytes of the events kept back.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether events of the slot are of no use before the next sync.
    pub(super) fn has_missed(&self, slot: Slot) -> bool {
        self.missed.covers(slot)
    }

    /// What is missed, as a Resync names it: no slots are all of them. `None` if nothing is.
    pub(super) fn missed(&self) -> Option<Vec<u32>> {
        match &self.missed {
            Missed::Nowhere => None,
            Missed::In(slots) => Some(slots.iter().map(|slot| u32::from(slot.0)).collect()),
            Missed::Everywhere => Some(Vec::new()),
        }
    }

    /// Events of these slots were missed; of all, if none is named. Returns whether that is news.
    pub(super) fn miss(&mut self, slots: &[Slot]) -> bool {
        let is_news = match (&mut self.missed, slots) {
            (Missed::Everywhere, _) => false,
            (missed, []) => {
                *missed = Missed::Everywhere;
                true
            }
            (Missed::In(known), slots) => {
                let before = known.len();
                known.extend(slots);
                known.len() > before
            }
            (missed, slots) => {
                *missed = Missed::In(slots.iter().copied().collect());
                true
            }
        };
        let missed = &self.missed;
        self.early.retain(|early| !matches!(early, Early::Event(slot, ..) if missed.covers(*slot)));
        for (slot, owed) in &mut self.owing {
            if missed.covers(*slot) {
                owed.events = Vec::new();
            }
        }
        self.count();
        is_news
    }

    /// Keeps an event back, or lets it go.
    pub(super) fn offer(&mut self, slot: Slot, n: N, bytes: &Bytes) -> Fate {
        if self.missed.covers(slot) {
            return Fate::Taken;
        }
        if planted!(EventsBeforeSync) {
            return Fate::Flows;
        }
        if self.attaching {
            self.early.push(Early::Event(slot, n, bytes.clone()));
        } else if let Some(owed) = self.owing.get_mut(&slot) {
            owed.events.push((n, bytes.clone()));
        } else {
            return Fate::Flows;
        }
        self.bytes += bytes.len();
        Fate::Taken
    }

    /// Keeps an answer behind the events that came before it.
    pub(super) fn keep_answer(&mut self, bytes: Bytes) {
        self.bytes += bytes.len();
        self.early.push(Early::Answer(bytes));
    }

    /// There is no sync after all: everything is missed, but for the answers, which are returned.
    pub(super) fn give_up(&mut self) -> Vec<Bytes> {
        self.attaching = false;
        let early = std::mem::take(&mut self.early).into_iter();
        let answers = early.filter_map(|early| match early {
            Early::Event(..) => None,
            Early::Answer(bytes) => Some(bytes),
        });
        let answers = answers.collect();
        self.miss(&[]);
        answers
    }

    /// The slots that owe a sync are known, and after which n the client wants to know of each. Events of the others flow:
    /// those that were kept back so far and that it does not have are returned, and the answers between them.
    pub(super) fn begin(
        &mut self,
        owing: impl IntoIterator<Item = Slot>,
        after: impl Fn(Slot) -> N,
    ) -> Vec<Bytes> {
        self.attaching = false;
        let owed = |slot| (slot, Owed { after: after(slot), events: Vec::new() });
        self.owing = owing.into_iter().map(owed).collect();
        let mut free = Vec::new();
        for early in std::mem::take(&mut self.early) {
            match early {
                Early::Event(slot, n, bytes) => match self.owing.get_mut(&slot) {
                    Some(owed) => owed.events.push((n, bytes)),
                    None if n > after(slot) => free.push(bytes),
                    None => {}
                },
                Early::Answer(bytes) => free.push(bytes),
            }
        }
        self.count();
        free
    }

    /// The slots that owe their heads, with the n after which.
    pub(super) fn owing(&self) -> impl Iterator<Item = (Slot, N)> {
        self.owing.iter().map(|(&slot, owed)| (slot, owed.after))
    }

    /// After which n a slot owes its heads, if it does.
    pub(super) fn owed_after(&self, slot: Slot) -> Option<N> {
        self.owing.get(&slot).map(|owed| owed.after)
    }

    /// A slot that owed its heads has answered up to `n`: the events above it follow them.
    pub(super) fn settle(&mut self, slot: Slot, n: N) -> Vec<Bytes> {
        let owed = self.owing.remove(&slot).expect("only a slot that owes is settled");
        self.bytes -= owed.events.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        owed.events.into_iter().filter(|&(event_n, _)| event_n > n).map(|(_, bytes)| bytes).collect()
    }

    fn count(&mut self) {
        let early = self.early.iter().map(|(Early::Event(_, _, bytes) | Early::Answer(bytes))| bytes.len());
        let owed = self.owing.values().flat_map(|owed| &owed.events).map(|(_, bytes)| bytes.len());
        self.bytes = early.chain(owed).sum();
    }
}
