//! `oauth`: a patient's consent, from the address that the clinic sent to the page where it can be ended again.
//!
//! - `GET /oauth/connect/{ticket}` says what will be shared, with whom and why, and changes nothing: whoever looks into
//!   addresses in mails begins no consent. Its form, `POST`, begins one with a one-time `state`, bound to the browser by a
//!   cookie, and a redirect to the provider; or says no.
//! - `GET /oauth/callback/{provider}` ends it: the code is exchanged right there (Withings gives it 30 seconds), the tokens
//!   are sealed and stored, and `link.connected` is published. Everything else that a new link needs (subscriptions,
//!   history) follows from that event.
//! - `GET /oauth/link/{ticket}/` is the patient's own page: how far the first readings are, and disconnecting, with its
//!   receipt. Its address is a ticket of its own; the clinic's address leads there as well once the link is connected.
//!
//! Pages are in four languages, work without their script, load nothing from elsewhere and show no reading.

mod about;
mod assets;
mod callback;
mod connect;
mod cookies;
mod guard;
mod notice;
mod page;
mod patient;
mod progress;
mod topics;
mod words;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use ohx_domain::LinkId;
use ohx_link::Links;
use ohx_runtime::{SettingError, Settings};
use ohx_store::TicketKind;

/// The largest form, in bytes: two short words.
const MAX_FORM: usize = 4096;

/// For how many days the address of a patient's own page is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageDays(u32);

impl Default for PageDays {
    /// A year, and some time to come back to it.
    fn default() -> Self {
        Self(400)
    }
}

/// `OHX_PATIENT_PAGE_DAYS`, 400 by default.
///
/// # Errors
/// Where it is no number from 1 to 3660.
pub fn page_days(settings: &Settings) -> Result<PageDays, SettingError> {
    const NAME: &str = "OHX_PATIENT_PAGE_DAYS";
    const EXPECTED: &str = "for how many days the address of a patient's own page is good, 1 to 3660";
    match settings.parsed::<u32>(NAME, EXPECTED)? {
        None => Ok(PageDays::default()),
        Some(days @ 1..=3660) => Ok(PageDays(days)),
        Some(days) => {
            Err(SettingError::Wrong { name: NAME, expected: EXPECTED.into(), shown: Some(days.to_string()) })
        }
    }
}

/// The function's state.
#[derive(Clone)]
pub(crate) struct Oauth {
    pub(crate) links: Links,
    pub(crate) days: PageDays,
    /// What the addresses of all pages begin with, as browsers see it: `/oauth`, below the path of the public address.
    pub(crate) base: Arc<str>,
    /// The origin that browsers reach the pages at.
    pub(crate) origin: Arc<str>,
}

impl Oauth {
    /// How long the address of a patient's own page is good.
    fn lasts(&self) -> Duration {
        Duration::from_secs(u64::from(self.days.0) * 86_400)
    }

    /// Which link a ticket of this kind is good for.
    async fn peek(&self, ticket: &str, kind: TicketKind) -> Result<Option<LinkId>, notice::Problem> {
        let parts = self.links.parts();
        let digest = ohx_link::ticket::digest(ticket);
        let found = parts.store.peek_ticket(&digest, kind, parts.clock.now()).await;
        found.map_err(|error| notice::Problem::out_of_reach(&error.into()))
    }
}

/// Where a browser goes next, with GET.
pub(crate) fn see_other(to: &str) -> Response {
    let Ok(location) = HeaderValue::try_from(to) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

/// The function's routes.
pub fn router(links: Links, days: PageDays) -> Router {
    let public = &links.parts().public_url;
    let base = links.parts().public("oauth").path().to_owned().into();
    let origin = public.origin().ascii_serialization().into();
    let oauth = Oauth { links, days, base, origin };
    Router::new()
        .route("/oauth/connect/{ticket}", get(connect::page).post(connect::answer))
        .route("/oauth/connect/{ticket}/declined/", get(connect::declined))
        .route("/oauth/callback/{provider}", get(callback::callback))
        .route("/oauth/link/{ticket}", get(patient::with_slash))
        .route("/oauth/link/{ticket}/", get(patient::page))
        .route("/oauth/link/{ticket}/disconnect/", get(patient::sure).post(patient::disconnect))
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .layer(middleware::from_fn_with_state(oauth.clone(), guard::guard))
        // After the layers: files are the same for everybody, and may be kept.
        .route("/oauth/assets/{name}", get(assets::file))
        .with_state(oauth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_days_of_a_patients_page_are_a_setting() {
        let days = |pairs: &[(&str, &str)]| page_days(&Settings::from_pairs(pairs.iter().copied()));
        assert_eq!(days(&[]), Ok(PageDays(400)));
        assert_eq!(days(&[("OHX_PATIENT_PAGE_DAYS", "30")]), Ok(PageDays(30)));
        for wrong in ["0", "3661", "soon"] {
            let error = days(&[("OHX_PATIENT_PAGE_DAYS", wrong)]).unwrap_err().to_string();
            assert!(error.starts_with("OHX_PATIENT_PAGE_DAYS is wrong"), "{error}");
        }
    }
}
