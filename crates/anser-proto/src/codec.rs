//! Frames to bytes and back, in both forms, within limits that hold before anything is allocated.

use anser_model::limits;
use bytes::Bytes;
use prost::Message;
use serde::{Serialize, de::DeserializeOwned};

use crate::errors::ErrorCode;
use crate::v1::{ClientFrame, ServerFrame};

/// Bytes of the longest frame that a client may send, in either form.
pub const CLIENT_FRAME_BYTES: usize = limits::FRAME_BYTES;
/// Bytes of the longest frame that a server sends, in either form; a page is cut (`more`) to stay below.
pub const SERVER_FRAME_BYTES: usize = 4 * 1024 * 1024;
/// How deep objects and lists of the JSON form may nest. The schema itself needs eight levels. (The
/// binary form is held to 100 levels by prost.)
pub const JSON_NESTING: usize = 32;
/// Bytes of the reason that a [`FrameError`] quotes.
const REASON_BYTES: usize = 200;

/// The form of the frames of a connection, set by its first frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Protobuf in binary messages.
    Binary,
    /// The JSON mapping of proto3 in text messages.
    Json,
}

/// Why bytes are no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than the limit.
    #[error("a frame has at most {limit_bytes} bytes, this one has {bytes}")]
    TooLarge {
        /// Bytes it has.
        bytes: usize,
        /// Bytes it may have.
        limit_bytes: usize,
    },
    /// Neither protobuf nor JSON of this schema. The reason may quote what was sent: it is for the
    /// sender, not for logs.
    #[error("not a frame: {reason}")]
    Malformed {
        /// What the parser said, at most 200 bytes.
        reason: String,
    },
    /// Nests deeper than [`JSON_NESTING`].
    #[error("nests deeper than {JSON_NESTING} levels")]
    TooDeep,
}

impl FrameError {
    /// The code that a server answers it with.
    pub const fn code(&self) -> ErrorCode {
        match self {
            FrameError::TooLarge { .. } => ErrorCode::FrameTooLarge,
            FrameError::Malformed { .. } | FrameError::TooDeep => ErrorCode::MalformedFrame,
        }
    }

    fn malformed(reason: impl ToString) -> Self {
        let mut reason = reason.to_string();
        reason.truncate(reason.floor_char_boundary(REASON_BYTES));
        FrameError::Malformed { reason }
    }
}

/// Reads a frame that a client sent.
pub fn decode_client(bytes: &[u8], encoding: Encoding) -> Result<ClientFrame, FrameError> {
    decode(bytes, encoding, CLIENT_FRAME_BYTES)
}

/// Reads a frame that a server sent.
pub fn decode_server(bytes: &[u8], encoding: Encoding) -> Result<ServerFrame, FrameError> {
    decode(bytes, encoding, SERVER_FRAME_BYTES)
}

/// Writes a frame of a client. Its length is not checked here: the receiver refuses what is too long.
pub fn encode_client(frame: &ClientFrame, encoding: Encoding) -> Bytes {
    encode(frame, encoding)
}

/// Writes a frame of a server.
pub fn encode_server(frame: &ServerFrame, encoding: Encoding) -> Bytes {
    encode(frame, encoding)
}

fn decode<F>(bytes: &[u8], encoding: Encoding, limit_bytes: usize) -> Result<F, FrameError>
where
    F: Message + Default + DeserializeOwned,
{
    if bytes.len() > limit_bytes {
        return Err(FrameError::TooLarge { bytes: bytes.len(), limit_bytes });
    }
    match encoding {
        Encoding::Binary => F::decode(bytes).map_err(FrameError::malformed),
        Encoding::Json if nests_too_deep(bytes) => Err(FrameError::TooDeep),
        Encoding::Json => serde_json::from_slice(bytes).map_err(FrameError::malformed),
    }
}

fn encode<F: Message + Serialize>(frame: &F, encoding: Encoding) -> Bytes {
    match encoding {
        Encoding::Binary => frame.encode_to_vec().into(),
        // The generated form writes strings, numbers, lists and maps with string keys, and never fails
        // by itself (build.rs sees to unknown enum values); memory is no fallible writer.
        Encoding::Json => serde_json::to_vec(frame).expect("every frame has a JSON form").into(),
    }
}

/// Whether JSON opens more brackets at once than any frame needs. Malformed text gets some answer, and
/// the parser names the fault.
fn nests_too_deep(json: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in json {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[') => {
                depth += 1;
                if depth > JSON_NESTING {
                    return true;
                }
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{Role, SetRole, client_frame::Request};

    #[test]
    fn length_is_judged_before_content() {
        let long = vec![b'x'; CLIENT_FRAME_BYTES + 1];
        for encoding in [Encoding::Binary, Encoding::Json] {
            let error = decode_client(&long, encoding).unwrap_err();
            assert_eq!(error.code(), ErrorCode::FrameTooLarge);
        }
    }

    #[test]
    fn deep_nesting_is_refused_in_both_forms() {
        let json = format!("{{\"x\":{}", "[".repeat(10_000));
        assert_eq!(decode_client(json.as_bytes(), Encoding::Json), Err(FrameError::TooDeep));
        // An unknown group (field 15, wire type 3) opened again and again.
        let error = decode_client(&[0x7b; 10_000], Encoding::Binary).unwrap_err();
        assert_eq!(error.code(), ErrorCode::MalformedFrame);
    }

    #[test]
    fn brackets_inside_strings_do_not_nest() {
        let text = format!(r#"{{"id":"1","hello":{{"client":"{}\"[["}}}}"#, "[".repeat(100));
        assert!(decode_client(text.as_bytes(), Encoding::Json).is_ok());
    }

    #[test]
    fn an_enum_value_of_a_newer_peer_becomes_unspecified() {
        let json = br#"{"id":1,"setRole":{"role":"EMPEROR"}}"#;
        let role = |frame: ClientFrame| match frame.request {
            Some(Request::SetRole(SetRole { role, .. })) => role,
            other => panic!("{other:?}"),
        };
        let frame = decode_client(json, Encoding::Json).unwrap();
        assert_eq!(role(frame), Role::Unspecified as i32);
        let newer = ClientFrame {
            id: 1,
            request: Some(Request::SetRole(SetRole { role: 77, ..SetRole::default() })),
        };
        let json = encode_client(&newer, Encoding::Json);
        assert_eq!(role(decode_client(&json, Encoding::Json).unwrap()), Role::Unspecified as i32);
    }
}
