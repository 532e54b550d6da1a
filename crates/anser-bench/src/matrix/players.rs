//! Everybody who takes part, with what each proves itself with.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::actors::{Actor, KEY, Scope};
use super::http::{Ask, Http};
use super::line::Line;
use crate::random::Random;
use crate::server::{Server, ServerPlan};

/// The password of everybody.
pub const PASSWORD: &str = "correct horse battery staple";
/// How long the token is good that is to be an expired one.
const SHORT_LIFE_S: u64 = 1;

/// A device that is signed in.
#[derive(Debug, Clone)]
pub struct Device {
    /// Whose.
    pub account: u64,
    /// Which.
    pub device: String,
    /// What lets it in.
    pub token: String,
    /// What gives it the next tokens.
    pub refresh_token: String,
}

impl Device {
    fn of(grant: &Value) -> anyhow::Result<Device> {
        let text = |name: &str| grant[name].as_str().map(str::to_owned).with_context(|| name.to_owned());
        Ok(Device {
            account: text("account")?.parse().context("an account is a number")?,
            device: text("device")?,
            token: text("access_token")?,
            refresh_token: text("refresh_token")?,
        })
    }
}

/// One of the actors.
pub struct Player {
    /// Under which name it signs in.
    pub handle: String,
    /// Its first device.
    pub device: Device,
    line: Line,
}

/// Everybody.
pub struct Players {
    /// In the order of [`Actor::ALL`].
    all: Vec<Player>,
    /// Somebody who is in no conversation, has no secrets, and asks nothing.
    pub guest: Device,
}

/// How the guest signs in.
pub const GUEST: &str = "guest";
/// The handle of somebody who deactivated the account.
pub const GONE: &str = "gone";

/// What lets nobody in, and what lets application servers in.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// A token whose time is over.
    pub expired: String,
    /// The token of a device that was signed out, and the refresh token of it.
    pub revoked: Device,
    /// The token of an account that was deactivated.
    pub deactivated: Device,
    /// Keys that allow one thing, in the order of [`Scope::ALL`].
    fitting: Vec<String>,
    /// Keys that allow all but that.
    unfitting: Vec<String>,
    /// A key that allows everything.
    pub key: String,
    /// Another one, which was revoked.
    pub revoked_key: String,
}

impl Credentials {
    /// The key that allows this alone.
    pub fn key_for(&self, scope: Scope) -> &str {
        &self.fitting[scope as usize]
    }

    /// The key that allows all but this.
    pub fn key_without(&self, scope: Scope) -> &str {
        &self.unfitting[scope as usize]
    }
}

impl Players {
    /// An actor.
    pub fn of(&self, actor: Actor) -> &Player {
        &self.all[actor as usize]
    }

    /// An actor's account.
    pub fn account(&self, actor: Actor) -> u64 {
        self.of(actor).device.account
    }

    /// An actor's connection.
    pub fn line(&mut self, actor: Actor) -> &mut Line {
        &mut self.all[actor as usize].line
    }
}

/// Everybody, and what lets in or does not.
pub type People = (Players, Credentials);

/// Starts a server and brings everybody in.
///
/// # Errors
/// The server refuses.
pub async fn gather(plan: ServerPlan, random: &mut Random) -> anyhow::Result<(Server, People)> {
    let mut server = Server::start(ServerPlan { access_token_s: Some(SHORT_LIFE_S), ..plan.clone() }).await?;
    let mut http = Http::new(server.address().authority());
    let expired = tokio::task::block_in_place(|| http.register("expired", "device"))?.token;
    let expires = Instant::now() + Duration::from_secs(SHORT_LIFE_S + 1);
    server.stop().await?;
    server.plan_mut().access_token_s = plan.access_token_s;
    server.start_again().await?;
    let people = tokio::task::block_in_place(|| bring_in(&server, expired, random))?;
    sleep_until(expires).await;
    Ok((server, people))
}

fn bring_in(server: &Server, expired: String, random: &mut Random) -> anyhow::Result<People> {
    let address = server.address();
    let mut http = Http::new(address.authority());
    let mut all = Vec::new();
    for actor in Actor::ALL {
        let handle = format!("{actor:?}").to_ascii_lowercase();
        let device = http.register(&handle, actor.device_word())?;
        if actor == Actor::Administrator {
            make_admin(server, &handle)?;
        }
        let line = Line::open(address.authority(), &device.token, Random::new(random.bits()))?;
        all.push(Player { handle, device, line });
    }
    let guest = http.register(GUEST, "device")?;
    let deactivated = http.register(GONE, "device")?;
    http.must(&Ask::post("/deactivate", json!({"password": PASSWORD})), Some(&deactivated.token))?;
    let owner = &all[Actor::Owner as usize];
    let revoked = http.sign_in(&owner.handle, PASSWORD, "device")?;
    http.must(&Ask::delete(format!("/devices/{}", revoked.device)), Some(&owner.device.token))?;
    let administrator = all[Actor::Administrator as usize].device.token.clone();
    let mut make = |scopes: &[Scope]| http.make_key(&administrator, scopes).map(|(_, secret)| secret);
    let fitting = Scope::ALL.map(|scope| make(&[scope]));
    let others = |scope| Scope::ALL.into_iter().filter(|other| *other != scope).collect::<Vec<_>>();
    let unfitting = Scope::ALL.map(|scope| make(&others(scope)));
    let key = make(&Scope::ALL)?;
    let (number, revoked_key) = http.make_key(&administrator, &Scope::ALL)?;
    http.must(&Ask::delete(format!("/admin/keys/{number}")), Some(&administrator))?;
    let credentials = Credentials {
        expired,
        revoked,
        deactivated,
        fitting: fitting.into_iter().collect::<anyhow::Result<_>>()?,
        unfitting: unfitting.into_iter().collect::<anyhow::Result<_>>()?,
        key,
        revoked_key,
    };
    Ok((Players { all, guest }, credentials))
}

/// Makes somebody run the installation, as an operator does.
///
/// # Errors
/// The command line does not do it.
pub fn make_admin(server: &Server, handle: &str) -> anyhow::Result<()> {
    let mut command = Command::new(server.binary());
    command.args(["user", "make-admin", handle, "--data"]).arg(server.data());
    let made = command.stdin(Stdio::null()).output().context("the command line cannot be run")?;
    let said = String::from_utf8_lossy(&made.stderr).into_owned();
    anyhow::ensure!(made.status.success(), "nobody can be made an administrator: {said}");
    Ok(())
}

impl Http {
    /// Asks for what must be done.
    ///
    /// # Errors
    /// It is not.
    pub fn must(&mut self, ask: &Ask, bearer: Option<&str>) -> anyhow::Result<Value> {
        let answer = self.ask(ask, bearer)?;
        let is_done = (200..300).contains(&answer.status);
        anyhow::ensure!(
            is_done,
            "the stage cannot be set: {} {} was answered {}",
            ask.method,
            ask.path,
            answer.shown()
        );
        Ok(answer.json())
    }

    /// A new account, on a device.
    ///
    /// # Errors
    /// The server refuses.
    pub fn register(&mut self, handle: &str, device_name: &str) -> anyhow::Result<Device> {
        let body = json!({
            "handle": handle, "password": PASSWORD, "name": handle, "device_name": device_name,
        });
        Device::of(&self.must(&Ask::post("/register", body), None)?)
    }

    /// Another device of an account.
    ///
    /// # Errors
    /// The server refuses.
    pub fn sign_in(&mut self, handle: &str, password: &str, device_name: &str) -> anyhow::Result<Device> {
        let body = json!({"handle": handle, "password": password, "device_name": device_name});
        Device::of(&self.must(&Ask::post("/sign-in", body), None)?)
    }

    /// An API key: its number, and its text.
    ///
    /// # Errors
    /// The server refuses.
    pub fn make_key(&mut self, administrator: &str, scopes: &[Scope]) -> anyhow::Result<(String, String)> {
        let scopes = Scope::names(scopes.iter().copied());
        let body = json!({"name": format!("{KEY}of the matrix"), "scopes": scopes});
        let made = self.must(&Ask::post("/admin/keys", body), Some(administrator))?;
        let text = |value: &Value| value.as_str().map(str::to_owned).context("a key has a number and a text");
        Ok((text(&made["key"]["key"])?, text(&made["secret"])?))
    }
}
