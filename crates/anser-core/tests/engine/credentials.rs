//! Why credentials ended, as it is recorded.

use anser_core::storage::{decode_fact, encode_fact};
use anser_model::{
    AccountId, Change, ConversationFact, ConversationId, DeviceId, Fact, KickReason, Ordinal, UnixMillis,
};

fn raised(why: KickReason) -> ConversationFact {
    let account = AccountId(2);
    ConversationFact {
        cid: ConversationId::of_self(account),
        at: UnixMillis(1_800_000_000_000),
        author: AccountId(0),
        device: DeviceId(0),
        author_profile_version: 0,
        command: None,
        seq: None,
        ordinal: Ordinal(0),
        rewritten: None,
        change: Change::CredentialsRaised { account, account_version: 3, device: None, why },
    }
}

#[test]
fn why_credentials_ended_is_kept_and_a_later_reason_is_read_as_the_first() {
    for why in [KickReason::Revoked, KickReason::Replaced, KickReason::Deactivated] {
        assert_eq!(decode_fact(&encode_fact(&raised(why))), Ok(Fact::Conversation(raised(why))));
    }
    let mut later = encode_fact(&raised(KickReason::Deactivated)).to_vec();
    let at = later.windows(2).rposition(|pair| pair == [0x28, 2]).expect("field 5 of the change");
    later[at + 1] = 99;
    assert_eq!(decode_fact(&later.into()), Ok(Fact::Conversation(raised(KickReason::Revoked))));
}
