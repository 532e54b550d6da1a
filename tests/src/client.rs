//! A client on a socket of its own. It knows frames and nothing of conversations, sends whatever it is
//! told, and keeps what was pushed until it is asked for.

use std::collections::VecDeque;
use std::net::SocketAddr;

use anser_model::{ClientId, UnixMillis};
use anser_proto::v1::client_frame::Request;
use anser_proto::v1::response::Result as Answer;
use anser_proto::v1::server_frame::Frame;
use anser_proto::{Encoding, v1};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::{Person, Server, within};

/// What a refused request was told.
pub type Failure = v1::Error;

/// A client on one connection.
pub struct Client {
    socket: WebSocketStream<TcpStream>,
    encoding: Encoding,
    next_id: u64,
    pushed: VecDeque<Frame>,
    /// What the server said when it let this connection in; empty before.
    pub welcome: v1::Welcome,
    /// With which code the server closed, once it has.
    pub close_code: Option<u16>,
}

impl Client {
    /// Opens a connection and says nothing yet.
    pub async fn open(address: SocketAddr, encoding: Encoding) -> Client {
        let stream = within("a connection", TcpStream::connect(address)).await.expect("the server listens");
        Self::over(stream, address, encoding).await
    }

    /// Opens a connection whose receive buffer is small, for a client that will not read.
    pub async fn open_narrow(address: SocketAddr) -> Client {
        let socket = TcpSocket::new_v4().expect("there are sockets");
        socket.set_recv_buffer_size(4 * 1024).expect("it can be small");
        let stream = within("a connection", socket.connect(address)).await.expect("the server listens");
        Self::over(stream, address, Encoding::Binary).await
    }

    async fn over(stream: TcpStream, address: SocketAddr, encoding: Encoding) -> Client {
        stream.set_nodelay(true).expect("it is a TCP socket");
        let handshake = tokio_tungstenite::client_async(format!("ws://{address}/ws"), stream);
        let (socket, _) = within("the handshake", handshake).await.expect("the server speaks WebSocket");
        let welcome = v1::Welcome::default();
        Client { socket, encoding, next_id: 1, pushed: VecDeque::new(), welcome, close_code: None }
    }

    /// Opens a connection whose handshake has more headers.
    pub async fn open_with(address: SocketAddr, headers: &[(&'static str, &str)]) -> Client {
        use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
        let stream = within("a connection", TcpStream::connect(address)).await.expect("the server listens");
        let mut request = format!("ws://{address}/ws").into_client_request().expect("it is a URL");
        for &(name, value) in headers {
            request.headers_mut().append(name, value.parse().expect("it is the value of a header"));
        }
        let handshake = tokio_tungstenite::client_async(request, stream);
        let (socket, _) = within("the handshake", handshake).await.expect("the server speaks WebSocket");
        let (encoding, welcome) = (Encoding::Binary, v1::Welcome::default());
        Client { socket, encoding, next_id: 1, pushed: VecDeque::new(), welcome, close_code: None }
    }

    /// A hello of version 1.
    pub fn hello(token: &str) -> v1::Hello {
        v1::Hello { version_min: 1, version_max: 1, token: token.to_owned(), ..v1::Hello::default() }
    }

    /// Attaches with nothing in its caches, and takes the heads.
    pub async fn attach(server: &Server, person: &Person) -> Client {
        let (client, _) = Self::attach_with(server, Self::hello(&person.token)).await;
        client
    }

    /// The same in JSON.
    pub async fn attach_in_json(server: &Server, person: &Person) -> Client {
        let mut client = Self::open(server.address(), Encoding::Json).await;
        client.greet(Self::hello(&person.token)).await.expect("the token is good");
        client.sync_to_end().await;
        client
    }

    /// Attaches with this hello, and takes the heads.
    pub async fn attach_with(server: &Server, hello: v1::Hello) -> (Client, Synced) {
        let mut client = Self::open(server.address(), Encoding::Binary).await;
        let before = hello.cursor.clone().unwrap_or_default();
        client.greet(hello).await.expect("the token is good");
        let synced = client.sync_from(before).await;
        (client, synced)
    }

    /// Says hello.
    pub async fn greet(&mut self, hello: v1::Hello) -> Result<(), Failure> {
        match self.ask(Request::Hello(hello)).await? {
            Answer::Welcome(welcome) => self.welcome = welcome,
            other => panic!("a hello was answered {other:?}"),
        }
        Ok(())
    }

    /// Takes heads until no slot owes any.
    pub async fn sync_to_end(&mut self) -> Synced {
        self.sync_from(v1::Cursor::default()).await
    }

    /// The same, from a cursor on: slots that owe nothing stay where it has them.
    async fn sync_from(&mut self, before: v1::Cursor) -> Synced {
        let mut owing = self.welcome.owing.clone();
        let mut synced = Synced::default();
        synced.cursor.timeline = self.welcome.timeline;
        if before.timeline == self.welcome.timeline {
            synced.cursor.slots = before.slots;
        }
        while !owing.is_empty() {
            let heads = self.pushed(|frame| match frame {
                Frame::SyncHeads(heads) => Some(heads.clone()),
                _ => None,
            });
            let heads = heads.await;
            if heads.done {
                owing.retain(|&slot| slot != heads.slot);
                synced.cursor.slots.insert(heads.slot, heads.n);
            }
            synced.heads.extend(heads.heads);
        }
        synced
    }

    /// Asks for what changed since a cursor, and takes the heads.
    pub async fn sync(&mut self, cursor: v1::Cursor) -> Synced {
        let before = cursor.clone();
        match self.ask(Request::Sync(v1::Sync { cursor: Some(cursor) })).await.expect("a sync is answered") {
            Answer::SyncStarted(started) => self.welcome.owing = started.owing,
            other => panic!("a sync was answered {other:?}"),
        }
        self.sync_from(before).await
    }

    /// A client id minted by the server's clock, as of the hello.
    pub fn mint(&self) -> Bytes {
        self.mint_ahead(0)
    }

    /// A client id that says it was minted so many milliseconds later than it is.
    pub fn mint_ahead(&self, ahead_ms: i64) -> Bytes {
        let at = self.welcome.server_time_ms.saturating_add_signed(ahead_ms);
        let mut random = [0; 10];
        getrandom::fill(&mut random).expect("the operating system has randomness");
        anser_proto::wire::client_id_bytes(ClientId::mint(UnixMillis(at), random))
    }

    /// Sends a request and waits for its answer; what is pushed meanwhile is kept.
    pub async fn ask(&mut self, request: Request) -> Result<Answer, Failure> {
        let id = self.begin(request).await;
        self.answer(id).await
    }

    /// Sends a request, and does not wait. Returns its id.
    pub async fn begin(&mut self, request: Request) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let frame = v1::ClientFrame { id, request: Some(request) };
        let bytes = anser_proto::encode_client(&frame, self.encoding);
        self.send_message(&bytes).await;
        id
    }

    /// Waits for the answer to a request.
    pub async fn answer(&mut self, id: u64) -> Result<Answer, Failure> {
        let what = format!("request {id} is answered");
        let result = within(&what, async {
            loop {
                match self.next_frame().await {
                    Some(Frame::Response(response)) if response.id == id => return response.result,
                    Some(Frame::Response(response)) if response.id == 0 => return response.result,
                    Some(frame) => self.pushed.push_back(frame),
                    None => panic!("the connection ended before request {id} was answered"),
                }
            }
        });
        match result.await {
            Some(Answer::Error(error)) => Err(error),
            Some(answer) => Ok(answer),
            None => panic!("an answer without a result"),
        }
    }

    /// Sends one message of the connection's form: whatever bytes it is.
    pub async fn send_message(&mut self, bytes: &[u8]) {
        let message = match self.encoding {
            Encoding::Binary => Message::Binary(Bytes::copy_from_slice(bytes)),
            Encoding::Json => Message::Text(String::from_utf8(bytes.to_vec()).expect("JSON is UTF-8").into()),
        };
        // The server may have closed already: what it said is still to be read.
        _ = within("a message is sent", self.socket.send(message)).await;
    }

    /// Writes bytes below WebSocket.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        // The server may have closed already: what it said is still to be read.
        _ = within("bytes are sent", self.socket.get_mut().write_all(bytes)).await;
    }

    /// The next frame from the socket; `None` once the server has closed.
    pub async fn next_frame(&mut self) -> Option<Frame> {
        loop {
            let bytes = match within("the server says something", self.socket.next()).await? {
                Ok(Message::Binary(bytes)) => (bytes, Encoding::Binary),
                Ok(Message::Text(text)) => (Bytes::from(text), Encoding::Json),
                Ok(Message::Close(close)) => {
                    self.close_code = close.map(|close| CloseCode::into(close.code));
                    return None;
                }
                Ok(_) => continue,
                Err(_) => return None,
            };
            let frame = anser_proto::decode_server(&bytes.0, bytes.1).expect("the server sends frames");
            return Some(frame.frame.expect("a frame that this version knows"));
        }
    }

    /// Waits for something pushed that `wanted` recognises, and takes it out.
    pub async fn pushed<T>(&mut self, wanted: impl Fn(&Frame) -> Option<T>) -> T {
        if let Some(found) = self.kept(&wanted) {
            return found;
        }
        within("what is awaited is pushed", async {
            loop {
                let Some(frame) = self.next_frame().await else { panic!("the connection ended") };
                match wanted(&frame) {
                    Some(found) => return found,
                    None => self.pushed.push_back(frame),
                }
            }
        })
        .await
    }

    /// The first of what was pushed so far that `wanted` recognises, taken out; without waiting.
    pub fn kept<T>(&mut self, wanted: &impl Fn(&Frame) -> Option<T>) -> Option<T> {
        let (at, found) =
            self.pushed.iter().enumerate().find_map(|(at, frame)| wanted(frame).map(|found| (at, found)))?;
        self.pushed.remove(at);
        Some(found)
    }

    /// Waits for an event that `wanted` recognises.
    pub async fn event<T>(&mut self, wanted: impl Fn(&v1::Event) -> Option<T>) -> T {
        self.pushed(|frame| match frame {
            Frame::Event(event) => wanted(event),
            _ => None,
        })
        .await
    }

    /// Everything that was pushed before the server answered a ping sent now. What is pushed for a
    /// connection and its answers travel in one queue per slot, so use it after an answer of the slot.
    pub async fn drain(&mut self) -> Vec<Frame> {
        self.ask(Request::Ping(v1::Ping {})).await.expect("a ping is answered");
        self.pushed.drain(..).collect()
    }

    /// Waits until the server has closed, and returns the error that it named before, if it did.
    pub async fn closed(&mut self) -> Option<Failure> {
        let mut last = None;
        within("the server closes", async {
            while let Some(frame) = self.next_frame().await {
                match frame {
                    Frame::Response(v1::Response { result: Some(Answer::Error(error)), .. }) => {
                        last = Some(error)
                    }
                    frame => self.pushed.push_back(frame),
                }
            }
        })
        .await;
        last
    }
}

/// What a sync brought.
#[derive(Debug, Clone, Default)]
pub struct Synced {
    /// The heads, in the order in which they came.
    pub heads: Vec<v1::Head>,
    /// How far it goes.
    pub cursor: v1::Cursor,
}
