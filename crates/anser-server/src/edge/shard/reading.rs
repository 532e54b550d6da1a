//! What comes from the sockets of a shard, taken until a session waits for something.

use std::io::ErrorKind;

use anser_edge::Input;
use anser_model::limits::FRAME_BYTES;
use anser_proto::{Encoding, ErrorCode, v1};
use rustix::event::epoll;

use super::super::wire::Wire;
use super::super::ws::{CloseCode, Incoming, MessageKind, WsError, pong};
use super::seat::{Reading, Seat, Transport};
use super::{BELL, Shard, interest};

impl Shard {
    pub(super) fn told(&mut self, session: u64, flags: epoll::EventFlags) {
        if session == BELL {
            return self.post.heard();
        }
        let Some(seat) = self.seats.get(session) else { return };
        let reads = flags.contains(epoll::EventFlags::IN) && seat.reading != Reading::Paused;
        if flags.contains(epoll::EventFlags::OUT) {
            self.write(session);
        }
        if reads {
            self.read(session);
        } else if flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP) {
            self.end(session);
        }
    }

    /// Reads once, if it is read at all, and takes what is whole.
    pub(super) fn read(&mut self, session: u64) {
        if self.seats.get(session).is_some_and(|seat| seat.reading != Reading::Paused) {
            self.read_once(session);
        }
    }

    fn read_once(&mut self, session: u64) {
        let now_s = self.now_s();
        let Some(seat) = self.seats.get(session) else { return };
        let Transport::Socket { stream, .. } = &mut seat.transport else { return };
        let count = match stream.read(&mut self.scratch) {
            Ok(0) => return self.end(session),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return self.settle(session);
            }
            Err(_) => return self.end(session),
        };
        if stream.holds_plaintext() {
            self.unread.push(session);
        }
        if let Reading::Lingering { left_bytes, until_s } = seat.reading {
            let left_bytes = left_bytes.saturating_sub(count as u32);
            seat.reading = Reading::Lingering { left_bytes, until_s };
            if left_bytes == 0 {
                self.end(session);
            }
            return;
        }
        self.counts.bytes_received += count as u64;
        (seat.heard_at_s, seat.was_active) = (now_s, true);
        if seat.kept.is_empty() {
            // Where it was read: nearly always it is whole.
            let mut scratch = std::mem::take(&mut self.scratch);
            let taken = self.take_frames(session, &mut scratch[..count]);
            if let Some(seat) = self.seats.get(session) {
                seat.kept.extend_from_slice(&scratch[taken..count]);
            }
            self.scratch = scratch;
        } else {
            let mut bytes = std::mem::take(&mut seat.kept);
            bytes.extend_from_slice(&self.scratch[..count]);
            self.came(session, bytes);
        }
        self.settle(session);
    }

    /// Takes what is whole of these bytes, and keeps the rest.
    pub(super) fn came(&mut self, session: u64, mut bytes: Vec<u8>) {
        let taken = self.take_frames(session, &mut bytes);
        if let Some(seat) = self.seats.get(session) {
            bytes.drain(..taken);
            seat.kept = bytes;
        }
    }

    /// Takes what is whole, until the session waits for something, was put off, or ends. How many bytes that were.
    fn take_frames(&mut self, session: u64, bytes: &mut [u8]) -> usize {
        let mut at = 0;
        loop {
            at += self.put_off_unread(session, &bytes[at..]);
            let Some(seat) = self.seats.get(session) else { return bytes.len() };
            if seat.session.is_closing() {
                return bytes.len();
            }
            if seat.session.is_busy() || seat.is_put_off {
                return at;
            }
            let Transport::Socket { wire, .. } = &mut seat.transport else { return bytes.len() };
            let (taken, incoming) = match wire.next(&mut bytes[at..], FRAME_BYTES) {
                Ok(taken) => taken,
                Err(error) => {
                    self.refuse_bytes(session, error);
                    return bytes.len();
                }
            };
            if taken == 0 {
                return at;
            }
            at += taken;
            if let Some(incoming) = incoming
                && !self.is_stranger_too_often(session)
            {
                self.incoming(session, incoming);
            }
        }
    }

    fn incoming(&mut self, session: u64, incoming: Incoming<'_>) {
        match incoming {
            Incoming::Message(kind, bytes) => {
                self.counts.frames_received += 1;
                let encoding = match kind {
                    MessageKind::Text => Encoding::Json,
                    MessageKind::Binary => Encoding::Binary,
                };
                let frame = anser_proto::decode_client(&bytes, encoding)
                    .map_err(|error| v1::Error::new(error.code(), error.to_string()));
                self.step(session, Input::Frame { encoding, frame });
            }
            Incoming::Ping(payload) => self.with(session, |seat, shell| {
                seat.session.push(pong(payload), shell);
            }),
            Incoming::Pong => {}
            Incoming::Close => self.with(session, |seat, _| {
                let last = Wire::close(seat.session.form().transport, CloseCode::Normal);
                seat.session.close(last);
            }),
        }
    }

    /// What came is no frame: the connection is closed.
    fn refuse_bytes(&mut self, session: u64, error: WsError) {
        let code = match error.code {
            CloseCode::TooLarge => ErrorCode::FrameTooLarge,
            _ => ErrorCode::MalformedFrame,
        };
        let frame = v1::ServerFrame::error(0, v1::Error::new(code, error.what));
        self.with(session, |seat, shell| {
            seat.session.push_frame(&frame, shell);
            let last = Wire::close(seat.session.form().transport, error.code);
            seat.session.close(last);
        });
    }

    /// Where there is no time for sends there is none to read them either: refusing one must cost a small part of
    /// what doing it costs, or a server that is offered five times what it bears does nothing but refuse.
    fn put_off_unread(&mut self, session: u64, bytes: &[u8]) -> usize {
        let Some(seat) = self.seats.get(session) else { return 0 };
        let Some(error) = seat.session.puts_off_sends(&self.shell) else { return 0 };
        let Transport::Socket { wire, .. } = &seat.transport else { return 0 };
        let error = prost::Message::encode_to_vec(&error);
        let (mut refusals, mut count, mut at) = (Vec::new(), 0, 0);
        while let Some((taken, id)) = wire.skip_send(&bytes[at..], FRAME_BYTES) {
            at += taken;
            count += 1;
            wire.append_refusal(id, &error, &mut refusals);
        }
        if !refusals.is_empty() {
            // Nobody may do anything with it soon, so it costs no write of its own: it goes with what is delivered
            // next, or when this connection is read on.
            seat.session.push_put_off(refusals.into(), &self.shell);
            _ = seat.session.was_put_off();
            self.put_off(session, count);
        }
        at
    }

    /// Counts what comes before it is known of whom. Whether it was too much from one network: then the connection is
    /// being closed.
    fn is_stranger_too_often(&mut self, session: u64) -> bool {
        let Some(seat) = self.seats.get(session).filter(|seat| seat.session.account().is_none()) else {
            return false;
        };
        let quotas = &self.shell.edge.quotas;
        let Err(retry_after_ms) = quotas.stranger.charge(seat.network, 1, self.shell.now_ms.get()) else {
            return false;
        };
        let why = "too much came from your network: connect again after retry_after_ms";
        let error = v1::Error::new(ErrorCode::RateLimited, why).after_ms(retry_after_ms);
        self.with(session, |seat, shell| seat.session.refuse_and_close(0, error, shell));
        true
    }

    /// So much of a session was put off: it is not read for a while.
    pub(super) fn put_off(&mut self, session: u64, count: usize) {
        if let Some(seat) = self.seats.get(session).filter(|seat| !seat.is_put_off) {
            seat.is_put_off = true;
            let until_ms = self.shell.now_ms.get() + self.pause.after(count);
            self.put_off.push_back((until_ms, session));
        }
    }

    /// Reads a connection, or does not, as its session can take more.
    pub(super) fn settle(&mut self, session: u64) {
        let Some(seat) = self.seats.get(session) else { return };
        let Transport::Socket { stream, .. } = &seat.transport else { return };
        let reading = match seat.reading {
            Reading::Lingering { .. } => return,
            // Its last words are about to be written.
            _ if seat.session.is_closing() => Reading::Paused,
            _ if seat.session.is_busy() || seat.is_put_off => Reading::Paused,
            _ => Reading::Open,
        };
        if reading != seat.reading {
            seat.reading = reading;
            interest(&self.epoll, stream, session, reading, seat.blocked_since_s.is_some());
        }
    }

    /// Goes on with a session that was not read: with what was kept first, then with what its socket has by now. Only then the
    /// system is told, if it is to be read again: whoever is put off every time costs no word about it.
    pub(super) fn go_on(&mut self, session: u64) {
        let Some(seat) = self.seats.get(session) else { return };
        if seat.session.is_busy() || seat.is_put_off || seat.reading != Reading::Paused {
            return;
        }
        let bytes = std::mem::take(&mut seat.kept);
        if !bytes.is_empty() {
            self.came(session, bytes);
        }
        let goes_on = |seat: &mut Seat| {
            seat.reading == Reading::Paused
                && !seat.session.is_closing()
                && !seat.session.is_busy()
                && !seat.is_put_off
        };
        match self.seats.get(session).is_some_and(goes_on) {
            true => self.read_once(session),
            false => self.settle(session),
        }
    }
}
