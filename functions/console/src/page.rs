//! What all pages have in common.

use std::sync::Arc;

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};

use crate::session::Session;
use crate::{Console, ConsoleError, assets};

/// What is around every page.
pub(crate) struct Frame {
    /// What addresses begin with.
    pub(crate) base: Arc<str>,
    pub(crate) style: &'static str,
    pub(crate) script: &'static str,
    pub(crate) icon: &'static str,
    /// The token of this page's forms, where somebody is signed in.
    pub(crate) token: Option<String>,
}

impl Frame {
    /// The frame for whoever is signed in.
    pub(crate) fn new(console: &Console, session: Option<&Session>) -> Self {
        Self {
            base: console.base.clone(),
            style: &assets::STYLE.name,
            script: &assets::SCRIPT.name,
            icon: &assets::ICON.name,
            token: session.map(|session| console.sessions.token(session)),
        }
    }
}

/// A page that only says something.
#[derive(Template)]
#[template(path = "notice.html")]
pub(crate) struct Notice {
    pub(crate) frame: Frame,
    pub(crate) title: &'static str,
    pub(crate) text: String,
    /// Whether the browser asks for the same address again, by itself.
    pub(crate) again: bool,
}

/// A rendered page.
pub(crate) fn html(status: StatusCode, page: &impl Template) -> Result<Response, ConsoleError> {
    Ok((status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page.render()?).into_response())
}
