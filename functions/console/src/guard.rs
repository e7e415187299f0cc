//! Around every page: whose forms are taken, what browsers may do with the page, and pages for what went wrong.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::api::ApiError;
use crate::error::Failed;
use crate::page::{self, Frame, Notice};
use crate::{Console, ConsoleError};

/// Nothing but what this origin serves, no inline script or style, and no frame around it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What every answer carries.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CACHE_CONTROL, "no-store"),
];

pub(crate) async fn guard(State(console): State<Console>, request: Request, next: Next) -> Response {
    let asked = request.headers().clone();
    let safe = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = if safe || from_here(&asked, &console.origin) {
        next.run(request).await
    } else {
        tracing::warn!("a form of another site was refused");
        ConsoleError::Foreign.into_response()
    };
    if let Some(Failed(error)) = response.extensions_mut().remove() {
        response = failed(&console, &asked, &error);
    }
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether a form may have been sent by a page of ours. Browsers say so in `Sec-Fetch-Site`; older ones in `Origin`,
/// which pages without a referrer leave at `null`. Where both say nothing, the form's token alone decides.
fn from_here(headers: &HeaderMap, own: &str) -> bool {
    let text = |name: &str| headers.get(name).map(|v| v.to_str().unwrap_or("unreadable"));
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, None | Some("null")) => true,
        (None, Some(origin)) => origin == own,
    }
}

/// The page, or the redirect, for what went wrong.
fn failed(console: &Console, asked: &HeaderMap, error: &ConsoleError) -> Response {
    let ended = matches!(error, ConsoleError::Ended | ConsoleError::Api(ApiError::Unauthorized));
    if ended || matches!(error, ConsoleError::SignedOut) {
        let note = match error {
            ConsoleError::Api(_) => "?note=refused",
            ConsoleError::Ended => "?note=ended",
            _ => "",
        };
        let mut response = console.to(&format!("/sign-in/{note}"));
        if ended {
            console.sessions.clear(response.headers_mut());
        }
        return response;
    }
    match error {
        ConsoleError::Api(_) | ConsoleError::Render(_) => tracing::error!(error = %error, "no page"),
        error => tracing::debug!(error = %error, "no page"),
    }
    let session = console.sessions.find(asked).ok().flatten();
    let (title, text) = error.words();
    let again = matches!(error, ConsoleError::FromElsewhere);
    let notice = Notice { frame: Frame::new(console, session.as_ref()), title, text, again };
    match page::html(error.status(), &notice) {
        Ok(page) => page,
        // Nothing is left to render with.
        Err(error) => error.status().into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_other_sites_are_told_by_what_the_browser_says() {
        let own = "https://ohx.example";
        let cases: [(&[(&'static str, &str)], bool); 9] = [
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "same-site"), ("origin", own)], false),
            (&[("origin", own)], true),
            (&[("origin", "http://ohx.example")], false),
            (&[("origin", "https://evil.example")], false),
            (&[("origin", "null")], true),
            (&[], true),
        ];
        for (headers, expected) in cases {
            let headers: HeaderMap =
                headers.iter().map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap())).collect();
            assert_eq!(from_here(&headers, own), expected, "{headers:?}");
        }
    }
}
