//! One WebSocket: frames out through a queue, frames in one at a time.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use anser_proto::{Encoding, SERVER_FRAME_BYTES, decode_server, encode_client, v1};
use futures_util::{Sink, Stream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message, Utf8Bytes};

use crate::address::{ServerAddress, Wire};

/// One WebSocket.
pub struct Socket {
    stream: WebSocketStream<Wire>,
    encoding: Encoding,
    /// Frames not handed to the stream yet: bounded by the requests that the session has in flight.
    queue: VecDeque<Message>,
    unflushed: bool,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The server closed it.
    #[error("closed by the server")]
    Closed,
    /// The network or the WebSocket failed.
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
        let wire = server.connect().await.map_err(SocketError::Io)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(read_buffer_bytes)
            .write_buffer_size(0)
            .max_message_size(Some(SERVER_FRAME_BYTES))
            .max_frame_size(Some(SERVER_FRAME_BYTES));
        let shaken =
            tokio_tungstenite::client_async_with_config(server.socket_url(), wire, Some(config)).await?;
        Ok(Socket { stream: shaken.0, encoding, queue: VecDeque::new(), unflushed: false })
    }

    /// Queues a frame. It goes out while [`Socket::next`] is awaited.
    pub fn send(&mut self, frame: &v1::ClientFrame) {
        let bytes = encode_client(frame, self.encoding);
        let message = match self.encoding {
            Encoding::Binary => Message::Binary(bytes),
            Encoding::Json => Message::Text(Utf8Bytes::try_from(bytes).expect("JSON is UTF-8")),
        };
        self.queue.push_back(message);
    }

    /// Says goodbye and lets go. Whatever is queued and not yet written is dropped.
    pub async fn close(mut self) {
        const GOODBYE: tokio::time::Duration = tokio::time::Duration::from_secs(1);
        // A courtesy: the server notices a closed connection anyway.
        let _ = tokio::time::timeout(GOODBYE, self.stream.close(None)).await;
    }

    /// The next frame of the server. May be cancelled at any time without losing anything.
    pub async fn next(&mut self) -> Result<v1::ServerFrame, Broken> {
        loop {
            let message = std::future::poll_fn(|context| self.poll_message(context)).await?;
            match message {
                Message::Binary(bytes) => return Ok(decode_server(&bytes, Encoding::Binary)?),
                Message::Text(text) => return Ok(decode_server(text.as_bytes(), Encoding::Json)?),
                Message::Close(_) => return Err(Broken::Closed),
                // Answered by the stream itself.
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Result<Message, Broken>> {
        if let Poll::Ready(Err(error)) = self.poll_write(context) {
            return Poll::Ready(Err(error.into()));
        }
        match std::task::ready!(Pin::new(&mut self.stream).poll_next(context)) {
            Some(Ok(message)) => Poll::Ready(Ok(message)),
            Some(Err(error)) => Poll::Ready(Err(error.into())),
            None => Poll::Ready(Err(Broken::Closed)),
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        while !self.queue.is_empty() {
            std::task::ready!(Pin::new(&mut self.stream).poll_ready(context))?;
            if let Some(message) = self.queue.pop_front() {
                Pin::new(&mut self.stream).start_send(message)?;
                self.unflushed = true;
            }
        }
        if self.unflushed {
            std::task::ready!(Pin::new(&mut self.stream).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}
