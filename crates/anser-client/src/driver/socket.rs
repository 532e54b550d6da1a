//! One connection: frames out through a queue, frames in one at a time, in a WebSocket's messages or each behind its
//! length.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use anser_proto::{Encoding, SERVER_FRAME_BYTES, decode_server, encode_client, v1};
use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message, Utf8Bytes};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use crate::address::{ServerAddress, Wire};

/// One connection.
pub struct Socket {
    carrier: Carrier,
    encoding: Encoding,
    /// Frames not handed to the carrier yet: bounded by the requests that the session has in flight.
    queue: VecDeque<Bytes>,
    unflushed: bool,
}

/// What carries the frames.
enum Carrier {
    WebSocket(Box<WebSocketStream<Wire>>),
    /// A stream of bytes, each frame behind its length.
    Stream(Box<Framed<Wire, LengthDelimitedCodec>>),
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The server closed it.
    #[error("closed by the server")]
    Closed,
    /// The network or what carries the frames failed.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The server sent what is no frame.
    #[error(transparent)]
    Frame(#[from] anser_proto::FrameError),
}

impl Socket {
    /// Connects and shakes hands.
    pub async fn open(
        server: ServerAddress,
        encoding: Encoding,
        read_buffer_bytes: usize,
    ) -> Result<Self, Broken> {
        if server.is_stream() {
            let wire = server.connect_stream().await.map_err(SocketError::Io)?;
            let codec = LengthDelimitedCodec::builder().max_frame_length(SERVER_FRAME_BYTES).new_codec();
            let carrier = Carrier::Stream(Box::new(Framed::with_capacity(wire, codec, read_buffer_bytes)));
            return Ok(Socket::over(carrier, Encoding::Binary));
        }
        let wire = server.connect().await.map_err(SocketError::Io)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(read_buffer_bytes)
            .write_buffer_size(0)
            .max_message_size(Some(SERVER_FRAME_BYTES))
            .max_frame_size(Some(SERVER_FRAME_BYTES));
        let shaken =
            tokio_tungstenite::client_async_with_config(server.socket_url(), wire, Some(config)).await?;
        Ok(Socket::over(Carrier::WebSocket(Box::new(shaken.0)), encoding))
    }

    fn over(carrier: Carrier, encoding: Encoding) -> Self {
        Socket { carrier, encoding, queue: VecDeque::new(), unflushed: false }
    }

    /// Queues a frame. It goes out while [`Socket::next`] is awaited.
    pub fn send(&mut self, frame: &v1::ClientFrame) {
        self.queue.push_back(encode_client(frame, self.encoding));
    }

    /// Says goodbye and lets go. Whatever is queued and not yet written is dropped.
    pub async fn close(self) {
        const GOODBYE: tokio::time::Duration = tokio::time::Duration::from_secs(1);
        // A courtesy: the server notices a closed connection anyway.
        let _ = tokio::time::timeout(GOODBYE, self.carrier.close()).await;
    }

    /// The next frame of the server. May be cancelled at any time without losing anything.
    pub async fn next(&mut self) -> Result<v1::ServerFrame, Broken> {
        let (bytes, encoding) = std::future::poll_fn(|context| self.poll_frame(context)).await?;
        Ok(decode_server(&bytes, encoding)?)
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Result<(Bytes, Encoding), Broken>> {
        if let Poll::Ready(Err(error)) = self.poll_write(context) {
            return Poll::Ready(Err(error.into()));
        }
        self.carrier.poll_frame(context)
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        while !self.queue.is_empty() {
            std::task::ready!(self.carrier.poll_ready(context))?;
            if let Some(bytes) = self.queue.pop_front() {
                self.carrier.start_send(bytes, self.encoding)?;
                self.unflushed = true;
            }
        }
        if self.unflushed {
            std::task::ready!(self.carrier.poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl Carrier {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        match self {
            Carrier::WebSocket(socket) => Pin::new(socket).poll_ready(context),
            Carrier::Stream(framed) => {
                Sink::<Bytes>::poll_ready(Pin::new(framed), context).map_err(SocketError::Io)
            }
        }
    }

    fn start_send(&mut self, bytes: Bytes, encoding: Encoding) -> Result<(), SocketError> {
        match self {
            Carrier::WebSocket(socket) => Pin::new(socket).start_send(match encoding {
                Encoding::Binary => Message::Binary(bytes),
                Encoding::Json => Message::Text(Utf8Bytes::try_from(bytes).expect("JSON is UTF-8")),
            }),
            Carrier::Stream(framed) => Pin::new(framed).start_send(bytes).map_err(SocketError::Io),
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        match self {
            Carrier::WebSocket(socket) => Pin::new(socket).poll_flush(context),
            Carrier::Stream(framed) => {
                Sink::<Bytes>::poll_flush(Pin::new(framed), context).map_err(SocketError::Io)
            }
        }
    }

    /// The next frame, and how it is encoded.
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Result<(Bytes, Encoding), Broken>> {
        let socket = match self {
            Carrier::WebSocket(socket) => socket,
            Carrier::Stream(framed) => {
                return Poll::Ready(match std::task::ready!(Pin::new(framed).poll_next(context)) {
                    Some(Ok(bytes)) => Ok((bytes.freeze(), Encoding::Binary)),
                    Some(Err(error)) => Err(SocketError::Io(error).into()),
                    None => Err(Broken::Closed),
                });
            }
        };
        loop {
            return Poll::Ready(match std::task::ready!(Pin::new(&mut *socket).poll_next(context)) {
                Some(Ok(Message::Binary(bytes))) => Ok((bytes, Encoding::Binary)),
                Some(Ok(Message::Text(text))) => Ok((text.into(), Encoding::Json)),
                Some(Ok(Message::Close(_))) | None => Err(Broken::Closed),
                // Answered by the socket itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Err(error)) => Err(error.into()),
            });
        }
    }

    async fn close(self) -> io::Result<()> {
        match self {
            Carrier::WebSocket(mut socket) => {
                WebSocketStream::close(&mut socket, None).await.map_err(io::Error::other)
            }
            Carrier::Stream(mut framed) => SinkExt::<Bytes>::close(&mut framed).await,
        }
    }
}
