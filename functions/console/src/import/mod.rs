//! Importing an export file of Beurer's app.

mod form;
mod pipe;
mod progress;
mod report;
mod words;

use std::sync::LazyLock;

use askama::Template;
use axum::extract::multipart::MultipartRejection;
use axum::extract::{Multipart, Query, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use ohx_domain::LinkId;
use secrecy::SecretString;
use serde::Deserialize;

use self::form::{Errors, Values};
pub use self::pipe::MAX_FILE_BYTES;
pub(crate) use self::progress::progress;
use self::report::Outcome;
use crate::api::{ApiError, Link};
use crate::page::{self, Frame};
use crate::session::{Session, SignedIn};
use crate::{Console, ConsoleError};

/// The type of provider whose readings come by file.
const KIND: &str = "beurer";

/// What the datalist offers: names that a person would choose. Every other IANA name may be typed.
static ZONES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let all = jiff::tz::db().available().map(|name| name.as_str().to_owned());
    let area = |name: &String| {
        let first = name.split('/').next().unwrap_or_default();
        let areas = [
            "Africa",
            "America",
            "Antarctica",
            "Asia",
            "Atlantic",
            "Australia",
            "Europe",
            "Indian",
            "Pacific",
        ];
        name == "UTC" || (areas.contains(&first) && name.contains('/'))
    };
    let mut zones: Vec<String> = all.filter(area).collect();
    zones.sort_unstable();
    zones
});

#[derive(Template)]
#[template(path = "import.html")]
struct ImportPage {
    frame: Frame,
    token: String,
    choices: Choices,
    zones: &'static [String],
    values: Values,
    errors: Errors,
    outcome: Option<Outcome>,
}

/// The links that a file can be brought to.
struct Choices {
    /// Whether there is an app of the right type at all.
    app: bool,
    links: Vec<Choice>,
    /// Whether there are more links than these.
    more: bool,
}

struct Choice {
    id: String,
    text: String,
}

impl From<Link> for Choice {
    fn from(link: Link) -> Self {
        let Link { id, provider, ehr, patient } = link;
        Self { text: format!("{patient} ({provider}, to {ehr})"), id }
    }
}

impl Choices {
    async fn read(console: &Console, key: &SecretString) -> Result<Self, ApiError> {
        let apps = console.api.apps(key).await?;
        let mut choices = Self { app: false, links: Vec::new(), more: false };
        for app in apps.iter().filter(|app| app.kind == KIND) {
            choices.app = true;
            let (links, more) = console.api.links(key, &app.name).await?;
            choices.links.extend(links.into_iter().map(Choice::from));
            choices.more |= more;
        }
        Ok(choices)
    }

    fn has(&self, id: &str) -> bool {
        // More than these may be active.
        self.links.iter().any(|link| link.id == id) || (self.more && id.parse::<LinkId>().is_ok())
    }
}

impl ImportPage {
    fn new(console: &Console, session: &Session, choices: Choices) -> Self {
        Self {
            frame: Frame::new(console, Some(session)).at("/import/"),
            token: console.sessions.token(session),
            choices,
            zones: &ZONES,
            values: Values::default(),
            errors: Errors::default(),
            outcome: None,
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Chosen {
    #[serde(default)]
    link: String,
}

/// `GET /console/import/`, with `?link=` for one that is chosen already.
pub(crate) async fn page(
    State(console): State<Console>,
    signed_in: SignedIn,
    Query(chosen): Query<Chosen>,
) -> Result<Response, ConsoleError> {
    let choices = Choices::read(&console, &signed_in.key).await?;
    let mut page = ImportPage::new(&console, &signed_in.session, choices);
    page.values.link = chosen.link;
    page::html(StatusCode::OK, &page)
}

/// Which button it was. In the address, because it has to be known before the file comes.
#[derive(Deserialize)]
pub(crate) struct Button {
    #[serde(default)]
    check: bool,
}

/// `POST /console/import/`, with `?check=true` to only look.
pub(crate) async fn import(
    State(console): State<Console>,
    signed_in: Result<SignedIn, Response>,
    Query(button): Query<Button>,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Response, Response> {
    let signed_in = match signed_in {
        Ok(signed_in) => signed_in,
        Err(refused) => {
            // A browser shows no answer before it has sent everything.
            if let Ok(mut form) = form {
                while let Ok(Some(_)) = form.next_field().await {}
            }
            return Err(refused);
        }
    };
    let sent = async {
        let form = form.map_err(|_| ConsoleError::Form("It is not a form of this page."))?;
        let read = form::read(&console, &signed_in, button.check, form).await?;
        let mut page = ImportPage::new(&console, &signed_in.session, read.choices);
        page.values = read.values;
        page.errors = read.errors;
        if let Some(imported) = read.imported {
            page.outcome =
                Some(Outcome::of(&console, &signed_in.key, imported, button.check, &page.values).await?);
        }
        let status = if page.errors.any() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        page::html(status, &page)
    };
    sent.await.map_err(ConsoleError::into_response)
}
