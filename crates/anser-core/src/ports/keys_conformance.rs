//! What every [`ApiKeys`] must do, as a suite that each adapter runs against itself.

use std::sync::Arc;

use anser_model::{AccountId, UnixMillis};

use super::accounts::{AccountsError, TokenHash};
use super::keys::{ApiKeyRow, ApiKeys, KEYS_IN_FORCE, REVOKED_KEY_KEPT_MS, Scope};
use super::log_conformance::block_on;

/// How the suite gets at the keys.
pub trait KeysFactory {
    /// Opens the keys: none the first time, and after that all that were written.
    fn open(&self) -> Arc<dyn ApiKeys>;
}

/// Runs the whole suite; `fresh` gives a factory without keys for every case.
///
/// # Panics
/// When the adapter breaks the port's promise, with the case in the message.
pub fn check_keys(fresh: &mut dyn FnMut() -> Box<dyn KeysFactory>) {
    a_key_is_found_by_its_hash_until_and_after_it_is_revoked(&*fresh());
    there_is_a_limit_of_keys_in_force(&*fresh());
}

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

fn key(number: u64) -> ApiKeyRow {
    let mut bytes = [0x5a; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    ApiKeyRow {
        key: number,
        hash: TokenHash(bytes),
        name: format!("key {number} 鸿雁"),
        scopes: [Scope::Accounts, Scope::Tokens].into_iter().collect(),
        author: (number > 1).then_some(AccountId(number)),
        created_at: NOW.plus_ms(number),
        revoked_at: None,
    }
}

fn a_key_is_found_by_its_hash_until_and_after_it_is_revoked(factory: &dyn KeysFactory) {
    let keys = factory.open();
    assert_eq!(block_on(keys.keys()), Ok(vec![]));
    for number in [2, 1] {
        assert_eq!(block_on(keys.add_key(key(number))), Ok(()));
    }
    assert_eq!(block_on(keys.add_key(key(1))), Err(AccountsError::IdTaken));
    assert_eq!(block_on(keys.add_key(ApiKeyRow { key: 3, ..key(1) })), Err(AccountsError::IdTaken));
    drop(keys);
    let keys = factory.open();
    assert_eq!(block_on(keys.key(key(1).hash)), Ok(Some(key(1))));
    assert_eq!(block_on(keys.key(key(9).hash)), Ok(None));
    assert_eq!(block_on(keys.revoke_key(9, NOW)), Err(AccountsError::NotFound));
    assert_eq!(block_on(keys.revoke_key(1, NOW.plus_ms(10))), Ok(()));
    assert_eq!(block_on(keys.revoke_key(1, NOW.plus_ms(20))), Ok(()), "again");
    let revoked = ApiKeyRow { revoked_at: Some(NOW.plus_ms(10)), ..key(1) };
    assert_eq!(block_on(keys.key(key(1).hash)), Ok(Some(revoked.clone())));
    assert_eq!(block_on(keys.keys()), Ok(vec![revoked, key(2)]), "oldest first");
}

fn there_is_a_limit_of_keys_in_force(factory: &dyn KeysFactory) {
    let keys = factory.open();
    let many = KEYS_IN_FORCE as u64;
    for number in 1..=many {
        assert_eq!(block_on(keys.add_key(key(number))), Ok(()));
    }
    assert_eq!(block_on(keys.add_key(key(many + 1))), Err(AccountsError::Conflict));
    assert_eq!(block_on(keys.revoke_key(1, NOW)), Ok(()));
    assert_eq!(block_on(keys.add_key(key(many + 1))), Ok(()), "a revoked one counts no more");
    assert_eq!(block_on(keys.revoke_key(2, NOW)), Ok(()));
    let late = ApiKeyRow { created_at: NOW.plus_ms(REVOKED_KEY_KEPT_MS + 1), ..key(many + 2) };
    assert_eq!(block_on(keys.add_key(late)), Ok(()));
    assert_eq!(block_on(keys.key(key(1).hash)), Ok(None), "revoked long ago");
}
