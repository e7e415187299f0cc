//! A body that is refused before its end.
//!
//! A server that answers 413 and closes the connection while the client still sends makes the client's system drop the answer
//! that has arrived already: the client sees a broken pipe, not what is wrong with its file. So the rest is read, and dropped,
//! before the answer goes out (RFC 9112, section 9.6), within limits.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::StatusCode;
use http_body::{Frame, SizeHint};

/// How much of a refused body is read, in bytes, and for how long. Who sends more does without the answer.
const MOST: usize = 64 * 1024 * 1024;
const LONGEST: Duration = Duration::from_secs(10);

/// A body that two hold: the handler, which may drop it, and the layer, which reads what is left.
#[derive(Clone)]
struct Kept(Arc<Mutex<Body>>);

impl Kept {
    fn body(&self) -> MutexGuard<'_, Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read_to_the_end(self) {
        let mut read = 0;
        while let Some(Ok(frame)) =
            std::future::poll_fn(|context| Pin::new(&mut *self.body()).poll_frame(context)).await
        {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > MOST {
                break;
            }
        }
    }
}

impl http_body::Body for Kept {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut *self.body()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body().size_hint()
    }
}

/// Reads what is left of a body that was answered with 413, before the answer goes out.
pub(crate) async fn linger(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        return next.run(Request::from_parts(parts, body)).await;
    }
    let kept = Kept(Arc::new(Mutex::new(body)));
    let response = next.run(Request::from_parts(parts, Body::new(kept.clone()))).await;
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        // Too slow or too much: the answer goes out anyway.
        let _ended = tokio::time::timeout(LONGEST, kept.read_to_the_end()).await;
    }
    response
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use axum::Router;
    use axum::routing::post;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn who_sends_too_much_reads_why() {
        let router = Router::new()
            .route("/", post(async |_: Bytes| StatusCode::NO_CONTENT))
            .layer(axum::extract::DefaultBodyLimit::max(10))
            .layer(axum::middleware::from_fn(linger));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let send = move |length: usize| {
            let mut stream = TcpStream::connect(address).unwrap();
            let head = format!(
                "POST / HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            // More than the buffers of both systems hold, in pieces: what nobody reads cannot all be sent.
            for piece in vec![b'x'; length].chunks(100_000) {
                stream.write_all(piece).unwrap();
            }
            let mut said = String::new();
            stream.read_to_string(&mut said).unwrap();
            said
        };
        let (fits, too_long) =
            tokio::task::spawn_blocking(move || (send(10), send(40_000_000))).await.unwrap();
        assert!(fits.starts_with("HTTP/1.1 204"), "{fits}");
        assert!(too_long.starts_with("HTTP/1.1 413"), "{too_long}");
    }
}
