//! People: registered and signed in through the HTTP API.

use anser_model::AccountId;
use serde_json::{Value, json};

use crate::{Server, http};

const PASSWORD: &str = "a long enough password";

/// Somebody on one device.
#[derive(Debug, Clone)]
pub struct Person {
    /// Who.
    pub account: AccountId,
    /// The device's id.
    pub device: u64,
    /// The handle.
    pub handle: String,
    /// The access token.
    pub token: String,
    /// The refresh token.
    pub refresh_token: String,
}

impl Person {
    /// Registers somebody.
    pub async fn register(server: &Server, handle: &str) -> Person {
        let body = json!({ "handle": handle, "password": PASSWORD, "name": handle, "device_name": "first" });
        let answer = http::json(server.address(), "POST", "/api/v1/register", "", &body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        Self::from_answer(handle, &answer.json())
    }

    /// Registers several.
    pub async fn register_all<const COUNT: usize>(
        server: &Server,
        handles: [&str; COUNT],
    ) -> [Person; COUNT] {
        let mut people = Vec::with_capacity(COUNT);
        for handle in handles {
            people.push(Self::register(server, handle).await);
        }
        people.try_into().expect("as many as were asked for")
    }

    /// The same person on another device.
    pub async fn on_another_device(&self, server: &Server) -> Person {
        let body = json!({ "handle": self.handle, "password": PASSWORD, "device_name": "another" });
        let answer = http::json(server.address(), "POST", "/api/v1/sign-in", "", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        Self::from_answer(&self.handle, &answer.json())
    }

    fn from_answer(handle: &str, answer: &Value) -> Person {
        let text = |field: &str| answer[field].as_str().expect("the field is there").to_owned();
        Person {
            account: AccountId(text("account").parse().expect("an id is a number")),
            device: text("device").parse().expect("an id is a number"),
            handle: handle.to_owned(),
            token: text("access_token"),
            refresh_token: text("refresh_token"),
        }
    }

    /// The wire's number of the account.
    pub fn id(&self) -> u64 {
        self.account.0
    }
}
