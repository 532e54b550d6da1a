//! The limit of "a connection that says nothing": one task each, waiting for the socket without a
//! buffer. A process of its own, so that its memory can be measured as the server's is.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::Ipv4Addr;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

/// Holds whatever connects until it is killed, having said on standard output where it listens.
///
/// # Errors
/// The socket cannot be opened.
pub fn hold() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("holds http://{}", listener.local_addr()?);
        let tracker = TaskTracker::new();
        loop {
            let (stream, _) = listener.accept().await?;
            tracker.spawn(idle(stream));
        }
    })
}

async fn idle(stream: TcpStream) {
    loop {
        if poll_fn(|context| stream.poll_read_ready(context)).await.is_err() {
            return;
        }
        match stream.try_read(&mut [0; 64]) {
            Ok(0) => return,
            Err(error) if error.kind() != ErrorKind::WouldBlock => return,
            _ => {}
        }
    }
}
