//! What the answer to each kind of request does.

use anser_proto::v1::{self, response::Result as Answered};
use anser_proto::{ErrorCode, Retry, wire};

use crate::session::command::{Command, Lane, Query};
use crate::session::cursor::SlotSet;
use crate::session::exchange::{Answer, Failure, Update};
use crate::session::queries::{Asker, Asking};
use crate::session::{Asked, Keep, Session, Turn};

impl Session {
    pub(super) fn response(&mut self, turn: &mut Turn, response: v1::Response) {
        // An answer nobody waits for: a fault told without a request, or a command that its echo
        // settled.
        let Some(request) = self.in_flight.remove(&response.id) else { return };
        let result = response.result;
        match request.asked {
            Asked::Hello => match result {
                Some(Answered::Welcome(welcome)) => self.greeted(turn, Ok(welcome)),
                other => self.greeted(turn, Err(error_of(other))),
            },
            Asked::Ping => {}
            Asked::Sync(asked) => match result {
                Some(Answered::SyncStarted(started)) => self.sync_started(turn, asked, Ok(started)),
                other => self.sync_started(turn, asked, Err(error_of(other))),
            },
            Asked::Command(order) => match result {
                Some(Answered::Accepted(accepted)) => self.accepted(turn, order, accepted, None),
                other => self.refused(turn, order, error_of(other)),
            },
            Asked::Mark(lane) => match result {
                Some(Answered::Accepted(accepted)) => self.mark_accepted(turn, lane, &accepted),
                other => self.mark_refused(turn, lane, error_of(other)),
            },
            Asked::Delivered(lane) => match result {
                Some(Answered::Accepted(accepted)) => {
                    self.observe(accepted.slot, accepted.n);
                    self.delivered.marks.finish(lane);
                }
                other => self.delivered_refused(turn, lane, &error_of(other)),
            },
            Asked::Query(asking) => match answer_of(&asking.query, result) {
                Ok(answer) => self.learned(turn, asking, answer),
                Err(error) => self.query_refused(turn, asking, error),
            },
        }
    }

    /// A command took effect: its answer came, or it was seen as a fact, which tells what stands there now.
    pub(super) fn accepted(
        &mut self,
        turn: &mut Turn,
        order: u64,
        accepted: v1::Accepted,
        seen: Option<&v1::Event>,
    ) {
        self.observe(accepted.slot, accepted.n);
        let Some(entry) = self.outbox.remove(order) else { return };
        self.forget_saved(turn, order, entry.client_id);
        // What was rewritten since stands under the n of what rewrote it: folded as if it had just been sent, it
        // would vouch for everything below that n. The head or page that shows it takes it in.
        let rewritten = |seen: &v1::Event| match &seen.change {
            Some(v1::event::Change::Message(it)) => it.recalled || it.withheld || it.edits > 0,
            _ => false,
        };
        if let (Command::Send(send), Some(account)) = (&entry.command, self.account)
            && !seen.is_some_and(rewritten)
            && self.config.keep > Keep::Nothing
            && !self.config.send_only
        {
            let fact = seen.cloned().unwrap_or_else(|| v1::Event {
                slot: accepted.slot,
                n: accepted.n,
                cid: accepted.cid.clone(),
                at_ms: accepted.at_ms,
                author: account.get(),
                client_id: wire::client_id_bytes(entry.client_id),
                seq: accepted.seq,
                ordinal: accepted.ordinal,
                author_profile_version: 0,
                change: send.message.clone().map(v1::event::Change::Message),
            });
            self.fold(turn, &fact);
        }
        turn.answer(entry.ticket, Ok(Answer::Accepted(accepted.clone())));
        turn.tell(Update::Sent { client_id: entry.client_id, accepted });
        self.tell_pending(turn, entry.lane);
    }

    fn refused(&mut self, turn: &mut Turn, order: u64, error: v1::Error) {
        match error.retry() {
            Retry::Never => self.fail(turn, order, error),
            Retry::Resync => {
                self.fail(turn, order, error);
                self.want_resync();
            }
            Retry::SameId => {
                let until_ms = self.retry_at_ms(turn, &error, self.outbox.refusals(order));
                self.outbox.put_off(order, until_ms);
            }
            Retry::Reauthenticate => {
                self.outbox.requeue(order);
                self.reauthenticate(turn, &error);
            }
            Retry::Reconnect => {
                self.outbox.requeue(order);
                self.drop_link(turn, error.retry_after_ms);
            }
        }
    }

    /// A command is refused for good: the next one of its lane goes on. A person's message stays to be
    /// seen.
    pub(super) fn fail(&mut self, turn: &mut Turn, order: u64, error: v1::Error) {
        let Some(entry) = self.outbox.get(order) else { return };
        let (client_id, lane, ticket) = (entry.client_id, entry.lane, entry.ticket);
        let is_send = matches!(entry.command, Command::Send(_));
        if is_send && self.config.keep == Keep::Everything {
            for gone in self.outbox.keep_failed(order, error.clone()) {
                self.forget_saved(turn, gone.order, gone.client_id);
            }
            self.unsaved.outbox.insert(order);
        } else {
            self.outbox.remove(order);
            self.forget_saved(turn, order, client_id);
        }
        turn.answer(ticket, Err(Failure::Refused(error.clone())));
        turn.tell(Update::Failed { client_id, error });
        self.tell_pending(turn, lane);
    }

    fn mark_accepted(&mut self, turn: &mut Turn, lane: Lane, accepted: &v1::Accepted) {
        self.observe(accepted.slot, accepted.n);
        for ticket in self.marks.finish(lane) {
            turn.answer(Some(ticket), Ok(Answer::Accepted(accepted.clone())));
        }
    }

    fn mark_refused(&mut self, turn: &mut Turn, lane: Lane, error: v1::Error) {
        match error.retry() {
            Retry::SameId => {
                let until_ms = self.retry_at_ms(turn, &error, self.marks.refusals(lane));
                self.marks.put_off(lane, until_ms);
            }
            Retry::Reauthenticate => {
                self.marks.put_off(lane, 0);
                self.reauthenticate(turn, &error);
            }
            Retry::Reconnect => {
                self.marks.put_off(lane, 0);
                self.drop_link(turn, error.retry_after_ms);
            }
            Retry::Never | Retry::Resync => {
                if error.retry() == Retry::Resync {
                    self.want_resync();
                }
                for ticket in self.marks.finish(lane) {
                    turn.answer(Some(ticket), Err(Failure::Refused(error.clone())));
                }
            }
        }
    }

    /// Nobody waits for it: what is refused for good is let be.
    fn delivered_refused(&mut self, turn: &mut Turn, lane: Lane, error: &v1::Error) {
        let until_ms = match error.retry() {
            Retry::SameId => self.retry_at_ms(turn, error, self.delivered.marks.refusals(lane)),
            Retry::Reauthenticate | Retry::Reconnect => 0,
            Retry::Never | Retry::Resync => {
                self.delivered.marks.finish(lane);
                return;
            }
        };
        self.delivered.marks.put_off(lane, until_ms);
        match error.retry() {
            Retry::Reauthenticate => self.reauthenticate(turn, error),
            Retry::Reconnect => self.drop_link(turn, error.retry_after_ms),
            Retry::SameId | Retry::Never | Retry::Resync => {}
        }
    }

    /// A question was answered.
    fn learned(&mut self, turn: &mut Turn, asking: Asking, answer: Answer) {
        match (&answer, &asking.query) {
            (Answer::Page(page), Query::Page(asked)) => self.take_page(turn, asked, page),
            (Answer::Accepted(accepted), _) => self.observe(accepted.slot, accepted.n),
            (Answer::Profiles(list), _) if self.config.keep > Keep::Nothing => {
                let newer = self.profiles.learn(list.profiles.iter().cloned());
                self.persist(turn, crate::store::Change::Profiles(list.profiles.clone()));
                turn.tell(Update::Profiles(newer));
            }
            (Answer::Conversations(list), _) => {
                for head in &list.heads {
                    self.take_head(turn, head.clone());
                }
            }
            _ => {}
        }
        if let (Answer::Presences(list), Asker::Presence(cid)) = (&answer, &asking.asker) {
            self.present(turn, *cid, list);
        }
        if let Asker::Application(ticket) = asking.asker {
            turn.answer(Some(ticket), Ok(answer));
        }
    }

    fn take_page(&mut self, turn: &mut Turn, asked: &v1::GetPage, page: &v1::Page) {
        for event in &page.events {
            self.settle_by_echo(turn, event);
        }
        if self.config.keep < Keep::Everything {
            return;
        }
        let Ok(cid) = wire::cid(&page.cid) else { return };
        let Some(conversation) = self.conversations.get_mut(&cid) else { return };
        conversation.take_page(asked, page);
        if conversation.recheck().is_some() {
            self.rechecks_wanted.insert(cid);
        }
        let mut shown = page.events.clone();
        if asked.changed_after_n > 0 {
            // What proved right is shown, and kept, again.
            let between = asked.after_seq.saturating_add(1)..asked.before_seq;
            shown = conversation.facts().filter(|event| between.contains(&event.seq)).cloned().collect();
        }
        for event in &page.events {
            self.profiles.saw(anser_model::AccountId(event.author), event.author_profile_version);
        }
        self.persist_facts(turn, cid, &shown);
        turn.tell(Update::Conversation(cid));
    }

    fn query_refused(&mut self, turn: &mut Turn, mut asking: Asking, error: v1::Error) {
        match error.retry() {
            // By the time that it could be asked again nobody would miss it.
            Retry::SameId if matches!(asking.query, Query::Typing(_)) => {
                if let Asker::Application(ticket) = asking.asker {
                    turn.answer(Some(ticket), Err(Failure::Refused(error)));
                }
            }
            Retry::SameId => {
                asking.not_before_ms = self.retry_at_ms(turn, &error, asking.refusals);
                asking.refusals = asking.refusals.saturating_add(1);
                self.queries.put_back(asking);
            }
            Retry::Reauthenticate => {
                self.queries.put_back(asking);
                self.reauthenticate(turn, &error);
            }
            Retry::Reconnect => {
                self.queries.put_back(asking);
                self.drop_link(turn, error.retry_after_ms);
            }
            Retry::Never | Retry::Resync => {
                if error.retry() == Retry::Resync {
                    self.want_resync();
                }
                match asking.asker {
                    Asker::Application(ticket) => turn.answer(Some(ticket), Err(Failure::Refused(error))),
                    Asker::Recheck(cid) => {
                        if let Some(conversation) = self.conversations.get_mut(&cid) {
                            conversation.forget_doubted();
                        }
                    }
                    Asker::Presence(cid) => self.presences.give_up(cid),
                    Asker::Profiles | Asker::Heads | Asker::Gap(_) => {}
                }
            }
        }
    }

    fn want_resync(&mut self) {
        self.resync = SlotSet::ALL;
        self.cursor.add_owing(SlotSet::ALL);
    }

    /// When to ask again for what was refused for now: what the server asked for, and a jitter that
    /// grows with each refusal.
    fn retry_at_ms(&self, turn: &mut Turn, error: &v1::Error, refusals: u32) -> u64 {
        let jitter_ms = self.link.backoff(refusals, &mut turn.entropy);
        turn.now_ms().saturating_add(error.retry_after_ms).saturating_add(jitter_ms)
    }
}

/// The error in an answer that is none of those expected.
fn error_of(result: Option<Answered>) -> v1::Error {
    match result {
        Some(Answered::Error(error)) => error,
        _ => v1::Error::new(ErrorCode::Internal, "the answer is not one to this request"),
    }
}

fn answer_of(query: &Query, result: Option<Answered>) -> Result<Answer, v1::Error> {
    match (query, result) {
        (Query::Page(_), Some(Answered::Page(page))) => Ok(Answer::Page(page)),
        (Query::Members(_), Some(Answered::MemberList(list))) => Ok(Answer::Members(list)),
        (Query::Profiles(_), Some(Answered::ProfileList(list))) => Ok(Answer::Profiles(list)),
        (Query::Conversations(_), Some(Answered::ConversationList(list))) => Ok(Answer::Conversations(list)),
        (Query::Versions(_), Some(Answered::VersionList(list))) => Ok(Answer::Versions(list)),
        (Query::Marks(_), Some(Answered::MarkList(list))) => Ok(Answer::Marks(list)),
        (Query::Watch(_), Some(Answered::PresenceList(list))) => Ok(Answer::Presences(list)),
        (Query::Typing(_), Some(Answered::Done(_))) => Ok(Answer::Done),
        (
            Query::MarkUnread(_) | Query::Hide(_) | Query::ClearHistory(_),
            Some(Answered::Accepted(accepted)),
        ) => Ok(Answer::Accepted(accepted)),
        (_, other) => Err(error_of(other)),
    }
}
