//! What a patient reads where something did not work, and what an app is told of it.

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use ohx_domain::LinkId;
use ohx_link::LinkError;
use url::Url;

use crate::Oauth;
use crate::about::About;
use crate::page::{Frame, html};
use crate::words::{Language, fill};

/// Why there is no consent, or no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
    /// An address of ours that has expired or never was one.
    Address,
    /// A way back from the provider that leads nowhere (any more).
    Stale,
    /// The patient said no.
    Declined,
    /// The account has no profile for health data.
    NoProfile,
    /// The account is connected for somebody else.
    AccountInUse,
    /// Something of ours, or the provider.
    Unavailable,
    /// A form of another site, or one that cannot be read.
    Foreign,
}

impl Problem {
    /// Something is out of reach; says so in the log.
    pub(crate) fn out_of_reach(error: &LinkError) -> Self {
        tracing::error!(error = %error, "a patient's page is not possible");
        Self::Unavailable
    }

    /// The same in one word, for an app that the patient is sent back to.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Address | Self::Stale => "expired",
            Self::Declined => "declined",
            Self::NoProfile => "no-profile",
            Self::AccountInUse => "account-in-use",
            Self::Unavailable | Self::Foreign => "unavailable",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Address => StatusCode::NOT_FOUND,
            Self::Stale => StatusCode::BAD_REQUEST,
            Self::Declined | Self::NoProfile => StatusCode::OK,
            Self::AccountInUse => StatusCode::CONFLICT,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Foreign => StatusCode::FORBIDDEN,
        }
    }
}

/// A page that only says something.
#[derive(Template)]
#[template(path = "notice.html")]
pub(crate) struct Notice {
    pub(crate) frame: Frame,
    pub(crate) title: String,
    pub(crate) text: String,
    /// Where else to go: its address and words.
    pub(crate) link: Option<(String, &'static str)>,
}

/// The page for a problem.
pub(crate) fn notice(
    oauth: &Oauth,
    language: Language,
    problem: Problem,
    about: Option<&About>,
    here: Option<&str>,
) -> Response {
    let words = &language.words().notices;
    let (title, text) = match problem {
        Problem::Address => (words.address, words.address_text),
        Problem::Stale => (words.not_connected, words.stale),
        Problem::Declined => (words.declined, words.declined_text),
        Problem::NoProfile => (words.not_connected, words.no_profile),
        Problem::AccountInUse => (words.not_connected, words.account_in_use),
        Problem::Unavailable => (words.unavailable, words.unavailable_text),
        Problem::Foreign => (words.foreign, words.foreign_text),
    };
    let text = match about {
        Some(about) => about.say(text),
        None => fill(text, &[("clinic", language.words().clinic)]),
    };
    let frame = match here {
        Some(path) => Frame::at(oauth, language, path),
        None => Frame::once(oauth, language),
    };
    html(problem.status(), &Notice { frame, title: title.to_owned(), text, link: None })
}

/// Sends the patient on to an app instead: with the link's id and the outcome in one word, and nothing else.
pub(crate) fn sent_to(mut target: Url, link: LinkId, word: &str) -> Response {
    target.query_pairs_mut().append_pair("link", &link.to_string()).append_pair("status", word);
    (StatusCode::SEE_OTHER, [(header::LOCATION, target.as_str())]).into_response()
}

/// Where an app wants its patient back, if the operator still allows it.
pub(crate) fn allowed(oauth: &Oauth, link: LinkId, target: Option<&str>) -> Option<Url> {
    match oauth.links.redirects().allowed(target?) {
        Ok(target) => Some(target),
        // It was allowed when the link was made.
        Err(why) => {
            tracing::warn!(%link, %why, "the patient is not sent back");
            None
        }
    }
}
