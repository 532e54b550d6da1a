//! Every route against the real router, on SQLite, with a clock that obeys.

mod talking;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request as HttpRequest, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::accounts::RegistrationMode;
use crate::accounts::testing::{Bench, PASSWORD};

/// A core that cannot be reached: what it would answer is told by the black-box tests.
struct Nobody;

impl Nobody {
    fn away<T: Send + 'static>() -> PortFuture<Result<T, v1::Error>> {
        Box::pin(async { Err(v1::Error::new(ErrorCode::Unavailable, "nobody is there").after_ms(500)) })
    }
}

impl Messaging for Nobody {
    fn ask(&self, _: Grant, _: Request) -> PortFuture<Result<Wire, v1::Error>> {
        Self::away()
    }

    fn poll(&self, _: String, _: v1::Cursor, _: Duration) -> PortFuture<Result<Polled, v1::Error>> {
        Self::away()
    }

    fn conversations(
        &self,
        _: AccountId,
        _: Option<(Slot, ConversationId)>,
        _: usize,
    ) -> PortFuture<Result<Page, v1::Error>> {
        Self::away()
    }
}

struct Api {
    router: Router,
    bench: Bench,
    ready: Arc<AtomicBool>,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    fn field(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_else(|| panic!("{name} in {}", self.text)).to_owned()
    }

    #[track_caller]
    fn must_be(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.headers["cache-control"], "no-store");
        self
    }

    /// An error in the one shape that all have, with `part` in its message.
    #[track_caller]
    fn must_refuse(&self, status: u16, code: &str, part: &str) -> &Self {
        self.must_be(status);
        let body = self.json();
        assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
        assert_eq!(body["error"].as_object().unwrap().len(), 3, "{body}");
        assert_eq!(body["error"]["code"], code, "{body}");
        assert!(body["error"]["message"].as_str().unwrap().contains(part), "{part} in {body}");
        assert!(body["error"]["retry_after_ms"].is_u64(), "{body}");
        self
    }
}

impl Api {
    fn open() -> Self {
        Self::with_mode(RegistrationMode::Open)
    }

    fn with_mode(mode: RegistrationMode) -> Self {
        let bench = Bench::with_mode(mode);
        let ready = Arc::new(AtomicBool::new(true));
        let flag = Arc::clone(&ready);
        let state = HttpState {
            accounts: Arc::clone(&bench.service),
            messaging: Arc::new(Nobody),
            waiting: Arc::default(),
            ready: Arc::new(move || flag.load(Ordering::Relaxed)),
        };
        Api { router: router(state), bench, ready }
    }

    async fn send(&self, request: HttpRequest<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    /// Sends `body` as it stands; `token` in the header if there is one.
    async fn raw(&self, method: &str, path: &str, token: &str, body: impl Into<Body>) -> Answer {
        let peer = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5_000);
        let mut request = HttpRequest::builder().method(method).uri(path).extension(ConnectInfo(peer));
        request = request.header("content-type", "application/json; charset=utf-8");
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    async fn post(&self, path: &str, token: &str, body: Value) -> Answer {
        self.raw("POST", path, token, body.to_string()).await
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        self.raw("GET", path, token, "").await
    }

    /// Registers and returns the body.
    async fn register(&self, handle: &str) -> Answer {
        let answer = self.post("/api/v1/register", "", registration(handle)).await;
        answer.must_be(201);
        answer
    }

    async fn sign_in(&self, handle: &str) -> Answer {
        let body = json!({"handle": handle, "password": PASSWORD, "device_name": "phone"});
        let answer = self.post("/api/v1/sign-in", "", body).await;
        answer.must_be(200);
        answer
    }
}

fn registration(handle: &str) -> Value {
    json!({"handle": handle, "password": PASSWORD, "name": "鸿雁", "device_name": "laptop"})
}

/// `body` with one field changed, or removed where `value` is null.
fn with(mut body: Value, field: &str, value: Value) -> Value {
    let fields = body.as_object_mut().unwrap();
    match value {
        Value::Null => drop(fields.remove(field)),
        value => drop(fields.insert(field.into(), value)),
    }
    body
}

fn must_be_a_session(answer: &Answer) {
    let body = answer.json();
    let mut fields: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["access_expires_in_s", "access_token", "account", "device", "refresh_token"]);
    assert_eq!(body["access_expires_in_s"], 900);
    assert!(answer.field("account").parse::<i64>().unwrap() > 0, "ids are decimal strings below 2⁶³");
    assert!(answer.field("device").parse::<i64>().unwrap() > 0);
}

#[tokio::test]
async fn registering_gives_a_session() {
    let api = Api::open();
    let answer = api.register("Alice").await;
    must_be_a_session(&answer);
    api.get("/api/v1/devices", &answer.field("access_token")).await.must_be(200);
    let taken = api.post("/api/v1/register", "", registration("alice")).await;
    taken.must_refuse(409, "handle_taken", "choose another");
}

#[tokio::test]
async fn bad_registrations_are_told_what_is_wrong() {
    let api = Api::open();
    let good = registration("alice");
    let cases = [
        ("handle", json!("a"), "handle: has 1 characters"),
        ("handle", json!("9lives"), "begin with a letter"),
        ("handle", json!("al ice"), "letters from a to z"),
        ("handle", json!(7), "handle: invalid type"),
        ("handle", Value::Null, "missing field `handle`"),
        ("password", json!("short"), "password: has 5 characters, 8 to 1024"),
        ("password", json!("x".repeat(1_025)), "password: has 1025 characters"),
        ("password", Value::Null, "missing field `password`"),
        ("name", json!(""), "name: has 0 characters, 1 to 64"),
        ("name", json!("a\u{7}b"), "control characters"),
        ("device_name", json!("x".repeat(65)), "device_name: has 65 characters"),
        ("admin", json!(true), "unknown field `admin`"),
    ];
    for (field, value, part) in cases {
        let body = with(good.clone(), field, value);
        api.post("/api/v1/register", "", body).await.must_refuse(400, "bad_value", part);
    }
    api.post("/api/v1/register", "", good).await.must_be(201);
}

#[tokio::test]
async fn bodies_must_be_json_and_short() {
    let api = Api::open();
    for path in ["/api/v1/register", "/api/v1/sign-in", "/api/v1/refresh"] {
        for body in ["", "{", "[1", "{\"handle\": \"x\"} trailing", "nonsense", "\u{feff}{}"] {
            let answer = api.raw("POST", path, "", body).await;
            assert_eq!(answer.status, 400, "{path} {body}: {}", answer.text);
        }
        api.raw("POST", path, "", "{").await.must_refuse(400, "malformed_body", "line 1");
        api.raw("POST", path, "", vec![0xff, 0xfe]).await.must_refuse(400, "malformed_body", "not JSON");
        let long = format!("{{\"handle\": \"{}\"}}", "x".repeat(body::BODY_BYTES));
        api.raw("POST", path, "", long).await.must_refuse(413, "body_too_large", "65536");
        let text = HttpRequest::builder().method("POST").uri(path).header("content-type", "text/plain");
        let answer = api.send(text.body(Body::from("{}")).unwrap()).await;
        answer.must_refuse(415, "malformed_body", "application/json");
        let none = HttpRequest::builder().method("POST").uri(path).body(Body::from("{}")).unwrap();
        api.send(none).await.must_refuse(415, "malformed_body", "application/json");
    }
    let long_field = format!("{{\"{}\": 1}}", "x".repeat(5_000));
    let answer = api.raw("POST", "/api/v1/register", "", long_field).await;
    answer.must_refuse(400, "bad_value", "unknown field");
    assert!(answer.text.len() < 1_000, "what came in does not come back at length");
}

#[tokio::test]
async fn an_invitation_lets_in_where_one_is_needed() {
    let api = Api::with_mode(RegistrationMode::Invitation);
    let refused = api.post("/api/v1/register", "", registration("alice")).await;
    refused.must_refuse(403, "invitation_required", "invitation");
    let bad = with(registration("alice"), "invitation", json!("made up"));
    api.post("/api/v1/register", "", bad).await.must_refuse(403, "invitation_spent", "ask for another");
    let first = api.bench.service.first_invitations().await.unwrap().unwrap();
    let body = with(registration("alice"), "invitation", json!(first.admin.secret.expose()));
    let alice = api.post("/api/v1/register", "", body).await;
    alice.must_be(201);

    let token = alice.field("access_token");
    for body in ["", "{}"] {
        let invited = api.raw("POST", "/api/v1/invitations", &token, body).await;
        invited.must_be(201);
        assert_eq!(invited.json().as_object().unwrap().len(), 2);
        let handle = format!("friend{}", body.len());
        let registration = with(registration(&handle), "invitation", json!(invited.field("invitation")));
        api.post("/api/v1/register", "", registration).await.must_be(201);
        assert!(invited.json()["expires_at_ms"].as_u64().unwrap() > 1_800_000_000_000);
    }
    let unknown = api.raw("POST", "/api/v1/invitations", &token, "{\"uses\": 5}").await;
    unknown.must_refuse(400, "bad_value", "unknown field `uses`");
}

#[tokio::test]
async fn a_closed_installation_registers_nobody() {
    let api = Api::with_mode(RegistrationMode::Closed);
    let refused = api.post("/api/v1/register", "", registration("alice")).await;
    refused.must_refuse(403, "registration_closed", "nobody can register");
}

#[tokio::test]
async fn signing_in_says_no_more_than_it_must() {
    let api = Api::open();
    api.register("alice").await;
    must_be_a_session(&api.sign_in("alice").await);
    must_be_a_session(&api.sign_in("ALICE").await);
    let body =
        |handle: &str, password: &str| json!({"handle": handle, "password": password, "device_name": "x"});
    let wrong = api.post("/api/v1/sign-in", "", body("alice", "wrong password")).await;
    let unknown = api.post("/api/v1/sign-in", "", body("nobody", "wrong password")).await;
    wrong.must_refuse(401, "wrong_credentials", "the handle or the password");
    assert_eq!((wrong.status, wrong.text), (unknown.status, unknown.text), "byte for byte");
    let unnamed = with(body("alice", PASSWORD), "device_name", Value::Null);
    api.post("/api/v1/sign-in", "", unnamed).await.must_refuse(400, "bad_value", "device_name");
    let long = body("alice", &"x".repeat(2_000));
    api.post("/api/v1/sign-in", "", long).await.must_refuse(401, "wrong_credentials", "");
}

#[tokio::test]
async fn one_network_and_one_handle_have_limits() {
    let api = Api::open();
    api.register("alice").await;
    let body = json!({"handle": "alice", "password": "wrong password", "device_name": "x"});
    for _ in 0..10 {
        api.post("/api/v1/sign-in", "", body.clone()).await.must_refuse(401, "wrong_credentials", "");
    }
    let limited = api.post("/api/v1/sign-in", "", body).await;
    limited.must_refuse(429, "rate_limited", "10000 ms");
    assert_eq!(limited.headers["retry-after"], "10");
    for number in 0..18 {
        let body = json!({"handle": format!("some{number}"), "password": "x", "device_name": "x"});
        assert_ne!(api.post("/api/v1/sign-in", "", body).await.status, 429);
        let _ = number;
    }
    let body = json!({"handle": "somebody", "password": "x", "device_name": "x"});
    api.post("/api/v1/sign-in", "", body.clone()).await.must_refuse(429, "rate_limited", "2000 ms");
    let elsewhere = HttpRequest::builder()
        .method("POST")
        .uri("/api/v1/sign-in")
        .header("content-type", "application/json")
        .extension(ClientAddress("2001:db8::1".parse().unwrap()));
    let answer = api.send(elsewhere.body(Body::from(body.to_string())).unwrap()).await;
    answer.must_refuse(401, "wrong_credentials", "");
    api.bench.clock.advance_ms(2_000);
    api.post("/api/v1/sign-in", "", body).await.must_refuse(401, "wrong_credentials", "");
}

#[tokio::test]
async fn refreshing_repeats_its_answer_and_shows_a_theft() {
    let api = Api::open();
    let first = api.register("alice").await;
    let refresh = |token: String, nonce: &str| {
        api.post("/api/v1/refresh", "", json!({"refresh_token": token, "nonce": nonce}))
    };
    let second = refresh(first.field("refresh_token"), "nonce number one").await;
    second.must_be(200);
    must_be_a_session(&second);
    let again = refresh(first.field("refresh_token"), "nonce number one").await;
    assert_eq!(again.must_be(200).field("refresh_token"), second.field("refresh_token"));
    let short = refresh(second.field("refresh_token"), "short").await;
    short.must_refuse(400, "bad_value", "nonce: has 5 characters");
    let made_up = refresh("made up".into(), "nonce number two").await;
    made_up.must_refuse(401, "unauthenticated", "");
    let access = refresh(second.field("access_token"), "nonce number two").await;
    access.must_refuse(401, "unauthenticated", "");
    let thief = refresh(first.field("refresh_token"), "nonce number two").await;
    thief.must_refuse(401, "revoked", "signed out");
    let owner = refresh(second.field("refresh_token"), "nonce number two").await;
    owner.must_refuse(401, "unauthenticated", "");
    api.get("/api/v1/devices", &second.field("access_token")).await.must_refuse(401, "revoked", "");
}

#[tokio::test]
async fn signing_out_ends_the_device() {
    let api = Api::open();
    let alice = api.register("alice").await;
    let token = alice.field("access_token");
    let body = api.raw("POST", "/api/v1/sign-out", &token, "{\"everywhere\": true}").await;
    body.must_refuse(400, "bad_value", "everywhere");
    let answer = api.raw("POST", "/api/v1/sign-out", &token, "").await;
    assert_eq!(answer.must_be(204).text, "");
    api.raw("POST", "/api/v1/sign-out", &token, "").await.must_refuse(401, "revoked", "");
}

#[tokio::test]
async fn a_revocation_waits_for_the_home() {
    let api = Api::open();
    let alice = api.register("alice").await;
    api.bench.home.set_down(true);
    let answer = api.raw("POST", "/api/v1/sign-out", &alice.field("access_token"), "").await;
    answer.must_refuse(503, "unavailable", "cannot be reached");
    assert_eq!(answer.headers["retry-after"], "1");
}

#[tokio::test]
async fn another_password_gives_a_new_session() {
    let api = Api::open();
    let (alice, phone) = (api.register("alice").await, api.sign_in("alice").await);
    let token = alice.field("access_token");
    let change = |old: &str, new: &str| {
        api.post("/api/v1/password", &token, json!({"old_password": old, "new_password": new}))
    };
    let wrong = change("wrong password", "a new password").await;
    wrong.must_refuse(401, "wrong_credentials", "");
    let short = change(PASSWORD, "short").await;
    short.must_refuse(400, "bad_value", "new_password: has 5 characters");
    let renewed = change(PASSWORD, "a new password").await;
    renewed.must_be(200);
    must_be_a_session(&renewed);
    assert_eq!(renewed.field("device"), alice.field("device"));
    for dead in [token.clone(), phone.field("access_token")] {
        api.get("/api/v1/devices", &dead).await.must_refuse(401, "revoked", "");
    }
    let devices = api.get("/api/v1/devices", &renewed.field("access_token")).await;
    assert_eq!(devices.json()["devices"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn devices_are_listed_and_revoked() {
    let api = Api::open();
    let alice = api.register("alice").await;
    api.bench.clock.advance_ms(1_000);
    let phone = api.sign_in("alice").await;
    let bob = api.register("bob").await;
    let token = alice.field("access_token");
    let listed = api.get("/api/v1/devices", &token).await;
    let expected = json!({"devices": [
        {"device": alice.field("device"), "name": "laptop", "kind": "terminal", "created_at_ms": 1_800_000_000_000u64,
            "last_seen_at_ms": 1_800_000_000_000u64, "current": true},
        {"device": phone.field("device"), "name": "phone", "kind": "terminal", "created_at_ms": 1_800_000_001_000u64,
            "last_seen_at_ms": 1_800_000_001_000u64, "current": false},
    ]});
    assert_eq!(listed.must_be(200).json(), expected);
    let device = |id: &str| format!("/api/v1/devices/{id}");
    let foreign = api.raw("DELETE", &device(&bob.field("device")), &token, "").await;
    let missing = api.raw("DELETE", &device("12345"), &token, "").await;
    foreign.must_refuse(404, "not_found", "no such device");
    assert_eq!((foreign.status, foreign.text), (missing.status, missing.text), "byte for byte");
    for id in ["x", "-1", "99999999999999999999999", "%ff"] {
        api.raw("DELETE", &device(id), &token, "").await.must_refuse(404, "not_found", "no such device");
    }
    for _ in 0..2 {
        api.raw("DELETE", &device(&phone.field("device")), &token, "").await.must_be(204);
    }
    api.get("/api/v1/devices", &phone.field("access_token")).await.must_refuse(401, "revoked", "");
    assert_eq!(api.get("/api/v1/devices", &token).await.json()["devices"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn people_are_found_by_exact_handle_and_not_without_end() {
    let api = Api::open();
    let (alice, bob) = (api.register("alice").await, api.register("bob").await);
    let token = alice.field("access_token");
    let found = api.get("/api/v1/people/BOB", &token).await;
    let expected = json!({
        "account": bob.field("account"), "handle": "bob", "name": "鸿雁", "avatar": "", "bio": "", "version": 1
    });
    assert_eq!(found.must_be(200).json(), expected);
    for handle in ["bo", "bobb", "b%20b", "%ff", "nobody"] {
        let answer = api.get(&format!("/api/v1/people/{handle}"), &token).await;
        answer.must_refuse(404, "not_found", "no such person");
    }
    let mut answers = Vec::new();
    for _ in 0..30 {
        answers.push(api.get("/api/v1/people/bob", &token).await.status);
    }
    assert_eq!((answers[0], answers[29]), (200, 429));
}

#[tokio::test]
async fn every_other_route_wants_a_good_token() {
    let api = Api::open();
    let alice = api.register("alice").await;
    let routes = [
        ("POST", "/api/v1/sign-out"),
        ("POST", "/api/v1/password"),
        ("GET", "/api/v1/devices"),
        ("DELETE", "/api/v1/devices/1"),
        ("GET", "/api/v1/people/alice"),
        ("GET", "/api/v1/profile"),
        ("PATCH", "/api/v1/profile"),
        ("POST", "/api/v1/deactivate"),
        ("POST", "/api/v1/invitations"),
        ("GET", "/api/v1/conversations"),
        ("POST", "/api/v1/conversations/00112233445566778899aabbccddeeff/messages"),
        ("POST", "/api/v1/sync"),
    ];
    api.bench.clock.advance_ms(900_000);
    for (method, path) in routes {
        for token in ["", "x", "a.b.c", &alice.field("refresh_token"), &alice.field("access_token")] {
            api.raw(method, path, token, "").await.must_refuse(401, "unauthenticated", "");
        }
        let basic = HttpRequest::builder().method(method).uri(path).header("authorization", "Basic YTpi");
        let answer = api.send(basic.body(Body::empty()).unwrap()).await;
        answer.must_refuse(401, "unauthenticated", "Bearer");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    let fresh = api.sign_in("alice").await;
    api.bench.home.set_down(true);
    let closed = api.get("/api/v1/devices", &fresh.field("access_token")).await;
    closed.must_refuse(503, "unavailable", "");
}

#[tokio::test]
async fn two_authorizations_are_none() {
    let api = Api::open();
    let token = api.register("alice").await.field("access_token");
    let request = HttpRequest::builder()
        .uri("/api/v1/devices")
        .header("authorization", format!("Bearer {token}"))
        .header("authorization", format!("Bearer {token}"));
    let answer = api.send(request.body(Body::empty()).unwrap()).await;
    answer.must_refuse(401, "unauthenticated", "");
}

#[tokio::test]
async fn other_addresses_and_methods_are_errors_of_the_same_shape() {
    let api = Api::open();
    for path in ["/api/x", "/api/v1", "/api/v1/nothing", "/api/v2/register", "/health/x"] {
        api.get(path, "").await.must_refuse(404, "not_found", "nothing at this address");
    }
    for path in ["/api/v1/register", "/api/v1/devices/1"] {
        let answer = api.get(path, "").await;
        answer.must_refuse(405, "method_not_allowed", "Allow");
        assert!(answer.headers.contains_key("allow"));
    }
}

#[tokio::test]
async fn operators_can_watch() {
    let api = Api::open();
    assert_eq!(api.get("/health", "").await.must_be(200).text, "ok");
    assert_eq!(api.get("/ready", "").await.must_be(200).text, "ready");
    api.ready.store(false, Ordering::Relaxed);
    assert_eq!(
        api.get("/ready", "").await.must_be(StatusCode::SERVICE_UNAVAILABLE.as_u16()).text,
        "not ready"
    );
}

#[tokio::test]
async fn one_reads_and_changes_ones_own_profile() {
    let api = Api::open();
    let alice = api.register("alice").await;
    let token = alice.field("access_token");
    let mut expected = json!({
        "account": alice.field("account"), "handle": "alice", "name": "鸿雁", "avatar": "", "bio": "",
        "version": 1, "admin": false, "presence": "everyone", "created_at_ms": 1_800_000_000_000u64
    });
    assert_eq!(api.get("/api/v1/profile", &token).await.must_be(200).json(), expected);
    let patch = |body: Value| api.raw("PATCH", "/api/v1/profile", &token, body.to_string());
    let changed =
        patch(json!({"name": "Alice", "avatar": "https://x.example/a.png", "bio": "two\nlines"})).await;
    expected["name"] = json!("Alice");
    expected["avatar"] = json!("https://x.example/a.png");
    expected["bio"] = json!("two\nlines");
    expected["version"] = json!(2);
    assert_eq!(changed.must_be(200).json(), expected);
    assert_eq!(patch(json!({"name": null, "bio": "two\nlines"})).await.must_be(200).json(), expected);
    for (body, part) in [
        (json!({"name": ""}), "name: has 0 characters"),
        (json!({"avatar": "x".repeat(257)}), "avatar: has 257 bytes, at most 256"),
        (json!({"bio": "x".repeat(1_025)}), "bio: has 1025 bytes, at most 1024"),
        (json!({"bio": 7}), "bio"),
        (json!({"presence": "friends"}), "is none of everyone, nobody"),
        (json!({"handle": "other"}), "unknown field `handle`"),
        (json!({"admin": true}), "unknown field `admin`"),
    ] {
        patch(body).await.must_refuse(400, "bad_value", part);
    }
    assert_eq!(api.get("/api/v1/profile", &token).await.json(), expected);
}

#[tokio::test]
async fn a_device_says_what_it_is() {
    let api = Api::open();
    let alice =
        api.post("/api/v1/register", "", with(registration("alice"), "device_kind", json!("desktop"))).await;
    alice.must_be(201);
    let sign_in =
        json!({"handle": "alice", "password": PASSWORD, "device_name": "pocket", "device_kind": "phone"});
    let phone = api.post("/api/v1/sign-in", "", sign_in.clone()).await;
    let listed = api.get("/api/v1/devices", &phone.must_be(200).field("access_token")).await.json();
    let mut kinds: Vec<_> =
        listed["devices"].as_array().unwrap().iter().map(|one| one["kind"].clone()).collect();
    kinds.sort_by_key(|kind| kind.to_string());
    assert_eq!(kinds, [json!("desktop"), json!("phone")]);
    for bad in ["fridge", "Phone", ""] {
        let answer = api.post("/api/v1/sign-in", "", with(sign_in.clone(), "device_kind", json!(bad))).await;
        answer.must_refuse(
            400,
            "bad_value",
            "device_kind: is none of phone, tablet, desktop, web, terminal, bot",
        );
    }
}

#[tokio::test]
async fn one_leaves_with_ones_password() {
    let api = Api::open();
    let token = api.register("alice").await.field("access_token");
    let leave = |password: &str| api.post("/api/v1/deactivate", &token, json!({ "password": password }));
    leave("a wrong one").await.must_refuse(401, "wrong_credentials", "");
    leave(PASSWORD).await.must_be(204);
    leave(PASSWORD).await.must_refuse(401, "revoked", "");
    let sign_in = json!({"handle": "alice", "password": PASSWORD, "device_name": "phone"});
    api.post("/api/v1/sign-in", "", sign_in).await.must_refuse(403, "account_deactivated", "deactivated");
}
