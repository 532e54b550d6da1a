//! The schema and the error catalogue as markdown tables, for `docs/protocol.md`.

use std::fmt::Write;

use crate::errors::{ErrorCode, Retry};

/// A message of the schema.
#[derive(Debug)]
pub struct MessageDoc {
    /// Its name.
    pub name: &'static str,
    /// What the schema says of it.
    pub comment: &'static str,
    /// Its fields, in the schema's order.
    pub fields: &'static [FieldDoc],
}

/// A field of a message.
#[derive(Debug)]
pub struct FieldDoc {
    /// Its name in the JSON form.
    pub json: &'static str,
    /// Its number in the binary form.
    pub number: u32,
    /// Its type: `uint64`, `Head`, `[Head]`, `{uint32: uint64}`.
    pub kind: &'static str,
    /// The choice that it is one of; empty when it stands alone.
    pub one_of: &'static str,
    /// What the schema says of it.
    pub comment: &'static str,
}

struct EnumDoc {
    name: &'static str,
    values: &'static [(&'static str, i32, &'static str)],
}

/// What wraps all other messages.
const FRAMES: [&str; 3] = ["ClientFrame", "ServerFrame", "Response"];

include!(concat!(env!("OUT_DIR"), "/schema_doc.rs"));

/// Every message of the schema.
pub fn schema() -> &'static [MessageDoc] {
    MESSAGES
}

/// What both frames may carry: name in JSON, number, type.
pub fn frames() -> String {
    let mut out = String::new();
    for name in FRAMES {
        let message = find(name);
        let _ = write!(
            out,
            "**{name}**. {}\n\n| carries | no. | message | for |\n|---|---|---|---|\n",
            message.comment
        );
        for field in message.fields {
            let meaning = if field.one_of.is_empty() { field.comment } else { find(field.kind).comment };
            let _ = writeln!(out, "| `{}` | {} | `{}` | {} |", field.json, field.number, field.kind, meaning);
        }
        out.push('\n');
    }
    out
}

/// Every message with its fields and their comments, then the enums. What [`frames`] tells is left out.
pub fn messages() -> String {
    let mut out = String::new();
    for message in MESSAGES.iter().filter(|message| !FRAMES.contains(&message.name)) {
        let _ = writeln!(out, "#### {}\n", message.name);
        if !message.comment.is_empty() {
            let _ = writeln!(out, "{}\n", message.comment);
        }
        if message.fields.is_empty() {
            out.push_str("No fields.\n\n");
            continue;
        }
        out.push_str("| field | no. | type | meaning |\n|---|---|---|---|\n");
        for field in message.fields {
            let one_of = if field.one_of.is_empty() { "" } else { " (one of)" };
            let _ = writeln!(
                out,
                "| `{}` | {} | `{}`{one_of} | {} |",
                field.json, field.number, field.kind, field.comment
            );
        }
        out.push('\n');
    }
    for described in ENUMS {
        let _ = write!(out, "#### {}\n\n| value | no. | meaning |\n|---|---|---|\n", described.name);
        for (name, number, comment) in described.values {
            let _ = writeln!(out, "| `{name}` | {number} | {comment} |");
        }
        out.push('\n');
    }
    out
}

/// The error catalogue, and what its retry classes mean.
pub fn errors() -> String {
    let mut out = String::from("| retry class | what to do |\n|---|---|\n");
    for retry in Retry::ALL {
        let _ = writeln!(out, "| `{}` | {} |", retry.as_str(), retry.meaning());
    }
    out.push_str("\n| code | retry | closes | meaning |\n|---|---|---|---|\n");
    for code in ErrorCode::ALL {
        let closes = if code.closes() { "yes" } else { "" };
        let _ = writeln!(
            out,
            "| `{}` | `{}` | {closes} | {} |",
            code.as_str(),
            code.retry().as_str(),
            code.meaning()
        );
    }
    out.push('\n');
    out
}

/// Puts `table` between `<!-- generated: name -->` and `<!-- end: name -->` of a document. None when the
/// document lacks the markers.
pub fn embed(document: &str, name: &str, table: &str) -> Option<String> {
    let (open, close) = (format!("<!-- generated: {name} -->\n"), format!("<!-- end: {name} -->"));
    let start = document.find(&open)? + open.len();
    let end = start + document[start..].find(&close)?;
    Some(format!("{}\n{}\n{}", &document[..start], table.trim_end(), &document[end..]))
}

fn find(name: &str) -> &'static MessageDoc {
    MESSAGES.iter().find(|message| message.name == name).expect("the frames name messages of the schema")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_embedded_between_their_markers_and_again() {
        let document = "a\n<!-- generated: x -->\nold\n<!-- end: x -->\nb\n";
        let once = embed(document, "x", "new\n\n").unwrap();
        assert_eq!(once, "a\n<!-- generated: x -->\n\nnew\n<!-- end: x -->\nb\n");
        assert_eq!(embed(&once, "x", "new").unwrap(), once);
        assert_eq!(embed(document, "y", "new"), None);
    }

    #[test]
    fn every_message_of_the_schema_is_told() {
        let text = messages();
        assert!(text.contains("#### Hello\n\nThe first frame of a connection."));
        assert!(text.contains("| `slots` | 2 | `{uint32: uint64}` |"));
        assert!(frames().contains("| `readUpTo` | 21 | `ReadUpTo` |"));
        assert!(errors().contains("| `rate_limited` | `same_id` |  |"));
    }
}
