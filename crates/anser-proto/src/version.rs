//! Which protocol version a connection speaks.

/// How a TLS handshake names frames that follow each behind its length, without a WebSocket (ALPN).
pub const STREAM_ALPN: &[u8] = b"anser/1";

/// The oldest version spoken here.
pub const VERSION_MIN: u32 = 1;
/// The newest version spoken here.
pub const VERSION_MAX: u32 = 1;

/// The newest version that both sides speak; none when the ranges do not meet.
pub fn negotiate(min: u32, max: u32) -> Option<u32> {
    let version = max.min(VERSION_MAX);
    (version >= min.max(VERSION_MIN)).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_common_version_wins() {
        assert_eq!(negotiate(1, 1), Some(1));
        assert_eq!(negotiate(1, 9), Some(1));
        assert_eq!(negotiate(0, 1), Some(1));
        assert_eq!(negotiate(2, 9), None);
        assert_eq!(negotiate(0, 0), None);
        assert_eq!(negotiate(9, 1), None);
    }
}
