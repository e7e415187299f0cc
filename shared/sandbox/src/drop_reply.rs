//! The reply that never arrives, although the work behind it was done.

use std::io;

use axum::body::{Body, Bytes};
use axum::response::Response;

/// A response whose body fails before its first byte: the server closes the connection without having sent
/// anything, and the caller cannot know whether its request was carried out.
pub(crate) fn drop_reply() -> Response {
    let broken = futures_util::stream::once(async {
        Err::<Bytes, io::Error>(io::Error::new(
            io::ErrorKind::ConnectionAborted,
            "the sandbox drops this reply",
        ))
    });
    Response::new(Body::from_stream(broken))
}
