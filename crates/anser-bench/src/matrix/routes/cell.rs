//! One asker at one operation: what it asks, and what is right to answer.

use anser_proto::ErrorCode;
use serde_json::{Value, json};

use super::super::actors::{Actor, Asker, holds, leaks_in};
use super::super::answers::{Audience, Expected};
use super::super::http::{Ask, HttpAnswer};
use super::super::players::{Device, PASSWORD, make_admin};
use super::super::scene::Scene;
use super::super::stage::Stage;
use super::Door;

/// One asker at one operation.
pub struct Cell<'a, 's> {
    /// Where it is played.
    pub stage: &'a mut Stage<'s>,
    /// Who asks.
    pub asker: Asker,
    /// What it proves itself with.
    pub bearer: Option<String>,
    /// The conversation that it is about, if it is about one.
    pub scene: Option<Scene>,
    /// Who may hear of what it does there.
    pub audience: Audience,
    operation: &'static str,
    /// Statuses that the document lists.
    statuses: &'a [u16],
}

impl<'a, 's> Cell<'a, 's> {
    /// About no conversation yet.
    pub fn new(
        stage: &'a mut Stage<'s>,
        operation: &'static str,
        asker: Asker,
        door: Door,
        statuses: &'a [u16],
    ) -> Cell<'a, 's> {
        let bearer = stage.bearer(asker, door);
        Cell { stage, asker, bearer, scene: None, audience: Audience::Asker, operation, statuses }
    }

    /// The person who asks.
    pub fn actor(&self) -> Option<Actor> {
        self.asker.actor()
    }

    /// Asks for what is to be done; the answer holds these words.
    pub fn allowed(&mut self, what: &str, ask: &Ask, words: &[String]) -> anyhow::Result<Value> {
        let answer = self.ask(what, ask)?;
        self.stage.tally.allowed += 1;
        let is_done = (200..300).contains(&answer.status);
        let lacking = words.iter().find(|word| !holds(&answer.body, word.as_bytes()));
        if !is_done || lacking.is_some() {
            self.wrong(what, &format!("it should be done, and hold {words:?}"), &answer);
        }
        Ok(answer.json())
    }

    /// Asks for what is refused by a named error.
    pub fn refused(&mut self, what: &str, ask: &Ask, code: ErrorCode) -> anyhow::Result<()> {
        let answer = self.ask(what, ask)?;
        self.stage.tally.refused += 1;
        let asks_for_a_token = answer.headers.iter().any(|(name, _)| name == "www-authenticate");
        let is_right = answer.code().as_deref() == Some(code.as_str()) && answer.status >= 400;
        if !is_right || asks_for_a_token != (answer.status == 401) {
            self.wrong(what, &format!("{code:?} was expected"), &answer);
        }
        Ok(())
    }

    /// Asks for what is refused so that nobody could tell whether it is there: as `nothing` is.
    pub fn alike(&mut self, what: &str, ask: &Ask, nothing: &Ask, code: ErrorCode) -> anyhow::Result<()> {
        let answer = self.ask(what, ask)?;
        let of_nothing = self.stage.http.ask(nothing, self.bearer.as_deref())?;
        self.stage.tally.refused += 1;
        if answer.code().as_deref() != Some(code.as_str()) {
            self.wrong(what, &format!("{code:?} was expected"), &answer);
        }
        if !answer.is_same_as(&of_nothing) {
            let (told, of_nothing) = (answer.shown(), of_nothing.shown());
            let line = format!("{}: it is told {told}, of nothing {of_nothing}", self.named(what));
            self.stage.tally.leaks.push(line);
        }
        Ok(())
    }

    /// Asks as of a conversation: by what a frame would be answered.
    pub fn expects(&mut self, ask: &Ask, expected: &Expected, nothing: Ask) -> anyhow::Result<HttpAnswer> {
        let answer = self.ask("", ask)?;
        self.stage.tally.count(expected);
        let number = self.scene.as_ref().map_or(0, |scene| scene.number);
        let is_done = (200..300).contains(&answer.status);
        let is_right = match expected {
            Expected::Accepted => is_done && answer.json()["n"].is_u64(),
            Expected::Own => is_done,
            Expected::Shows(words) | Expected::Clipped(words) => {
                is_done && words.iter().all(|word| holds(&answer.body, format!("{word}{number}").as_bytes()))
            }
            Expected::Refused(code) => answer.code().as_deref() == Some(code.as_str()),
            Expected::AsIfNothing => (answer.status, answer.code().as_deref()) == (404, Some("not_found")),
        };
        if !is_right {
            self.wrong("", &format!("{expected:?} was expected"), &answer);
        }
        if *expected == Expected::AsIfNothing {
            let of_nothing = self.stage.http.ask(&nothing, self.bearer.as_deref())?;
            if !answer.is_same_as(&of_nothing) {
                let (told, of_nothing) = (answer.shown(), of_nothing.shown());
                let line = format!("{}: it is told {told}, of nothing {of_nothing}", self.named(""));
                self.stage.tally.leaks.push(line);
            }
        }
        Ok(answer)
    }

    /// Something is wrong besides the answer.
    pub fn fault(&mut self, what: &str) {
        let line = self.named(what);
        self.stage.tally.wrong.push(line);
    }

    /// Checks that a token or key lets in, or no longer does.
    pub fn lets_in(&mut self, bearer: &str, ask: &Ask, should: bool, what: &str) -> anyhow::Result<()> {
        let answer = self.stage.http.ask(ask, Some(bearer))?;
        let is_in = (200..300).contains(&answer.status);
        if is_in != should || (!should && answer.status != 401) {
            self.wrong(what, &format!("lets in: {should} was expected"), &answer);
        }
        Ok(())
    }

    /// Checks that everybody's first device is still in, whatever was done.
    pub fn everybody_is_still_in(&mut self, what: &str) -> anyhow::Result<()> {
        for actor in Actor::ALL {
            let token = self.stage.players.of(actor).device.token.clone();
            self.lets_in(&token, &Ask::get("/profile"), true, &format!("{what}: {actor:?}"))?;
        }
        Ok(())
    }

    /// Another device of the person who asks; of the guest where it is nobody.
    pub fn another_device(&mut self) -> anyhow::Result<Device> {
        let handle = match self.actor() {
            Some(actor) => self.stage.players.of(actor).handle.clone(),
            None => super::super::players::GUEST.to_owned(),
        };
        self.stage.http.sign_in(&handle, PASSWORD, "another device")
    }

    /// A new account, which whoever asks may risk: an administrator's is one.
    pub fn understudy(&mut self) -> anyhow::Result<(String, Device)> {
        let handle = format!("understudy-{}", self.stage.next_number());
        let device = self.stage.http.register(&handle, "device")?;
        if self.actor() == Some(Actor::Administrator) {
            make_admin(self.stage.server, &handle)?;
        }
        Ok((handle, device))
    }

    /// A client id that nobody has used, as the API writes it.
    pub fn client_id(&mut self) -> Value {
        json!(super::framed::uuid(&self.stage.players.line(Actor::Owner).client_id()))
    }

    /// An id that nobody and nothing has.
    pub fn unknown_id(&mut self) -> u64 {
        self.stage.random.bits() >> 1 | 1
    }

    fn ask(&mut self, what: &str, ask: &Ask) -> anyhow::Result<HttpAnswer> {
        let answer = self.stage.http.ask(ask, self.bearer.as_deref())?;
        let what = self.named(what);
        let headers = format!("{:?}", answer.headers);
        for heard in [headers.as_bytes(), &answer.body] {
            for word in leaks_in(self.actor(), heard) {
                self.stage.tally.leaks.push(format!("{what}: it is told {word:?}"));
            }
        }
        if !self.statuses.contains(&answer.status) {
            let line = format!("{what}: the document does not list the status of {}", answer.shown());
            self.stage.tally.wrong.push(line);
        }
        self.stage.listen(&what, self.asker, self.scene.as_ref(), self.audience)?;
        Ok(answer)
    }

    fn wrong(&mut self, what: &str, should: &str, answer: &HttpAnswer) {
        let line = format!("{}: {should}, and the answer is {}", self.named(what), answer.shown());
        self.stage.tally.wrong.push(line);
    }

    fn named(&self, what: &str) -> String {
        let kind = self.scene.as_ref().map(|scene| format!(" of the {:?}", scene.kind)).unwrap_or_default();
        let what = if what.is_empty() { String::new() } else { format!(", {what}") };
        format!("{:?} asks {}{kind}{what}", self.asker, self.operation)
    }
}
