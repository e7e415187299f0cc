//! What the buttons of a link's page do.

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::new::AddressPage;
use super::one::found;
use crate::form::{Bare, Sent};
use crate::page::{self, Frame};
use crate::words::given;
use crate::{Console, ConsoleError};

#[derive(Deserialize)]
pub(crate) struct From {
    /// A day; without it, what changed since the last time.
    from: Option<String>,
    zone: Option<String>,
}

/// `POST /console/links/{id}/sync/`: goes on to the sync's page.
pub(crate) async fn synchronise(
    State(console): State<Console>,
    Path(id): Path<String>,
    Sent { signed_in, form }: Sent<From>,
) -> Result<Response, Response> {
    let begin = async || -> Result<Response, ConsoleError> {
        let from = match given(form.from.as_deref()) {
            None => None,
            Some(day) => {
                let zone = given(form.zone.as_deref()).and_then(|name| TimeZone::get(name).ok());
                let day = day.parse::<Date>().ok();
                let begins = day.and_then(|day| day.to_zoned(zone.unwrap_or(TimeZone::UTC)).ok());
                Some(begins.ok_or(ConsoleError::Form("The day is not one of the calendar."))?.timestamp())
            }
        };
        let sync = found(console.api.start_sync(&signed_in.key, &id, from).await)?;
        Ok(console.to(&format!("/links/{id}/syncs/{}/", sync.id)))
    };
    begin().await.map_err(ConsoleError::into_response)
}

/// `POST /console/links/{id}/syncs/{sync}/cancel/`.
pub(crate) async fn cancel(
    State(console): State<Console>,
    Path((id, sync)): Path<(String, String)>,
    Sent { signed_in, .. }: Sent<Bare>,
) -> Result<Response, Response> {
    let cancelled = found(console.api.cancel_sync(&signed_in.key, &sync).await);
    cancelled.map_err(ConsoleError::into_response)?;
    Ok(console.to(&format!("/links/{id}/?did=cancelled")))
}

/// `POST /console/links/{id}/connect-address/`: shows it, this once.
pub(crate) async fn connect_address(
    State(console): State<Console>,
    Path(id): Path<String>,
    Sent { signed_in, .. }: Sent<Bare>,
) -> Result<Response, Response> {
    let made = found(console.api.connect_address(&signed_in.key, &id).await);
    let address = made.map_err(ConsoleError::into_response)?.connect_url;
    let frame = Frame::new(&console, Some(&signed_in.session)).below("/links/");
    let title = "Send the patient this address";
    let page = AddressPage { frame, id, title, address: Some(address) };
    page::html(StatusCode::OK, &page).map_err(ConsoleError::into_response)
}

/// `POST /console/links/{id}/devices/`.
pub(crate) async fn bring_devices(
    State(console): State<Console>,
    Path(id): Path<String>,
    Sent { signed_in, .. }: Sent<Bare>,
) -> Result<Response, Response> {
    let asked = found(console.api.bring_devices(&signed_in.key, &id).await);
    asked.map_err(ConsoleError::into_response)?;
    Ok(console.to(&format!("/links/{id}/?did=devices")))
}
