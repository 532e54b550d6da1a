//! The life that a golden folder holds: some of it folded into the stores, some of it in the log alone.

use std::time::Duration;

use anser_client::account::{AccountApi, Registration};
use anser_client::{Client, ServerAddress};
use anser_model::{AccountId, ConversationId};
use anser_proto::v1::{self, Role, Target};
use anser_proto::wire;
use anyhow::Context as _;
use tokio::time::Instant;

use super::look::{PASSWORD, enter};
use crate::server::Server;

/// Who lives it.
pub const HANDLES: [&str; 4] = ["anna", "ben", "carl", "dora"];
/// Own messages of one person in a row: more than a member's state keeps.
const OWN_SENDS: usize = 70;
/// What is said last is not folded before this long after it was: then the server is gone.
const UNFOLDED_FOR: Duration = Duration::from_millis(900);

/// A message that was acknowledged: to whom, where, what.
pub struct Said {
    /// Whose it is.
    pub handle: &'static str,
    /// Where.
    pub cid: ConversationId,
    /// At which seq.
    pub seq: u64,
    /// What.
    pub text: String,
}

struct Cast {
    clients: Vec<Client>,
    accounts: Vec<AccountId>,
    said: Vec<Said>,
}

const ANNA: usize = 0;
const BEN: usize = 1;
const CARL: usize = 2;
const DORA: usize = 3;

/// Lives it, and kills the server at the end. What was acknowledged.
///
/// # Errors
/// The server refuses something, or the end came too late.
pub async fn live(server: &mut Server) -> anyhow::Result<Vec<Said>> {
    let accounts = register(&server.address()).await?;
    let mut cast = Cast { clients: enter_all(&server.address()).await?, accounts, said: Vec::new() };
    let (club, team) = begin(&mut cast).await?;
    for client in &cast.clients {
        client.stop().await;
    }
    server.stop().await?;

    server.start_again().await?;
    cast.clients = enter_all(&server.address()).await?;
    let begun = Instant::now();
    end(&mut cast, club, team).await?;
    server.reap_killed().await?;
    let took = begun.elapsed();
    anyhow::ensure!(took < UNFOLDED_FOR, "the end took {took:?}: some of it may be folded, try again");
    Ok(cast.said)
}

async fn register(server: &ServerAddress) -> anyhow::Result<Vec<AccountId>> {
    let api = AccountApi::new(vec![server.clone()]);
    let mut accounts = Vec::new();
    for handle in HANDLES {
        let registration = Registration {
            handle: handle.to_owned(),
            password: PASSWORD.to_owned(),
            name: format!("{handle} 鸿雁"),
            invitation: None,
            device_name: "first".to_owned(),
        };
        let grant = api.register(&registration).await.with_context(|| format!("registering {handle}"))?;
        accounts.push(grant.account);
        // A device that is revoked leaves its mark in the home.
        let lost = api.sign_in(handle, PASSWORD, "lost").await?;
        api.revoke_device(&grant.access_token, lost.device).await?;
    }
    Ok(accounts)
}

async fn enter_all(server: &ServerAddress) -> anyhow::Result<Vec<Client>> {
    let mut clients = Vec::new();
    for handle in HANDLES {
        clients.push(enter(server, handle).await?);
    }
    Ok(clients)
}

impl Cast {
    fn peer(&self, who: usize) -> Target {
        Target::peer(self.accounts[who])
    }

    async fn say(&mut self, who: usize, to: Target, text: &str) -> anyhow::Result<v1::Accepted> {
        let accepted =
            self.clients[who].send_text(to, text).await.with_context(|| format!("saying {text}"))?;
        self.said.push(Said {
            handle: HANDLES[who],
            cid: wire::cid(&accepted.cid)?,
            seq: accepted.seq,
            text: text.to_owned(),
        });
        Ok(accepted)
    }
}

/// What is folded by the end of it: the server stops in an orderly way.
async fn begin(cast: &mut Cast) -> anyhow::Result<(ConversationId, ConversationId)> {
    let ids = cast.accounts.clone();
    for number in 0..6 {
        cast.say(ANNA, cast.peer(BEN), &format!("to ben {number}")).await?;
        cast.say(BEN, cast.peer(ANNA), &format!("to anna {number} 你好")).await?;
    }
    cast.clients[BEN].read_up_to(cast.peer(ANNA), 8).await?;
    cast.clients[ANNA].read_up_to(cast.peer(BEN), 5).await?;
    cast.say(ANNA, cast.peer(ANNA), "a note to myself").await?;

    let club = cast.clients[ANNA].create_group("club", &[ids[BEN], ids[CARL]], true).await?;
    let club = wire::cid(&club.cid)?;
    cast.say(CARL, Target::cid(club), "carl is here").await?;
    cast.clients[ANNA].set_role(club, ids[BEN], Role::Admin).await?;
    cast.clients[BEN].rename(club, "book club 📚").await?;
    cast.clients[CARL].read_up_to(Target::cid(club), 3).await?;
    cast.say(ANNA, Target::cid(club), "carl sees this").await?;
    cast.clients[BEN].remove_member(club, ids[CARL]).await?;
    cast.say(ANNA, Target::cid(club), "carl does not see this").await?;
    cast.clients[ANNA].add_members(club, &[ids[DORA]]).await?;
    cast.say(DORA, Target::cid(club), "dora sees it all").await?;

    let team = cast.clients[BEN].create_group("team", &[ids[ANNA], ids[CARL]], false).await?;
    let team = wire::cid(&team.cid)?;
    cast.say(CARL, Target::cid(team), "before the rest").await?;
    for number in 0..OWN_SENDS {
        cast.say(ANNA, Target::cid(team), &format!("anna says much {number}")).await?;
    }
    cast.clients[CARL].leave(team).await?;
    cast.clients[BEN].leave(team).await?;
    cast.clients[ANNA].add_members(team, &[ids[DORA], ids[CARL]]).await?;
    cast.say(DORA, Target::cid(team), "dora does not see what was").await?;
    Ok((club, team))
}

/// What stays in the log alone: the server is killed at once.
async fn end(cast: &mut Cast, club: ConversationId, team: ConversationId) -> anyhow::Result<()> {
    let ids = cast.accounts.clone();
    cast.say(BEN, cast.peer(ANNA), "the last to anna").await?;
    cast.clients[ANNA].read_up_to(cast.peer(BEN), 14).await?;
    cast.say(CARL, cast.peer(DORA), "a new conversation").await?;
    cast.clients[ANNA].set_role(team, ids[DORA], Role::Owner).await?;
    cast.clients[DORA].remove_member(team, ids[CARL]).await?;
    cast.clients[ANNA].rename(club, "the last title").await?;
    cast.say(DORA, Target::cid(club), "the last of all").await?;
    Ok(())
}
