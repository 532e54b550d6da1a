//! What a server does with sends that it has no time to read: it looks at the first bytes of each, and answers
//! with an error that is encoded once for all of them.

use prost::encoding::{decode_varint, encode_varint, encoded_len_varint};

/// Bytes from the start of a frame that are enough to know it by.
pub const PEEKED_BYTES: usize = 16;
/// Field 1 of a client frame, a number; field 20, a message.
const ID_KEY: u64 = 1 << 3;
const SEND_KEY: u64 = 20 << 3 | 2;
/// Field 1 of a server frame, and fields 1 and 2 of a response.
const RESPONSE_KEY: u8 = 1 << 3 | 2;
const RESPONSE_ID_KEY: u8 = 1 << 3;
const ERROR_KEY: u8 = 2 << 3 | 2;

/// The id of a binary frame that holds a send, from its first bytes; `None` of anything else, and of what has to
/// be read to be known.
pub fn peek_send(mut head: &[u8]) -> Option<u64> {
    if decode_varint(&mut head).ok()? != ID_KEY {
        return None;
    }
    let id = decode_varint(&mut head).ok()?;
    (decode_varint(&mut head).ok()? == SEND_KEY && id != 0).then_some(id)
}

/// Appends a binary server frame that answers request `id` with an error, which is encoded already. Its length
/// in bytes is [`refusal_len`].
pub fn append_refusal(id: u64, error: &[u8], out: &mut Vec<u8>) {
    out.push(RESPONSE_KEY);
    encode_varint(response_len(id, error) as u64, out);
    out.push(RESPONSE_ID_KEY);
    encode_varint(id, out);
    out.push(ERROR_KEY);
    encode_varint(error.len() as u64, out);
    out.extend_from_slice(error);
}

/// Bytes of the frame that [`append_refusal`] appends.
pub fn refusal_len(id: u64, error: &[u8]) -> usize {
    let response = response_len(id, error);
    1 + encoded_len_varint(response as u64) + response
}

fn response_len(id: u64, error: &[u8]) -> usize {
    1 + encoded_len_varint(id) + 1 + encoded_len_varint(error.len() as u64) + error.len()
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::v1::client_frame::Request;
    use crate::{Encoding, ErrorCode, decode_server, encode_client, v1};

    fn frame(id: u64, request: Request) -> Vec<u8> {
        encode_client(&v1::ClientFrame { id, request: Some(request) }, Encoding::Binary).to_vec()
    }

    #[test]
    fn a_send_is_known_by_its_first_bytes_and_nothing_else_is() {
        for id in [1, 127, 128, u64::MAX] {
            let send = frame(id, Request::Send(v1::Send::default()));
            assert_eq!(peek_send(&send[..send.len().min(PEEKED_BYTES)]), Some(id));
            assert_eq!(peek_send(&send[..2]), None);
            assert_eq!(peek_send(&frame(id, Request::ReadUpTo(v1::ReadUpTo::default()))), None);
            assert_eq!(peek_send(&frame(id, Request::Ping(v1::Ping {}))), None);
        }
        assert_eq!(peek_send(&frame(0, Request::Send(v1::Send::default()))), None, "it has no id");
        assert_eq!(peek_send(&[0xff; PEEKED_BYTES]), None);
    }

    #[test]
    fn a_refusal_is_the_frame_that_the_codec_would_make() {
        let error = v1::Error::new(ErrorCode::Overloaded, "later").after_ms(700);
        for id in [1, 300, u64::MAX] {
            let mut bytes = Vec::new();
            append_refusal(id, &error.encode_to_vec(), &mut bytes);
            assert_eq!(bytes.len(), refusal_len(id, &error.encode_to_vec()));
            let read = decode_server(&bytes, Encoding::Binary).unwrap();
            assert_eq!(read, v1::ServerFrame::error(id, error.clone()));
        }
    }
}
