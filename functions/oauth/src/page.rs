//! What all pages have in common.

use std::sync::Arc;

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};

use crate::words::{Language, Words};
use crate::{Oauth, assets};

/// What is around every page.
pub(crate) struct Frame {
    /// What addresses begin with.
    pub(crate) base: Arc<str>,
    pub(crate) style: &'static str,
    pub(crate) script: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) language: Language,
    pub(crate) words: &'static Words,
    /// This page's address, for the other languages; `None` where it cannot be asked for again.
    pub(crate) here: Option<String>,
}

impl Frame {
    /// The frame of a page at this path below the base.
    pub(crate) fn at(oauth: &Oauth, language: Language, path: &str) -> Self {
        let here = Some(format!("{}{path}", oauth.base));
        Self { here, ..Self::once(oauth, language) }
    }

    /// The frame of a page that cannot be asked for again.
    pub(crate) fn once(oauth: &Oauth, language: Language) -> Self {
        Self {
            base: oauth.base.clone(),
            style: &assets::STYLE.name,
            script: &assets::SCRIPT.name,
            icon: &assets::ICON.name,
            language,
            words: language.words(),
            here: None,
        }
    }
}

/// A rendered page.
pub(crate) fn html(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
