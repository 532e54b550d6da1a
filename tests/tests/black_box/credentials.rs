//! Tokens: which are taken, which are not, and what a revocation ends.

use anser_proto::v1::server_frame::Frame;
use anser_proto::{Encoding, v1};
use anser_tests::{Client, Person, Server, http};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};

const DEVICES: &str = "/api/v1/devices";

/// A token of these parts, signed by this key.
fn signed(key: &[u8; 32], header: &str, claims: &str) -> String {
    let signature = SigningKey::from_bytes(key).sign(format!("{header}.{claims}").as_bytes());
    format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

fn parts(token: &str) -> (String, Value, String) {
    let parts: Vec<_> = token.split('.').collect();
    let claims = URL_SAFE_NO_PAD.decode(parts[1]).expect("claims are base64");
    (parts[0].to_owned(), serde_json::from_slice(&claims).expect("claims are JSON"), parts[2].to_owned())
}

fn encoded(claims: &Value) -> String {
    URL_SAFE_NO_PAD.encode(claims.to_string())
}

/// The code of the error with which a token is refused, the same on the socket and over HTTP.
async fn refusal(server: &Server, token: &str) -> String {
    let mut client = Client::open(server.address(), Encoding::Binary).await;
    let error = client.greet(Client::hello(token)).await.expect_err("the token is bad");
    client.closed().await;
    let answer = http::json(server.address(), "GET", DEVICES, token, &Value::Null).await;
    assert_eq!((answer.status, answer.code()), (401, error.code.clone()), "{token}");
    error.code
}

#[tokio::test]
async fn no_token_but_the_right_one_is_taken() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let elsewhere = Server::start().await;
    let foreign = Person::register(&elsewhere, "ann").await;
    let key = std::fs::read(server.data().join("secrets/signing.key")).expect("the key is there");
    let key: [u8; 32] = key.try_into().expect("32 bytes");
    let (header, claims, signature) = parts(&ann.token);
    assert_eq!(
        signed(&key, &header, parts_claims(&ann.token)),
        ann.token,
        "the test signs as the server does"
    );

    let change = |field: &str, value: Value| {
        let mut changed = claims.clone();
        changed[field] = value;
        encoded(&changed)
    };
    let expired = change("exp", json!(1_700_000_000));
    let other_timeline = change("timeline", json!(7));
    let other_account = change("account", json!(ben.id()));
    let unsigned = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"anser-access+jwt"}"#);
    let mut flipped = ann.token.clone().into_bytes();
    let middle = flipped.len() / 2;
    flipped[middle] = if flipped[middle] == b'A' { b'B' } else { b'A' };
    let cases = [
        ("expired", signed(&key, &header, &expired)),
        ("of another timeline", signed(&key, &header, &other_timeline)),
        ("signed by another key", signed(&[9; 32], &header, parts_claims(&ann.token))),
        ("of another installation", foreign.token.clone()),
        ("in another's name", format!("{header}.{other_account}.{signature}")),
        ("with a flipped bit", String::from_utf8(flipped).expect("still text")),
        ("unsigned", format!("{unsigned}.{}.", parts_claims(&ann.token))),
        ("a refresh token", ann.refresh_token.clone()),
        ("too long", "x".repeat(4_000)),
        ("cut short", ann.token[..ann.token.len() - 1].to_owned()),
    ];
    for (what, token) in cases {
        assert_eq!(refusal(&server, &token).await, "unauthenticated", "{what}");
    }
    for nothing in ["", "null", "Bearer"] {
        let mut client = Client::open(server.address(), Encoding::Json).await;
        assert_eq!(client.greet(Client::hello(nothing)).await.expect_err("no token").code, "unauthenticated");
    }
    let ticket = Client::attach(&server, &ann).await.welcome.resume_ticket;
    let answer = http::json(server.address(), "GET", DEVICES, &ticket, &Value::Null).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (401, "unauthenticated"),
        "a ticket opens sockets alone"
    );
    let body = json!({ "refresh_token": ann.token, "nonce": "n".repeat(22) });
    let answer = http::json(server.address(), "POST", "/api/v1/refresh", "", &body).await;
    assert!(matches!(answer.status, 400 | 401), "an access token refreshes nothing: {}", answer.body);
    // And the right one still is.
    Client::attach(&server, &ann).await;
}

fn parts_claims(token: &str) -> &str {
    token.split('.').nth(1).expect("a token has claims")
}

async fn kicked(client: &mut Client) -> String {
    let kicked = client.pushed(|frame| match frame {
        Frame::Kicked(kicked) => Some(kicked.code.clone()),
        _ => None,
    });
    kicked.await
}

#[tokio::test]
async fn a_revoked_device_is_out_at_once_and_for_good() {
    let mut server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let stolen = ann.on_another_device(&server).await;
    let mut at_ann = Client::attach(&server, &ann).await;
    let mut at_stolen =
        [Client::attach(&server, &stolen).await, Client::attach_in_json(&server, &stolen).await];
    let ticket = at_stolen[0].welcome.resume_ticket.clone();

    let path = format!("{DEVICES}/{}", stolen.device);
    let answer = http::json(server.address(), "DELETE", &path, &ann.token, &Value::Null).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    for client in &mut at_stolen {
        assert_eq!(kicked(client).await, "revoked");
        client.closed().await;
    }
    for _ in 0..2 {
        assert_eq!(refusal(&server, &stolen.token).await, "revoked");
        let mut client = Client::open(server.address(), Encoding::Binary).await;
        let error = client.greet(Client::hello(&ticket)).await.expect_err("the ticket is void");
        assert_eq!(error.code, "revoked");
        client.closed().await;
        let body = json!({ "refresh_token": stolen.refresh_token, "nonce": "n".repeat(22) });
        let answer = http::json(server.address(), "POST", "/api/v1/refresh", "", &body).await;
        assert_eq!(answer.status, 401, "{}", answer.body);
        at_ann.tell(&ben, "my other device is none of your business").await;
        server.kill().await;
        server.start_again().await;
        at_ann = Client::attach(&server, &ann).await;
    }
}

#[tokio::test]
async fn signing_out_and_changing_the_password_end_sessions() {
    let server = Server::start().await;
    let ann = Person::register(&server, "ann").await;
    let ann_too = ann.on_another_device(&server).await;
    let ann_three = ann.on_another_device(&server).await;
    let mut first = Client::attach(&server, &ann).await;
    let mut second = Client::attach(&server, &ann_too).await;
    let mut third = Client::attach(&server, &ann_three).await;

    let answer = http::json(server.address(), "POST", "/api/v1/sign-out", &ann_too.token, &Value::Null).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    assert_eq!(kicked(&mut second).await, "revoked");
    first.tell(&ann, "the others go on").await;

    let body = json!({ "old_password": "a long enough password", "new_password": "another long password" });
    let answer = http::json(server.address(), "POST", "/api/v1/password", &ann.token, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(kicked(&mut third).await, "revoked");
    assert_eq!(refusal(&server, &ann_three.token).await, "revoked");
    assert_eq!(refusal(&server, &ann.token).await, "revoked", "the answer brought another token");
    let renewed = answer.json()["access_token"].as_str().expect("a token").to_owned();
    Client::attach_with(&server, Client::hello(&renewed)).await;
}

#[tokio::test]
async fn a_refresh_is_answered_once_and_a_stolen_one_ends_the_family() {
    let mut server = Server::start().await;
    let ann = Person::register(&server, "ann").await;
    let mut client = Client::attach(&server, &ann).await;
    let refresh = |address, token: String, nonce: &str| {
        let body = json!({ "refresh_token": token, "nonce": nonce.repeat(22) });
        async move { http::json(address, "POST", "/api/v1/refresh", "", &body).await }
    };
    let first = refresh(server.address(), ann.refresh_token.clone(), "a").await;
    assert_eq!(first.status, 200, "{}", first.body);
    client.tell(&ann, "an old token does not end a live socket").await;
    server.kill().await;
    server.start_again().await;
    let again = refresh(server.address(), ann.refresh_token.clone(), "a").await;
    assert_eq!(again.status, 200, "the answer was lost: {}", again.body);
    assert_eq!(first.json()["refresh_token"], again.json()["refresh_token"]);
    let token = again.json()["access_token"].as_str().expect("a token").to_owned();
    let (mut client, _) = Client::attach_with(&server, Client::hello(&token)).await;

    let stolen = refresh(server.address(), ann.refresh_token.clone(), "b").await;
    assert_eq!(stolen.status, 401, "{}", stolen.body);
    assert_eq!(kicked(&mut client).await, "revoked");
    let rightful = again.json()["refresh_token"].as_str().expect("a token").to_owned();
    assert_eq!(refresh(server.address(), rightful, "c").await.status, 401);
}

#[tokio::test]
async fn http_bodies_that_are_wrong_are_named() {
    let server = Server::start().await;
    let ann = Person::register(&server, "ann").await;
    let register = |body: Value| {
        let address = server.address();
        async move { http::json(address, "POST", "/api/v1/register", "", &body).await }
    };
    let person = |handle: &str, password: &str| json!({ "handle": handle, "password": password, "name": "N", "device_name": "d" });
    let cases = [
        (json!({ "handle": 7 }), 400, "bad_value"),
        (json!({ "handle": "zoe" }), 400, "bad_value"),
        (json!([]), 400, "bad_value"),
        (person("zo e", "a long enough password"), 400, "bad_value"),
        (person("zoe", "short"), 400, "bad_value"),
        (person("ann", "a long enough password"), 409, "handle_taken"),
        (person("ANN", "a long enough password"), 409, "handle_taken"),
    ];
    for (body, status, code) in cases {
        let answer = register(body.clone()).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}: {}", answer.body);
    }
    let raw = |head: &str, body: &str| {
        let address = server.address();
        let request = format!("{head} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        async move { http::raw(address, request.as_bytes()).await }
    };
    let answer = raw("POST /api/v1/register", "{}").await;
    assert_eq!((answer.status, answer.code().as_str()), (415, "malformed_body"));
    let answer = raw("DELETE /api/v1/register", "").await;
    assert_eq!((answer.status, answer.code().as_str()), (405, "method_not_allowed"));
    let answer = raw("GET /api/v1/nothing", "").await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
    let long = json!({ "handle": "x".repeat(70_000) });
    let answer = register(long).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"));
    let body = json!({ "handle": "ann", "password": "not the password", "device_name": "d" });
    let wrong = http::json(server.address(), "POST", "/api/v1/sign-in", "", &body).await;
    let body = json!({ "handle": "nobody", "password": "not the password", "device_name": "d" });
    let nobody = http::json(server.address(), "POST", "/api/v1/sign-in", "", &body).await;
    assert_eq!((wrong.status, wrong.code().as_str()), (401, "wrong_credentials"));
    assert_eq!(wrong.body, nobody.body, "whether a handle exists is not told");
    let found = http::json(server.address(), "GET", "/api/v1/people/ann", &ann.token, &Value::Null).await;
    assert_eq!(found.json()["account"], json!(ann.id().to_string()));
    let hello = v1::Hello { client: "c".repeat(65), ..Client::hello(&ann.token) };
    let mut client = Client::open(server.address(), Encoding::Binary).await;
    assert_eq!(client.greet(hello).await.expect_err("too long a name").code, "bad_value");
}
