//! A TCP proxy that keeps all that passes: what went to the database and the broker, also what was deleted a moment later.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

type Recording = Arc<Mutex<Vec<u8>>>;

/// The proxy; it ends with the runtime that it was started in.
pub struct Tap {
    address: SocketAddr,
    recordings: Arc<Mutex<Vec<Recording>>>,
}

impl Tap {
    /// Stands before the server of a URL; gives the URL that leads through it.
    pub async fn before(url: &str, default_port: u16) -> (Self, String) {
        let mut url: url::Url = url.parse().unwrap();
        let target = (url.host_str().unwrap_or("127.0.0.1").to_owned(), url.port().unwrap_or(default_port));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let recordings = Arc::<Mutex<Vec<Recording>>>::default();
        let kept = Arc::clone(&recordings);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&target).await else { continue };
                let recording = || {
                    let recording = Recording::default();
                    kept.lock().unwrap().push(recording.clone());
                    recording
                };
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                tokio::spawn(copy(from_client, to_server, recording()));
                tokio::spawn(copy(from_server, to_client, recording()));
            }
        });
        url.set_port(Some(address.port())).unwrap();
        (Self { address, recordings }, url.to_string())
    }

    /// Each direction of each connection so far.
    pub fn recorded(&self) -> Vec<Vec<u8>> {
        self.recordings.lock().unwrap().iter().map(|one| one.lock().unwrap().clone()).collect()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, recording: Recording) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        recording.lock().unwrap().extend_from_slice(&buffer[..read]);
        if to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
    // The other side may be gone already.
    let _gone = to.shutdown().await;
}
