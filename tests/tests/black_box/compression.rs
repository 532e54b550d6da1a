//! Messages compressed by themselves (RFC 7692), for clients that offer it to a server that was told to.

use anser_model::AccountId;
use anser_proto::v1::client_frame::Request;
use anser_proto::v1::response::Result as Answer;
use anser_proto::v1::server_frame::Frame;
use anser_proto::{Encoding, decode_server, encode_client, v1};
use anser_tests::{Client, Person, Server, within};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const ON: [&str; 2] = ["--websocket-compression", "on"];
/// As a browser offers it.
const OFFER: &str = "permessage-deflate; client_max_window_bits";
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// A connection whose handshake is done, and what the server agreed to.
async fn connect(server: &Server, offer: &str) -> (TcpStream, Option<String>) {
    let mut stream = within("a connection", TcpStream::connect(server.address())).await.expect("it listens");
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: {offer}\r\n\r\n",
        server.address()
    );
    stream.write_all(request.as_bytes()).await.expect("it is taken");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within("the head", stream.read_u8()).await.expect("it answers"));
    }
    let head = String::from_utf8(head).expect("a head is ASCII").to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    let agreed =
        head.lines().find_map(|line| line.strip_prefix("sec-websocket-extensions: ").map(str::to_owned));
    (stream, agreed)
}

fn compressed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 * message.len() + 64);
    let mut compress = Compress::new(Compression::default(), false);
    compress.compress_vec(message, &mut out, FlushCompress::Sync).expect("it compresses");
    assert!(out.ends_with(&TAIL));
    out.truncate(out.len() - TAIL.len());
    out
}

/// Sends a request as one frame, whose first byte has this beside its opcode.
async fn say(stream: &mut TcpStream, id: u64, request: Request, compresses: bool) {
    let frame = v1::ClientFrame { id, request: Some(request) };
    let mut payload = encode_client(&frame, Encoding::Binary);
    if compresses {
        payload = compressed(&payload).into();
    }
    let mut bytes = vec![if compresses { 0xc2 } else { 0x82 }, 0x80 | 126];
    bytes.extend((payload.len() as u16).to_be_bytes());
    // A mask of zeros masks nothing.
    bytes.extend([0; 4]);
    bytes.extend(&payload);
    stream.write_all(&bytes).await.expect("it is taken");
}

/// The next frame: whether it was compressed, how long it was on the wire, and what it says. `Err` with the code of a close.
async fn hear(stream: &mut TcpStream) -> Result<(bool, usize, Frame), u16> {
    let mut head = [0; 2];
    within("a frame", stream.read_exact(&mut head)).await.expect("a frame comes");
    let length = match head[1] {
        126 => usize::from(within("its length", stream.read_u16()).await.expect("it has one")),
        127 => within("its length", stream.read_u64()).await.expect("it has one") as usize,
        short => usize::from(short),
    };
    let mut payload = vec![0; length];
    within("its bytes", stream.read_exact(&mut payload)).await.expect("they come");
    if head[0] == 0x88 {
        return Err(u16::from_be_bytes([payload[0], payload[1]]));
    }
    let is_compressed = head[0] == 0xc2;
    if is_compressed {
        let mut out = Vec::with_capacity(1024 * 1024);
        payload.extend(TAIL);
        Decompress::new(false)
            .decompress_vec(&payload, &mut out, FlushDecompress::Sync)
            .expect("it inflates");
        payload = out;
    }
    let frame = decode_server(&payload, Encoding::Binary).expect("the server sends frames");
    Ok((is_compressed, length, frame.frame.expect("a frame says something")))
}

async fn answer(stream: &mut TcpStream, wanted: u64) -> (bool, usize, Answer) {
    loop {
        let (is_compressed, length, frame) = hear(stream).await.expect("it stays open");
        if let Frame::Response(response) = frame
            && response.id == wanted
        {
            return (is_compressed, length, response.result.expect("an answer"));
        }
    }
}

#[tokio::test]
async fn what_is_long_is_compressed_both_ways_and_others_notice_nothing() {
    let server = Server::start_with(&ON).await;
    let [ann, bob] = Person::register_all(&server, ["ann", "bob"]).await;
    let (mut stream, agreed) = connect(&server, OFFER).await;
    let agreed = agreed.expect("it is agreed to");
    assert_eq!(agreed, "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
    say(&mut stream, 1, Request::Hello(Client::hello(&ann.token)), true).await;
    let (_, _, welcome) = answer(&mut stream, 1).await;
    assert!(matches!(welcome, Answer::Welcome(_)), "{welcome:?}");
    let mut plain = Client::attach(&server, &bob).await;
    let words = "how are you? 你好 ".repeat(100);
    let send = v1::Send {
        to: Some(v1::Target::peer(AccountId(bob.id()))),
        client_id: plain.mint(),
        message: Some(v1::Message::text(&words)),
    };
    say(&mut stream, 2, Request::Send(send), true).await;
    let (was_compressed, _, accepted) = answer(&mut stream, 2).await;
    assert!(!was_compressed, "it is short");
    assert!(matches!(accepted, Answer::Accepted(_)), "{accepted:?}");
    let told = |event: &v1::Event| match &event.change {
        Some(v1::event::Change::Message(sent)) => Some(sent.text.clone()),
        _ => None,
    };
    assert_eq!(plain.event(told).await, words);
    let page = v1::GetPage {
        r#in: Some(v1::Target::peer(AccountId(bob.id()))),
        limit: 10,
        ..v1::GetPage::default()
    };
    // What is not compressed is taken all the same.
    say(&mut stream, 3, Request::GetPage(page), false).await;
    let (was_compressed, length, page) = answer(&mut stream, 3).await;
    let Answer::Page(page) = page else { panic!("{page:?}") };
    assert_eq!(page.events.iter().filter_map(told).collect::<Vec<_>>(), [words.as_str()]);
    assert!(was_compressed && length < words.len() / 4, "{length} bytes");
}

#[tokio::test]
async fn nothing_is_compressed_unless_the_server_was_told_to() {
    let server = Server::start().await;
    let ann = Person::register(&server, "ann").await;
    let (mut stream, agreed) = connect(&server, OFFER).await;
    assert_eq!(agreed, None);
    say(&mut stream, 1, Request::Hello(Client::hello(&ann.token)), true).await;
    let mut heard = hear(&mut stream).await;
    while heard.is_ok() {
        heard = hear(&mut stream).await;
    }
    assert_eq!(heard.expect_err("it is closed"), 1002);
}

#[tokio::test]
async fn what_inflates_beyond_a_frame_is_refused() {
    let server = Server::start_with(&ON).await;
    let (mut stream, _) = connect(&server, OFFER).await;
    let payload = compressed(&vec![0; 1024 * 1024]);
    let mut bytes = vec![0xc2, 0x80 | 126];
    bytes.extend((payload.len() as u16).to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(&payload);
    stream.write_all(&bytes).await.expect("it is taken");
    let mut heard = hear(&mut stream).await;
    while heard.is_ok() {
        heard = hear(&mut stream).await;
    }
    assert_eq!(heard.expect_err("it is closed"), 1009);
}
