//! What a server serves, asked as its people would ask, in a form that can be kept and compared.

use anser_client::account::AccountApi;
use anser_client::{Client, ClientError, Failure, Options, ServerAddress};
use anser_proto::v1::{self, Target};
use anser_proto::wire;
use anyhow::Context as _;
use serde_json::{Map, Value, json};

/// The password of everybody in a golden folder.
pub const PASSWORD: &str = "golden folders hold no secrets";
/// What is shown of one difference.
const SHOWN_CHARS: usize = 300;

/// What is told now of what old folders hold as well, and was not told when some of them were made.
const TOLD_SINCE: [&str; 2] = ["historyVisible", "peerDelivered"];

/// Signs somebody in on a new device and connects it.
///
/// # Errors
/// The server refuses.
pub async fn enter(server: &ServerAddress, handle: &str) -> anyhow::Result<Client> {
    let api = AccountApi::new(vec![server.clone()]);
    let grant = api.sign_in(handle, PASSWORD, "prover").await;
    let grant = grant.with_context(|| format!("signing {handle} in"))?;
    let (client, _) = Client::connect(Options::new(vec![server.clone()], grant.access_token))?;
    client.attached().await.with_context(|| format!("attaching {handle}"))?;
    Ok(client)
}

/// Everything that these people are served: by handle, then by conversation.
///
/// # Errors
/// The server refuses what it must not.
pub async fn look(server: &ServerAddress, handles: &[String]) -> anyhow::Result<Value> {
    let mut people = Map::new();
    for handle in handles {
        let client = enter(server, handle).await?;
        let mut conversations = Map::new();
        for head in client.fetch_conversations().await? {
            let cid = wire::cid(&head.cid)?;
            let facts = facts(&client, Target::cid(cid)).await?;
            let members = match client.members(cid).await {
                Ok(members) => serde_json::to_value(members)?,
                // One who is no longer a member is not told who is.
                Err(ClientError::Session(Failure::Refused(_))) => Value::Null,
                Err(error) => return Err(error.into()),
            };
            let seen = json!({ "head": serde_json::to_value(head)?, "facts": facts, "members": members });
            conversations.insert(cid.to_string(), seen);
        }
        client.stop().await;
        people.insert(handle.clone(), Value::Object(conversations));
    }
    Ok(Value::Object(people))
}

/// Every fact that somebody may see of a conversation, oldest first.
async fn facts(client: &Client, target: Target) -> anyhow::Result<Vec<Value>> {
    let mut facts: Vec<v1::Event> = Vec::new();
    loop {
        let before = facts.first().map_or(0, |oldest| oldest.seq);
        let page = client.page_before(target.clone(), before).await?;
        anyhow::ensure!(!page.events.is_empty() || !page.more, "an empty page, and more behind it");
        facts.splice(0..0, page.events);
        if !page.more {
            return Ok(facts.into_iter().map(serde_json::to_value).collect::<Result<_, _>>()?);
        }
    }
}

/// A view without what people change by looking: how far messages have come to them, and the n of that.
pub fn without_deliveries(mut people: Value) -> Value {
    let conversations = people.as_object_mut().into_iter().flat_map(|people| people.values_mut());
    for conversation in conversations.filter_map(Value::as_object_mut).flat_map(|all| all.values_mut()) {
        if let Some(head) = conversation["head"].as_object_mut() {
            head.remove("n");
            head.remove("peerDelivered");
        }
    }
    people
}

/// Where two views differ, with what each holds there.
pub fn differences(path: &str, due: &Value, seen: &Value) -> Vec<String> {
    match (due, seen) {
        (Value::Object(due), Value::Object(seen)) => {
            let mut names: Vec<&String> = due.keys().chain(seen.keys()).collect();
            names.sort();
            names.dedup();
            let nothing = Value::Null;
            names
                .into_iter()
                .filter(|name| due.contains_key(*name) || !TOLD_SINCE.contains(&name.as_str()))
                .flat_map(|name| {
                    let (due, seen) = (due.get(name).unwrap_or(&nothing), seen.get(name).unwrap_or(&nothing));
                    differences(&format!("{path}/{name}"), due, seen)
                })
                .collect()
        }
        (Value::Array(due), Value::Array(seen)) if due.len() == seen.len() => {
            let pairs = due.iter().zip(seen).enumerate();
            pairs.flat_map(|(at, (due, seen))| differences(&format!("{path}/{at}"), due, seen)).collect()
        }
        _ if due == seen => Vec::new(),
        _ => vec![format!("{path}: due is {}, served is {}", short(due), short(seen))],
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    let end = text.floor_char_boundary(SHOWN_CHARS);
    if end < text.len() { format!("{}…", &text[..end]) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named_by_their_place() {
        let due = json!({ "anna": { "head": { "seq": "3" }, "facts": [1, 2] } });
        assert_eq!(differences("", &due, &due), Vec::<String>::new());
        let told_since = json!({ "anna": { "head": { "seq": "3", "peerDelivered": "1" }, "facts": [1, 2] } });
        assert_eq!(differences("", &due, &told_since), Vec::<String>::new());
        assert_eq!(differences("", &told_since, &due).len(), 1, "what was told then is told now");
        let seen = json!({ "anna": { "head": { "seq": "4" }, "facts": [1] }, "eve": {} });
        assert_eq!(
            differences("", &due, &seen),
            [
                "/anna/facts: due is [1,2], served is [1]",
                "/anna/head/seq: due is \"3\", served is \"4\"",
                "/eve: due is null, served is {}",
            ]
        );
    }
}
