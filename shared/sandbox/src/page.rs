//! The shell of the simulated providers' consent pages.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

/// What a provider's pages look like.
pub(crate) struct Look {
    /// The page's title.
    pub(crate) title: &'static str,
    /// The buttons' colour, in CSS.
    pub(crate) colour: &'static str,
}

impl Look {
    /// A whole page around `body`, which is HTML.
    pub(crate) fn document(&self, body: &str) -> String {
        let Self { title, colour } = self;
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n\
             body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 26rem; margin: 4rem auto; padding: 0 1rem }}\n\
             button {{ display: block; width: 100%; margin: .5rem 0; padding: .75rem; font: inherit; border: 0;\n\
             border-radius: .5rem; background: {colour}; color: #fff; cursor: pointer }}\n\
             button.quiet {{ background: #e6e6e6; color: #222 }}\n</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n\
             </body>\n</html>\n"
        )
    }

    /// 400, with what is wrong with the request.
    pub(crate) fn refuse(&self, why: &str) -> Response {
        let body = format!("<h1>This request cannot be granted</h1>\n<p>{}.</p>", escape(why));
        (StatusCode::BAD_REQUEST, Html(self.document(&body))).into_response()
    }
}

/// A text as it may stand in HTML.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
