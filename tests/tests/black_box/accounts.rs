//! Accounts: profiles, kinds of devices, why a session ends, and running them from the command line.

use anser_proto::v1;
use anser_proto::v1::client_frame::Request;
use anser_proto::v1::response::Result as Answer;
use anser_proto::v1::server_frame::Frame;
use anser_tests::conversation::text_of;
use anser_tests::{Client, Person, Server, http, within};
use serde_json::{Value, json};

const PASSWORD: &str = "a long enough password";

async fn kicked(client: &mut Client) -> String {
    let code = client.pushed(|frame| match frame {
        Frame::Kicked(kicked) => Some(kicked.code.clone()),
        _ => None,
    });
    let code = code.await;
    client.closed().await;
    code
}

async fn sign_in(server: &Server, handle: &str, password: &str, kind: &str) -> http::Answer {
    let mut body = json!({ "handle": handle, "password": password, "device_name": "d" });
    if !kind.is_empty() {
        body["device_kind"] = json!(kind);
    }
    http::json(server.address(), "POST", "/api/v1/sign-in", "", &body).await
}

async fn connected(server: &Server, signed_in: &http::Answer) -> Client {
    assert_eq!(signed_in.status, 200, "{}", signed_in.body);
    let token = signed_in.json()["access_token"].as_str().expect("a token").to_owned();
    Client::attach_with(server, Client::hello(&token)).await.0
}

async fn profile(client: &mut Client, account: u64) -> v1::Profile {
    let asked = Request::GetProfiles(v1::GetProfiles { accounts: vec![account] });
    match client.ask(asked).await.expect("a profile that one may see") {
        Answer::ProfileList(list) => list.profiles.into_iter().next().expect("the profile"),
        other => panic!("profiles were answered {other:?}"),
    }
}

/// Runs a command that must succeed, and returns what it wrote.
async fn done(server: &Server, arguments: &[&str], input: &str) -> String {
    let done = server.tool(arguments, input).await;
    assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.stderr);
    done.stdout
}

/// Runs a command that must fail, with this in what it says.
async fn refused(server: &Server, arguments: &[&str], input: &str, part: &str) {
    let done = server.tool(arguments, input).await;
    assert!(done.code.is_some_and(|code| code != 0), "{arguments:?}: {}", done.stdout);
    assert!(done.stderr.contains(part), "{arguments:?}: {part:?} is not said: {}", done.stderr);
}

#[tokio::test]
async fn a_second_device_of_a_kind_takes_the_place_of_the_first() {
    let server = Server::start_with(&["--second-device", "replace"]).await;
    let ann = Person::register(&server, "ann").await;
    let mut terminal = Client::attach(&server, &ann).await;
    let mut phone = connected(&server, &sign_in(&server, "ann", PASSWORD, "phone").await).await;
    let mut web = connected(&server, &sign_in(&server, "ann", PASSWORD, "web").await).await;
    let mut second = connected(&server, &sign_in(&server, "ann", PASSWORD, "phone").await).await;
    assert_eq!(kicked(&mut phone).await, "replaced");
    let third = sign_in(&server, "ann", PASSWORD, "").await;
    assert_eq!(kicked(&mut terminal).await, "replaced", "who does not say is a terminal");
    let token = third.json()["access_token"].as_str().expect("a token").to_owned();
    let listed = http::json(server.address(), "GET", "/api/v1/devices", &token, &Value::Null).await.json();
    let devices = listed["devices"].as_array().expect("a list").clone();
    let of_kind = |kind: &str| devices.iter().filter(|device| device["kind"] == kind).count();
    assert_eq!((devices.len(), of_kind("phone"), of_kind("web"), of_kind("terminal")), (3, 1, 1, 1));
    web.tell(&ann, "still here").await;
    let on_web = devices.iter().find(|device| device["kind"] == "web").expect("there is one");
    let path = format!("/api/v1/devices/{}", on_web["device"].as_str().expect("an id"));
    let answer = http::json(server.address(), "DELETE", &path, &token, &Value::Null).await;
    assert_eq!((answer.status, kicked(&mut web).await.as_str()), (204, "revoked"));
    second.tell(&ann, "and so am I").await;
}

#[tokio::test]
async fn a_profile_is_shown_to_those_who_know_its_owner() {
    let mut server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut at_ben = Client::attach(&server, &ben).await;
    at_ben.tell(&ann, "hello").await;
    let body = json!({ "name": "Ann 鸿雁", "avatar": "https://x.example/a.png", "bio": "I write\nletters" });
    let answer = http::json(server.address(), "PATCH", "/api/v1/profile", &ann.token, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    server.kill().await;
    server.start_again().await;
    let mut at_ben = Client::attach(&server, &ben).await;
    let expected = v1::Profile {
        account: ann.id(),
        handle: "ann".into(),
        name: "Ann 鸿雁".into(),
        version: 2,
        avatar: "https://x.example/a.png".into(),
        bio: "I write\nletters".into(),
        deactivated: false,
    };
    assert_eq!(profile(&mut at_ben, ann.id()).await, expected);
    let found = http::json(server.address(), "GET", "/api/v1/people/ann", &ben.token, &Value::Null).await;
    assert_eq!((&found.json()["avatar"], &found.json()["bio"]), (&body["avatar"], &body["bio"]));
}

#[tokio::test]
async fn a_deactivated_account_hears_why_and_its_friends_see_it() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let (mut at_ann, mut at_ben) = (Client::attach(&server, &ann).await, Client::attach(&server, &ben).await);
    at_ann.tell(&ben, "I am leaving").await;
    let leave = |password: &'static str| {
        let body = json!({ "password": password });
        let (address, token) = (server.address(), ann.token.clone());
        async move { http::json(address, "POST", "/api/v1/deactivate", &token, &body).await }
    };
    assert_eq!(leave("not the password").await.code(), "wrong_credentials");
    let answer = leave(PASSWORD).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    assert_eq!(kicked(&mut at_ann).await, "deactivated");
    assert_eq!(sign_in(&server, "ann", PASSWORD, "").await.code(), "account_deactivated");
    let seen = profile(&mut at_ben, ann.id()).await;
    assert!(seen.deactivated && seen.version == 2, "{seen:?}");
    at_ben.tell(&ann, "this waits for you").await;

    assert_eq!(done(&server, &["user", "reactivate", "ann"], "").await, "");
    let mut back = connected(&server, &sign_in(&server, "ann", PASSWORD, "").await).await;
    let cid = back.conversations().await.remove(0).cid;
    let history = back.whole_history(&cid).await;
    let said: Vec<_> = history.iter().filter_map(text_of).collect();
    assert_eq!(said, ["I am leaving", "this waits for you"], "what was sent meanwhile is there");
    // Another process did it: the server learns of it from the folder, within seconds.
    let shown_again = async {
        while profile(&mut at_ben, ann.id()).await.deactivated {
            tokio::time::sleep(tokio::time::Duration::from_millis(50)).await;
        }
    };
    within("the friend sees it", shown_again).await;
    assert_eq!(done(&server, &["user", "deactivate", "@Ann"], "").await, "");
    assert_eq!(kicked(&mut back).await, "deactivated", "a running server learns of it from the folder");
}

#[tokio::test]
async fn a_lost_administrator_is_made_on_the_command_line() {
    let mut server = Server::start().await;
    let ann = Person::register(&server, "ann").await;
    let mut at_ann = Client::attach(&server, &ann).await;
    refused(&server, &["user", "reset-admin", "nobody"], "another long password\n", "no such account").await;
    refused(&server, &["user", "reset-admin", "ann"], "short\n", "8 to 1024").await;
    refused(&server, &["user", "reset-admin", "system"], "another long password\n", "system account").await;
    let said = done(&server, &["user", "reset-admin", "ann"], "another long password\n").await;
    assert!(said.contains("ann runs this installation"), "{said}");
    assert_eq!(kicked(&mut at_ann).await, "revoked");
    assert_eq!(sign_in(&server, "ann", PASSWORD, "").await.code(), "wrong_credentials");
    let mut at_ann = connected(&server, &sign_in(&server, "ann", "another long password", "").await).await;
    refused(&server, &["user", "deactivate", "ann"], "", "nobody else runs the installation").await;
    refused(&server, &["user", "make-admin", "ann", "--no-longer"], "", "nobody else").await;
    at_ann.tell(&ann, "unharmed").await;

    server.stop().await;
    let reset = ["user", "reset-password", "ann"];
    done(&server, &reset, "a third long password\n").await;
    let shown = done(&server, &["user", "show", "ann", "--json"], "").await;
    let shown: Value = serde_json::from_str(&shown).expect("one JSON object");
    assert_eq!((&shown["admin"], &shown["deactivated"]), (&json!(true), &json!(false)));
    server.start_again().await;
    assert_eq!(sign_in(&server, "ann", "another long password", "").await.code(), "wrong_credentials");
    connected(&server, &sign_in(&server, "ann", "a third long password", "").await).await;
    let listed = done(&server, &["user", "list", "--json"], "").await;
    let rows: Vec<Value> =
        listed.lines().map(|line| serde_json::from_str(line).expect("one JSON object a line")).collect();
    let handles: Vec<_> = rows.iter().map(|row| row["handle"].as_str().expect("a handle")).collect();
    assert_eq!(handles, ["ann", "system"]);
    assert_eq!((&rows[1]["account"], &rows[1]["has_password"]), (&json!("1"), &json!(false)));
    let said = server.stderr();
    for secret in [PASSWORD, "another long password", "a third long password", &ann.token, &ann.refresh_token]
    {
        assert!(!said.contains(secret), "a secret is in the log");
    }
}

#[tokio::test]
async fn keys_are_made_shown_once_and_revoked_on_the_command_line() {
    let server = Server::start().await;
    refused(&server, &["key", "create", "--name", "x"], "", "--scope").await;
    refused(&server, &["key", "create", "--name", "x", "--scope", "everything"], "", "accounts, tokens")
        .await;
    refused(&server, &["key", "create", "--name", "", "--scope", "tokens"], "", "name has 0 characters")
        .await;
    refused(&server, &["key", "revoke", "12"], "", "no such API key").await;
    let create = ["key", "create", "--name", "app server", "--scope", "accounts,tokens", "--json"];
    let made: Value = serde_json::from_str(&done(&server, &create, "").await).expect("one JSON object");
    let secret = made["secret"].as_str().expect("it is shown this once");
    assert!(secret.starts_with("ak_") && secret.len() == 46, "{secret}");
    assert_eq!(made["scopes"], json!(["accounts", "tokens"]));
    let listed = done(&server, &["key", "list"], "").await;
    assert!(listed.contains("app server") && !listed.contains(secret), "{listed}");
    done(&server, &["key", "revoke", made["key"].as_str().expect("a number")], "").await;
    assert!(done(&server, &["key", "list"], "").await.contains("revoked"));
    let accounts = std::fs::read(server.data().join("accounts.sqlite")).expect("it is there");
    let accounts = [accounts, std::fs::read(server.data().join("accounts.sqlite-wal")).unwrap_or_default()];
    let stored =
        |what: &[u8]| accounts.iter().any(|file| file.windows(what.len()).any(|found| found == what));
    assert!(stored(b"app server") && !stored(secret.as_bytes()), "its hash alone is stored");
    // An API key is no access token.
    let answer = http::json(server.address(), "GET", "/api/v1/devices", secret, &Value::Null).await;
    assert_eq!(answer.code(), "unauthenticated");
}

#[tokio::test]
async fn a_closed_installation_registers_nobody() {
    let server = Server::start_with(&["--registration", "closed"]).await;
    let body = json!({ "handle": "ann", "password": PASSWORD, "name": "ann", "device_name": "d" });
    let answer = http::json(server.address(), "POST", "/api/v1/register", "", &body).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "registration_closed"));
}
