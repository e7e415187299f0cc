//! A file on its way from the browser to the API: a few pieces in memory at a time, and never on a disk.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::multipart::{Field, MultipartError};
use bytes::Bytes;
use http::StatusCode;
use http_body::Frame;
use tokio::sync::mpsc;

use crate::ConsoleError;

/// The largest file that the API reads, in bytes.
pub const MAX_FILE_BYTES: usize = 10 * 1024 * 1024;

/// How many pieces wait.
const PIECES: usize = 4;

/// The receiving end, as the body of a request.
pub(super) struct Piped(mpsc::Receiver<io::Result<Bytes>>);

impl http_body::Body for Piped {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

/// The sending end.
pub(super) struct Pipe(Option<mpsc::Sender<io::Result<Bytes>>>);

/// Both ends.
pub(super) fn pipe() -> (Pipe, Piped) {
    let (sender, receiver) = mpsc::channel(PIECES);
    (Pipe(Some(sender)), Piped(receiver))
}

impl Pipe {
    /// Passes on `first` and the rest of a field. A file that is cut short, or too large, is never seen to end: what is
    /// read of it at the other end is an error, not a shorter file. Says whether it fitted.
    pub(super) async fn fill(mut self, first: Bytes, field: &mut Field<'_>) -> Result<bool, ConsoleError> {
        let (mut next, mut passed) = (Ok(Some(first)), 0_usize);
        let mut fits = true;
        loop {
            match next {
                Ok(None) => return Ok(fits),
                Ok(Some(piece)) => {
                    passed += piece.len();
                    if passed <= MAX_FILE_BYTES {
                        self.pass(Ok(piece)).await;
                    } else {
                        fits = false;
                        self.fail().await;
                    }
                }
                Err(error) => {
                    self.fail().await;
                    return Err(unreadable(&error));
                }
            }
            next = field.chunk().await;
        }
    }

    /// Once the other end has been dropped, pieces are thrown away.
    async fn pass(&mut self, piece: io::Result<Bytes>) {
        if let Some(sender) = &self.0
            && sender.send(piece).await.is_err()
        {
            self.0 = None;
        }
    }

    async fn fail(&mut self) {
        self.pass(Err(io::ErrorKind::UnexpectedEof.into())).await;
        self.0 = None;
    }
}

/// Reads the rest of a field to no purpose: the browser shows no answer before it has sent everything.
pub(super) async fn throw_away(field: &mut Field<'_>) -> Result<(), ConsoleError> {
    while field.chunk().await.map_err(|e| unreadable(&e))?.is_some() {}
    Ok(())
}

pub(super) fn unreadable(error: &MultipartError) -> ConsoleError {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ConsoleError::TooLarge,
        _ => ConsoleError::Form("It was cut short, or is not a form of this page."),
    }
}
