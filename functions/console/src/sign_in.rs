//! Signing in with an API key, and out.

use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::api::ApiError;
use crate::page::{self, Frame};
use crate::session::{LONGEST_KEY, Session, SignedIn};
use crate::{Console, ConsoleError};

#[derive(Template)]
#[template(path = "sign-in.html")]
struct SignIn {
    frame: Frame,
    token: String,
    /// What there is to know before.
    note: Option<&'static str>,
    /// What is wrong with the key.
    error: Option<&'static str>,
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    note: Option<String>,
}

/// `GET /console/sign-in/`.
pub(crate) async fn page(
    State(console): State<Console>,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Response, ConsoleError> {
    if let Ok(Some(_)) = console.sessions.find(&headers) {
        return Ok(console.to("/"));
    }
    let note = match asked.note.as_deref() {
        Some("signed-out") => Some("You are signed out."),
        Some("ended") => Some("Your sign-in has ended. Please sign in again."),
        Some("refused") => {
            Some("The exchange does not take your key any more. Please sign in with one that it takes.")
        }
        _ => None,
    };
    form(&console, &console.sessions.form(&headers), StatusCode::OK, note, None)
}

fn form(
    console: &Console,
    session: &Session,
    status: StatusCode,
    note: Option<&'static str>,
    error: Option<&'static str>,
) -> Result<Response, ConsoleError> {
    let token = console.sessions.token(session);
    let mut response = page::html(status, &SignIn { frame: Frame::new(console, None), token, note, error })?;
    console.sessions.keep(session, response.headers_mut());
    Ok(response)
}

#[derive(Deserialize)]
pub(crate) struct Given {
    #[serde(default)]
    token: String,
    key: SecretString,
}

/// `POST /console/sign-in/`: tries the key at the API.
pub(crate) async fn sign_in(
    State(console): State<Console>,
    headers: HeaderMap,
    given: Result<Form<Given>, FormRejection>,
) -> Result<Response, ConsoleError> {
    let Form(given) = given.map_err(|_| ConsoleError::Form("A field is missing."))?;
    let before = console.sessions.form(&headers);
    let again = |error| form(&console, &before, StatusCode::FORBIDDEN, None, Some(error));
    if console.sessions.check(&before, &given.token).is_err() {
        return again(
            "This page had been open for too long, or your browser does not keep cookies. Please try again.",
        );
    }
    let key: SecretString = given.key.expose_secret().trim().into();
    let length = key.expose_secret().len();
    if length == 0 {
        return again("Please enter the key.");
    }
    if length > LONGEST_KEY {
        return again("This is too long to be a key of the exchange.");
    }
    match console.api.apps(&key).await {
        Ok(_) => {}
        Err(ApiError::Unauthorized) => {
            tracing::info!("a key was refused");
            return again(
                "The exchange does not take this key. Please check that it is complete and still valid.",
            );
        }
        Err(error) => return Err(error.into()),
    }
    tracing::info!("signed in");
    let mut response = console.to("/");
    console.sessions.keep(&console.sessions.begin(key), response.headers_mut());
    Ok(response)
}

#[derive(Deserialize)]
pub(crate) struct Leaving {
    #[serde(default)]
    token: String,
}

/// `POST /console/sign-out/`.
pub(crate) async fn sign_out(
    State(console): State<Console>,
    signed_in: SignedIn,
    given: Result<Form<Leaving>, FormRejection>,
) -> Result<Response, Response> {
    let leave = || -> Result<Response, ConsoleError> {
        let Form(Leaving { token }) = given.map_err(|_| ConsoleError::Form("A field is missing."))?;
        console.sessions.check(&signed_in.session, &token)?;
        let mut response = console.to("/sign-in/?note=signed-out");
        console.sessions.clear(response.headers_mut());
        Ok(response)
    };
    leave().map_err(ConsoleError::into_response)
}
