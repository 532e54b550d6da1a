//! What every [`Log`] must do, as a suite that each adapter runs against itself.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use anser_model::{N, Reign, Slot, Timeline};
use bytes::Bytes;

use super::log::{AppendError, Log, LogError, SlotHead};
use crate::record::{Record, RecordHeader};

/// How the suite gets at a log.
pub trait LogFactory {
    /// The timeline of the log that [`LogFactory::open`] opens; records must carry it.
    fn timeline(&self) -> Timeline;

    /// Opens the log: empty the first time, and after that with everything that was acknowledged.
    /// The suite drops the log it had before it asks again.
    fn open(&self) -> Arc<dyn Log>;
}

/// Runs the whole suite; `fresh` gives a factory of an empty log for every case.
///
/// # Panics
/// When the adapter breaks the port's promise, with the case in the message.
pub fn check_log(fresh: &mut dyn FnMut() -> Box<dyn LogFactory>) {
    an_empty_log_has_256_heads_and_no_ruler(&*fresh());
    n_is_contiguous_and_a_wrong_one_is_refused(&*fresh());
    only_the_reign_in_force_may_append(&*fresh());
    an_opening_counts_only_after_the_reign_it_names(&*fresh());
    several_appends_under_way_land_in_order(&*fresh());
    a_refused_record_does_not_disturb_the_others(&*fresh());
    a_read_begins_with_the_record_that_holds_n(&*fresh());
    a_read_is_limited_and_goes_on_where_it_ended(&*fresh());
    slots_do_not_see_one_another(&*fresh());
    everything_acknowledged_is_there_after_reopening(&*fresh());
    what_is_trimmed_is_out_of_range_and_nothing_else_is(&*fresh());
}

/// Polls a future to its end on this thread. For tests and tools: a driver has a runtime.
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

const A: Slot = Slot(3);
const B: Slot = Slot(255);
const FIRST: Reign = Reign(11);
const SECOND: Reign = Reign(22);

fn payload(slot: Slot, n: u64, bytes: usize) -> Bytes {
    (0..bytes as u64).map(|at| (at ^ n.wrapping_mul(31) ^ u64::from(slot.0)) as u8).collect()
}

/// A factory's log, with records made for its timeline.
struct Subject {
    log: Arc<dyn Log>,
    timeline: Timeline,
}

impl Subject {
    fn open(factory: &dyn LogFactory) -> Self {
        Subject { log: factory.open(), timeline: factory.timeline() }
    }

    fn batch(&self, slot: Slot, reign: Reign, first: u64, count: u32) -> Record {
        self.sized(slot, reign, first, count, 40)
    }

    fn sized(&self, slot: Slot, reign: Reign, first: u64, count: u32, bytes: usize) -> Record {
        let header = RecordHeader {
            timeline: self.timeline,
            slot,
            reign,
            opens_after: None,
            first_n: N(first),
            count,
            must_understand: false,
        };
        Record { header, payload: payload(slot, first, bytes) }
    }

    fn opening(&self, slot: Slot, after: Reign, reign: Reign, n: u64) -> Record {
        let mut record = self.batch(slot, reign, n, 1);
        record.header.opens_after = Some(after);
        record
    }

    fn append(&self, record: Record) -> Result<(), AppendError> {
        block_on(self.log.append(record))
    }

    fn must_append(&self, record: &Record) {
        let outcome = self.append(record.clone());
        assert_eq!(outcome, Ok(()), "a record that follows is appended: {:?}", record.header);
    }

    fn must_be_fenced(&self, record: Record, in_force: Reign, last: u64) {
        let header = record.header;
        let fenced = AppendError::Fenced { slot: header.slot, in_force, last: N(last) };
        assert_eq!(self.append(record), Err(fenced), "a record that does not follow: {header:?}");
    }

    fn head(&self, slot: Slot) -> SlotHead {
        let heads = block_on(self.log.heads()).expect("heads are readable");
        assert_eq!(heads.len(), Slot::COUNT, "every slot has a head");
        assert!(heads.iter().zip(Slot::all()).all(|(head, slot)| head.slot == slot), "in slot order");
        heads[slot.index()]
    }

    fn read(&self, slot: Slot, from: u64, limit_bytes: usize) -> Vec<Record> {
        block_on(self.log.read(slot, N(from), limit_bytes)).expect("what is there can be read")
    }

    fn must_hold(&self, slot: Slot, expected: &[Record]) {
        assert_eq!(self.read(slot, 1, usize::MAX), expected, "slot {slot} holds what was appended");
        let last = expected.last().expect("something was appended").header;
        let head = SlotHead { slot, first: N(1), last: last.last_n(), reign: last.reign };
        assert_eq!(self.head(slot), head, "the head is that of the last record");
    }
}

fn an_empty_log_has_256_heads_and_no_ruler(factory: &dyn LogFactory) {
    let subject = Subject::open(factory);
    for slot in Slot::all() {
        let expected = SlotHead { slot, first: N(1), last: N(0), reign: Reign(0) };
        assert_eq!(subject.head(slot), expected);
    }
    assert_eq!(subject.read(A, 1, usize::MAX), []);
    subject.must_be_fenced(subject.batch(A, FIRST, 1, 1), Reign(0), 0);
}

fn n_is_contiguous_and_a_wrong_one_is_refused(factory: &dyn LogFactory) {
    let subject = Subject::open(factory);
    let records = [
        subject.opening(A, Reign(0), FIRST, 1),
        subject.batch(A, FIRST, 2, 5),
        subject.batch(A, FIRST, 7, 1),
    ];
    records.iter().for_each(|record| subject.must_append(record));
    for wrong in [1, 2, 7, 9, 100] {
        subject.must_be_fenced(subject.batch(A, FIRST, wrong, 2), FIRST, 7);
    }
    subject.must_hold(A, &records);
}

fn only_the_reign_in_force_may_append(factory: &dyn LogFactory) {
    let subject = Subject::open(factory);
    let records = [
        subject.opening(A, Reign(0), FIRST, 1),
        subject.batch(A, FIRST, 2, 2),
        subject.opening(A, FIRST, SECOND, 4),
        subject.batch(A, SECOND, 5, 1),
    ];
    records.iter().for_each(|record| subject.must_append(record));
    subject.must_be_fenced(subject.batch(A, FIRST, 6, 1), SECOND, 5);
    subject.must_be_fenced(subject.batch(A, Reign(0), 6, 1), SECOND, 5);
    subject.must_hold(A, &records);
}

fn an_opening_counts_only_after_the_reign_it_names(factory: &dyn LogFactory) {
    let subject = Subject::open(factory);
    subject.must_be_fenced(subject.opening(A, FIRST, SECOND, 1), Reign(0), 0);
    let first = subject.opening(A, Reign(0), FIRST, 1);
    subject.must_append(&first);
    subject.must_be_fenced(subject.opening(A, Reign(0), SECOND, 2), FIRST, 1);
    subject.must_be_fenced(subject.opening(A, SECOND, Reign(33), 2), FIRST, 1);
    subject.must_be_fenced(subject.opening(A, FIRST, FIRST, 2), FIRST, 1);
    subject.must_be_fenced(subject.opening(A, FIRST, SECOND, 3), FIRST, 1);
    let second = subject.opening(A, FIRST, SECOND, 2);
    subject.must_append(&second);
    subject.must_hold(A, &[first, second]);
}

fn several_appends_under_way_land_in_order(factory: &dyn LogFactory) {
    const RECORDS: u64 = 200;
    let subject = Subject::open(factory);
    let mut expected = [Vec::new(), Vec::new()];
    let mut under_way = Vec::new();
    for n in 1..=RECORDS {
        for (slot, expected) in [A, B].into_iter().zip(&mut expected) {
            let record = match n {
                1 => subject.opening(slot, Reign(0), FIRST, 1),
                n => subject.batch(slot, FIRST, n, 1),
            };
            expected.push(record.clone());
            under_way.push(subject.log.append(record));
        }
    }
    // Polled backwards: order is that of the calls.
    for append in under_way.into_iter().rev() {
        assert_eq!(block_on(append), Ok(()));
    }
    subject.must_hold(A, &expected[0]);
    subject.must_hold(B, &expected[1]);
}

fn a_refused_record_does_not_disturb_the_others(factory: &dyn LogFactory) {
    let subject = Subject::open(factory);
    let good = [
        subject.opening(A, Reign(0), FIRST, 1),
        subject.opening(B, Reign(0), FIRST, 1),
        subject.batch(A, FIRST, 2, 3),
        subject.batch(B, FIRST, 2, 1),
    ];
    let appends = [
        subject.log.append(good[0].clone()),
        subject.log.append(good[1].clone()),
        subject.log.append(subject.batch(A, SECOND, 2, 1)),
        subject.log.append(good[2].clone()),
        subject.log.append(subject.batch(A, FIRST, 2, 1)),
        subject.log.append(good[3].clone()),
        subject.log.append(subject.batch(B, FIRST, 4, 1)),
    ];
    let outcomes: Vec<bool> = appends.into_iter().map(|append| block_on(append).is_ok()).collect();
    assert_eq!(outcomes, [true, true, false, true, false, true, false]);
    subject.must_hold(A, &[good[0].clone(), good[2].clone()]);
    subject.must_hold(B, &[good[1].clone(), good[3].clone()]);
}

fn a_read_begins_with_the_record_that_holds_n(factory: &dyn LogFactory) {
    let subject = Subject::open(factory);
    let records = [
        subject.opening(A, Reign(0), FIRST, 1),
        subject.batch(A, FIRST, 2, 10),
        subject.batch(A, FIRST, 12, 4),
    ];
    records.iter().for_each(|record| subject.must_append(record));
    for (from, skipped) in [(1, 0), (2, 1), (6, 1), (11, 1), (12, 2), (15, 2), (16, 3), (1_000, 3)] {
        assert_eq!(subject.read(A, from, usize::MAX), &records[skipped..], "from n {from}");
    }
}

fn a_read_is_limited_and_goes_on_where_it_ended(factory: &dyn LogFactory) {
    let subject = Subject::open(factory);
    let mut expected = vec![subject.opening(A, Reign(0), FIRST, 1)];
    expected.extend((2..60).map(|n| subject.sized(A, FIRST, n, 1, 500)));
    expected.iter().for_each(|record| subject.must_append(record));
    let mut read = Vec::new();
    while read.len() < expected.len() {
        let from = read.last().map_or(1, |last: &Record| last.header.last_n().next().0);
        let some = subject.read(A, from, 1_200);
        assert!(!some.is_empty(), "at least one record where one is there");
        assert!(some.len() <= 4, "about as many bytes as were asked for");
        read.extend(some);
    }
    assert_eq!(read, expected);
    assert_eq!(subject.read(A, 1, 0), &expected[..1], "one even where no byte is allowed");
}

fn slots_do_not_see_one_another(factory: &dyn LogFactory) {
    let subject = Subject::open(factory);
    let (mut expected, mut last) = (vec![Vec::new(); 7], [0; 7]);
    for round in 0..140u64 {
        let slot = Slot((round * 3 % 7) as u8);
        let first = last[slot.index()] + 1;
        let record = match first {
            1 => subject.opening(slot, Reign(0), Reign(100 + round), 1),
            _ => {
                let reign = expected[slot.index()].last().map(|record: &Record| record.header.reign);
                subject.batch(slot, reign.expect("opened"), first, 1 + (round % 4) as u32)
            }
        };
        last[slot.index()] = record.header.last_n().0;
        subject.must_append(&record);
        expected[slot.index()].push(record);
    }
    for (slot, expected) in Slot::all().zip(&expected) {
        subject.must_hold(slot, expected);
    }
    assert_eq!(subject.head(Slot(7)).last, N(0));
}

fn everything_acknowledged_is_there_after_reopening(factory: &dyn LogFactory) {
    let mut expected = Vec::new();
    for life in 1..=4u64 {
        let subject = Subject::open(factory);
        let last = expected.last().map_or(0, |record: &Record| record.header.last_n().0);
        assert_eq!(subject.head(A).last, N(last));
        let opening = subject.opening(A, Reign(life - 1), Reign(life), last + 1);
        let batch = subject.sized(A, Reign(life), last + 2, 3, 700);
        subject.must_append(&opening);
        subject.must_append(&batch);
        expected.extend([opening, batch]);
        subject.must_hold(A, &expected);
        subject.must_be_fenced(subject.batch(A, Reign(life - 1), last + 5, 1), Reign(life), last + 4);
    }
    Subject::open(factory).must_hold(A, &expected);
}

fn what_is_trimmed_is_out_of_range_and_nothing_else_is(factory: &dyn LogFactory) {
    const LAST: u64 = 300;
    const BELOW: u64 = 250;
    let subject = Subject::open(factory);
    let mut expected = vec![subject.opening(A, Reign(0), FIRST, 1)];
    expected.extend((2..=LAST).map(|n| subject.sized(A, FIRST, n, 1, 400)));
    let appends: Vec<_> = expected.iter().map(|record| subject.log.append(record.clone())).collect();
    assert!(appends.into_iter().all(|append| block_on(append).is_ok()));

    assert_eq!(block_on(subject.log.trim(vec![(A, N(BELOW))])), Ok(()));
    let first = check_trimmed(&subject, &expected, BELOW);
    // Trimming further back than before changes nothing.
    assert_eq!(block_on(subject.log.trim(vec![(A, N(2))])), Ok(()));
    assert_eq!(check_trimmed(&subject, &expected, BELOW), first);

    drop(subject);
    let subject = Subject::open(factory);
    assert_eq!(check_trimmed(&subject, &expected, BELOW), first, "what is gone stays gone");
    let more = subject.batch(A, FIRST, LAST + 1, 1);
    subject.must_append(&more);
    // Everything may go: the head stays, and n goes on.
    assert_eq!(block_on(subject.log.trim(vec![(A, N(LAST + 2))])), Ok(()));
    let head = subject.head(A);
    assert_eq!((head.last, head.reign), (N(LAST + 1), FIRST));
    assert!(head.first <= N(LAST + 2));
    subject.must_append(&subject.batch(A, FIRST, LAST + 2, 1));
}

/// Everything from `first` on is there, everything below it is out of range. Returns `first`.
fn check_trimmed(subject: &Subject, appended: &[Record], below: u64) -> N {
    let head = subject.head(A);
    assert!(head.first <= N(below), "nothing from the asked n on is forgotten");
    assert_eq!(head.last, appended.last().expect("not empty").header.last_n());
    let kept: Vec<_> =
        appended.iter().filter(|record| record.header.first_n >= head.first).cloned().collect();
    assert_eq!(subject.read(A, head.first.0, usize::MAX), kept);
    if head.first > N(1) {
        let asked = N(head.first.0 - 1);
        let error = LogError::OutOfRange { slot: A, asked, first: head.first };
        assert_eq!(block_on(subject.log.read(A, asked, usize::MAX)), Err(error));
    }
    head.first
}
