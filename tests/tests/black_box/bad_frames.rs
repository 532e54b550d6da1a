//! Bytes that are no proper frames: each has its error, and nobody else notices.

use anser_proto::v1::client_frame::Request;
use anser_proto::{Encoding, v1};
use anser_tests::{Client, Person, Server};

const FRAME_BYTES: usize = 64 * 1024;
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;

/// One WebSocket frame as a client writes it.
fn ws_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x11, 0x22, 0x33, 0x44];
    let mut bytes = vec![first];
    match payload.len() {
        short @ ..126 => bytes.push(0x80 | short as u8),
        long @ ..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(long as u16).to_be_bytes());
        }
        longer => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(longer as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&mask);
    bytes.extend(payload.iter().enumerate().map(|(index, byte)| byte ^ mask[index % 4]));
    bytes
}

/// What is written, the error that names it, and the code of WebSocket's close.
fn broken_bytes() -> Vec<(&'static str, Vec<u8>, &'static str, u16)> {
    let huge = vec![b' '; FRAME_BYTES + 1];
    let half = vec![b' '; FRAME_BYTES / 2 + 1];
    let fragments = [ws_frame(0x02, &half), ws_frame(0x80, &half)].concat();
    let endless = [&[BINARY, 0xff][..], &(1_u64 << 62).to_be_bytes(), &[0; 4]].concat();
    let nested = [vec![b'['; 1_000], vec![b']'; 1_000]].concat();
    vec![
        ("a binary frame too long", ws_frame(BINARY, &huge), "frame_too_large", 1009),
        ("a text frame too long", ws_frame(TEXT, &huge), "frame_too_large", 1009),
        ("a megabyte", ws_frame(BINARY, &vec![7; 1 << 20]), "frame_too_large", 1009),
        ("fragments too long together", fragments, "frame_too_large", 1009),
        ("a length without end", endless, "frame_too_large", 1009),
        ("truncated protobuf", ws_frame(BINARY, &[0x08, 0x01, 0x5a, 0x20, 0x01]), "malformed_frame", 1008),
        ("a wrong wire type", ws_frame(BINARY, &[0x0a, 0x01, 0x01]), "malformed_frame", 1008),
        ("bytes at random", ws_frame(BINARY, &[0xff; 64]), "malformed_frame", 1008),
        ("malformed JSON", ws_frame(TEXT, br#"{"id":"1","ping":{}"#), "malformed_frame", 1008),
        ("no JSON at all", ws_frame(TEXT, b"hello?"), "malformed_frame", 1008),
        ("JSON nested too deep", ws_frame(TEXT, &nested), "malformed_frame", 1008),
        ("an id that is no number", ws_frame(TEXT, br#"{"id":"x","ping":{}}"#), "malformed_frame", 1008),
        ("a request that is no object", ws_frame(TEXT, br#"{"id":"1","send":[]}"#), "malformed_frame", 1008),
        (
            "a field of another type",
            ws_frame(TEXT, br#"{"id":"1","rename":{"title":7}}"#),
            "malformed_frame",
            1008,
        ),
        (
            "bytes that are not base64",
            ws_frame(TEXT, br#"{"id":"1","leave":{"cid":"%"}}"#),
            "malformed_frame",
            1008,
        ),
        ("text that is not UTF-8", ws_frame(TEXT, &[b'"', 0xc3, 0x28, b'"']), "malformed_frame", 1007),
        ("an unmasked frame", vec![BINARY, 0x01, 0x00], "malformed_frame", 1002),
        ("a reserved bit", ws_frame(0xc2, b"x"), "malformed_frame", 1002),
        ("an unknown opcode", ws_frame(0x83, b"x"), "malformed_frame", 1002),
        ("a continuation of nothing", ws_frame(0x80, b"x"), "malformed_frame", 1002),
        ("a long ping", ws_frame(0x89, &[0; 126]), "malformed_frame", 1002),
        ("a ping in pieces", ws_frame(0x09, b"x"), "malformed_frame", 1002),
    ]
}

#[tokio::test]
async fn broken_bytes_are_named_and_end_the_connection() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut witness = Client::attach(&server, &ben).await;
    for (what, bytes, code, close_code) in broken_bytes() {
        for attached in [false, true] {
            let mut client = match attached {
                false => Client::open(server.address(), Encoding::Binary).await,
                true => Client::attach(&server, &ann).await,
            };
            client.send_raw(&bytes).await;
            let error =
                client.closed().await.unwrap_or_else(|| panic!("{what}: no error (attached: {attached})"));
            assert_eq!(error.code, code, "{what}: {}", error.message);
            assert!(!error.message.is_empty() && error.retry_after_ms == 0, "{what}");
            assert_eq!(client.close_code, Some(close_code), "{what}");
        }
        witness.tell(&ann, what).await;
    }
}

#[tokio::test]
async fn a_text_in_many_fragments_with_pings_between_is_one_frame() {
    let server = Server::start().await;
    let ann = Person::register(&server, "ann").await;
    let mut client = Client::attach_in_json(&server, &ann).await;
    let frame = br#"{"id":"77","ping":{}}"#;
    let mut bytes = ws_frame(0x01, &frame[..1]);
    for byte in &frame[1..frame.len() - 1] {
        bytes.extend(ws_frame(0x00, &[*byte]));
        bytes.extend(ws_frame(0x89, b"are you there"));
    }
    bytes.extend(ws_frame(0x80, &frame[frame.len() - 1..]));
    // Byte by byte: the server gets a frame in as many pieces as the network likes.
    for byte in bytes {
        client.send_raw(&[byte]).await;
    }
    client.answer(77).await.expect("a ping is answered");
}

#[tokio::test]
async fn requests_out_of_place_are_refused() {
    let server = Server::start().await;
    let ann = Person::register(&server, "ann").await;
    for encoding in [Encoding::Binary, Encoding::Json] {
        let mut client = Client::open(server.address(), encoding).await;
        client.begin(Request::Ping(v1::Ping {})).await;
        assert_eq!(client.closed().await.expect("an error").code, "hello_required");

        for (version_min, version_max) in [(2, 9), (0, 0), (3, 1)] {
            let mut client = Client::open(server.address(), encoding).await;
            let hello = v1::Hello { version_min, version_max, ..Client::hello(&ann.token) };
            let error = client.greet(hello).await.expect_err("no such version");
            assert_eq!(error.code, "unsupported_version", "{version_min} to {version_max}");
            client.closed().await;
        }

        let mut client = Client::open(server.address(), encoding).await;
        let wide = v1::Hello { version_min: 1, version_max: 99, ..Client::hello(&ann.token) };
        client.greet(wide).await.expect("version 1 is between them");
        assert_eq!(client.welcome.version, 1);
        client.sync_to_end().await;
        let again = client.greet(Client::hello(&ann.token)).await.expect_err("one hello is enough");
        assert_eq!(again.code, "hello_repeated");

        let nameless = v1::ClientFrame { id: 0, request: Some(Request::Ping(v1::Ping {})) };
        client.send_message(&anser_proto::encode_client(&nameless, encoding)).await;
        assert_eq!(client.answer(0).await.expect_err("0 is no id").code, "bad_request_id");
        let empty = v1::ClientFrame { id: 5_000, request: None };
        client.send_message(&anser_proto::encode_client(&empty, encoding)).await;
        assert_eq!(client.answer(5_000).await.expect_err("no request").code, "unknown_request");
        if encoding == Encoding::Binary {
            // Field 900, a message that a later version may know.
            client.send_message(&[0x08, 0x07, 0xa2, 0x38, 0x00]).await;
            assert_eq!(client.answer(7).await.expect_err("unknown").code, "unknown_request");
        }
        // None of it ended the connection.
        client.drain().await;
    }
}

#[tokio::test]
async fn a_client_that_goes_in_the_middle_of_a_frame_leaves_no_trace() {
    let server = Server::start().await;
    let ann = Person::register(&server, "ann").await;
    let whole = ws_frame(BINARY, &[7; 5_000]);
    for cut in [1, 2, 3, 5, 8, 100, whole.len() - 1] {
        let mut client = Client::attach(&server, &ann).await;
        client.send_raw(&whole[..cut]).await;
        drop(client);
    }
    Client::attach(&server, &ann).await.tell(&ann, "still here").await;
}
