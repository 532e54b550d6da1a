//! Counts what becomes of the commands of one worker: by itself, and into the metrics once a turn.

use std::collections::HashMap;

use anser_core::engine::{Answer, ReplyTo};
use anser_edge::convert;
use anser_model::{Intent, Refusal};
use anser_proto::ErrorCode;

use crate::metrics::{CommandCounts, Metrics};

/// Commands that are followed at once; more are answered as well, and not counted.
const FOLLOWED: usize = 65_536;

/// The commands of one worker that are not answered yet, and what those before came to.
#[derive(Default)]
pub(super) struct Tally {
    waiting: HashMap<ReplyTo, Waiting>,
    counts: CommandCounts,
}

struct Waiting {
    kind: &'static str,
    given_at_us: u64,
}

impl Tally {
    /// A command was taken. What slots ask each other is no command of anybody's.
    pub(super) fn begin(&mut self, reply: ReplyTo, intent: &Intent, given_at_us: u64) {
        if self.waiting.len() < FOLLOWED && !matches!(reply, ReplyTo::Slot { .. }) {
            self.waiting.insert(reply, Waiting { kind: kind(intent), given_at_us });
        }
    }

    /// An answer goes out, maybe to a command.
    pub(super) fn end(
        &mut self,
        reply: ReplyTo,
        answer: &Result<Answer, Refusal>,
        now_us: u64,
        metrics: &Metrics,
    ) {
        let Some(Waiting { kind, given_at_us }) = self.waiting.remove(&reply) else { return };
        metrics.commands_took.observe_us(now_us.saturating_sub(given_at_us));
        let result = match answer {
            Ok(_) => "ok",
            Err(refusal) => {
                let code = convert::error(refusal).code.parse::<ErrorCode>();
                code.expect("refusals have codes of the catalogue").as_str()
            }
        };
        *self.counts.entry((kind, result)).or_default() += 1;
    }

    /// Adds what was counted to the metrics.
    pub(super) fn hand_in(&mut self, metrics: &Metrics) {
        metrics.add_commands(&mut self.counts);
    }
}

/// What a command is called in the metrics.
fn kind(intent: &Intent) -> &'static str {
    match intent {
        Intent::Send(_) => "send",
        Intent::Edit { .. } => "edit",
        Intent::Recall { .. } => "recall",
        Intent::ReadUpTo { .. } => "read_up_to",
        Intent::DeliveredUpTo { .. } => "delivered_up_to",
        Intent::MarkUnread(_) => "mark_unread",
        Intent::Hide { .. } => "hide",
        Intent::ClearHistory { .. } => "clear_history",
        Intent::CreateGroup { .. } => "create_group",
        Intent::AddMembers(_) => "add_members",
        Intent::RemoveMember(_) => "remove_member",
        Intent::Leave => "leave",
        Intent::SetRole { .. } => "set_role",
        Intent::Rename(_) => "rename",
        Intent::SetAvatar(_) => "set_avatar",
        Intent::SetHistoryVisible(_) => "set_history_visible",
        Intent::Dissolve => "dissolve",
        Intent::Enter(_) => "enter",
        Intent::RaiseCredentials { .. } => "raise_credentials",
    }
}
