//! The mapping playground: documents, tried out on a payload as one types, compared with the active version, saved, made
//! active and rolled back.
//!
//! A payload may be a real one. It is in the bodies of this page's form and of the API's preview, and nowhere else: no
//! address, no cookie, no log, and no page that a browser may keep.

mod active;
mod editor;
mod known;
mod preview;
mod text;

use std::sync::LazyLock;

use askama::Template;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use serde::Deserialize;

use self::active::Activation;
use crate::assets::Asset;
use crate::page::{self, Frame};
use crate::session::SignedIn;
use crate::{Console, ConsoleError};

pub(crate) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("mapping", "css", "text/css; charset=utf-8", include_str!("../../assets/mapping.css"))
});
pub(crate) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("mapping", "js", "text/javascript; charset=utf-8", include_str!("../../assets/mapping.js"))
});

/// The largest form, in bytes: a document and a payload as the API takes them, and what the form's escapes add to that.
const MAX_FORM: usize = 8 * 1024 * 1024;

/// The pages below `/console/mappings/`.
pub(crate) fn routes() -> Router<Console> {
    let editor = get(editor::page).post(editor::edit);
    let editor = editor.layer::<_, std::convert::Infallible>(DefaultBodyLimit::max(MAX_FORM));
    Router::new()
        .route("/console/mappings/", get(list))
        .route("/console/mappings/{provider}/{record}/", editor)
        .route("/console/mappings/{provider}/{record}/activate/", post(active::activate))
        .route("/console/mappings/{provider}/{record}/roll-back/", post(active::roll_back))
}

/// A mapping.
#[derive(Deserialize)]
struct Name {
    name: String,
    newest: Option<u32>,
    builtin: Option<u32>,
    activations: Vec<Activation>,
}

struct Row {
    name: String,
    address: String,
    active: String,
    newest: String,
    others: usize,
}

#[derive(Template)]
#[template(path = "mappings.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<Row>,
}

/// `GET /console/mappings/`.
async fn list(State(console): State<Console>, signed_in: SignedIn) -> Result<Response, ConsoleError> {
    let names: Vec<Name> = console.api.all(&signed_in.key, &["transformers", "mappings"]).await?;
    let rows = names.into_iter().map(|name| {
        let own = name.builtin.map_or("none".to_owned(), |own| format!("the program's own ({own})"));
        let global = name.activations.iter().find(|activation| activation.scope == "global");
        let active = match global.and_then(|activation| activation.version) {
            Some(version) if Some(version) != name.builtin => version.to_string(),
            _ => own,
        };
        Row {
            address: format!("{}/mappings/{}/", console.base, name.name),
            active,
            newest: name.newest.map_or(String::new(), |newest| newest.to_string()),
            others: name.activations.iter().filter(|a| a.scope != "global" && a.version.is_some()).count(),
            name: name.name,
        }
    });
    let rows = rows.collect();
    let frame = Frame::new(&console, Some(&signed_in.session)).at("/mappings/");
    page::html(StatusCode::OK, &ListPage { frame, rows })
}
