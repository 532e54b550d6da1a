//! Frames without a WebSocket, each behind its length, on the port of everything else.

use std::net::SocketAddr;

use anser_proto::v1::client_frame::Request;
use anser_proto::v1::response::Result as Answer;
use anser_proto::v1::server_frame::Frame;
use anser_proto::{Encoding, decode_server, encode_client, v1};
use anser_tests::cli::{self, Following};
use anser_tests::{Client, Person, Server, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn behind_its_length(id: u64, request: Request) -> Vec<u8> {
    let frame = v1::ClientFrame { id, request: Some(request) };
    let bytes = encode_client(&frame, Encoding::Binary);
    [&(bytes.len() as u32).to_be_bytes()[..], &bytes].concat()
}

async fn connect(address: SocketAddr) -> TcpStream {
    within("a connection", TcpStream::connect(address)).await.expect("the server listens")
}

/// The next frame; none if the server has closed.
async fn next(stream: &mut TcpStream) -> Option<Frame> {
    let length = within("a frame", stream.read_u32()).await.ok()?;
    let mut bytes = vec![0; length as usize];
    within("its bytes", stream.read_exact(&mut bytes)).await.ok()?;
    decode_server(&bytes, Encoding::Binary).expect("the server sends frames").frame
}

#[tokio::test]
async fn frames_are_taken_however_they_are_cut() {
    let server = Server::start().await;
    let ann = Person::register(&server, "ann").await;
    let mut stream = connect(server.address()).await;
    let hello = behind_its_length(1, Request::Hello(Client::hello(&ann.token)));
    let ping = behind_its_length(2, Request::Ping(v1::Ping {}));
    // The length alone first, in parts; then the rest together with the whole of the next.
    for part in [&hello[..1], &hello[1..5], &[&hello[5..], &ping].concat()] {
        stream.write_all(part).await.expect("it is taken");
        stream.flush().await.expect("it is sent");
        // So that each is likely to be read by itself; however they are read, the answers are the same.
        tokio::time::sleep(tokio::time::Duration::from_millis(20)).await;
    }
    let mut answered = Vec::new();
    while answered.len() < 2 {
        if let Some(Frame::Response(response)) = next(&mut stream).await {
            answered.push((response.id, response.result));
        }
    }
    assert!(matches!(&answered[0], (1, Some(Answer::Welcome(_)))), "{answered:?}");
    assert!(matches!(&answered[1], (2, Some(Answer::Pong(_)))), "{answered:?}");
}

#[tokio::test]
async fn what_is_no_frame_is_refused_and_ends_it() {
    let server = Server::start().await;
    for (bytes, code) in [
        (vec![0, 1, 0, 1], "frame_too_large"),
        (vec![0, 0, 0, 3, 0xff, 0xff, 0xff], "malformed_frame"),
        (behind_its_length(1, Request::Hello(Client::hello("no token"))), "unauthenticated"),
    ] {
        let mut stream = connect(server.address()).await;
        stream.write_all(&bytes).await.expect("it is taken");
        match next(&mut stream).await {
            Some(Frame::Response(v1::Response { result: Some(Answer::Error(error)), .. })) => {
                assert_eq!(error.code, code, "{error:?}");
            }
            other => panic!("{code}: {other:?}"),
        }
        assert_eq!(next(&mut stream).await, None, "{code} ends the connection");
    }
    // The operator's listener speaks HTTP alone.
    let mut stream = connect(server.admin_address().expect("there is one")).await;
    stream.write_all(&[0, 0, 0, 0]).await.expect("it is taken");
    let mut said = String::new();
    within("it closes", stream.read_to_string(&mut said)).await.expect("it can be read");
    assert!(said.starts_with("HTTP/1.1 400"), "{said}");
}

#[tokio::test]
async fn too_many_connections_of_a_network_are_told_when_to_come_again() {
    let server = Server::start_limited(&[]).await;
    let mut refused = None;
    for _ in 0..5_000 {
        let mut stream = connect(server.address()).await;
        stream.write_all(&[0, 0, 0, 3, 0xff, 0xff, 0xff]).await.expect("it is taken");
        if let Some(Frame::Response(v1::Response { result: Some(Answer::Error(error)), .. })) =
            next(&mut stream).await
            && error.code == "rate_limited"
        {
            refused = Some(error);
            break;
        }
    }
    let refused = refused.expect("there is a limit");
    assert!(refused.retry_after_ms > 0 && refused.message.contains("your network"), "{refused:?}");
}

/// Two people on the command line, through addresses of this scheme.
async fn they_talk(server: &Server, url: &str, ca: Option<&str>) {
    let home = tempfile::tempdir().expect("there is room for a folder");
    for handle in ["ann", "ben"] {
        let mut arguments =
            vec!["user", "register", "--server", url, "--profile", handle, "--handle", handle];
        arguments.extend(ca.iter().flat_map(|ca| ["--ca", ca]));
        let registered = cli::run(home.path(), &arguments, "").await;
        assert_eq!(registered.code, 0, "{registered:?}");
    }
    let mut tail = Following::start(home.path(), &["tail", "--profile", "ben", "--json"]);
    // Longer together than what is read at once, and each longer than what a write takes at once.
    let long = "鸿雁".repeat(2_000);
    let lines: String = (0..50).map(|number| format!("{number} {long}\n")).collect();
    let sent = cli::run(home.path(), &["send", "--profile", "ann", "--to", "ben", "-"], &lines).await;
    assert_eq!(sent.code, 0, "{sent:?}");
    for number in 0..50 {
        let line = tail.line().await;
        assert!(line.contains(&format!("\"{number} 鸿")), "{number}: {}", &line[..120.min(line.len())]);
    }
    drop(tail);
    assert_eq!(server.stderr().matches("ERROR").count(), 0, "{}", server.stderr());
}

#[tokio::test]
async fn people_talk_without_a_web_socket() {
    let server = Server::start().await;
    they_talk(&server, &format!("tcp://{}", server.address()), None).await;
}

#[tokio::test]
async fn people_talk_without_a_web_socket_over_tls() {
    let server = Server::start_with(&["--tls", "self-signed"]).await;
    let ca = server.data().join("tls/cert.pem");
    they_talk(&server, &format!("tls://{}", server.address()), Some(&ca.to_string_lossy())).await;
    // A plain frame is no TLS: nothing is said, and it ends.
    let mut stream = connect(server.address()).await;
    stream.write_all(&[0, 0, 0, 0]).await.expect("it is taken");
    let mut said = Vec::new();
    _ = within("it closes", stream.read_to_end(&mut said)).await;
    assert!(!said.starts_with(b"HTTP"), "{said:?}");
}
