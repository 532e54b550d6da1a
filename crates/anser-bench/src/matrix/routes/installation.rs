//! What administrators do over HTTP, and what application servers do with their keys.

use anser_proto::ErrorCode;
use serde_json::{Value, json};

use super::super::actors::{Actor, Asker, KEY, Kind, LATE, Scope, holds};
use super::super::answers::Audience;
use super::super::http::Ask;
use super::super::players::GUEST;
use super::cell::Cell;
use super::framed::hex;
use super::{Door, Row};

type Played = anyhow::Result<()>;
type Sampled = anyhow::Result<Ask>;

/// The account in whose name the system speaks.
const SYSTEM: u64 = 1;

/// A row for each.
pub fn rows() -> Vec<Row> {
    let token = |operation, sample, play| Row { operation, door: Door::Token, sample, play };
    let key = |operation, scope, sample, play| Row { operation, door: Door::Key(scope), sample, play };
    vec![
        token("createKey", |_| Ok(new_key()), create_key),
        token("listKeys", |_| Ok(Ask::get("/admin/keys")), list_keys),
        token("revokeKey", |cell| Ok(without_key(&key_of(cell)?.0)), revoke_key),
        key("importAccounts", Scope::Accounts, |cell| Ok(import(cell.stage.next_number())), import_accounts),
        key("viewAccount", Scope::Accounts, |cell| of(cell, Actor::Owner, ""), view_account),
        key("deactivateAccount", Scope::Accounts, |cell| of(cell, Actor::Owner, "/deactivate"), deactivate),
        key("reactivateAccount", Scope::Accounts, |cell| of(cell, Actor::Owner, "/reactivate"), reactivate),
        key("issueTokens", Scope::Tokens, sample_tokens, issue_tokens),
        key("sendAs", Scope::Messages, sample_words, send_as),
        key("createGroupAs", Scope::Messages, sample_group, create_group_as),
    ]
}

fn new_key() -> Ask {
    Ask::post("/admin/keys", json!({"name": format!("{KEY}more"), "scopes": ["accounts"]}))
}

fn is_administrator(cell: &Cell<'_, '_>) -> bool {
    cell.asker == Asker::Person(Actor::Administrator)
}

fn create_key(cell: &mut Cell<'_, '_>) -> Played {
    if !is_administrator(cell) {
        return cell.refused("", &new_key(), ErrorCode::NotAllowed);
    }
    let made = cell.allowed("", &new_key(), &[])?;
    let secret = made["secret"].as_str().unwrap_or_default().to_owned();
    let look = Ask::get(account(cell.stage.players.guest.account, ""));
    cell.lets_in(&secret, &look, true, "with the new key")
}

fn list_keys(cell: &mut Cell<'_, '_>) -> Played {
    let ask = Ask::get("/admin/keys");
    match is_administrator(cell) {
        true => cell.allowed("", &ask, &[KEY.to_owned()]).map(drop),
        false => cell.refused("", &ask, ErrorCode::NotAllowed),
    }
}

/// A key that is in force: its number, and its text.
fn key_of(cell: &mut Cell<'_, '_>) -> anyhow::Result<(String, String)> {
    let administrator = cell.stage.players.of(Actor::Administrator).device.token.clone();
    cell.stage.http.make_key(&administrator, &[Scope::Accounts])
}

fn without_key(number: &str) -> Ask {
    Ask::delete(format!("/admin/keys/{number}"))
}

fn revoke_key(cell: &mut Cell<'_, '_>) -> Played {
    let (number, secret) = key_of(cell)?;
    let look = Ask::get(account(cell.stage.players.guest.account, ""));
    let nothing = without_key(&cell.unknown_id().to_string());
    if is_administrator(cell) {
        cell.allowed("", &without_key(&number), &[])?;
        cell.refused("one that is not there", &nothing, ErrorCode::NotFound)?;
        return cell.lets_in(&secret, &look, false, "with the revoked key");
    }
    cell.alike("", &without_key(&number), &nothing, ErrorCode::NotAllowed)?;
    cell.lets_in(&secret, &look, true, "with the key that somebody tried to revoke")
}

fn import(number: usize) -> Ask {
    let person = json!({"handle": format!("imported-{number}"), "name": "Imported"});
    Ask::post("/server/accounts", json!({"accounts": [person]}))
}

fn import_accounts(cell: &mut Cell<'_, '_>) -> Played {
    let ask = import(cell.stage.next_number());
    cell.allowed("somebody", &ask, &["made".to_owned()])?;
    cell.allowed("the same again", &ask, &["known".to_owned()])?;
    let taken = json!({"accounts": [{"handle": GUEST, "name": "Imported"}]});
    let refused = ["already_exists".to_owned()];
    cell.allowed("a handle that somebody has", &Ask::post("/server/accounts", taken), &refused)?;
    Ok(())
}

fn account(account: u64, below: &str) -> String {
    format!("/server/accounts/{account}{below}")
}

/// The same operation on an actor's account.
fn of(cell: &mut Cell<'_, '_>, actor: Actor, below: &str) -> Sampled {
    let path = account(cell.stage.players.account(actor), below);
    Ok(if below.is_empty() { Ask::get(path) } else { Ask::act(path) })
}

fn view_account(cell: &mut Cell<'_, '_>) -> Played {
    for actor in [Actor::Owner, Actor::Administrator] {
        let (ask, handle) = (of(cell, actor, "")?, cell.stage.players.of(actor).handle.clone());
        cell.allowed(&format!("that of {actor:?}"), &ask, &[handle])?;
    }
    let unknown = Ask::get(account(cell.unknown_id(), ""));
    cell.refused("one that is not there", &unknown, ErrorCode::NotFound)
}

/// Nobody whom a key does not touch is touched.
fn spared(cell: &mut Cell<'_, '_>, below: &str) -> Played {
    let administrator = of(cell, Actor::Administrator, below)?;
    cell.refused("an administrator's", &administrator, ErrorCode::NotAllowed)?;
    cell.refused("the system's", &Ask::act(account(SYSTEM, below)), ErrorCode::NotAllowed)?;
    let unknown = Ask::act(account(cell.unknown_id(), below));
    cell.refused("one that is not there", &unknown, ErrorCode::NotFound)?;
    cell.everybody_is_still_in("after a key tried")
}

fn deactivate(cell: &mut Cell<'_, '_>) -> Played {
    let (_, device) = cell.understudy()?;
    cell.allowed("somebody's", &Ask::act(account(device.account, "/deactivate")), &[])?;
    cell.lets_in(&device.token, &Ask::get("/profile"), false, "after it was deactivated")?;
    spared(cell, "/deactivate")
}

fn reactivate(cell: &mut Cell<'_, '_>) -> Played {
    let (handle, device) = cell.understudy()?;
    let key = cell.bearer.clone();
    cell.stage.http.must(&Ask::act(account(device.account, "/deactivate")), key.as_deref())?;
    cell.allowed("somebody's", &Ask::act(account(device.account, "/reactivate")), &[])?;
    cell.lets_in(&device.token, &Ask::get("/profile"), false, "with a token from before")?;
    let back = cell.stage.http.sign_in(&handle, super::super::players::PASSWORD, "device")?;
    cell.lets_in(&back.token, &Ask::get("/profile"), true, "with a new token")?;
    spared(cell, "/reactivate")
}

fn tokens_for(of: u64) -> Ask {
    let body = json!({"device_key": "a key of the matrix", "device_name": "device"});
    Ask::post(account(of, "/tokens"), body)
}

fn sample_tokens(cell: &mut Cell<'_, '_>) -> Sampled {
    Ok(tokens_for(cell.stage.players.account(Actor::Owner)))
}

fn issue_tokens(cell: &mut Cell<'_, '_>) -> Played {
    let (_, device) = cell.understudy()?;
    let grant = cell.allowed("somebody's", &tokens_for(device.account), &[])?;
    let token = grant["access_token"].as_str().unwrap_or_default().to_owned();
    let told = cell.stage.http.must(&Ask::get("/profile"), Some(&token))?;
    let account = device.account.to_string();
    if told["account"] != account {
        cell.fault(&format!("the tokens are those of {told}"));
    }
    let administrator = tokens_for(cell.stage.players.account(Actor::Administrator));
    cell.refused("an administrator's", &administrator, ErrorCode::NotAllowed)?;
    cell.refused("the system's", &tokens_for(SYSTEM), ErrorCode::NotAllowed)?;
    let deactivated = tokens_for(cell.stage.credentials.deactivated.account);
    cell.refused("those of one who left", &deactivated, ErrorCode::AccountDeactivated)?;
    let unknown = tokens_for(cell.unknown_id());
    cell.refused("one that is not there", &unknown, ErrorCode::NotFound)
}

/// Words of somebody, or of the system, to a conversation or an account.
fn words(cell: &mut Cell<'_, '_>, from: Option<u64>, to: Value) -> Ask {
    let number = cell.scene.as_ref().map_or(0, |scene| scene.number);
    let message = json!({"kind": "text", "text": format!("{LATE}{number} of a server")});
    let mut body = json!({"client_id": cell.client_id(), "to": to, "message": message});
    if let Some(from) = from {
        body["from"] = json!(from.to_string());
    }
    Ask::post("/server/messages", body)
}

fn sample_words(cell: &mut Cell<'_, '_>) -> Sampled {
    let guest = json!({"account": cell.stage.players.guest.account.to_string()});
    let owner = cell.stage.players.account(Actor::Owner);
    Ok(words(cell, Some(owner), guest))
}

fn send_as(cell: &mut Cell<'_, '_>) -> Played {
    let to_guest = json!({"account": cell.stage.players.guest.account.to_string()});
    let ask = words(cell, None, to_guest.clone());
    cell.allowed("the system to somebody", &ask, &[])?;
    let administrator = cell.stage.players.account(Actor::Administrator);
    let ask = words(cell, Some(administrator), to_guest);
    cell.refused("an administrator to somebody", &ask, ErrorCode::NotAllowed)?;
    for kind in Kind::ALL {
        let (scene, nowhere) = (cell.stage.set(kind)?, cell.stage.nowhere());
        let to = |cid: &[u8]| json!({"conversation": hex(cid)});
        let (there, nothing) = (to(&scene.cid), to(&nowhere));
        let may_speak = |actor: Actor| match kind {
            Kind::Group => !matches!(actor, Actor::Former | Actor::Stranger),
            Kind::Channel => matches!(actor, Actor::Owner | Actor::Deputy),
            Kind::Direct => matches!(actor, Actor::Owner | Actor::Member),
            Kind::OfSelf => actor == Actor::Owner,
        };
        cell.scene = Some(scene);
        for actor in [Actor::Owner, Actor::Member, Actor::Former, Actor::Stranger] {
            let from = Some(cell.stage.players.account(actor));
            let (ask, of_nothing) = (words(cell, from, there.clone()), words(cell, from, nothing.clone()));
            let what = format!("{actor:?} to it");
            cell.audience = if may_speak(actor) { Audience::Members } else { Audience::Asker };
            match (kind, actor) {
                _ if may_speak(actor) => drop(cell.allowed(&what, &ask, &[])?),
                (Kind::Group | Kind::Channel, Actor::Former) => {
                    cell.refused(&what, &ask, ErrorCode::NoLongerMember)?;
                }
                (Kind::Channel, Actor::Member) => cell.refused(&what, &ask, ErrorCode::NotAllowed)?,
                _ => cell.alike(&what, &ask, &of_nothing, ErrorCode::NotFound)?,
            }
        }
        // It speaks in every group without being a member, and nowhere else by a cid.
        let (ask, of_nothing) = (words(cell, None, there), words(cell, None, nothing));
        let is_heard = matches!(kind, Kind::Group | Kind::Channel);
        cell.audience = if is_heard { Audience::Members } else { Audience::Asker };
        match is_heard {
            true => drop(cell.allowed("the system to it", &ask, &[])?),
            false => cell.alike("the system to it", &ask, &of_nothing, ErrorCode::NotFound)?,
        }
    }
    Ok(())
}

fn group_for(cell: &mut Cell<'_, '_>, from: Option<u64>) -> Ask {
    let mut body = json!({"client_id": cell.client_id(), "title": "a group by a server"});
    if let Some(from) = from {
        body["from"] = json!(from.to_string());
    }
    Ask::post("/server/groups", body)
}

fn sample_group(cell: &mut Cell<'_, '_>) -> Sampled {
    let owner = cell.stage.players.account(Actor::Owner);
    Ok(group_for(cell, Some(owner)))
}

fn create_group_as(cell: &mut Cell<'_, '_>) -> Played {
    let administrator = cell.stage.players.account(Actor::Administrator);
    let ask = group_for(cell, Some(administrator));
    cell.refused("an administrator's", &ask, ErrorCode::NotAllowed)?;
    let ask = group_for(cell, Some(cell.stage.credentials.deactivated.account));
    cell.refused("one's who left", &ask, ErrorCode::AccountDeactivated)?;
    let owner = cell.stage.players.account(Actor::Owner);
    for from in [None, Some(owner)] {
        let ask = group_for(cell, from);
        let made = cell.allowed("a group", &ask, &[])?;
        let cid = made["conversation"].as_str().unwrap_or_default().to_owned();
        let look = Ask::get(format!("/conversations/{cid}/members"));
        let token = cell.stage.players.of(Actor::Owner).device.token.clone();
        let seen = cell.stage.http.ask(&look, Some(&token))?;
        let is_owners = holds(&seen.body, b"\"owner\"");
        if is_owners != from.is_some() {
            cell.fault(&format!("whose the group is: {}", seen.shown()));
        }
    }
    Ok(())
}
