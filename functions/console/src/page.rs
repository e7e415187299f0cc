//! What all pages have in common.

use std::sync::Arc;

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};

use crate::session::Session;
use crate::{Console, ConsoleError, assets};

/// The pages that the navigation leads to: their address below the console's, and their name.
const PAGES: [(&str, &str); 7] = [
    ("/", "Overview"),
    ("/links/", "Links"),
    ("/set-up/", "Set-up"),
    ("/mappings/", "Mappings"),
    ("/dead-letters/", "Dead letters"),
    ("/audit/", "Audit"),
    ("/import/", "Import"),
];

/// What is around every page.
pub(crate) struct Frame {
    /// What addresses begin with.
    pub(crate) base: Arc<str>,
    pub(crate) style: &'static str,
    pub(crate) script: &'static str,
    pub(crate) icon: &'static str,
    /// The token of this page's forms, where somebody is signed in.
    pub(crate) token: Option<String>,
    /// Which entry of the navigation this page belongs to, and whether it is that page or one below it.
    here: Option<(&'static str, bool)>,
}

/// An entry of the navigation.
pub(crate) struct Entry {
    pub(crate) address: String,
    pub(crate) name: &'static str,
    /// The value of `aria-current`, or nothing.
    pub(crate) current: &'static str,
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
            here: None,
        }
    }

    /// The same for the page that an entry of the navigation leads to: its address below the console's.
    pub(crate) fn at(self, page: &'static str) -> Self {
        Self { here: Some((page, true)), ..self }
    }

    /// The same for a page below one that an entry of the navigation leads to.
    pub(crate) fn below(self, page: &'static str) -> Self {
        Self { here: Some((page, false)), ..self }
    }

    /// The navigation.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> {
        PAGES.into_iter().map(|(path, name)| {
            let current = match self.here {
                Some((here, true)) if here == path => "page",
                Some((here, false)) if here == path => "true",
                _ => "",
            };
            Entry { address: format!("{}{path}", self.base), name, current }
        })
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
