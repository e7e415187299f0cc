//! The first page: how readings flow, in counts.

mod api;
mod chart;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use self::api::Provider;
use self::chart::Chart;
use crate::api::ApiError;
use crate::page::{self, Frame};
use crate::session::SignedIn;
use crate::words::When;
use crate::{Console, ConsoleError};

/// The spans that the API counts over, and what a person calls them.
const SPANS: [(&str, &str); 3] = [("day", "24 hours"), ("week", "7 days"), ("month", "30 days")];

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    span: &'static str,
    span_words: &'static str,
    at: When,
    fresh_within_hours: u64,
    providers: Vec<Provider>,
    sums: Sums,
    /// Open dead letters, where the caller may know of them.
    letters: Option<Letters>,
    chart: Chart,
}

/// All providers together.
#[derive(Default)]
struct Sums {
    active: u64,
    fresh: u64,
    stale: u64,
    failing: u64,
    /// Links that wait for a consent: the first, or one again.
    waiting: u64,
    /// Every link there is or was.
    links: u64,
}

/// Dead letters, as far as they were counted.
struct Letters {
    count: u64,
    more: bool,
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    span: Option<String>,
}

/// `GET /console/`. Whoever may not see the whole begins with their links.
pub(crate) async fn page(
    State(console): State<Console>,
    signed_in: SignedIn,
    Query(asked): Query<Asked>,
) -> Result<Response, ConsoleError> {
    let span = SPANS.into_iter().find(|(span, _)| asked.span.as_deref() == Some(span));
    let (span, span_words) = span.unwrap_or(("week", "7 days"));
    let seen = match console.api.overview(&signed_in.key, span).await {
        Ok(seen) => seen,
        Err(ApiError::Refused { status: StatusCode::FORBIDDEN, .. }) => return Ok(console.to("/links/")),
        Err(error) => return Err(error.into()),
    };
    let letters = match console.api.count_letters(&signed_in.key).await {
        Ok((count, more)) => Some(Letters { count, more }),
        Err(ApiError::Refused { status: StatusCode::FORBIDDEN, .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let mut sums = Sums::default();
    for Provider { links, flow, .. } in &seen.providers {
        sums.active += links.active;
        sums.fresh += flow.fresh;
        sums.stale += flow.stale;
        sums.failing += flow.failing;
        sums.waiting += links.pending + links.reauthorization_required;
        sums.links += links.active + links.pending + links.reauthorization_required + links.disconnected;
    }
    let page = OverviewPage {
        frame: Frame::new(&console, Some(&signed_in.session)).at("/"),
        span,
        span_words,
        at: seen.at.into(),
        fresh_within_hours: seen.fresh_within_hours,
        chart: Chart::of(&seen.published),
        providers: seen.providers,
        sums,
        letters,
    };
    page::html(StatusCode::OK, &page)
}
