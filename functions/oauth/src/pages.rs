//! The pages that a patient sees here: a few words, no scripts, nothing from elsewhere.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use ohx_domain::LinkId;
use url::Url;

/// A page.
#[derive(Debug)]
pub(crate) struct Page {
    status: StatusCode,
    /// The same in one word, for an app that the patient is sent back to.
    word: &'static str,
    title: &'static str,
    text: &'static str,
}

impl Page {
    /// All is well.
    pub(crate) const fn connected() -> Self {
        Self {
            status: StatusCode::OK,
            word: "connected",
            title: "Connected",
            text: "Your account is connected. Your readings are on their way to your clinic, and new ones will follow by themselves. You can close this page.",
        }
    }

    /// Something to know, or to do.
    pub(crate) const fn error(status: StatusCode, word: &'static str, text: &'static str) -> Self {
        Self { status, word, title: "Not connected", text }
    }
}

impl Page {
    /// Sends the patient on instead: with the link's id and the outcome in one word, and nothing else.
    pub(crate) fn sent_to(self, mut target: Url, link: LinkId) -> Response {
        target.query_pairs_mut().append_pair("link", &link.to_string()).append_pair("status", self.word);
        let headers = [
            (header::LOCATION, target.as_str()),
            (header::CACHE_CONTROL, "no-store"),
            (header::REFERRER_POLICY, "no-referrer"),
        ];
        (StatusCode::SEE_OTHER, headers).into_response()
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        // Every text is a constant of ours: there is nothing to escape.
        let Self { status, title, text, .. } = self;
        let body = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
             <title>{title}</title><style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem;color-scheme:light dark}}</style>\
             </head><body><main><h1>{title}</h1><p>{text}</p></main></body></html>"
        );
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
            (header::REFERRER_POLICY, "no-referrer"),
            (
                header::CONTENT_SECURITY_POLICY,
                "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
            ),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (status, headers, body).into_response()
    }
}
