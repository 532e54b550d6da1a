//! Accounts for a run: registered over the HTTP API, signed in on several devices each.

use std::sync::Arc;

use anser_client::ServerAddress;
use anser_client::account::{AccountApi, Grant, Registration};
use anser_client::tokens::{RefreshState, RefreshedTokens};
use anser_model::AccountId;
use anyhow::Context as _;
use tokio::task::JoinSet;

/// Registrations under way at once.
const AT_ONCE: usize = 16;
/// Of everybody.
pub const PASSWORD: &str = "correct horse battery staple";

/// Somebody, with what each of their devices signs in with.
#[derive(Clone)]
pub struct Person {
    /// Who.
    pub account: AccountId,
    /// One for each device.
    pub keys: Vec<Key>,
}

/// What one device proves itself with, renewed when it expires.
#[derive(Clone)]
pub struct Key {
    /// To begin with.
    pub access_token: String,
    /// Further ones.
    pub tokens: Arc<RefreshedTokens>,
}

impl Key {
    fn new(api: &AccountApi, grant: &Grant) -> Key {
        let state = RefreshState { refresh_token: grant.refresh_token.clone(), nonce: None };
        // A run does not outlive its process: there is nothing to keep.
        let tokens = Arc::new(RefreshedTokens::new(api.clone(), state, Arc::new(|_| Ok(()))));
        Key { access_token: grant.access_token.clone(), tokens }
    }
}

/// Registers `count` people with `devices` devices each; who is there already signs in.
///
/// # Errors
/// The server refuses, or is gone.
pub async fn register(server: &ServerAddress, count: usize, devices: usize) -> anyhow::Result<Vec<Person>> {
    let api = AccountApi::new(vec![server.clone()]);
    let mut registering = JoinSet::new();
    let mut people = Vec::with_capacity(count);
    for number in 0..count {
        if registering.len() >= AT_ONCE
            && let Some(done) = registering.join_next().await
        {
            people.push(done??);
        }
        registering.spawn(register_one(api.clone(), number, devices));
    }
    while let Some(done) = registering.join_next().await {
        people.push(done??);
    }
    people.sort_by_key(|&(number, _)| number);
    Ok(people.into_iter().map(|(_, person)| person).collect())
}

async fn register_one(api: AccountApi, number: usize, devices: usize) -> anyhow::Result<(usize, Person)> {
    let handle = format!("person-{number}");
    let registration = Registration {
        handle: handle.clone(),
        password: PASSWORD.to_owned(),
        name: format!("Person {number}"),
        invitation: None,
        device_name: "device 0".to_owned(),
    };
    let first = match api.register(&registration).await {
        Ok(first) => first,
        Err(refused) => match api.sign_in(&handle, PASSWORD, "device 0").await {
            Ok(first) => first,
            Err(_) => return Err(refused).with_context(|| format!("registering {handle}")),
        },
    };
    let mut keys = vec![Key::new(&api, &first)];
    for device in 1..devices {
        let grant = api.sign_in(&handle, PASSWORD, &format!("device {device}")).await;
        keys.push(Key::new(&api, &grant.with_context(|| format!("signing {handle} in"))?));
    }
    Ok((number, Person { account: first.account, keys }))
}
