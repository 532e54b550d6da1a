//! First messages: one person writes to one after another whom it never wrote to, each when the one before has come.

use anser_model::AccountId;
use anser_proto::v1::{event, response, server_frame};
use anser_proto::{Encoding, decode_server, v1};
use tokio::time::Instant;

use super::pen::{Pen, number_of, padded};
use crate::load::{Next, Wire};
use crate::socket::{self, CLOSE};
use crate::talk::Faults;

/// Connection 0 writes; connection `i` belongs to the `i`th of the accounts, counted from the end.
pub struct Strangers {
    accounts: Vec<AccountId>,
    pen: Pen,
    asked: usize,
    /// By message: whether it was acknowledged, and how often it came.
    acknowledged: Vec<bool>,
    delivered: Vec<u64>,
    misled: u64,
}

impl Strangers {
    /// To these, in this order.
    pub fn new(accounts: Vec<AccountId>, server_time_ms: u64) -> Strangers {
        let count = accounts.len();
        Strangers {
            accounts,
            pen: Pen::new(server_time_ms),
            asked: 0,
            acknowledged: vec![false; count],
            delivered: vec![0; count],
            misled: 0,
        }
    }

    /// What went wrong. What came to somebody else counts as lost.
    pub fn faults(&self) -> Faults {
        let both = || self.acknowledged.iter().zip(&self.delivered);
        Faults {
            lost: both().filter(|&(&acknowledged, &times)| acknowledged && times == 0).count() as u64
                + self.misled,
            doubled: self.delivered.iter().filter(|&&times| times > 1).count() as u64,
            reordered: 0,
        }
    }
}

impl Wire for Strangers {
    fn ask(&mut self, _at: usize, _now: Instant, out: &mut Vec<u8>) {
        let to = v1::Target::peer(self.accounts[self.asked]);
        let request = self.pen.send(to, padded(format_args!("{}", self.asked)));
        self.asked += 1;
        socket::push_request(out, 1 + self.asked as u64, request);
    }

    fn take(&mut self, at: usize, _now: Instant, bytes: &[u8], next: &mut Next) -> anyhow::Result<usize> {
        let mut taken = 0;
        while let Some(framed) = socket::next_frame(&bytes[taken..]) {
            let payload = &bytes[taken..][framed.start..framed.end];
            taken += framed.end;
            anyhow::ensure!(framed.opcode != CLOSE, "the server closed connection {at}");
            let number = match decode_server(payload, Encoding::Binary)?.frame {
                Some(server_frame::Frame::Response(answer)) if socket::is_put_off(answer.result.as_ref()) => {
                    // It is said again.
                    self.asked -= 1;
                    next.put_off.push(at);
                    continue;
                }
                Some(server_frame::Frame::Response(answer)) => {
                    let is_accepted = matches!(&answer.result, Some(response::Result::Accepted(_)));
                    anyhow::ensure!(is_accepted, "a first message was answered with {answer:?}");
                    let number = answer.id as usize - 2;
                    self.acknowledged[number] = true;
                    number
                }
                Some(server_frame::Frame::Event(event)) if at > 0 => {
                    let Some(event::Change::Message(message)) = event.change else { continue };
                    let number = number_of(&message.text).map(|number| number as usize);
                    let Some(number) = number.filter(|&number| number == self.accounts.len() - at) else {
                        self.misled += 1;
                        continue;
                    };
                    self.delivered[number] += 1;
                    number
                }
                _ => continue,
            };
            if self.acknowledged[number] && self.delivered[number] == 1 {
                next.done.push(0);
            }
        }
        Ok(taken)
    }

    fn is_over(&self) -> bool {
        self.asked == self.accounts.len()
    }
}
