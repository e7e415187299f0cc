//! What stands before a simulator: it keeps every answer, and can spoil them for any provider alike.

use std::io;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};

/// What is wrong with every answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoilt {
    /// A bare status.
    Status(u16),
    /// A proxy's page with this status.
    Html(u16),
    /// JSON that ends in the middle, with a fitting length header.
    CutOff,
    /// The connection closes without an answer.
    HangUp,
    /// No answer ever comes.
    Silence,
    /// The call is carried out, and then the connection closes without an answer.
    LostReply,
}

#[derive(Default)]
struct Kept {
    spoilt: Option<Spoilt>,
    bodies: Vec<String>,
}

/// Cloning it is cheap, and every clone is the same.
#[derive(Clone, Default)]
pub(crate) struct Front(Arc<Mutex<Kept>>);

impl Front {
    /// The router behind it.
    pub(crate) fn before(&self, router: Router) -> Router {
        router.layer(from_fn_with_state(self.clone(), pass))
    }

    /// Spoils every answer from now on, or none.
    pub(crate) fn spoil(&self, how: Option<Spoilt>) {
        self.0.lock().unwrap().spoilt = how;
    }

    /// The bodies of all answers so far.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.0.lock().unwrap().bodies.clone()
    }
}

fn hang_up() -> Response {
    let broken =
        async { Err::<Bytes, _>(io::Error::new(io::ErrorKind::ConnectionAborted, "the front hangs up")) };
    Response::new(Body::from_stream(futures_util::stream::once(broken)))
}

async fn pass(State(front): State<Front>, request: Request, next: Next) -> Response {
    let spoilt = front.0.lock().unwrap().spoilt;
    let status = |status| StatusCode::from_u16(status).unwrap();
    match spoilt {
        Some(Spoilt::Status(code)) => return status(code).into_response(),
        Some(Spoilt::Html(code)) => {
            return (status(code), Html("<html><body><h1>Bad gateway</h1></body></html>")).into_response();
        }
        Some(Spoilt::CutOff) => {
            return ([(header::CONTENT_TYPE, "application/json")], r#"{"status":0,"body":{"mea"#)
                .into_response();
        }
        Some(Spoilt::HangUp) => return hang_up(),
        Some(Spoilt::Silence) => return std::future::pending().await,
        Some(Spoilt::LostReply) | None => {}
    }
    let (parts, body) = next.run(request).await.into_parts();
    // A simulator hangs up, too.
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else { return hang_up() };
    if spoilt.is_some() {
        return hang_up();
    }
    front.0.lock().unwrap().bodies.push(String::from_utf8_lossy(&body).into_owned());
    Response::from_parts(parts, Body::from(body))
}
