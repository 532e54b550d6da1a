//! Frames from a client, one after the other: most go to the core without waiting for anything.

use anser_core::engine::{Answer, HomeView, Query};
use anser_model::{AccountId, Actor, Command, ConversationId, N, Refusal, Slot, UnixMillis};
use anser_proto::v1::client_frame::Request;
use anser_proto::v1::response::Result as Wire;
use anser_proto::{Encoding, ErrorCode, v1, wire};

use super::Session;
use super::attach::Cursor;
use crate::admission::{self, Class};
use crate::convert::{self, Wanted};
use crate::{Effect, Question, Shell};

/// Accounts in one request for profiles, and conversations in one for heads.
const ASKED_AT_ONCE: usize = 200;
/// Bytes of heads in one answer.
const LIST_BYTES: usize = 512 * 1024;
/// What draining tells clients to wait.
pub const RECONNECT_AFTER_MS: u64 = 1_000;

/// What a session asked for, to be gone on with when the answer comes.
#[derive(Debug)]
pub(super) enum Waiting {
    /// A hello: whose token it is.
    Token(Greeting),
    /// A hello: what the home keeps.
    Welcome(Greeting),
    /// A sync: the same.
    Sync { id: u64, cursor: Cursor },
    /// A command: whether those whom it names exist.
    Existing { id: u64, command: Command },
    /// Profiles.
    Profiles { id: u64 },
    /// A list of conversations: in which slots there are any.
    ListHome { id: u64 },
    /// A list of conversations: the heads of each slot, or of each conversation.
    List(Listing),
}

/// A hello that was found right.
#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) id: u64,
    pub(super) version: u32,
    pub(super) send_only: bool,
    pub(super) cursor: Cursor,
}

/// A list of conversations that is being gathered.
#[derive(Debug)]
pub(super) struct Listing {
    id: u64,
    /// The conversations that were named, in whose order they are answered; none: all, by slot.
    named: Vec<ConversationId>,
    heads: Vec<v1::Head>,
    /// Where each of them belongs in the answer.
    places: Vec<usize>,
    /// How many answers are still to come.
    left: usize,
    /// The first that was none.
    error: Option<v1::Error>,
}

impl Listing {
    /// Takes what a core told.
    fn take(&mut self, answer: Result<Answer, Refusal>) {
        self.left -= 1;
        let error = match answer {
            Ok(Answer::Heads { slot, heads, .. }) => {
                let place = |cid| self.named.iter().position(|named| *named == cid).unwrap_or(slot.index());
                self.places.extend(heads.iter().map(|head| place(head.cid)));
                return self.heads.extend(heads.iter().map(convert::head));
            }
            // Of a conversation that was named and is not there.
            Err(Refusal::NotFound) => return,
            Ok(_) => convert::error(&Refusal::Unavailable),
            Err(refusal) => convert::error(&refusal),
        };
        self.error.get_or_insert(error);
    }

    /// The heads in their order, in which they nearly always came: they are large.
    fn ordered(self) -> Vec<v1::Head> {
        if self.places.is_sorted() {
            return self.heads;
        }
        let mut placed: Vec<_> = self.places.into_iter().zip(self.heads).collect();
        placed.sort_by_key(|(place, _)| *place);
        placed.into_iter().map(|(_, head)| head).collect()
    }
}

fn bad(why: String) -> v1::Error {
    v1::Error::new(ErrorCode::BadValue, why)
}

/// What a home said.
pub(super) fn home(answer: Result<Answer, Refusal>) -> Result<HomeView, v1::Error> {
    match answer {
        Ok(Answer::Home(home)) => Ok(home),
        Ok(_) => Err(convert::error(&Refusal::Unavailable)),
        Err(refusal) => Err(convert::error(&refusal)),
    }
}

impl Session {
    /// Takes one frame. What it leads to is answered later, or queued.
    pub(super) fn frame(
        &mut self,
        encoding: Encoding,
        frame: Result<v1::ClientFrame, v1::Error>,
        now: UnixMillis,
        shell: &dyn Shell,
        effects: &mut Vec<Effect>,
    ) {
        assert!(!self.is_busy(), "no frame is taken while another one waits");
        if self.is_closing() {
            return;
        }
        if self.attached.is_none() {
            self.json = encoding == Encoding::Json;
        }
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return self.refuse_and_close(0, error, shell),
        };
        if frame.id == 0 {
            let error = v1::Error::new(ErrorCode::BadRequestId, "a request id is above 0");
            return self.refuse(0, error, shell);
        }
        let id = frame.id;
        let Some(request) = frame.request else {
            let why = "the frame holds no request that this version knows";
            return self.refuse(id, v1::Error::new(ErrorCode::UnknownRequest, why), shell);
        };
        match (self.actor(), request) {
            (None, Request::Hello(hello)) => {
                let greeted =
                    self.admit(Class::Keep, shell).and_then(|()| self.hello(id, hello, shell, effects));
                if let Err(error) = greeted {
                    self.refuse_and_close(id, error, shell);
                }
            }
            (None, _) => {
                let why = "the first frame of a connection is hello";
                self.refuse_and_close(id, v1::Error::new(ErrorCode::HelloRequired, why), shell);
            }
            (Some(_), Request::Hello(_)) => {
                self.refuse(id, v1::Error::new(ErrorCode::HelloRepeated, "already attached"), shell);
            }
            (Some(_), _) if shell.is_draining() => {
                let error = v1::Error::new(ErrorCode::Draining, "the server is stopping: connect again");
                self.refuse(id, error.after_ms(RECONNECT_AFTER_MS), shell);
            }
            (Some(actor), request) => {
                if let Err(error) = self.request(id, actor, request, now, shell, effects) {
                    self.refuse(id, error, shell);
                }
            }
        }
    }

    fn request(
        &mut self,
        id: u64,
        actor: Actor,
        request: Request,
        now: UnixMillis,
        shell: &dyn Shell,
        effects: &mut Vec<Effect>,
    ) -> Result<(), v1::Error> {
        let reply = self.reply_to(id, shell);
        let wanted = convert::wanted(actor, request)?;
        self.admit(Class::of(&wanted), shell)?;
        self.charge(actor.account, admission::weight(&wanted), shell)?;
        match wanted {
            Wanted::Command(command) => {
                let named = convert::named_accounts(&command);
                if named.is_empty() || shell.known_to_exist(&named) {
                    effects.push(Effect::Command { reply, command });
                } else {
                    self.wait(Waiting::Existing { id, command });
                    effects.push(Effect::Ask(Question::Missing(named)));
                }
            }
            Wanted::Query(cid, query) => effects.push(Effect::Query { slot: shell.slot(cid), reply, query }),
            Wanted::Other(Request::Ping(v1::Ping {})) => {
                self.push_result(id, Wire::Pong(v1::Pong { server_time_ms: now.0 }), shell);
            }
            Wanted::Other(Request::Sync(sync)) => self.sync(id, actor.account, sync, shell, effects)?,
            Wanted::Other(Request::GetProfiles(asked)) => {
                if asked.accounts.len() > ASKED_AT_ONCE {
                    let count = asked.accounts.len();
                    return Err(bad(format!("accounts: at most {ASKED_AT_ONCE}, not {count}")));
                }
                let accounts: Vec<_> = asked.accounts.into_iter().map(AccountId).collect();
                if let Some(profiles) = shell.known_profiles(&accounts) {
                    self.push_result(id, Wire::ProfileList(v1::ProfileList { profiles }), shell);
                } else {
                    self.wait(Waiting::Profiles { id });
                    effects.push(Effect::Ask(Question::Profiles(accounts)));
                }
            }
            Wanted::Other(Request::GetConversations(asked)) => {
                self.list(id, actor.account, asked, shell, effects)?;
            }
            Wanted::Other(_) => {
                let why = "this server does not know the request";
                return Err(v1::Error::new(ErrorCode::UnknownRequest, why));
            }
        }
        Ok(())
    }

    /// Whether there is time for it.
    fn admit(&mut self, class: Class, shell: &dyn Shell) -> Result<(), v1::Error> {
        let admitted = admit(class, shell);
        self.put_off |= admitted.is_err();
        admitted
    }

    /// Whether it may ask so much: the session, and all sessions of the account together.
    fn charge(&mut self, account: AccountId, weight: u32, shell: &dyn Shell) -> Result<(), v1::Error> {
        let attached = self.attached.as_mut().expect("only who is attached is charged");
        let (rate, now_ms) = (shell.terms().session_rate, shell.monotonic_ms());
        let taken = attached.quota.take(weight, rate, now_ms);
        taken.and_then(|()| shell.charge(account, weight)).map_err(|retry_after_ms| {
            self.put_off = true;
            let why = "too much was asked at once: ask again after retry_after_ms";
            v1::Error::new(ErrorCode::RateLimited, why).after_ms(retry_after_ms)
        })
    }

    /// Whether those whom the waiting command names exist.
    pub(super) fn existing(
        &mut self,
        missing: Result<Vec<AccountId>, v1::Error>,
        shell: &dyn Shell,
        effects: &mut Vec<Effect>,
    ) {
        let Waiting::Existing { id, command } = self.waited() else {
            unreachable!("only a command asks who exists")
        };
        let error = match missing.as_deref() {
            Ok([]) => {
                let reply = self.reply_to(id, shell);
                return effects.push(Effect::Command { reply, command });
            }
            Ok([first, ..]) => v1::Error::new(ErrorCode::NotFound, format!("there is no account {first}")),
            Err(error) => error.clone(),
        };
        self.refuse(id, error, shell);
    }

    pub(super) fn profiles(&mut self, profiles: Result<Vec<v1::Profile>, v1::Error>, shell: &dyn Shell) {
        let Waiting::Profiles { id } = self.waited() else {
            unreachable!("only a request for profiles asks for them")
        };
        match profiles {
            Ok(profiles) => self.push_result(id, Wire::ProfileList(v1::ProfileList { profiles }), shell),
            Err(error) => self.refuse(id, error, shell),
        }
    }

    /// What a core told, to whatever waited for it.
    pub(super) fn told(
        &mut self,
        answer: Result<Answer, Refusal>,
        now: UnixMillis,
        shell: &dyn Shell,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(Waiting::List(listing)) = self.waiting.as_deref_mut() {
            listing.take(answer);
            return if listing.left == 0 {
                self.listed(shell)
            };
        }
        let (id, error) = match self.waited() {
            Waiting::Welcome(greeting) => {
                let id = greeting.id;
                if let Err(error) = self.welcome(greeting, answer, now, shell, effects) {
                    self.refuse_and_close(id, error, shell);
                }
                return;
            }
            Waiting::Sync { id, cursor } => match home(answer) {
                Ok(home) => return self.sync_started(id, home.slots, &cursor, shell, effects),
                Err(error) => return self.sync_refused(id, error, shell),
            },
            Waiting::ListHome { id } => match home(answer) {
                Ok(home) => return self.list_all(id, home.slots, shell, effects),
                Err(error) => (id, error),
            },
            Waiting::List(_) | Waiting::Token(_) | Waiting::Existing { .. } | Waiting::Profiles { .. } => {
                unreachable!("a core is not asked who people are")
            }
        };
        self.refuse(id, error, shell);
    }

    fn list(
        &mut self,
        id: u64,
        account: AccountId,
        asked: v1::GetConversations,
        shell: &dyn Shell,
        effects: &mut Vec<Effect>,
    ) -> Result<(), v1::Error> {
        if asked.cids.len() > ASKED_AT_ONCE {
            return Err(bad(format!("cids: at most {ASKED_AT_ONCE}, not {}", asked.cids.len())));
        }
        if asked.cids.is_empty() {
            self.wait(Waiting::ListHome { id });
            effects.push(ask_home(account, shell));
            return Ok(());
        }
        let named =
            asked.cids.iter().map(|cid| wire::cid(cid).map_err(|error| bad(format!("cids: {error}"))));
        let named = named.collect::<Result<Vec<_>, _>>()?;
        let heads = named.iter().map(|&cid| (shell.slot(cid), Query::Head { account, cid })).collect();
        self.list_those(id, named, heads, shell, effects);
        Ok(())
    }

    fn list_all(&mut self, id: u64, slots: Vec<Slot>, shell: &dyn Shell, effects: &mut Vec<Effect>) {
        let account = self.account().expect("a list is for somebody who is attached");
        let changes = |slot| (slot, Query::Changes { account, after: N(0) });
        self.list_those(id, Vec::new(), slots.into_iter().map(changes).collect(), shell, effects);
    }

    /// Asks for all heads of a list at once.
    fn list_those(
        &mut self,
        id: u64,
        named: Vec<ConversationId>,
        heads: Vec<(Slot, Query)>,
        shell: &dyn Shell,
        effects: &mut Vec<Effect>,
    ) {
        let (left, error) = (heads.len(), None);
        let asks = heads.into_iter().map(|(slot, query)| Effect::AskCore { slot, query });
        effects.extend(asks);
        let (heads, places) = (Vec::with_capacity(left), Vec::with_capacity(left));
        self.wait(Waiting::List(Listing { id, named, heads, places, left, error }));
        if left == 0 {
            self.listed(shell);
        }
    }

    /// Answers with a list that is whole.
    fn listed(&mut self, shell: &dyn Shell) {
        let Waiting::List(mut listing) = self.waited() else { unreachable!("only a list is listed") };
        let id = listing.id;
        if let Some(error) = listing.error.take() {
            return self.refuse(id, error, shell);
        }
        let list = v1::ConversationList { heads: listing.ordered() };
        if prost::Message::encoded_len(&list) > LIST_BYTES {
            let why =
                "cids: all conversations do not fit into one answer: attach or sync for all, or name some";
            return self.refuse(id, bad(why.into()), shell);
        }
        self.push_result(id, Wire::ConversationList(list), shell);
    }

    pub(super) fn push_result(&mut self, id: u64, result: Wire, shell: &dyn Shell) {
        self.push_frame(&v1::ServerFrame::response(id, result), shell);
    }
}

/// Whether there is time for a request of this class.
pub(super) fn admit(class: Class, shell: &dyn Shell) -> Result<(), v1::Error> {
    let admitted = admission::admit(class, shell.queueing_delay_ms());
    admitted.map_err(|retry_after_ms| convert::error(&Refusal::Overloaded).after_ms(retry_after_ms))
}

/// Asks what the account's home keeps.
pub(super) fn ask_home(account: AccountId, shell: &dyn Shell) -> Effect {
    let cid = ConversationId::of_self(account);
    Effect::AskCore { slot: shell.slot(cid), query: Query::Home { cid } }
}
