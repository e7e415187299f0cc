//! A request that is held in flight: its head is there and its handler waits for the body, which comes when the test says so.

use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The request, between its head and its body.
pub(crate) struct Held {
    stream: TcpStream,
    body: Vec<u8>,
}

/// What was answered.
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Held {
    /// Sends a request's head. The server asks for the body (`100 Continue`) only when somebody waits for it: from then on the
    /// request is in the handler's hands.
    pub(crate) async fn begin(port: u16, request: &Request) -> Self {
        let Request { path, headers, body } = request;
        let mut head = format!("POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nexpect: 100-continue\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        let mut stream = connect(port).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let expected = b"HTTP/1.1 100 Continue\r\n\r\n";
        let mut told = vec![0; expected.len()];
        stream.read_exact(&mut told).await.unwrap();
        assert_eq!(told, expected, "{path}: {}", String::from_utf8_lossy(&told));
        Self { stream, body: body.clone() }
    }

    /// Sends the body; gives the whole answer, after which the server closes.
    pub(crate) async fn finish(mut self) -> Answered {
        self.stream.write_all(&self.body).await.unwrap();
        let mut answer = Vec::new();
        self.stream.read_to_end(&mut answer).await.unwrap();
        let text = String::from_utf8_lossy(&answer).into_owned();
        let status = text.split(' ').nth(1).and_then(|code| code.parse().ok());
        assert!(text.contains("\r\n\r\n"), "{text}");
        Answered { status: status.unwrap_or_else(|| panic!("no answer: {text}")), text }
    }
}

/// A POST with a body.
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

pub(crate) async fn connect(port: u16) -> std::io::Result<TcpStream> {
    TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await
}

/// Whether nobody listens at a port any more.
pub(crate) async fn refused(port: u16) -> bool {
    matches!(connect(port).await, Err(error) if error.kind() == ErrorKind::ConnectionRefused)
}

/// Whether a connection that a server had is closed.
pub(crate) async fn closed(mut stream: TcpStream) -> bool {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.is_ok_and(|_| rest.is_empty())
}
