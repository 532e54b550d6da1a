//! The HTTP calls about accounts: registering, signing in and out, devices, people, invitations.

use std::time::Duration;

use anser_model::{AccountId, DeviceId};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};

use crate::address::{ServerAddress, Wire};

/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of the longest answer that is read.
const ANSWER_BYTES: usize = 1024 * 1024;

/// A device that is signed in, and what proves it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Grant {
    /// Whose.
    #[serde(deserialize_with = "account_id")]
    pub account: AccountId,
    /// Which installation.
    #[serde(deserialize_with = "device_id")]
    pub device: DeviceId,
    /// Presented in Hello and in HTTP calls.
    pub access_token: String,
    /// How long that is accepted, in seconds.
    #[serde(deserialize_with = "number")]
    pub access_expires_in_s: u64,
    /// Presented once, for the next grant.
    pub refresh_token: String,
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grant")
            .field("account", &self.account)
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

/// What somebody registers with.
#[derive(Clone, Serialize)]
pub struct Registration {
    /// The name to sign in with.
    pub handle: String,
    /// The password.
    pub password: String,
    /// The name that others see.
    pub name: String,
    /// Needed unless registration is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invitation: Option<String>,
    /// What the device is called in the list of devices.
    pub device_name: String,
}

/// One of one's own devices.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Device {
    /// Which.
    #[serde(deserialize_with = "device_id")]
    pub device: DeviceId,
    /// What it is called.
    pub name: String,
    /// What it is: phone, tablet, desktop, web, terminal or bot.
    #[serde(default)]
    pub kind: String,
    /// When it signed in, in milliseconds since 1970.
    #[serde(deserialize_with = "number")]
    pub created_at_ms: u64,
    /// When it was last seen, in milliseconds since 1970.
    #[serde(deserialize_with = "number")]
    pub last_seen_at_ms: u64,
    /// Whether it is this one.
    pub current: bool,
}

/// Somebody, found by exact handle.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Person {
    /// Who.
    #[serde(deserialize_with = "account_id")]
    pub account: AccountId,
    /// The handle.
    pub handle: String,
    /// The name that others see.
    pub name: String,
    /// What to show as a picture; empty: nothing.
    #[serde(default)]
    pub avatar: String,
    /// What they say of themselves; empty: nothing.
    #[serde(default)]
    pub bio: String,
    /// Version of the profile.
    #[serde(deserialize_with = "number")]
    pub version: u64,
    /// Of oneself: who is told whether one is there; empty of others.
    #[serde(default)]
    pub presence: String,
}

/// What to change in one's own profile; what is not named stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ProfileChange {
    /// The name that others see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What to show as a picture, at most 256 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// What one says of oneself, at most 1,024 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bio: Option<String>,
    /// Who is told whether one is there, and when one was last: `everyone` whom one knows, or `nobody`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence: Option<String>,
}

impl ProfileChange {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == ProfileChange::default()
    }
}

/// Lets somebody register.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Invitation {
    /// The code.
    pub invitation: String,
    /// Until when, in milliseconds since 1970.
    #[serde(deserialize_with = "number")]
    pub expires_at_ms: u64,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// No server could be reached. Trying again may help; what was asked may have happened if the
    /// connection broke midway.
    #[error("no server can be reached: {0}")]
    Unreachable(String),
    /// The server said no.
    #[error("{code}: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// A name from the error catalogue.
        code: String,
        /// For people.
        message: String,
        /// Wait so long, in milliseconds, before asking again; 0 where waiting does not help.
        retry_after_ms: u64,
    },
    /// What answered is no Anser server, or a newer one.
    #[error("the answer cannot be read: {0}")]
    BadAnswer(String),
}

impl AccountError {
    /// Whether the same call may succeed later.
    pub fn can_retry(&self) -> bool {
        match self {
            AccountError::Unreachable(_) => true,
            AccountError::Refused { status, retry_after_ms, .. } => *retry_after_ms > 0 || *status >= 500,
            AccountError::BadAnswer(_) => false,
        }
    }
}

/// The account calls of an installation.
#[derive(Debug, Clone)]
pub struct AccountApi {
    servers: Vec<ServerAddress>,
}

#[derive(Deserialize)]
struct Refusal {
    error: RefusalBody,
}

#[derive(Deserialize)]
struct RefusalBody {
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default, deserialize_with = "number")]
    retry_after_ms: u64,
}

#[derive(Deserialize)]
struct DeviceList {
    devices: Vec<Device>,
}

impl AccountApi {
    /// Calls go to the first of these that can be reached.
    pub fn new(servers: Vec<ServerAddress>) -> Self {
        AccountApi { servers }
    }

    /// Makes an account, signed in on a new device.
    pub async fn register(&self, registration: &Registration) -> Result<Grant, AccountError> {
        self.json(Method::POST, "/api/v1/register", None, Some(body(registration)?)).await
    }

    /// Signs in on a new device.
    pub async fn sign_in(
        &self,
        handle: &str,
        password: &str,
        device_name: &str,
    ) -> Result<Grant, AccountError> {
        let asked = serde_json::json!({ "handle": handle, "password": password, "device_name": device_name });
        self.json(Method::POST, "/api/v1/sign-in", None, Some(body(&asked)?)).await
    }

    /// Trades a refresh token for the next grant. `nonce` is 16 to 64 random characters; asking again
    /// with the same one gets the same answer, so keep it until the answer is saved.
    pub async fn refresh(&self, refresh_token: &str, nonce: &str) -> Result<Grant, AccountError> {
        let asked = serde_json::json!({ "refresh_token": refresh_token, "nonce": nonce });
        self.json(Method::POST, "/api/v1/refresh", None, Some(body(&asked)?)).await
    }

    /// Signs this device out.
    pub async fn sign_out(&self, access_token: &str) -> Result<(), AccountError> {
        self.call(Method::POST, "/api/v1/sign-out", Some(access_token), None).await.map(drop)
    }

    /// Changes the password. Every other device is signed out, and this one gets a new grant.
    pub async fn change_password(
        &self,
        access_token: &str,
        old: &str,
        new: &str,
    ) -> Result<Grant, AccountError> {
        let asked = serde_json::json!({ "old_password": old, "new_password": new });
        self.json(Method::POST, "/api/v1/password", Some(access_token), Some(body(&asked)?)).await
    }

    /// One's own devices.
    pub async fn devices(&self, access_token: &str) -> Result<Vec<Device>, AccountError> {
        let list: DeviceList = self.json(Method::GET, "/api/v1/devices", Some(access_token), None).await?;
        Ok(list.devices)
    }

    /// Signs one of one's own devices out.
    pub async fn revoke_device(&self, access_token: &str, device: DeviceId) -> Result<(), AccountError> {
        let path = format!("/api/v1/devices/{device}");
        self.call(Method::DELETE, &path, Some(access_token), None).await.map(drop)
    }

    /// Finds somebody by exact handle.
    pub async fn person(&self, access_token: &str, handle: &str) -> Result<Person, AccountError> {
        let path = format!("/api/v1/people/{}", percent_encoded(handle));
        self.json(Method::GET, &path, Some(access_token), None).await
    }

    /// One's own profile.
    pub async fn profile(&self, access_token: &str) -> Result<Person, AccountError> {
        self.json(Method::GET, "/api/v1/profile", Some(access_token), None).await
    }

    /// Changes one's own profile.
    pub async fn change_profile(
        &self,
        access_token: &str,
        change: &ProfileChange,
    ) -> Result<Person, AccountError> {
        self.json(Method::PATCH, "/api/v1/profile", Some(access_token), Some(body(change)?)).await
    }

    /// Deactivates one's own account: every device is signed out, and nobody signs in any more.
    pub async fn deactivate(&self, access_token: &str, password: &str) -> Result<(), AccountError> {
        let asked = serde_json::json!({ "password": password });
        self.call(Method::POST, "/api/v1/deactivate", Some(access_token), Some(body(&asked)?)).await.map(drop)
    }

    /// Makes an invitation.
    pub async fn invite(&self, access_token: &str) -> Result<Invitation, AccountError> {
        self.json(Method::POST, "/api/v1/invitations", Some(access_token), None).await
    }

    async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Bytes>,
    ) -> Result<T, AccountError> {
        let answer = self.call(method, path, token, body).await?;
        serde_json::from_slice(&answer).map_err(|error| AccountError::BadAnswer(error.to_string()))
    }

    /// Makes one call. Another server is tried only while none was reached, so nothing is asked twice.
    async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Bytes>,
    ) -> Result<Bytes, AccountError> {
        let mut last = AccountError::Unreachable("no server is named".to_owned());
        for server in &self.servers {
            let stream = match tokio::time::timeout(CALL_TIMEOUT, server.connect()).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => {
                    last = AccountError::Unreachable(format!("{server}: {error}"));
                    continue;
                }
                Err(_) => {
                    last = AccountError::Unreachable(format!("{server}: no connection in time"));
                    continue;
                }
            };
            let request = request(server, method, path, token, body)?;
            return match tokio::time::timeout(CALL_TIMEOUT, exchange(stream, request)).await {
                Ok(answer) => answer,
                Err(_) => Err(AccountError::Unreachable(format!("{server}: no answer in time"))),
            };
        }
        Err(last)
    }
}

fn body(value: &impl Serialize) -> Result<Bytes, AccountError> {
    let bytes = serde_json::to_vec(value).map_err(|error| AccountError::BadAnswer(error.to_string()))?;
    Ok(bytes.into())
}

fn request(
    server: &ServerAddress,
    method: Method,
    path: &str,
    token: Option<&str>,
    body: Option<Bytes>,
) -> Result<Request<Full<Bytes>>, AccountError> {
    let mut request = Request::builder().method(method).uri(path).header(HOST, server.authority());
    if let Some(token) = token {
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| AccountError::BadAnswer("the access token holds control characters".to_owned()))?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    if body.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    request
        .body(Full::new(body.unwrap_or_default()))
        .map_err(|error| AccountError::BadAnswer(format!("no request can be made of {path}: {error}")))
}

async fn exchange(stream: Wire, request: Request<Full<Bytes>>) -> Result<Bytes, AccountError> {
    let unreachable = |error: hyper::Error| AccountError::Unreachable(error.to_string());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(unreachable)?;
    let answer = async move {
        let response = sender.send_request(request).await.map_err(unreachable)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| AccountError::Unreachable(error.to_string()))?;
        Ok((status, body.to_bytes()))
    };
    // The connection does the reading and writing; it ends after the answer, and is of no use then.
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(answer);
    let (status, body) = tokio::select! {
        biased;
        answered = &mut answer => answered?,
        ended = &mut connection => match ended {
            Ok(()) => answer.await?,
            Err(error) => return Err(unreachable(error)),
        },
    };
    if status.is_success() { Ok(body) } else { Err(refusal(status, &body)) }
}

fn refusal(status: StatusCode, body: &[u8]) -> AccountError {
    match serde_json::from_slice::<Refusal>(body) {
        Ok(Refusal { error }) => AccountError::Refused {
            status: status.as_u16(),
            code: error.code,
            message: error.message,
            retry_after_ms: error.retry_after_ms,
        },
        Err(_) => AccountError::BadAnswer(format!("HTTP status {status} without an error in it")),
    }
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// A number, written as one or as a decimal string (as ids are).
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
    }
    match Either::deserialize(deserializer)? {
        Either::Number(number) => Ok(number),
        Either::Text(text) => text.parse().map_err(D::Error::custom),
    }
}

fn account_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AccountId, D::Error> {
    number(deserializer).map(AccountId)
}

fn device_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DeviceId, D::Error> {
    number(deserializer).map(DeviceId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_read_and_not_shown() {
        let json = r#"{"account":"18446744073709551615","device":"2","access_token":"a-secret",
            "access_expires_in_s":900,"refresh_token":"r-secret","later":1}"#;
        let grant: Grant = serde_json::from_str(json).unwrap();
        assert_eq!((grant.account, grant.access_expires_in_s), (AccountId(u64::MAX), 900));
        assert!(!format!("{grant:?}").contains("secret"));
    }

    #[test]
    fn refusals_say_whether_waiting_helps() {
        let body = br#"{"error":{"code":"rate_limited","message":"slow down","retry_after_ms":1500}}"#;
        let error = refusal(StatusCode::TOO_MANY_REQUESTS, body);
        assert!(
            matches!(&error, AccountError::Refused { status: 429, retry_after_ms: 1500, .. })
                && error.can_retry()
        );
        assert!(!refusal(StatusCode::NOT_FOUND, b"<html>").can_retry());
    }

    #[test]
    fn handles_are_safe_in_a_path() {
        assert_eq!(percent_encoded("a/b ?雁"), "a%2Fb%20%3F%E9%9B%81");
    }
}
