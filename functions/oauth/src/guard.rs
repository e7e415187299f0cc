//! Around every page: whose forms are taken, and what browsers may do with the page.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::Oauth;
use crate::notice::{Problem, notice};
use crate::words::Language;

/// Nothing but what this origin serves, no inline script or style, and no frame around it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The same for the page whose form leads to the provider, or back to an app: browsers hold a form's redirects against
/// `form-action`, all of them, and where a provider redirects to on its way is its own affair.
pub(crate) const LEADS_AWAY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// What every answer carries, unless it says otherwise.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
];

pub(crate) async fn guard(State(oauth): State<Oauth>, request: Request, next: Next) -> Response {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = if safe || from_here(request.headers(), &oauth.origin) {
        next.run(request).await
    } else {
        tracing::warn!("a form of another site was refused");
        notice(&oauth, Language::of(None, request.headers()), Problem::Foreign, None, None)
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Whether a form may have been sent by a page of ours. Browsers say so in `Sec-Fetch-Site`; older ones in `Origin`,
/// which pages without a referrer leave at `null`. Where both say nothing, the address alone decides, which nobody can
/// guess.
fn from_here(headers: &HeaderMap, own: &str) -> bool {
    let text = |name: &str| headers.get(name).map(|v| v.to_str().unwrap_or("unreadable"));
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, None | Some("null")) => true,
        (None, Some(origin)) => origin == own,
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
