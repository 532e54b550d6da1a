//! Messages that are no text, as one calm line: what it is, what it is called, how large it is.

use anser_proto::v1;
use serde_json::Value;

use crate::chat::text::{one_line, tamed};
use crate::chat::words::Words;

/// Bars of a voice message that are shown.
const BARS: usize = 10;
const MINUTE_MS: u64 = 60_000;

/// What a message is that is no text.
#[derive(Debug, Clone, PartialEq)]
pub enum Thing {
    Image {
        name: String,
        size: String,
    },
    File {
        name: String,
        bytes: u64,
    },
    Voice {
        duration_ms: u64,
        bars: String,
    },
    Video {
        name: String,
        duration_ms: u64,
    },
    Location {
        name: String,
        address: String,
    },
    Card {
        name: String,
    },
    Transcript {
        title: String,
        items: Vec<Quoted>,
    },
    /// A kind that this client does not know.
    Other(String),
}

/// One message of a transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted {
    pub name: String,
    pub at_ms: u64,
    pub text: String,
}

/// What a message is, unless it is its text. What a body does not say stays empty.
pub fn thing(message: &v1::Message) -> Option<Thing> {
    let body: Value = serde_json::from_slice(&message.body).unwrap_or_default();
    let text = |field: &str| one_line(body[field].as_str().unwrap_or_default());
    let number = |field: &str| body[field].as_u64().unwrap_or_default();
    Some(match message.kind.as_str() {
        "text" => return None,
        "image" => {
            let (width, height) = (number("width"), number("height"));
            let size = if width > 0 && height > 0 { format!("{width}×{height}") } else { String::new() };
            Thing::Image { name: text("name"), size }
        }
        "file" => Thing::File { name: text("name"), bytes: number("bytes") },
        "voice" => Thing::Voice { duration_ms: number("duration_ms"), bars: bars(&body["waveform"]) },
        "video" => Thing::Video { name: text("name"), duration_ms: number("duration_ms") },
        "location" => Thing::Location { name: text("name"), address: text("address") },
        "card" => Thing::Card { name: text("name") },
        "transcript" => {
            let items = body["items"].as_array().map(Vec::as_slice).unwrap_or_default();
            Thing::Transcript { title: text("title"), items: items.iter().map(quoted).collect() }
        }
        other => Thing::Other(one_line(other)),
    })
}

fn quoted(item: &Value) -> Quoted {
    let text = |field: &str| item[field].as_str().unwrap_or_default();
    Quoted {
        name: one_line(text("name")),
        at_ms: item["at_ms"].as_u64().unwrap_or_default(),
        text: tamed(text("text")),
    }
}

/// A waveform of 0..=255 as bars.
fn bars(waveform: &Value) -> String {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let samples = waveform.as_array().map(Vec::as_slice).unwrap_or_default();
    let each = samples.len().div_ceil(BARS).max(1);
    let loudest = |part: &[Value]| part.iter().filter_map(Value::as_u64).max().unwrap_or_default();
    let heights = samples.chunks(each).map(|part| HEIGHTS[(loudest(part).min(255) / 32) as usize]);
    heights.collect()
}

/// The line. `text` is what the message says for who does not know its kind.
pub fn calm(thing: &Thing, text: &str, words: &Words) -> String {
    let kinds = &words.kinds;
    let length = |ms: u64| format!("{}:{:02}", ms / MINUTE_MS, ms % MINUTE_MS / 1_000);
    let (kind, parts) = match thing {
        Thing::Image { name, size } => (kinds.image, vec![name.clone(), size.clone()]),
        Thing::File { name, bytes } => (kinds.file, vec![name.clone(), readable(*bytes)]),
        Thing::Voice { duration_ms, bars } => (kinds.voice, vec![bars.clone(), length(*duration_ms)]),
        Thing::Video { name, duration_ms } => (kinds.video, vec![name.clone(), length(*duration_ms)]),
        Thing::Location { name, address } => (kinds.location, vec![name.clone(), address.clone()]),
        Thing::Card { name } => (kinds.card, vec![name.clone()]),
        Thing::Transcript { title, items } => {
            (kinds.transcript, vec![title.clone(), (words.messages)(items.len() as u64)])
        }
        Thing::Other(kind) => (kind.as_str(), vec![text.to_owned()]),
    };
    let mut parts = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
    if parts.is_empty() && !text.is_empty() {
        parts.push(text.to_owned());
    }
    parts.insert(0, format!("[{kind}]"));
    parts.join(" ")
}

/// Bytes for people: 2.4 MB.
fn readable(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];
    let unit =
        (0..UNITS.len() - 1).find(|&unit| bytes < 1_000_u64.pow(unit as u32 + 1)).unwrap_or(UNITS.len() - 1);
    let tenths = u128::from(bytes) * 10 / 1_000_u128.pow(unit as u32);
    match (bytes, unit) {
        (0, _) => String::new(),
        (_, 0) => format!("{bytes} B"),
        _ => format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::words::{EN, ZH};

    fn line(kind: &str, text: &str, body: &str) -> String {
        let message = v1::Message {
            kind: kind.to_owned(),
            text: text.to_owned(),
            body: body.to_owned().into(),
            ..v1::Message::default()
        };
        let thing = thing(&message).expect("no text");
        format!("{} | {}", calm(&thing, text, &ZH), calm(&thing, text, &EN))
    }

    #[test]
    fn every_kind_is_one_calm_line() {
        let image = r#"{"file":"f","mime":"image/png","bytes":9,"width":640,"height":360,"name":"评审.png"}"#;
        assert_eq!(line("image", "", image), "[图片] 评审.png 640×360 | [image] 评审.png 640×360");
        let file = r#"{"file":"f","mime":"text/plain","bytes":2430000,"name":"a.pdf"}"#;
        assert_eq!(line("file", "", file), "[文件] a.pdf 2.4 MB | [file] a.pdf 2.4 MB");
        let voice = r#"{"duration_ms":14200,"waveform":[0,64,255,130]}"#;
        assert_eq!(line("voice", "", voice), "[语音] ▁▃█▅ 0:14 | [voice] ▁▃█▅ 0:14");
        assert_eq!(
            line("location", "", r#"{"name":"外滩","address":"中山东一路"}"#),
            "[位置] 外滩 中山东一路 | [location] 外滩 中山东一路"
        );
        let transcript = r#"{"title":"Ann","items":[{"name":"Ann","at_ms":5,"kind":"text","text":"hi"}]}"#;
        assert_eq!(line("transcript", "", transcript), "[聊天记录] Ann 1 条 | [transcript] Ann 1 message");
        assert_eq!(
            line("hologram", "a fish\u{1b}", "\u{0}"),
            "[hologram] a fish\u{1b} | [hologram] a fish\u{1b}"
        );
        assert_eq!(line("image", "a picture", "not JSON"), "[图片] a picture | [image] a picture");
    }
}
