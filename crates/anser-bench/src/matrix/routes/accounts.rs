//! Coming in, devices, people: operations in which one may only ever touch what is one's own.

use anser_proto::ErrorCode;
use anyhow::Context as _;
use serde_json::{Value, json};

use super::super::actors::{Actor, Asker, Kind, LATE, RENAMED, Seat, TITLE};
use super::super::http::Ask;
use super::super::players::{GONE, GUEST, PASSWORD};
use super::cell::Cell;
use super::{Door, Row};

type Played = anyhow::Result<()>;

/// A row for each.
pub fn rows() -> Vec<Row> {
    let open = |operation, sample, play| Row { operation, door: Door::Open, sample, play };
    let token = |operation, sample, play| Row { operation, door: Door::Token, sample, play };
    vec![
        open("register", new_account, register),
        open("signIn", |_| Ok(with_password(GUEST, PASSWORD)), sign_in),
        open("refresh", |cell| Ok(renewal(&cell.another_device()?.refresh_token)), refresh),
        token("signOut", |_| Ok(Ask::act("/sign-out")), sign_out),
        token("changePassword", |_| Ok(another_password(PASSWORD)), change_password),
        token("listDevices", |_| Ok(Ask::get("/devices")), list_devices),
        token("revokeDevice", |cell| Ok(without(&device_of(cell, Actor::Owner))), revoke_device),
        token("deactivate", |_| Ok(leaving(PASSWORD)), deactivate),
        token("invite", |_| Ok(Ask::act("/invitations")), invite),
        token("getProfile", |_| Ok(Ask::get("/profile")), get_profile),
        token("changeProfile", |_| Ok(another_bio("of nobody")), change_profile),
        token("lookUp", |_| Ok(Ask::get(format!("/people/{GUEST}"))), look_up),
        token("listConversations", |_| Ok(Ask::get("/conversations")), list_conversations),
    ]
}

fn new_account(cell: &mut Cell<'_, '_>) -> anyhow::Result<Ask> {
    let handle = format!("newcomer-{}", cell.stage.next_number());
    let body = json!({"handle": handle, "password": PASSWORD, "name": "New", "device_name": "device"});
    Ok(Ask::post("/register", body))
}

fn register(cell: &mut Cell<'_, '_>) -> Played {
    let ask = new_account(cell)?;
    let grant = cell.allowed("a new account", &ask, &[])?;
    let token = grant["access_token"].as_str().unwrap_or_default().to_owned();
    cell.lets_in(&token, &Ask::get("/profile"), true, "with the new token")?;
    cell.refused("the same handle again", &ask, ErrorCode::HandleTaken)
}

fn with_password(handle: &str, password: &str) -> Ask {
    Ask::post("/sign-in", json!({"handle": handle, "password": password, "device_name": "device"}))
}

fn sign_in(cell: &mut Cell<'_, '_>) -> Played {
    cell.allowed("with the password", &with_password(GUEST, PASSWORD), &[])?;
    let unknown = with_password(&format!("nobody-{}", cell.stage.next_number()), PASSWORD);
    let wrong = "not the password";
    cell.alike("with a wrong password", &with_password(GUEST, wrong), &unknown, ErrorCode::WrongCredentials)?;
    let gone = with_password(GONE, wrong);
    cell.alike(
        "where the account is gone, with a wrong password",
        &gone,
        &unknown,
        ErrorCode::WrongCredentials,
    )?;
    let what = "where the account is gone, with its password";
    cell.refused(what, &with_password(GONE, PASSWORD), ErrorCode::AccountDeactivated)
}

fn renewal(refresh_token: &str) -> Ask {
    Ask::post("/refresh", json!({"refresh_token": refresh_token, "nonce": "a nonce of the matrix"}))
}

fn refresh(cell: &mut Cell<'_, '_>) -> Played {
    let device = cell.another_device()?;
    let grant = cell.allowed("with a good token", &renewal(&device.refresh_token), &[])?;
    let account = device.account.to_string();
    if grant["account"] != account || grant["device"] != device.device {
        cell.fault("the next tokens are another device's");
    }
    let revoked = cell.stage.credentials.revoked.refresh_token.clone();
    cell.refused("with that of a revoked device", &renewal(&revoked), ErrorCode::Unauthenticated)?;
    let deactivated = cell.stage.credentials.deactivated.refresh_token.clone();
    cell.refused("with that of a deactivated account", &renewal(&deactivated), ErrorCode::Unauthenticated)?;
    cell.refused("with an access token", &renewal(&device.token), ErrorCode::Unauthenticated)
}

fn sign_out(cell: &mut Cell<'_, '_>) -> Played {
    let device = cell.another_device()?;
    cell.bearer = Some(device.token.clone());
    cell.allowed("on another device", &Ask::act("/sign-out"), &[])?;
    cell.lets_in(&device.token, &Ask::get("/profile"), false, "after signing out")?;
    cell.everybody_is_still_in("after another device signed out")
}

fn another_password(old: &str) -> Ask {
    Ask::post("/password", json!({"old_password": old, "new_password": "another horse battery staple"}))
}

fn change_password(cell: &mut Cell<'_, '_>) -> Played {
    let wrong = another_password("not the password");
    cell.refused("without the old one", &wrong, ErrorCode::WrongCredentials)?;
    let (handle, device) = cell.understudy()?;
    let other = cell.stage.http.sign_in(&handle, PASSWORD, "another device")?;
    cell.bearer = Some(device.token.clone());
    let grant = cell.allowed("with the old one", &another_password(PASSWORD), &[])?;
    let token = grant["access_token"].as_str().unwrap_or_default().to_owned();
    cell.lets_in(&token, &Ask::get("/profile"), true, "with the new token")?;
    for old in [&device.token, &other.token] {
        cell.lets_in(old, &Ask::get("/profile"), false, "with a token from before")?;
    }
    cell.everybody_is_still_in("after somebody changed the password")
}

fn list_devices(cell: &mut Cell<'_, '_>) -> Played {
    let own = cell.actor().map(|actor| actor.device_word().to_owned());
    cell.allowed("", &Ask::get("/devices"), own.as_slice()).map(drop)
}

fn device_of(cell: &Cell<'_, '_>, actor: Actor) -> String {
    cell.stage.players.of(actor).device.device.clone()
}

fn without(device: &str) -> Ask {
    Ask::delete(format!("/devices/{device}"))
}

fn revoke_device(cell: &mut Cell<'_, '_>) -> Played {
    let nothing = without(&cell.unknown_id().to_string());
    let own = cell.actor();
    for other in Actor::ALL.into_iter().filter(|other| Some(*other) != own) {
        let device = device_of(cell, other);
        cell.alike(&format!("that of {other:?}"), &without(&device), &nothing, ErrorCode::NotFound)?;
    }
    cell.everybody_is_still_in("after somebody tried to sign their devices out")?;
    let device = cell.another_device()?;
    cell.allowed("one of one's own", &without(&device.device), &[])?;
    cell.lets_in(&device.token, &Ask::get("/profile"), false, "after it was signed out")?;
    cell.everybody_is_still_in("after another device was signed out")
}

fn leaving(password: &str) -> Ask {
    Ask::post("/deactivate", json!({"password": password}))
}

fn deactivate(cell: &mut Cell<'_, '_>) -> Played {
    cell.refused("without the password", &leaving("not the password"), ErrorCode::WrongCredentials)?;
    let (handle, device) = cell.understudy()?;
    cell.bearer = Some(device.token.clone());
    cell.allowed("with the password", &leaving(PASSWORD), &[])?;
    cell.lets_in(&device.token, &Ask::get("/profile"), false, "after leaving")?;
    let back = cell.stage.http.ask(&with_password(&handle, PASSWORD), None)?;
    if back.code().as_deref() != Some("account_deactivated") {
        cell.fault(&format!("signing in again is answered {}", back.shown()));
    }
    cell.everybody_is_still_in("after somebody left")
}

fn invite(cell: &mut Cell<'_, '_>) -> Played {
    let invitation = cell.allowed("", &Ask::act("/invitations"), &[])?["invitation"].take();
    let mut ask = new_account(cell)?;
    if let Some(body) = &mut ask.body {
        body["invitation"] = invitation;
    }
    let grant = cell.stage.http.must(&ask, None)?;
    let token = grant["access_token"].as_str().unwrap_or_default();
    if cell.stage.http.must(&Ask::get("/profile"), Some(token))?["admin"] != false {
        cell.fault("whoever a member invites runs the installation");
    }
    Ok(())
}

fn get_profile(cell: &mut Cell<'_, '_>) -> Played {
    let profile = cell.allowed("", &Ask::get("/profile"), &[])?;
    let Some(actor) = cell.actor() else { return Ok(()) };
    let own = cell.stage.players.of(actor);
    let (account, is_admin) = (own.device.account.to_string(), actor == Actor::Administrator);
    if profile["account"] != account || profile["admin"] != is_admin {
        cell.fault(&format!("it is told {profile} of itself"));
    }
    Ok(())
}

fn another_bio(words: &str) -> Ask {
    Ask::patch("/profile", json!({"bio": words}))
}

fn change_profile(cell: &mut Cell<'_, '_>) -> Played {
    let bio = format!("bio of {:?}", cell.asker);
    cell.allowed("", &another_bio(&bio), std::slice::from_ref(&bio))?;
    for actor in Actor::ALL {
        let token = cell.stage.players.of(actor).device.token.clone();
        let told = cell.stage.http.must(&Ask::get("/profile"), Some(&token))?;
        if (told["bio"] == bio.as_str()) != (Some(actor) == cell.actor()) {
            cell.fault(&format!("{actor:?} has {}", told["bio"]));
        }
    }
    Ok(())
}

fn look_up(cell: &mut Cell<'_, '_>) -> Played {
    let guest = cell.stage.players.guest.account.to_string();
    cell.allowed("somebody", &Ask::get(format!("/people/{GUEST}")), &[guest])?;
    let nobody = Ask::get(format!("/people/nobody-{}", cell.stage.next_number()));
    let gone = Ask::get(format!("/people/{GONE}"));
    cell.alike("somebody who left", &gone, &nobody, ErrorCode::NotFound)
}

/// All pages, of every kind of conversation that one is or was in.
fn list_conversations(cell: &mut Cell<'_, '_>) -> Played {
    let Asker::Person(actor) = cell.asker else { return Ok(()) };
    for kind in Kind::ALL {
        let scene = cell.stage.set(kind)?;
        let (number, seat) = (scene.number, kind.seat(actor));
        cell.scene = Some(scene);
        let words: &[&str] = match (kind, seat) {
            (_, Seat::Outside) => &[],
            (Kind::Direct | Kind::OfSelf, _) => &[],
            (_, Seat::Former) => &[TITLE],
            _ => &[LATE, RENAMED],
        };
        let mut text = String::new();
        let mut path = "/conversations?limit=200".to_owned();
        loop {
            let page = cell.allowed(&format!("with the {kind:?}"), &Ask::get(&*path), &[])?;
            text += &page.to_string();
            let Value::String(next) = &page["next"] else { break };
            path = format!("/conversations?limit=200&after={next}");
        }
        let lacking = words.iter().find(|word| !text.contains(&format!("{word}{number}")));
        if let Some(word) = lacking {
            cell.fault(&format!("the list lacks {word}{number}"));
        }
        let cid = &cell.scene.as_ref().context("it was just set")?.cid;
        if text.contains(&super::framed::hex(cid)) != (seat != Seat::Outside) {
            cell.fault(&format!("the {kind:?} is in the list, or not, although {seat:?}"));
        }
    }
    Ok(())
}
