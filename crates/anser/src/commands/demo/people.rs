//! The people of the demo: their accounts, their connections, and what they answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anser_client::account::{AccountApi, Registration};
use anser_client::{Client, Options, Update, Updates};
use anser_model::{AccountId, ConversationId};
use anser_proto::v1::{self, Target, event::Change};
use anser_proto::wire;
use tokio::task::JoinSet;

use crate::profile::{Profile, SavedSession};

/// Handles and names.
pub const PEOPLE: [(&str, &str); 8] = [
    ("lin_xiao", "林晓"),
    ("zhou_yu", "周屿"),
    ("chen_mo", "陈默"),
    ("maya", "Maya Hernández"),
    ("tom", "Tom Becker"),
    ("mama", "妈妈"),
    ("wang_lu", "王璐（房东）"),
    ("aiko", "Aiko 愛子"),
];

/// What somebody says who is written to, one after another.
const ANSWERS: [(&str, &[&str]); 3] = [
    ("zhou_yu", &["看到了，我改一下 👀", "这版比上一版好多了", "先这样，明天站会再说", "哈哈哈可以"]),
    ("tom", &["On it — give me ten minutes", "Love it ❤️", "Can you send me the file?", "Ha, fair point 😄"]),
    ("mama", &["吃饭了没有？", "多穿点，降温了", "好的好的，妈妈知道了 👍"]),
];
/// How long somebody takes to answer.
const THINKING: Duration = Duration::from_millis(1_500);

/// Everybody, connected.
pub struct People {
    known: BTreeMap<&'static str, Person>,
    answering: JoinSet<()>,
    updates: Vec<(&'static str, Client, Updates)>,
}

/// One of them.
pub struct Person {
    pub account: AccountId,
    pub name: &'static str,
    pub client: Client,
}

impl People {
    /// Makes the accounts, with a profile for each under `home`.
    pub async fn register(address: &str, home: &Path, password: &str) -> anyhow::Result<People> {
        let servers = vec![address.parse()?];
        let api = AccountApi::new(servers.clone());
        let mut people = People { known: BTreeMap::new(), answering: JoinSet::new(), updates: Vec::new() };
        for (handle, name) in PEOPLE {
            let registration = Registration {
                handle: handle.to_owned(),
                password: password.to_owned(),
                name: name.to_owned(),
                invitation: None,
                device_name: "demo".to_owned(),
            };
            let grant = api.register(&registration).await?;
            // The profile is for whoever tries the demo: with a device of its own.
            let own = api.sign_in(handle, password, "terminal").await?;
            Profile::in_folder(handle, home).begin(&SavedSession::new(&servers, handle, &own))?;
            let options = Options::new(servers.clone(), grant.access_token);
            let (client, updates) = Client::connect(options)?;
            people.updates.push((handle, client.clone(), updates));
            people.known.insert(handle, Person { account: grant.account, name, client });
        }
        Ok(people)
    }

    /// Somebody, by handle.
    pub fn get(&self, handle: &str) -> anyhow::Result<&Person> {
        self.known.get(handle).ok_or_else(|| anyhow::anyhow!("the demo has nobody called {handle:?}"))
    }

    /// Whom a text names.
    pub fn named(&self, text: &str) -> Vec<u64> {
        let named = self.known.values().filter(|person| text.contains(&format!("@{}", person.name)));
        named.map(|person| person.account.get()).collect()
    }

    /// Everybody listens; some answer who writes to them alone. Ends when nobody is connected any more.
    pub async fn answer(&mut self) {
        for (handle, client, updates) in self.updates.drain(..) {
            let answers = ANSWERS.iter().find(|(known, _)| *known == handle).map_or(&[][..], |it| it.1);
            let own = self.known.get(handle).map_or(AccountId(0), |person| person.account);
            self.answering.spawn(listen(own, client, updates, answers));
        }
        while self.answering.join_next().await.is_some() {}
    }

    /// Everybody goes.
    pub async fn stop(mut self) {
        self.answering.shutdown().await;
        for person in self.known.values() {
            person.client.stop().await;
        }
    }
}

async fn listen(own: AccountId, client: Client, mut updates: Updates, answers: &'static [&'static str]) {
    let mut next = answers.iter().cycle();
    // What was said while the demo was prepared has its answers already.
    while updates.try_next().is_some() {}
    while let Some(update) = updates.next().await {
        let Update::Event(event) = update else { continue };
        let author = AccountId(event.author);
        let direct = wire::cid(&event.cid).is_ok_and(|cid| cid == ConversationId::direct(own, author));
        let Some(Change::Message(_)) = &event.change else { continue };
        if author == own || !direct {
            continue;
        }
        let Some(text) = next.next() else { continue };
        tokio::time::sleep(THINKING).await;
        // Who does not answer leaves the demo as it is.
        let _ = client.read_up_to(Target::peer(author), event.seq).await;
        let _ = client.send(Target::peer(author), v1::Message::text(*text)).await;
    }
}
