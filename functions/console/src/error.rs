//! What can go wrong, and the page that says so.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use ohx_runtime::SettingError;
use ohx_runtime::outbound::OutboundError;
use ohx_seal::SealError;

use crate::api::ApiError;

/// Why the console cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is missing or wrong.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// There is no client to call the API with.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// No key could be made.
    #[error("no key for sign-ins: {0}")]
    Seal(#[from] SealError),
}

/// Why a request is not answered with the page that was asked for. Says nothing of keys, and nothing that came in a form.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsoleError {
    /// Nobody is signed in.
    #[error("not signed in")]
    SignedOut,
    /// Somebody was: the twelve hours are over, or the console has another secret now.
    #[error("the sign-in has ended")]
    Ended,
    /// Another site led here, and browsers do not send the cookie then: the same address has to be asked for again.
    #[error("came from another site")]
    FromElsewhere,
    /// A form that another site sent.
    #[error("a form of another site")]
    Foreign,
    /// A form that this sign-in was not given, or without its cookie.
    #[error("a form that does not belong to this sign-in")]
    Stale,
    /// A form that cannot be read.
    #[error("the form cannot be read: {0}")]
    Form(&'static str),
    /// A form that is larger than any.
    #[error("the form is too large")]
    TooLarge,
    /// No such page.
    #[error("there is nothing at this address")]
    NotFound,
    /// The API.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A page that could not be rendered.
    #[error("the page could not be rendered: {0}")]
    Render(#[from] askama::Error),
}

impl ConsoleError {
    /// The status it is answered with, where it is answered with a page.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::SignedOut | Self::Ended | Self::Foreign | Self::Stale => StatusCode::FORBIDDEN,
            Self::FromElsewhere => StatusCode::OK,
            Self::Form(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Api(ApiError::OutOfReach) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Api(ApiError::Refused { status, .. }) if status.is_client_error() => *status,
            Self::Api(ApiError::Refused { status, .. }) if *status == StatusCode::SERVICE_UNAVAILABLE => {
                *status
            }
            Self::Api(_) => StatusCode::BAD_GATEWAY,
            Self::Render(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What a person reads: a heading, and what to do.
    pub(crate) fn words(&self) -> (&'static str, String) {
        let (title, text) = match self {
            Self::SignedOut | Self::Ended => ("You are not signed in", "Please sign in again."),
            Self::FromElsewhere => ("One moment", "You came from another site. The page opens now."),
            Self::Foreign => (
                "This form came from another site",
                "It was not accepted, and nothing has changed. If you meant to do this, open the page here and try again.",
            ),
            Self::Stale => (
                "This page was too old",
                "Nothing has changed. You may have signed in again since it was opened, or your browser does not keep cookies. Open the page again and repeat what you did.",
            ),
            Self::Form(what) => ("The form could not be read", *what),
            Self::TooLarge => (
                "The file is too large",
                "An export has at most 10 MiB. Export a shorter period; periods may overlap.",
            ),
            Self::NotFound => ("There is nothing here", "The address may be mistyped."),
            Self::Api(ApiError::OutOfReach) => (
                "The exchange is out of reach",
                "The console is running, but the exchange's API does not answer. Please try again in a minute. If it stays so, ask whoever operates it whether the API is running, and whether OHX_API_URL is its address.",
            ),
            Self::Api(ApiError::Refused { status: StatusCode::FORBIDDEN, problem }) => {
                let text = match &problem.detail {
                    Some(detail) => format!(
                        "The exchange says: {detail}. Sign in with a key that may, or ask an admin for one."
                    ),
                    None => "Sign in with a key that may, or ask an admin for one.".to_owned(),
                };
                return ("Your key may not do this", text);
            }
            Self::Api(ApiError::Refused { status, problem }) => {
                let text = match &problem.detail {
                    Some(detail) => detail.clone(),
                    None => format!("It answered with HTTP {}.", status.as_u16()),
                };
                return ("The exchange could not do this", text);
            }
            Self::Api(_) => (
                "The exchange's answer could not be read",
                "What answers at OHX_API_URL is not the API of this version of Open Health Exchange. Ask whoever operates it.",
            ),
            Self::Render(_) => {
                ("This page could not be shown", "The defect is in the console. Its log has a line about it.")
            }
        };
        (title, text.to_owned())
    }
}

/// Travels in the answer to the guard, which knows how pages look.
#[derive(Clone)]
pub(crate) struct Failed(pub(crate) Arc<ConsoleError>);

impl IntoResponse for ConsoleError {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(Failed(Arc::new(self)));
        response
    }
}
