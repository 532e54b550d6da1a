//! The client protocol: frames, their JSON form, codec, versions and the error catalogue.
//!
//! Everything here is a value or a pure function. This crate must not know sockets, async, clocks, or
//! what the frames are used for. The contract is `schema/anser/v1/client.proto` and
//! `data/errors.json`; `vectors/` holds frames in both forms that every implementation must agree on.

pub mod bodies;
pub mod codec;
pub mod errors;
pub mod peek;
pub mod tables;
pub mod version;
pub mod wire;

pub use codec::{
    CLIENT_FRAME_BYTES, Encoding, FrameError, JSON_NESTING, SERVER_FRAME_BYTES, decode_client, decode_server,
    encode_client, encode_server,
};
pub use errors::{ErrorCode, Retry};
pub use version::{STREAM_ALPN, VERSION_MAX, VERSION_MIN, negotiate};

/// The frames of protocol version 1, generated from the schema.
#[allow(missing_docs, clippy::all, clippy::disallowed_methods)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/anser.v1.rs"));
    include!(concat!(env!("OUT_DIR"), "/anser.v1.serde.rs"));
}
