//! A new link: the form, and the address to send the patient to, which is shown this once.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use secrecy::SecretString;
use serde::Deserialize;

use super::api::New;
use crate::api::ApiError;
use crate::form::Sent;
use crate::page::{self, Frame};
use crate::session::{Session, SignedIn};
use crate::words::{given, sentence};
use crate::{Console, ConsoleError};

#[derive(Default, Deserialize)]
pub(crate) struct Values {
    #[serde(default)]
    provider: String,
    #[serde(default)]
    ehr: String,
    #[serde(default)]
    patient: String,
    #[serde(default)]
    backfill_days: String,
    #[serde(default)]
    success_url: String,
}

#[derive(Template)]
#[template(path = "link-new.html")]
struct NewPage {
    frame: Frame,
    apps: Vec<String>,
    /// None where the caller may not list them: then the name is typed.
    ehrs: Option<Vec<String>>,
    values: Values,
    error: Option<String>,
}

/// A link's address, shown once.
#[derive(Template)]
#[template(path = "link-address.html")]
pub(super) struct AddressPage {
    pub(super) frame: Frame,
    pub(super) id: String,
    pub(super) title: &'static str,
    /// None where the patient has nothing to consent to.
    pub(super) address: Option<String>,
}

async fn form(
    console: &Console,
    session: &Session,
    key: &SecretString,
    values: Values,
    error: Option<String>,
) -> Result<Response, ConsoleError> {
    let apps = console.api.apps(key).await?.into_iter().map(|app| app.name).collect();
    let ehrs = match console.api.ehrs(key).await {
        Ok(ehrs) => Some(ehrs.into_iter().map(|ehr| ehr.name).collect()),
        Err(ApiError::Refused { status: StatusCode::FORBIDDEN, .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let status = if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let frame = Frame::new(console, Some(session)).below("/links/");
    page::html(status, &NewPage { frame, apps, ehrs, values, error })
}

/// `GET /console/links/new/`.
pub(crate) async fn page(
    State(console): State<Console>,
    signed_in: SignedIn,
) -> Result<Response, ConsoleError> {
    form(&console, &signed_in.session, &signed_in.key, Values::default(), None).await
}

/// `POST /console/links/new/`.
pub(crate) async fn make(
    State(console): State<Console>,
    Sent { signed_in, form: values }: Sent<Values>,
) -> Result<Response, Response> {
    let SignedIn { session, key } = signed_in;
    let again = async |values, error| {
        form(&console, &session, &key, values, Some(error)).await.map_err(ConsoleError::into_response)
    };
    let days = given(Some(&values.backfill_days)).map(str::parse::<u32>).transpose();
    let Ok(backfill_days) = days else {
        return again(values, "Days of history must be a whole number.".to_owned()).await;
    };
    let new = New {
        provider: values.provider.trim(),
        ehr: values.ehr.trim(),
        patient: values.patient.trim(),
        backfill_days,
        success_url: given(Some(&values.success_url)),
    };
    let made = match console.api.make_link(&key, &new).await {
        Ok(made) => made,
        Err(ApiError::Refused { status, problem })
            if matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY) =>
        {
            let said = problem.detail.as_deref().map(sentence);
            return again(values, said.unwrap_or_else(|| format!("The exchange answered {status}."))).await;
        }
        Err(error) => return Err(ConsoleError::from(error).into_response()),
    };
    let frame = Frame::new(&console, Some(&session)).below("/links/");
    let title =
        if made.connect_url.is_some() { "Send the patient this address" } else { "The link is active" };
    let page = AddressPage { frame, id: made.id, title, address: made.connect_url };
    page::html(StatusCode::CREATED, &page).map_err(ConsoleError::into_response)
}
