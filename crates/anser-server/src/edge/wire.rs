//! How frames lie in the bytes of a connection: in WebSocket's frames, or each behind its length.

use std::borrow::Cow;

use anser_edge::{Form, Transport};
use anser_proto::Encoding;
use anser_proto::peek::{PEEKED_BYTES, append_refusal, peek_send, refusal_len};
use bytes::{BufMut, Bytes, BytesMut};

use super::deflate::deflate;
use super::ws::{self, CloseCode, Incoming, MessageKind, Reader, WsError};

/// Bytes before each frame of a stream: its length, big-endian.
const LENGTH_BYTES: usize = 4;

/// What comes in on one connection.
#[derive(Debug)]
pub(super) enum Wire {
    WebSocket(Reader),
    Stream,
}

impl Wire {
    pub fn of(transport: Transport) -> Self {
        match transport {
            Transport::WebSocket => Wire::WebSocket(Reader::default()),
            Transport::Deflated => Wire::WebSocket(Reader::inflating()),
            Transport::Stream => Wire::Stream,
        }
    }

    /// The next thing that is whole at the front of `bytes`, and how many of them it took; nothing is taken where
    /// nothing is whole.
    pub fn next<'a>(
        &mut self,
        bytes: &'a mut [u8],
        limit_bytes: usize,
    ) -> Result<(usize, Option<Incoming<'a>>), WsError> {
        match self {
            Wire::WebSocket(reader) => reader.next(bytes, limit_bytes),
            Wire::Stream => match whole(bytes, limit_bytes)? {
                Some(end) => {
                    let message = Cow::Borrowed(&bytes[LENGTH_BYTES..end]);
                    Ok((end, Some(Incoming::Message(MessageKind::Binary, message))))
                }
                None => Ok((0, None)),
            },
        }
    }

    /// Passes over the next frame if it is a send in binary form. How many bytes it took, and its request id.
    pub fn skip_send(&self, bytes: &[u8], limit_bytes: usize) -> Option<(usize, u64)> {
        match self {
            Wire::WebSocket(reader) => reader.skip_send(bytes, limit_bytes),
            Wire::Stream => {
                let end = whole(bytes, limit_bytes).ok()??;
                let head = &bytes[LENGTH_BYTES..end];
                Some((end, peek_send(&head[..head.len().min(PEEKED_BYTES)])?))
            }
        }
    }

    /// Appends the answer to a request that there is no time for; the error is encoded already.
    pub fn append_refusal(&self, id: u64, error: &[u8], out: &mut Vec<u8>) {
        match self {
            Wire::WebSocket(_) => ws::append_refusal(id, error, out),
            Wire::Stream => {
                out.put_u32(refusal_len(id, error) as u32);
                append_refusal(id, error, out);
            }
        }
    }

    /// The last frame, where there is one.
    pub fn close(transport: Transport, code: CloseCode) -> Option<Bytes> {
        (transport != Transport::Stream).then(|| ws::close(code))
    }
}

/// Where the frame at the front of a stream ends, if it is whole.
fn whole(bytes: &[u8], limit_bytes: usize) -> Result<Option<usize>, WsError> {
    let Some(length) = bytes.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if length > limit_bytes {
        return Err(ws::TOO_LARGE);
    }
    let end = LENGTH_BYTES + length;
    Ok((bytes.len() >= end).then_some(end))
}

/// A frame of a server as it goes over the transport.
pub(super) fn framed(payload: &[u8], form: Form) -> Bytes {
    match form.transport {
        Transport::WebSocket => ws::message(kind_of(form), payload),
        Transport::Deflated => match deflate(payload) {
            Some(shorter) => ws::deflated_message(kind_of(form), &shorter),
            None => ws::message(kind_of(form), payload),
        },
        Transport::Stream => {
            let mut frame = BytesMut::with_capacity(LENGTH_BYTES + payload.len());
            frame.put_u32(payload.len() as u32);
            frame.put_slice(payload);
            frame.freeze()
        }
    }
}

fn kind_of(form: Form) -> MessageKind {
    if form.encoding == Encoding::Json { MessageKind::Text } else { MessageKind::Binary }
}

#[cfg(test)]
mod tests {
    use anser_proto::v1::{self, client_frame::Request};

    use super::*;

    fn behind_its_length(payload: &[u8]) -> Vec<u8> {
        [&(payload.len() as u32).to_be_bytes()[..], payload].concat()
    }

    #[test]
    fn frames_of_a_stream_are_whole_or_not_there() {
        let mut wire = Wire::of(Transport::Stream);
        let mut bytes =
            [behind_its_length(b"one"), behind_its_length(b""), behind_its_length(b"three")].concat();
        let last = bytes.pop().expect("there are bytes");
        let (first, said) = wire.next(&mut bytes, 16).expect("it is well formed");
        assert_eq!((first, said), (7, Some(Incoming::Message(MessageKind::Binary, Cow::Borrowed(b"one")))));
        let (second, said) = wire.next(&mut bytes[first..], 16).expect("it is well formed");
        assert_eq!((second, said), (4, Some(Incoming::Message(MessageKind::Binary, Cow::Borrowed(b"")))));
        assert_eq!(wire.next(&mut bytes[first + second..], 16), Ok((0, None)));
        bytes.push(last);
        assert!(matches!(wire.next(&mut bytes[first + second..], 16), Ok((9, Some(_)))));
        let mut announced = [0, 0, 0, 17];
        let too_long = wire.next(&mut announced, 16).map_err(|error| error.code);
        assert_eq!(too_long, Err(CloseCode::TooLarge), "before its bytes come");
    }

    #[test]
    fn sends_of_a_stream_are_passed_over_and_answered() {
        let wire = Wire::of(Transport::Stream);
        let frame = |request| {
            let frame = v1::ClientFrame { id: 7, request: Some(request) };
            behind_its_length(&anser_proto::encode_client(&frame, Encoding::Binary))
        };
        let send = frame(Request::Send(v1::Send {
            message: Some(v1::Message::text("hello")),
            ..v1::Send::default()
        }));
        assert_eq!(wire.skip_send(&send, 64 * 1024), Some((send.len(), 7)));
        assert_eq!(wire.skip_send(&send[..send.len() - 1], 64 * 1024), None, "it is not whole");
        assert_eq!(wire.skip_send(&frame(Request::Ping(v1::Ping {})), 64 * 1024), None);
        let error = v1::Error::new(anser_proto::ErrorCode::Overloaded, "later");
        let mut out = Vec::new();
        wire.append_refusal(7, &prost::Message::encode_to_vec(&error), &mut out);
        let whole = v1::ServerFrame::error(7, error);
        let form = Form { encoding: Encoding::Binary, transport: Transport::Stream };
        assert_eq!(out, framed(&anser_proto::encode_server(&whole, Encoding::Binary), form));
    }
}
