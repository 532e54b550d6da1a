//! The driver over real sockets, against a tiny server in the same process.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anser_client::account::{AccountApi, AccountError};
use anser_client::session::{Ended, Failure, Status, TokenRefused};
use anser_client::store::FileStore;
use anser_client::tokens::{BoxFuture, Tokens};
use anser_client::{Client, ClientError, Observer, Options, ServerAddress, Update};
use anser_proto::v1::Target;
use anser_proto::{Encoding, ErrorCode, decode_client, encode_server, v1};
use fake::{OWN, PEERS, Server, cid};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

const PATIENCE: Duration = Duration::from_secs(20);

/// What the test can do to the server while it runs.
struct Host {
    address: ServerAddress,
    server: Arc<Mutex<Server>>,
    /// Tokens that are refused.
    bad_token: Arc<Mutex<Option<String>>>,
    cut: tokio::sync::watch::Sender<u64>,
    _tasks: JoinSet<()>,
}

impl Host {
    async fn start() -> Host {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = address(listener.local_addr().unwrap());
        let server = Arc::new(Mutex::new(Server::new()));
        let bad_token = Arc::new(Mutex::new(None));
        let (cut, cuts) = tokio::sync::watch::channel(0);
        let mut tasks = JoinSet::new();
        let (accepted, refused) = (Arc::clone(&server), Arc::clone(&bad_token));
        tasks.spawn(async move {
            // One connection at a time is what one client has.
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream, &accepted, &refused, cuts.clone()).await;
            }
        });
        Host { address, server, bad_token, cut, _tasks: tasks }
    }

    fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    fn options(&self) -> Options {
        Options::new(vec![self.address.clone()], "token")
    }
}

fn address(socket: SocketAddr) -> ServerAddress {
    socket.to_string().parse().unwrap()
}

async fn serve(
    stream: TcpStream,
    server: &Mutex<Server>,
    bad_token: &Mutex<Option<String>>,
    mut cuts: tokio::sync::watch::Receiver<u64>,
) {
    cuts.mark_unchanged();
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    let mut poll = tokio::time::interval(Duration::from_millis(5));
    let mut encoding = Encoding::Binary;
    loop {
        tokio::select! {
            message = socket.next() => {
                let (bytes, form) = match message {
                    Some(Ok(Message::Binary(bytes))) => (bytes, Encoding::Binary),
                    Some(Ok(Message::Text(text))) => (text.into(), Encoding::Json),
                    _ => break,
                };
                encoding = form;
                let frame = decode_client(&bytes, encoding).unwrap();
                let refused = matches!(&frame.request, Some(v1::client_frame::Request::Hello(hello))
                    if Some(&hello.token) == bad_token.lock().unwrap().as_ref());
                let mut server = server.lock().unwrap();
                if refused {
                    let error = v1::Error::new(ErrorCode::Unauthenticated, "expired");
                    server.out.push_back(v1::ServerFrame::error(frame.id, error));
                } else {
                    server.receive(frame);
                    for slot in server.owing.clone() {
                        server.settle(slot);
                    }
                }
            }
            _ = poll.tick() => {}
            _ = cuts.changed() => break,
        }
        let frames = std::mem::take(&mut server.lock().unwrap().out);
        for frame in frames {
            let bytes = encode_server(&frame, encoding);
            let message = match encoding {
                Encoding::Binary => Message::Binary(bytes),
                Encoding::Json => Message::Text(bytes.try_into().unwrap()),
            };
            if socket.send(message).await.is_err() {
                break;
            }
        }
    }
    server.lock().unwrap().disconnect();
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("in time")
}

#[tokio::test]
async fn a_message_goes_out_and_is_seen_in_both_forms() {
    for encoding in [Encoding::Binary, Encoding::Json] {
        let host = Host::start().await;
        host.server.lock().unwrap().message(PEERS[0], PEERS[0], v1::Message::text("你好 👋"), None);
        let (client, mut updates) = Client::connect(host.options().with_encoding(encoding)).unwrap();
        assert_eq!(within(client.attached()).await.unwrap(), OWN);
        let accepted = within(client.send_text(Target::peer(PEERS[0]), "鸿雁")).await.unwrap();
        assert_eq!(accepted.seq, 2);
        let list = within(client.conversations()).await.unwrap();
        assert_eq!((list[0].cid, list[0].head.unread, list[0].head.seq), (cid(PEERS[0]), 1, 2));
        let page = within(client.page_before(Target::peer(PEERS[0]), 0)).await.unwrap();
        assert_eq!(page.events.len(), 2);
        within(client.read_up_to(Target::peer(PEERS[0]), 2)).await.unwrap();
        let chat = within(client.chat(cid(PEERS[0]))).await.unwrap();
        assert_eq!((chat.islands, chat.pending.len()), (vec![(1, 2)], 0));
        assert_eq!(chat.head.unwrap().unread, 0);
        let seen = async {
            while let Some(update) = updates.next().await {
                if matches!(&update, Update::Event(event) if event.author == OWN.get()) {
                    return;
                }
            }
            panic!("the event was not seen");
        };
        within(seen).await;
        within(client.stop()).await;
        assert!(matches!(client.status(), Status::Ended(Ended::Stopped)));
        assert!(matches!(client.send_text(Target::peer(PEERS[0]), "late").await, Err(ClientError::Stopped)));
    }
}

#[tokio::test]
async fn it_comes_back_by_itself_and_sends_what_waited() {
    let host = Host::start().await;
    let (client, _updates) = Client::connect(host.options()).unwrap();
    within(client.attached()).await.unwrap();
    for round in 0..3 {
        host.cut();
        let to = Target::peer(PEERS[0]);
        let sent = within(client.send_text(to, format!("round {round}"))).await.unwrap();
        assert_eq!(sent.seq, round + 1);
    }
    assert_eq!(host.server.lock().unwrap().arrivals.len(), 3);
}

#[tokio::test]
async fn another_server_is_tried_when_one_fails() {
    let host = Host::start().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = address(closed.local_addr().unwrap());
    drop(closed);
    let (client, _updates) =
        Client::connect(Options::new(vec![dead, host.address.clone()], "token")).unwrap();
    within(client.attached()).await.unwrap();
}

struct OneMore(Mutex<Option<String>>);

impl Tokens for OneMore {
    fn next(&self) -> BoxFuture<'_, Result<String, TokenRefused>> {
        Box::pin(async { self.0.lock().unwrap().take().ok_or(TokenRefused::SignedOut) })
    }
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_then_the_session_ends() {
    let host = Host::start().await;
    *host.bad_token.lock().unwrap() = Some("token".into());
    let tokens = Arc::new(OneMore(Mutex::new(Some("fresh".into()))));
    let (client, _updates) = Client::connect(host.options().with_tokens(tokens.clone())).unwrap();
    within(client.attached()).await.unwrap();
    within(client.stop()).await;
    let (client, _updates) = Client::connect(host.options().with_tokens(tokens)).unwrap();
    let ended = within(client.attached()).await;
    assert!(matches!(ended, Err(ClientError::Session(Failure::Ended(Ended::SignedOut)))), "{ended:?}");
}

#[tokio::test]
async fn a_file_store_carries_the_outbox_over_a_restart() {
    let host = Host::start().await;
    let folder = std::env::temp_dir().join(format!("anser-client-{}", std::process::id()));
    let store = || Box::new(FileStore::open(&folder).unwrap());
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = address(closed.local_addr().unwrap());
    drop(closed);
    let (offline, _updates) = Client::connect(Options::new(vec![dead], "token").with_store(store())).unwrap();
    let mut tasks = JoinSet::new();
    for text in ["一", "二"] {
        let to = Target::peer(PEERS[1]);
        let sender = offline.clone();
        tasks.spawn(async move { sender.send_text(to, text).await });
        within(async { while within(offline.look(|it| it.outbox().len())).await.unwrap() == 0 {} }).await;
    }
    within(async { while within(offline.look(|it| it.outbox().len())).await.unwrap() < 2 {} }).await;
    within(offline.stop()).await;
    let (online, _updates) = Client::connect(host.options().with_store(store())).unwrap();
    within(online.attached()).await.unwrap();
    within(async { while !online.look(|it| it.outbox().is_empty()).await.unwrap() {} }).await;
    within(online.stop()).await;
    assert_eq!(host.server.lock().unwrap().logs[&PEERS[1]].seq(), 2);
    let (again, _updates) = Client::connect(host.options().with_store(store())).unwrap();
    assert_eq!(
        within(again.conversations()).await.unwrap().len(),
        1,
        "the list is there before the server is"
    );
    within(again.stop()).await;
    std::fs::remove_dir_all(&folder).unwrap();
}

#[derive(Default)]
struct Count(std::sync::atomic::AtomicUsize);

impl Observer for Count {
    fn observe(&self, update: &Update) {
        if matches!(update, Update::Event(_)) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

#[tokio::test]
async fn a_lean_client_is_observed_without_loss() {
    let host = Host::start().await;
    let count = Arc::new(Count::default());
    let (client, _updates) = Client::connect(host.options().lean(count.clone())).unwrap();
    within(client.attached()).await.unwrap();
    for _ in 0..2_000 {
        host.server.lock().unwrap().message(PEERS[0], PEERS[0], v1::Message::text("x"), None);
    }
    let all = async {
        while count.0.load(std::sync::atomic::Ordering::Relaxed) < 2_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(all).await;
    assert_eq!(client.look(|it| it.conversations().len()).await.unwrap(), 0);
}

/// Answers one HTTP request after another with what the test prepared; returns the requests.
async fn http(answers: Vec<(&'static str, &'static str)>) -> (ServerAddress, JoinSet<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = address(listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut requests = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                let read = stream.read(&mut buffer).await.unwrap();
                request.extend_from_slice(&buffer[..read]);
                let text = String::from_utf8_lossy(&request).to_lowercase();
                let Some((head, rest)) = text.split_once("\r\n\r\n") else { continue };
                let length = head
                    .split("content-length: ")
                    .nth(1)
                    .map_or(0, |it| it.split("\r\n").next().unwrap().parse::<usize>().unwrap());
                if rest.len() >= length {
                    break;
                }
            }
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
            requests.push(String::from_utf8(request).unwrap());
        }
        requests
    });
    (server, tasks)
}

#[tokio::test]
async fn account_calls_ask_and_understand() {
    let grant =
        r#"{"account":"7","device":"9","access_token":"a","access_expires_in_s":900,"refresh_token":"r"}"#;
    let (server, mut tasks) = http(vec![
        ("200 OK", grant),
        ("200 OK", r#"{"account":"8","handle":"李","name":"Li","version":"3"}"#),
        ("204 No Content", ""),
        (
            "429 Too Many Requests",
            r#"{"error":{"code":"rate_limited","message":"later","retry_after_ms":10}}"#,
        ),
    ])
    .await;
    let api = AccountApi::new(vec![server]);
    let grant = within(api.sign_in("me", "secret", "laptop")).await.unwrap();
    assert_eq!((grant.account.get(), grant.device.get()), (7, 9));
    let person = within(api.person("a", "李")).await.unwrap();
    assert_eq!((person.account.get(), person.version), (8, 3));
    within(api.revoke_device("a", grant.device)).await.unwrap();
    let refused = within(api.invite("a")).await;
    assert!(matches!(&refused, Err(error @ AccountError::Refused { status: 429, .. }) if error.can_retry()));
    let requests = tasks.join_next().await.unwrap().unwrap();
    assert!(
        requests[0].starts_with("POST /api/v1/sign-in ") && requests[0].contains(r#""device_name":"laptop""#)
    );
    assert!(requests[1].starts_with("GET /api/v1/people/%E6%9D%8E "));
    assert!(requests[1].to_lowercase().contains("authorization: bearer a\r\n"));
    assert!(requests[2].starts_with("DELETE /api/v1/devices/9 "));
}
