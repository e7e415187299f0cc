//! `console`: web pages for the integrator, over the REST API.
//!
//! Deployed on its own: it talks to the API only (`OHX_API_URL`), as whoever has signed in with an API key, and holds
//! no database, no bus and no keyring of the exchange. The key rests nowhere but in the person's browser, in a cookie
//! that is sealed under a key of the console's own (`OHX_CONSOLE_SECRET`).
//!
//! Pages are rendered here and work without their script. They load nothing from elsewhere, and the content security
//! policy says so. A further page is a module with its handlers, a template that extends `base.html`, and its route
//! below; its place in the navigation is in `page`: sign-in, errors, the check of where a request comes from, and headers are the same for all.

mod api;
mod assets;
mod audit;
mod error;
mod form;
mod guard;
mod import;
mod letters;
mod links;
mod mappings;
mod overview;
mod page;
mod session;
mod set_up;
mod sign_in;
mod words;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::middleware;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{any, get, post};
use ohx_domain::{Clock, SystemClock};
use ohx_runtime::{Ready, Settings, outbound};

use crate::api::Api;
pub use crate::error::{ConsoleError, StartError};
pub use crate::import::MAX_FILE_BYTES;
use crate::session::Sessions;

/// How long the API may take over one call; an import has a limit of its own.
const API_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest form that is read to its end, in bytes. What a file has above [`MAX_FILE_BYTES`] is thrown away as it
/// comes: a browser that is cut off instead shows its own error, not ours.
const MAX_FORM: usize = 100 * 1024 * 1024;

/// The console's state.
#[derive(Clone)]
pub struct Console {
    pub(crate) api: Arc<Api>,
    pub(crate) sessions: Arc<Sessions>,
    /// The origin that browsers reach the pages at.
    pub(crate) origin: Arc<str>,
    /// What the addresses of all pages begin with, as browsers see it: `/console`, below the path of the public address.
    pub(crate) base: Arc<str>,
}

impl Console {
    /// From settings: `OHX_API_URL`; `OHX_CONSOLE_URL`, else `OHX_PUBLIC_URL`; `OHX_CONSOLE_SECRET`, else a key that ends
    /// with the process.
    ///
    /// # Errors
    /// Where one is missing or wrong.
    pub fn from_settings(settings: &Settings) -> Result<Self, StartError> {
        Self::at(settings, Arc::new(SystemClock))
    }

    /// The same on a clock of the caller's.
    ///
    /// # Errors
    /// As [`Console::from_settings`].
    pub fn at(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let api = settings
            .url("OHX_API_URL", "the address of the exchange's API, without /api, such as http://api:8080")?;
        let (name, expected) = match settings.text("OHX_CONSOLE_URL") {
            Some(_) => (
                "OHX_CONSOLE_URL",
                "the address that people reach the console at, such as https://ohx.example.org",
            ),
            None => (
                "OHX_PUBLIC_URL",
                "the address that people reach the console at, such as https://ohx.example.org (or OHX_CONSOLE_URL)",
            ),
        };
        let public = settings.url(name, expected)?;
        let base = format!("{}/console", public.path().trim_end_matches('/'));
        let sessions = Sessions::new(settings, public.scheme() == "https", &base, clock)?;
        let api = Api::new(outbound::client(API_TIMEOUT)?, api);
        let origin = public.origin().ascii_serialization().into();
        Ok(Self { api: Arc::new(api), sessions: Arc::new(sessions), origin, base: base.into() })
    }

    /// For `/readyz`: the API answers.
    pub fn ready(&self) -> Ready {
        let console = self.clone();
        Arc::new(move || {
            let console = console.clone();
            Box::pin(async move { console.api.answers().await.map_err(|e| e.to_string()) })
        })
    }

    /// A redirect to a page, to be read with GET.
    pub(crate) fn to(&self, path: &str) -> Response {
        Redirect::to(&format!("{}{path}", self.base)).into_response()
    }
}

/// The function's routes, under `/console/`.
pub fn router(console: Console) -> Router {
    let import = get(import::page)
        .post(import::import)
        .layer::<_, std::convert::Infallible>(DefaultBodyLimit::max(MAX_FORM));
    Router::new()
        .route("/console", get(async |State(console): State<Console>| console.to("/")))
        .route("/console/", get(overview::page))
        .route("/console/sign-in/", get(sign_in::page).post(sign_in::sign_in))
        .route("/console/sign-out/", post(sign_in::sign_out))
        .merge(flow())
        .route("/console/import/", import)
        .route("/console/import/progress/{sync}/", get(import::progress))
        .merge(set_up::routes())
        .merge(mappings::routes())
        .route("/console/{*other}", any(async || ConsoleError::NotFound))
        .layer(middleware::from_fn_with_state(console.clone(), guard::guard))
        // After the layer: files are the same for everybody, and may be kept.
        .route("/console/assets/{name}", get(assets::file))
        .with_state(console)
}

/// The pages about links, dead letters and the audit log.
fn flow() -> Router<Console> {
    Router::new()
        .route("/console/links/", get(links::page))
        .route("/console/links/new/", get(links::new_page).post(links::make))
        .route("/console/links/{id}/", get(links::one))
        .route("/console/links/{id}/sync/", post(links::synchronise))
        .route("/console/links/{id}/syncs/{sync}/", get(links::sync))
        .route("/console/links/{id}/syncs/{sync}/cancel/", post(links::cancel))
        .route("/console/links/{id}/connect-address/", post(links::connect_address))
        .route("/console/links/{id}/devices/", post(links::bring_devices))
        .route("/console/links/{id}/disconnect/", get(links::ask).post(links::end))
        .route("/console/links/{id}/receipt/", get(links::receipt))
        .route("/console/dead-letters/", get(letters::page))
        .route("/console/dead-letters/replay/", post(letters::replay_many))
        .route("/console/dead-letters/{id}/", get(letters::one))
        .route("/console/dead-letters/{id}/replay/", post(letters::replay))
        .route("/console/dead-letters/{id}/discard/", post(letters::discard))
        .route("/console/audit/", get(audit::page))
}
