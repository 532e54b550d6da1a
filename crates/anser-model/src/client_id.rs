//! The client id: the idempotency key of one command, a UUIDv7 minted when the person acted.

use std::fmt;

use crate::time::UnixMillis;

/// A UUIDv7 (RFC 9562). Its first 48 bits are the time at which it was minted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId([u8; 16]);

/// Why 16 bytes are no client id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadClientId {
    /// Not 16 bytes long.
    #[error("a client id has 16 bytes, this one has {0}")]
    Length(usize),
    /// Not version 7 of the RFC 9562 variant.
    #[error("a client id is a UUID of version 7 (RFC 9562)")]
    NotVersion7,
}

impl ClientId {
    /// Reads 16 bytes in network order.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadClientId> {
        let id: [u8; 16] = bytes.try_into().map_err(|_| BadClientId::Length(bytes.len()))?;
        if id[6] >> 4 != 7 || id[8] >> 6 != 0b10 {
            return Err(BadClientId::NotVersion7);
        }
        Ok(ClientId(id))
    }

    /// Mints an id at `now` from 10 random bytes (74 bits of them are used).
    pub fn mint(now: UnixMillis, random: [u8; 10]) -> Self {
        let mut id = [0; 16];
        id[..6].copy_from_slice(&now.0.to_be_bytes()[2..]);
        id[6..].copy_from_slice(&random);
        id[6] = 0x70 | (id[6] & 0x0f);
        id[8] = 0x80 | (id[8] & 0x3f);
        ClientId(id)
    }

    /// When the id says that it was minted.
    pub fn minted_at(&self) -> UnixMillis {
        let mut ms = [0; 8];
        ms[2..].copy_from_slice(&self.0[..6]);
        UnixMillis(u64::from_be_bytes(ms))
    }

    /// The 16 bytes in network order.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_id_reads_back_with_its_time() {
        let id = ClientId::mint(UnixMillis(1_700_000_000_123), [0xff; 10]);
        assert_eq!(ClientId::from_bytes(id.as_bytes()), Ok(id));
        assert_eq!(id.minted_at(), UnixMillis(1_700_000_000_123));
        assert_eq!(id.to_string(), "018bcfe5-687b-7fff-bfff-ffffffffffff");
    }

    #[test]
    fn other_versions_and_lengths_are_named() {
        assert_eq!(ClientId::from_bytes(&[0; 16]), Err(BadClientId::NotVersion7));
        assert_eq!(ClientId::from_bytes(&[0; 3]), Err(BadClientId::Length(3)));
    }
}
