//! Set-up: what is configured, what is missing, and each provider app and EHR endpoint with a live test.

mod edit;
mod ehr_check;
mod ehrs;
mod form;
mod provider_check;
mod providers;
mod words;

use std::sync::LazyLock;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use serde::Deserialize;

use self::form::{Form, Sent};
use crate::api::ApiError;
use crate::assets::Asset;
use crate::page::{self, Frame};
use crate::session::SignedIn;
use crate::{Console, ConsoleError};

pub(crate) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("set-up", "css", "text/css; charset=utf-8", include_str!("../../assets/set-up.css"))
});
pub(crate) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("set-up", "js", "text/javascript; charset=utf-8", include_str!("../../assets/set-up.js"))
});

/// The pages below `/console/set-up/`.
pub(crate) fn routes() -> Router<Console> {
    Router::new()
        .route("/console/set-up/", get(overview))
        .route("/console/set-up/new-provider/", get(providers::new).post(providers::create))
        .route("/console/set-up/providers/{name}/", get(providers::one).post(providers::save))
        .route("/console/set-up/providers/{name}/check/", post(provider_check::check))
        .route("/console/set-up/new-ehr/", get(ehrs::new).post(ehrs::create))
        .route("/console/set-up/ehrs/{name}/", get(ehrs::one).post(ehrs::save))
        .route("/console/set-up/ehrs/{name}/check/", post(ehr_check::check))
}

/// A form as it came.
type Given = Result<axum::Form<Vec<(String, String)>>, FormRejection>;

/// Reads a form, and that it is one of this sign-in.
fn read(console: &Console, signed_in: &SignedIn, given: Given) -> Result<Sent, ConsoleError> {
    let axum::Form(pairs) = given.map_err(|_| ConsoleError::Form("It is not a form of this page."))?;
    let sent = Sent::read(pairs);
    console.sessions.check(&signed_in.session, &sent.token)?;
    Ok(sent)
}

/// What has just happened.
#[derive(Deserialize)]
pub(crate) struct Noted {
    note: Option<String>,
}

impl Noted {
    fn text(&self) -> Option<&'static str> {
        match self.note.as_deref() {
            Some("added") => {
                Some("It is added. Register the addresses below where there are any, then test it.")
            }
            Some("saved") => Some("It is saved, and counts from now on. Test it."),
            _ => None,
        }
    }
}

/// What the API says against a form, or the error where it is none of the form's.
fn place(form: &mut Form, error: ApiError) -> Result<(), ConsoleError> {
    match error {
        ApiError::Refused { status, problem }
            if matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY) =>
        {
            form.place(status, problem);
            Ok(())
        }
        other => Err(other.into()),
    }
}

/// Something that is configured.
struct Item {
    name: String,
    /// What it is.
    about: String,
    address: String,
    /// What is missing.
    lacks: Option<&'static str>,
}

/// What to do next.
struct Next {
    text: String,
    address: String,
    button: &'static str,
}

#[derive(Template)]
#[template(path = "set-up.html")]
struct OverviewPage {
    frame: Frame,
    style: &'static str,
    apps: Vec<Item>,
    ehrs: Vec<Item>,
    next: Next,
    /// The call that makes a link, where there is all that it needs.
    link: Option<String>,
}

/// `GET /console/set-up/`.
async fn overview(State(console): State<Console>, signed_in: SignedIn) -> Result<Response, ConsoleError> {
    let key = &signed_in.key;
    let address = |kind: &str, name: &str| format!("{}/set-up/{kind}/{name}/", console.base);
    let types: Vec<providers::Type> = console.api.all(key, &["base", "provider-types"]).await?;
    let apps: Vec<providers::App> = console.api.all(key, &["base", "providers"]).await?;
    let ehrs: Vec<ehrs::Ehr> = console.api.all(key, &["publishers", "ehr-endpoints"]).await?;
    let apps = apps.into_iter().map(|app| {
        let kind = types.iter().find(|kind| kind.kind == app.kind);
        Item {
            address: address("providers", &app.name),
            lacks: app.lacks(kind.is_none_or(|kind| kind.consent)),
            about: kind.map_or_else(|| app.kind.clone(), |kind| kind.title.clone()),
            name: app.name,
        }
    });
    let apps: Vec<Item> = apps.collect();
    let ehrs = ehrs.into_iter().map(|ehr| Item {
        address: address("ehrs", &ehr.name),
        lacks: ehr.lacks(),
        about: format!("{}, FHIR {}", ehr.base_url, ehr.fhir_version),
        name: ehr.name,
    });
    let ehrs: Vec<Item> = ehrs.collect();
    let next = next(&console, &apps, &ehrs);
    let link = apps.iter().find(|app| app.lacks.is_none()).zip(ehrs.first()).map(|(app, ehr)| {
        format!(
            "POST /api/base/provider-links/\n{{\"provider\": \"{}\", \"ehr\": \"{}\", \"patient\": \"Patient/123\"}}",
            app.name, ehr.name
        )
    });
    let frame = Frame::new(&console, Some(&signed_in.session)).at("/set-up/");
    page::html(StatusCode::OK, &OverviewPage { frame, style: &STYLE.name, apps, ehrs, next, link })
}

fn next(console: &Console, apps: &[Item], ehrs: &[Item]) -> Next {
    let at = |path: &str| format!("{}{path}", console.base);
    let finish = |app: &Item, lacks: &str| Next {
        text: format!("Finish the provider app {}: {lacks}.", app.name),
        address: app.address.clone(),
        button: "Finish it",
    };
    let unfinished = apps.iter().find_map(|app| Some((app, app.lacks?)));
    let finished = apps.iter().any(|app| app.lacks.is_none());
    match unfinished {
        _ if apps.is_empty() => Next {
            text: "Add a provider app: with it patients' clouds are asked for readings.".to_owned(),
            address: at("/set-up/new-provider/"),
            button: "Add a provider app",
        },
        Some((app, lacks)) if !finished => finish(app, lacks),
        _ if ehrs.is_empty() => Next {
            text: "Add the EHR endpoint: the FHIR server that readings are written to.".to_owned(),
            address: at("/set-up/new-ehr/"),
            button: "Add an EHR endpoint",
        },
        Some((app, lacks)) => finish(app, lacks),
        None => Next {
            text: "All that is needed is there. Test both, then connect the first patient.".to_owned(),
            address: at("/links/"),
            button: "To the links",
        },
    }
}
