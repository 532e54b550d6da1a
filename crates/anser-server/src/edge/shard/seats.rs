//! The table of a shard: its seats by session, and its sessions by account.

use std::collections::HashMap;

use anser_edge::{Session, Table};
use anser_model::AccountId;

use super::super::presence::Watchers;
use super::seat::Seat;

/// Bits of a session's id that are its place; those above make it one that was never used before.
const PLACE_BITS: u32 = 20;
/// Seats of one shard at most.
pub(super) const SEATS_MAX: usize = 1 << PLACE_BITS;

/// Everybody on a shard.
#[derive(Default)]
pub(super) struct Seats {
    places: Vec<Place>,
    free: Vec<u32>,
    accounts: HashMap<AccountId, Sessions>,
    /// Places that have something to write.
    dirty: Vec<u32>,
    signed_in: usize,
    next_serial: u64,
}

#[derive(Default)]
struct Place {
    /// Of the session that is here, or was here last.
    session: u64,
    seat: Option<Box<Seat>>,
}

/// The places of an account's sessions. Nearly everybody has one.
enum Sessions {
    One(u32),
    Several(Vec<u32>),
}

impl Sessions {
    fn places(&self) -> &[u32] {
        match self {
            Sessions::One(place) => std::slice::from_ref(place),
            Sessions::Several(places) => places,
        }
    }
}

impl Seats {
    /// The id that the next session gets, if there is a place for it.
    pub fn next_session(&mut self) -> Option<u64> {
        let place = match self.free.pop() {
            Some(place) => place,
            None if self.places.len() < SEATS_MAX => {
                self.places.push(Place::default());
                (self.places.len() - 1) as u32
            }
            None => return None,
        };
        self.next_serial += 1;
        let session = self.next_serial << PLACE_BITS | u64::from(place);
        self.places[place as usize].session = session;
        Some(session)
    }

    /// Puts a connection into the place of its session's id.
    pub fn put(&mut self, seat: Seat) {
        let place = &mut self.places[place_of(seat.session.id())];
        assert!(place.seat.is_none() && place.session == seat.session.id(), "a place is for one session");
        place.seat = Some(Box::new(seat));
    }

    pub fn get(&mut self, session: u64) -> Option<&mut Seat> {
        let place = self.places.get_mut(place_of(session))?;
        if place.session == session { place.seat.as_deref_mut() } else { None }
    }

    /// Takes a connection out. Whether it was the last one of its account here.
    pub fn remove(&mut self, session: u64) -> Option<(Box<Seat>, bool)> {
        let index = place_of(session);
        let place = self.places.get_mut(index).filter(|place| place.session == session)?;
        let seat = place.seat.take()?;
        self.free.push(index as u32);
        let is_last = seat.session.entered().is_some_and(|grant| self.leave(grant.account, index as u32));
        Some((seat, is_last))
    }

    /// A session of the account is here. Whether it is the only one.
    pub fn enter(&mut self, account: AccountId, session: u64) -> bool {
        let place = place_of(session) as u32;
        self.signed_in += 1;
        match self.accounts.get_mut(&account) {
            None => {
                self.accounts.insert(account, Sessions::One(place));
                true
            }
            Some(sessions) => {
                let places = [sessions.places(), &[place]].concat();
                *sessions = Sessions::Several(places);
                false
            }
        }
    }

    fn leave(&mut self, account: AccountId, place: u32) -> bool {
        let Some(sessions) = self.accounts.get_mut(&account) else { return false };
        let mut places = sessions.places().to_vec();
        let before = places.len();
        places.retain(|&known| known != place);
        self.signed_in -= before - places.len();
        match places[..] {
            [] => _ = self.accounts.remove(&account),
            [place] => *sessions = Sessions::One(place),
            _ => *sessions = Sessions::Several(places),
        }
        !self.accounts.contains_key(&account)
    }

    /// A session has something to write.
    pub fn mark(&mut self, session: u64) {
        let index = place_of(session);
        if let Some(place) = self.places.get_mut(index).filter(|place| place.session == session)
            && let Some(seat) = &mut place.seat
            && !seat.is_dirty
        {
            seat.is_dirty = true;
            self.dirty.push(index as u32);
        }
    }

    /// Takes those that have something to write.
    pub fn take_dirty(&mut self, into: &mut Vec<u64>) {
        let Seats { places, dirty, .. } = self;
        into.extend(dirty.drain(..).filter_map(|index| {
            let place = &mut places[index as usize];
            place.seat.as_mut()?.is_dirty = false;
            Some(place.session)
        }));
    }

    /// The sessions of everybody here.
    pub fn all(&self) -> Vec<u64> {
        self.places.iter().filter(|place| place.seat.is_some()).map(|place| place.session).collect()
    }

    pub fn signed_in(&self) -> usize {
        self.signed_in
    }
}

fn place_of(session: u64) -> usize {
    (session & (SEATS_MAX as u64 - 1)) as usize
}

/// The sessions of a shard, while something is delivered to them.
pub(super) struct Here<'a> {
    pub seats: &'a mut Seats,
    pub watchers: &'a mut Watchers,
    /// Of whom nobody here wants to know any more.
    pub unwatched: &'a mut Vec<AccountId>,
}

impl Table for Here<'_> {
    fn each_of(&mut self, account: AccountId, except: Option<u64>, with: &mut dyn FnMut(&mut Session)) {
        let Seats { places, accounts, dirty, .. } = &mut *self.seats;
        for &index in accounts.get(&account).map_or(&[][..], Sessions::places) {
            let place = &mut places[index as usize];
            let Some(seat) = place.seat.as_mut().filter(|_| Some(place.session) != except) else { continue };
            with(&mut seat.session);
            if !seat.is_dirty {
                seat.is_dirty = true;
                dirty.push(index);
            }
        }
    }

    fn each_watching(&mut self, account: AccountId, with: &mut dyn FnMut(&mut Session) -> bool) {
        for session in self.watchers.of(account) {
            let Some(seat) = self.seats.get(session) else { continue };
            if with(&mut seat.session) {
                self.seats.mark(session);
            } else if self.watchers.forget_one(session, account) {
                self.unwatched.push(account);
            }
        }
    }
}
