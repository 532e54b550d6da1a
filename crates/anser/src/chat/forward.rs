//! What is said again elsewhere: one message as it was, or several as one transcript.

use anser_client::Session;
use anser_model::{AccountId, ConversationId};
use anser_proto::v1::{self, event::Change};
use serde_json::{Value, json};

/// The kind of several messages in one.
const TRANSCRIPT_KIND: &str = "transcript";
/// Characters of the longest title of a transcript, and lines of what it says to who does not know the kind.
const TITLE_CHARS: usize = 255;
const TEXT_LINES: usize = 4;

/// The message that says again what these seqs said. None when one of them is not held or says nothing.
pub fn message(session: &Session, from: ConversationId, seqs: &[u64], title: &str) -> Option<v1::Message> {
    let conversation = session.conversation(from)?;
    let said = seqs.iter().map(|&seq| {
        let fact = conversation.fact(seq)?;
        match &fact.change {
            Some(Change::Message(message)) if !message.recalled && !message.withheld => Some((fact, message)),
            _ => None,
        }
    });
    let said = said.collect::<Option<Vec<_>>>()?;
    let name = |account: u64| {
        let profile = session.profiles().get(AccountId(account));
        profile.map(|profile| profile.name.clone()).filter(|name| !name.is_empty())
    };
    match &said[..] {
        [] => None,
        [(_, message)] => Some(again(message)),
        several => {
            let items = several.iter().map(|(fact, message)| {
                let name = name(fact.author).unwrap_or_else(|| fact.author.to_string());
                item(fact, message, &name)
            });
            transcript(&items.collect::<Vec<_>>(), title)
        }
    }
}

/// The same, without what belongs to where it was said.
fn again(message: &v1::Message) -> v1::Message {
    v1::Message {
        kind: message.kind.clone(),
        text: message.text.clone(),
        body: message.body.clone(),
        forwarded: true,
        ..v1::Message::default()
    }
}

/// One message of a transcript. A body that is no JSON is left out: its text says what it was.
fn item(fact: &v1::Event, message: &v1::Message, name: &str) -> Value {
    let mut item = json!({
        "author": fact.author.to_string(),
        "name": name,
        "at_ms": fact.at_ms,
        "kind": message.kind,
        "text": message.text,
    });
    match serde_json::from_slice::<Value>(&message.body) {
        Ok(body) => item["body"] = body,
        Err(_) if message.body.is_empty() => {}
        Err(_) => {
            item["kind"] = "text".into();
            item["text"] = format!("[{}] {}", message.kind, message.text).into();
        }
    }
    item
}

fn transcript(items: &[Value], title: &str) -> Option<v1::Message> {
    let title: String = title.chars().filter(|c| !c.is_control()).take(TITLE_CHARS).collect();
    let title = if title.is_empty() { TRANSCRIPT_KIND.to_owned() } else { title };
    let lines = items.iter().take(TEXT_LINES).map(|item| {
        let text = |field: &str| item[field].as_str().unwrap_or_default().to_owned();
        format!("{}: {}", text("name"), text("text"))
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    let body = serde_json::to_vec(&json!({ "title": title, "items": items })).ok()?.into();
    Some(v1::Message { kind: TRANSCRIPT_KIND.to_owned(), text, body, ..v1::Message::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_messages_become_one_that_says_who_said_what() {
        let fact = v1::Event { author: 7, at_ms: 5, ..v1::Event::default() };
        let text = item(&fact, &v1::Message::text("hi"), "Ann");
        let odd =
            v1::Message { kind: "x-own".to_owned(), body: vec![0, 1].into(), ..v1::Message::text("fish") };
        let made = transcript(&[text, item(&fact, &odd, "Ann")], "Ann & Ben\n").unwrap();
        let body: Value = serde_json::from_slice(&made.body).unwrap();
        assert_eq!(body["title"], "Ann & Ben");
        assert_eq!(
            body["items"][0],
            json!({"author": "7", "name": "Ann", "at_ms": 5, "kind": "text", "text": "hi"})
        );
        assert_eq!(body["items"][1]["text"], "[x-own] fish");
        assert_eq!(made.text, "Ann: hi\nAnn: [x-own] fish");
    }

    #[test]
    fn one_message_goes_as_it_was_without_its_place() {
        let message = v1::Message { reply_to: 4, mentions: vec![9], ..v1::Message::text("hi") };
        assert_eq!(again(&message), v1::Message { forwarded: true, ..v1::Message::text("hi") });
    }
}
