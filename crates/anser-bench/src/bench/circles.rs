//! Circles of sockets: the first of each says something, the others count what they are told. The same for the
//! server and for the limit.

use std::collections::VecDeque;
use std::ops::Range;

use anyhow::Context as _;
use tokio::time::Instant;

use crate::load::{Next, Wire};
use crate::raw::frames::{EVENT_KEY, RESPONSE_KEY};
use crate::socket::{self, CLOSE};

/// So many circles of so many sockets.
#[derive(Debug, Clone, Copy)]
pub struct Circles {
    /// How many.
    pub count: usize,
    /// Sockets in each, with the one that says something.
    pub size: usize,
}

impl Circles {
    /// Sockets of all circles.
    pub fn sockets(self) -> usize {
        self.count * self.size
    }

    /// Whether a socket is the one that says something.
    pub fn is_first(self, at: usize) -> bool {
        at.is_multiple_of(self.size)
    }

    /// The others of the circle of its first socket.
    pub fn others(self, first: usize) -> Range<usize> {
        first + 1..first + self.size
    }
}

/// What is said in circles.
pub trait Speaker {
    /// Appends message `number` of a circle.
    fn ask(&mut self, circle: usize, number: u64, out: &mut Vec<u8>);

    /// An answer came to the first of a circle. Whether it is one: else the message was put off.
    ///
    /// # Errors
    /// It is neither.
    fn answer(&mut self, _circle: usize, _payload: &[u8]) -> anyhow::Result<bool> {
        Ok(true)
    }

    /// A socket of a circle was told something.
    ///
    /// # Errors
    /// It is not what was said.
    fn told(&mut self, _circle: usize, _member: usize, _payload: &[u8]) -> anyhow::Result<()> {
        Ok(())
    }
}

impl<A: FnMut(usize, u64, &mut Vec<u8>)> Speaker for A {
    fn ask(&mut self, circle: usize, number: u64, out: &mut Vec<u8>) {
        self(circle, number, out);
    }
}

/// A message is done when everybody was told; whoever is told knows that it is durable.
pub struct Counting<S> {
    circles: Circles,
    /// What is said.
    pub speaker: S,
    asked: Vec<u64>,
    /// By circle: messages that were answered, and such that were put off.
    answered: Vec<u64>,
    put_off: Vec<u64>,
    /// By socket.
    told: Vec<u64>,
    /// By circle: the oldest message that is not done, of those that were not put off, and how many have not been told
    /// it and the ones after it.
    left: Vec<(u64, VecDeque<usize>)>,
}

impl<S: Speaker> Counting<S> {
    /// Nothing was said yet.
    pub fn new(circles: Circles, speaker: S) -> Counting<S> {
        Counting {
            circles,
            speaker,
            asked: vec![0; circles.count],
            answered: vec![0; circles.count],
            put_off: vec![0; circles.count],
            told: vec![0; circles.sockets()],
            left: vec![(0, VecDeque::new()); circles.count],
        }
    }

    /// How many messages of a circle were accepted.
    pub fn accepted(&self, circle: usize) -> u64 {
        self.answered[circle] - self.put_off[circle]
    }

    fn answer(&mut self, at: usize, payload: &[u8], next: &mut Next) -> anyhow::Result<()> {
        let circle = at / self.circles.size;
        self.answered[circle] += 1;
        if self.speaker.answer(circle, payload)? {
            return Ok(());
        }
        // Members are told in order, so what they were told so far counts for the messages before: the newest is the one
        // that nobody was told.
        let newest = self.left[circle].1.pop_back();
        let is_untold = newest.is_none_or(|left| left == self.circles.size - 1);
        anyhow::ensure!(is_untold, "circle {circle} was told what was put off");
        self.put_off[circle] += 1;
        next.put_off.push(at);
        Ok(())
    }

    fn count(&mut self, at: usize, next: &mut Next) -> anyhow::Result<()> {
        let circle = at / self.circles.size;
        let (first, left) = &mut self.left[circle];
        let place = self.told[at].checked_sub(*first).map(|place| place as usize);
        let left_of_it = place.and_then(|place| left.get_mut(place));
        *left_of_it.with_context(|| format!("socket {at} was told more than was said"))? -= 1;
        self.told[at] += 1;
        while left.front() == Some(&0) {
            left.pop_front();
            *first += 1;
            next.done.push(circle * self.circles.size);
        }
        Ok(())
    }
}

impl<S: Speaker> Wire for Counting<S> {
    fn ask(&mut self, at: usize, _now: Instant, out: &mut Vec<u8>) {
        let circle = at / self.circles.size;
        self.speaker.ask(circle, self.asked[circle], out);
        self.asked[circle] += 1;
        self.left[circle].1.push_back(self.circles.size - 1);
    }

    fn take(&mut self, at: usize, _now: Instant, bytes: &[u8], next: &mut Next) -> anyhow::Result<usize> {
        let (circle, member) = (at / self.circles.size, at % self.circles.size);
        let mut taken = 0;
        while let Some(framed) = socket::next_frame(&bytes[taken..]) {
            let payload = &bytes[taken..][framed.start..framed.end];
            taken += framed.end;
            match payload.first() {
                _ if framed.opcode == CLOSE => anyhow::bail!("the server closed connection {at}"),
                Some(&RESPONSE_KEY) if member == 0 => self.answer(at, payload, next)?,
                Some(&EVENT_KEY) if member > 0 => {
                    self.speaker.told(circle, member, payload)?;
                    self.count(at, next)?;
                }
                _ => {}
            }
        }
        Ok(taken)
    }

    fn is_settled(&self) -> bool {
        self.asked == self.answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::frames::frame;

    fn pair_of_circles() -> Counting<fn(usize, u64, &mut Vec<u8>)> {
        let circles = Circles { count: 2, size: 3 };
        assert!(circles.is_first(3) && !circles.is_first(4));
        assert_eq!(circles.others(3), 4..6);
        Counting::new(circles, |_, _, _| {})
    }

    #[test]
    fn a_message_is_done_when_all_were_told() {
        let (mut wire, mut next, now) = (pair_of_circles(), Next::default(), Instant::now());
        let (answer, event) = (frame(20, RESPONSE_KEY), frame(20, EVENT_KEY));
        wire.ask(3, now, &mut Vec::new());
        wire.ask(3, now, &mut Vec::new());
        wire.take(3, now, &answer, &mut next).expect("an answer");
        wire.take(4, now, &event.repeat(2), &mut next).expect("two events");
        assert!(next.done.is_empty());
        assert_eq!(wire.take(5, now, &event, &mut next).expect("an event"), event.len());
        assert_eq!(next.done, [3]);
    }

    #[test]
    fn who_is_told_more_than_was_said_is_noticed() {
        let (mut wire, mut next, now) = (pair_of_circles(), Next::default(), Instant::now());
        wire.ask(0, now, &mut Vec::new());
        assert!(wire.take(1, now, &frame(20, EVENT_KEY).repeat(2), &mut next).is_err());
        assert!(wire.take(4, now, &frame(20, EVENT_KEY), &mut next).is_err(), "of another circle");
    }
}
