//! Bugs on purpose, for the proof that the harnesses would catch them.
//!
//! Production code asks with [`planted!`](crate::planted!) at the one line that each bug would spoil.
//! Without the feature `planted` that is the constant `false`, and no shipped binary has any of it.

/// Whether a bug is planted here: `planted!(SkipFsync)`. The constant `false` without the feature.
#[cfg(not(feature = "planted"))]
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {
        false
    };
}

/// Whether a bug is planted here: `planted!(SkipFsync)`. The constant `false` without the feature.
#[cfg(feature = "planted")]
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {
        $crate::planted::is($crate::planted::Bug::$bug)
    };
}

#[cfg(feature = "planted")]
pub use switch::{Bug, is, plant};

#[cfg(feature = "planted")]
mod switch {
    use std::sync::atomic::{AtomicU8, Ordering};

    /// 0: none; else one more than the bug's number.
    static PLANTED: AtomicU8 = AtomicU8::new(0);

    /// Plants a bug in the whole process, or takes the one that is planted away.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.store(bug.map_or(0, |bug| bug as u8 + 1), Ordering::SeqCst);
    }

    /// Whether this bug is planted.
    pub fn is(bug: Bug) -> bool {
        PLANTED.load(Ordering::Relaxed) == bug as u8 + 1
    }

    macro_rules! bugs {
        ($($(#[doc = $doc:literal])+ $bug:ident = $name:literal,)+) => {
            /// A bug that can be planted.
            #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
            #[repr(u8)]
            pub enum Bug { $($(#[doc = $doc])+ $bug,)+ }

            impl Bug {
                /// Every one of them.
                pub const ALL: &[Bug] = &[$(Bug::$bug,)+];

                /// Its name on a command line.
                pub fn name(self) -> &'static str {
                    match self { $(Bug::$bug => $name,)+ }
                }

                /// What it does.
                pub fn what(self) -> &'static str {
                    match self { $(Bug::$bug => concat!($($doc,)+).trim_ascii(),)+ }
                }

                /// The bug of that name.
                pub fn named(name: &str) -> Option<Bug> {
                    Bug::ALL.iter().copied().find(|bug| bug.name() == name)
                }
            }
        };
    }

    bugs! {
        /// Blocks of the log are written and acknowledged without a sync.
        SkipFsync = "skip-fsync",
        /// Neither a block's nor a record's checksum is looked at.
        TrustBytes = "trust-bytes",
        /// Damage below a synced end is cut away as if it were a torn tail.
        CutDamage = "cut-damage",
        /// Answers are released before their append is durable.
        AckBeforeAppend = "ack-before-append",
        /// The client id of a command is not looked up.
        IgnoreClientId = "ignore-client-id",
        /// A duplicate is answered before its first is durable.
        DuplicateBeforeDurable = "duplicate-before-durable",
        /// Answers leave before the events that were decided earlier.
        AnswerOvertakesEvents = "answer-overtakes-events",
        /// Who was removed stays among those who are told.
        StaleMembership = "stale-membership",
        /// A fold's cursor moves although the store has refused it.
        CursorMovesOnError = "cursor-moves-on-error",
        /// A record counts wherever its reign rules, although its n does not follow.
        ReuseN = "reuse-n",
        /// A manifest names segments whose names are not durable yet.
        ManifestBeforeSegments = "manifest-before-segments",
        /// Erasing takes the newest version of a row, and leaves the one that was recalled.
        EraseTheNewest = "erase-the-newest",
        /// Segments that hold what was recalled are taken for ones that do not.
        SkipErasure = "skip-erasure",
        /// An older flush overwrites the row of a message that was recalled meanwhile.
        LateFlushUndoesRecall = "late-flush-undoes-recall",
        /// The history and its checkpoint are written before the index.
        HistoryBeforeIndex = "history-before-index",
        /// Events are not kept back until the slot has answered the sync of an attach.
        EventsBeforeSync = "events-before-sync",
        /// An answer moves the cursor of a slot that still owes its heads.
        CursorBeforeSynced = "cursor-before-synced",
        /// A former member is told the head of today, not that of its removal.
        TombstoneOfToday = "tombstone-of-today",
        /// A session is not told that events of a slot may have been missed.
        DropFanout = "drop-fanout",
        /// An owner serves reads although its lease is over.
        ReadPastLease = "read-past-lease",
        /// A membership is appended before the home has noted its slot.
        EnterLater = "enter-later",
        /// A flush that failed is not written again.
        ForgetFailedFlush = "forget-failed-flush",
        /// A retried command gets a new client id, though the first may have been written.
        RetryMintsAnew = "retry-mints-anew",
        /// An append of unknown fate is taken for one that failed: no new reign, no reading back.
        UnknownIsFailed = "unknown-is-failed",
        /// A sync does not look at what is not folded yet.
        SyncWithoutTail = "sync-without-tail",
        /// A sync is answered from memory although a conversation that changed has left it.
        SyncFromMemoryAlone = "sync-from-memory-alone",
        /// A sync passes over a slot that has one fact more than the cursor.
        SyncPassesOverOne = "sync-passes-over-one",
        /// A sync of the log that failed is tried again, and its second answer believed.
        RetryFailedSync = "retry-failed-sync",
        /// A read mark may be moved back.
        MarkMovesBack = "mark-moves-back",
        /// One's own messages count as unread.
        OwnSendsUnread = "own-sends-unread",
        /// An edit does not replace what memory holds of its message.
        EditKeepsOldBody = "edit-keeps-old-body",
        /// A message is shown to those who may not see the fact that edited it last.
        EditShownOutside = "edit-shown-outside",
        /// What was read still counts as an unread mention.
        MentionsOutliveMark = "mentions-outlive-mark",
        /// A client has several commands of one conversation under way at once.
        ManyUnderWay = "many-under-way",
        /// A history that is cleared is hidden, and stays unread.
        ClearForgetsBase = "clear-forgets-base",
        /// Pages give what their reader has hidden.
        HiddenInPages = "hidden-in-pages",
        /// Reading does not take the mark away that a conversation is unread.
        UnreadMarkStays = "unread-mark-stays",
        /// Plain members of a channel are told how far the others have read.
        ChannelTellsMarks = "channel-tells-marks",
        /// Former members are told who types.
        TypingToFormer = "typing-to-former",
        /// Whether somebody is there is told to members whom it does not know.
        PresenceToStrangers = "presence-to-strangers",
        /// A session goes on watching people whose conversation it is in no more.
        WatchOutlivesMembership = "watch-outlives-membership",
        /// Nobody's membership ends with the conversation.
        DissolvedStays = "dissolved-stays",
        /// Pages give former members and newcomers what lies outside of what they may see.
        PagesUnclipped = "pages-unclipped",
        /// Who joins sees what was before, whatever was decided of that.
        NewcomersSeePast = "newcomers-see-past",
        /// Whoever asks is told who is in a conversation.
        MembersUnchecked = "members-unchecked",
        /// Strangers are refused otherwise where there is a conversation than where there is none.
        StrangersToldApart = "strangers-told-apart",
        /// Plain members write in a channel.
        ChannelsOpen = "channels-open",
        /// An access token lets in for ever.
        ExpiryUnchecked = "expiry-unchecked",
        /// A token lets in although its device was signed out, or its account deactivated.
        RevocationUnchecked = "revocation-unchecked",
        /// Everybody may do what administrators do.
        AdminUnchecked = "admin-unchecked",
        /// An API key allows everything.
        ScopeUnchecked = "scope-unchecked",
        /// An API key that was revoked lets in.
        RevokedKeysLetIn = "revoked-keys-let-in",
        /// An API key speaks for administrators.
        KeysSpeakForAdmins = "keys-speak-for-admins",
        /// Who deactivated the account is found by its handle.
        GoneAreFound = "gone-are-found",
        /// Signing in tells whether there is such a handle.
        HandlesTold = "handles-told",
    }

    impl Bug {
        /// Those that let people learn or do what is not theirs: the authorisation matrix looks for them, on the
        /// real binary. The simulator finds all others.
        pub const OF_ACCESS: &[Bug] = &[
            Bug::PagesUnclipped,
            Bug::NewcomersSeePast,
            Bug::MembersUnchecked,
            Bug::StrangersToldApart,
            Bug::ChannelsOpen,
            Bug::ExpiryUnchecked,
            Bug::RevocationUnchecked,
            Bug::AdminUnchecked,
            Bug::ScopeUnchecked,
            Bug::RevokedKeysLetIn,
            Bug::KeysSpeakForAdmins,
            Bug::GoneAreFound,
            Bug::HandlesTold,
        ];
    }
}
