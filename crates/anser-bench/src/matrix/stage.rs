//! Where the cells are played: everybody, what they heard, and what came of it.

use anser_proto::v1::{self, client_frame::Request};
use bytes::Bytes;

use super::actors::{Actor, Asker, Kind, Scope, Seat, holds, leaks_in};
use super::answers::Audience;
use super::frames::{self, Named};
use super::http::Http;
use super::players::{Credentials, People, Players};
use super::routes::Door;
use super::scene::Scene;
use super::tally::Tally;
use crate::random::Random;
use crate::server::Server;

/// Everything that a cell works with.
pub struct Stage<'a> {
    /// The server.
    pub server: &'a Server,
    /// Everybody.
    pub players: Players,
    /// What lets in, and what does not.
    pub credentials: Credentials,
    /// How requests over HTTP go.
    pub http: Http,
    /// What the cells came to.
    pub tally: Tally,
    /// For ids that nothing has.
    pub random: Random,
    /// Rows that are played, by their names; none: all.
    only: Vec<String>,
    number: usize,
}

impl<'a> Stage<'a> {
    /// On a server, with everybody there.
    pub fn new(
        server: &'a Server,
        (players, credentials): People,
        only: &[String],
        random: Random,
    ) -> Stage<'a> {
        let http = Http::new(server.address().authority());
        Stage {
            server,
            players,
            credentials,
            http,
            tally: Tally::default(),
            random,
            only: only.to_vec(),
            number: 0,
        }
    }

    /// Whether a row is played.
    pub fn plays(&self, row: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == row)
    }

    /// Plays what happened before a cell.
    ///
    /// # Errors
    /// The server does not take part.
    pub fn set(&mut self, kind: Kind) -> anyhow::Result<Scene> {
        self.number += 1;
        self.players.set(kind, self.number)
    }

    /// A number that tells this cell's words and names apart from all others'.
    pub fn next_number(&mut self) -> usize {
        self.number += 1;
        self.number
    }

    /// One of each request in somebody's name.
    pub fn requests(&mut self, cid: &Bytes, scene: &Scene, actor: Actor) -> Vec<Request> {
        let other = if actor == Actor::Newcomer { Actor::Member } else { Actor::Newcomer };
        let named = Named { member: self.players.account(other), guest: self.players.guest.account };
        let line = self.players.line(actor);
        frames::requests(cid, scene, named, || line.client_id())
    }

    /// The id of a conversation that does not exist.
    pub fn nowhere(&mut self) -> Bytes {
        (0..2).flat_map(|_| self.random.bits().to_be_bytes()).collect()
    }

    /// What an asker proves itself with at a door.
    pub fn bearer(&self, asker: Asker, door: Door) -> Option<String> {
        let credentials = &self.credentials;
        let text = match (asker, door) {
            (Asker::Person(actor), _) => &self.players.of(actor).device.token,
            (Asker::NoToken, _) => return None,
            (Asker::ExpiredToken, _) => &credentials.expired,
            (Asker::RevokedDevice, _) => &credentials.revoked.token,
            (Asker::DeactivatedAccount, _) => &credentials.deactivated.token,
            (Asker::FittingKey, Door::Key(scope)) => credentials.key_for(scope),
            (Asker::FittingKey, _) => &credentials.key,
            (Asker::UnfittingKey, Door::Key(scope)) => credentials.key_without(scope),
            (Asker::UnfittingKey, _) => credentials.key_for(Scope::Accounts),
            (Asker::RevokedKey, _) => &credentials.revoked_key,
        };
        Some(text.to_owned())
    }

    /// Searches what everybody heard since, over their connections, for what is not theirs.
    ///
    /// # Errors
    /// A connection is gone.
    pub fn listen(
        &mut self,
        what: &str,
        asker: Asker,
        scene: Option<&Scene>,
        audience: Audience,
    ) -> anyhow::Result<()> {
        // Whatever was told to anybody is out once the owner has been answered after it.
        self.players.line(Actor::Owner).ask(Request::Ping(v1::Ping {}))?;
        for listener in Actor::ALL {
            let heard = self.players.line(listener).hears()?;
            for word in leaks_in(Some(listener), &heard) {
                self.tally.leaks.push(format!("{what}: {listener:?} hears {word:?}"));
            }
            let Some(scene) = scene.filter(|scene| holds(&heard, &scene.cid)) else { continue };
            let is_told = match (scene.kind.seat(listener), audience) {
                (Seat::Outside, _) => false,
                _ if asker == Asker::Person(listener) => true,
                (_, Audience::Asker) | (Seat::Former, Audience::Members) => false,
                (_, Audience::Members | Audience::FormerToo) => true,
            };
            if !is_told {
                self.tally.leaks.push(format!("{what}: {listener:?} hears of it"));
            }
        }
        Ok(())
    }
}
