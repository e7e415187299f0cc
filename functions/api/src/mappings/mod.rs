//! Mapping documents: saved, tried out, and made active for whom.
//!
//! A document is checked before it is saved, and again before it is active: nothing that could disturb a running sync
//! gets that far. [`check`] holds the rules, for the API and for `ohx apply` alike.

mod activations;
pub mod check;
mod documents;
mod preview;
mod refusal;

use axum::extract::DefaultBodyLimit;
use http::StatusCode;
use ohx_domain::FIRST_SAVED_VERSION;
use ohx_link::Links;
use ohx_runtime::Problem;
use ohx_store::{SharedStore, StoreError};
use serde::Deserialize;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

/// The largest body that holds a document, in bytes: one of 256 KiB, the most that is compiled, and what JSON's
/// escapes add to it.
const DOCUMENT_BODY: usize = 512 * 1024;
/// The largest body of a preview, in bytes: a page, and perhaps a document.
const PREVIEW_BODY: usize = 2 * 1024 * 1024;

/// The routes, under `/api/transformers/mappings/`.
pub(crate) fn routes() -> OpenApiRouter<Links> {
    let documents = DefaultBodyLimit::max(DOCUMENT_BODY);
    OpenApiRouter::new()
        .routes(routes!(documents::list, documents::save).layer(documents))
        .routes(routes!(documents::validate).layer(documents))
        .routes(routes!(preview::preview).layer(DefaultBodyLimit::max(PREVIEW_BODY)))
        .routes(routes!(documents::versions))
        .routes(routes!(documents::one))
        .routes(routes!(activations::history, activations::activate))
        .routes(routes!(activations::roll_back))
}

/// The mapping's name in an address.
fn named(provider: &str, record: &str) -> Result<String, Problem> {
    let name = format!("{provider}/{record}");
    if check::is_known(&name) {
        return Ok(name);
    }
    let detail = format!("there is no mapping {name}: {}", check::names().join(", "));
    Err(Problem::new(StatusCode::NOT_FOUND, detail))
}

/// One version of a mapping: a number, or `builtin` for the program's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub(crate) enum Which {
    BuiltIn,
    Number(u32),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u32),
    Word(String),
}

impl PartialSchema for Which {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
        let word = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^(builtin|[0-9]{1,10})$"));
        OneOfBuilder::new().item(number).item(word).description(Some("A version, or `builtin`")).into()
    }
}

impl ToSchema for Which {}

impl TryFrom<Written> for Which {
    type Error = &'static str;
    fn try_from(written: Written) -> Result<Self, Self::Error> {
        match written {
            Written::Number(number) => Ok(Self::Number(number)),
            Written::Word(word) => word.parse(),
        }
    }
}

impl std::str::FromStr for Which {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "builtin" => Ok(Self::BuiltIn),
            number => number.parse().map(Self::Number).map_err(|_| "a version is a number, or builtin"),
        }
    }
}

/// A document, wherever it is kept.
struct Kept {
    version: u32,
    text: String,
    /// `None`: the program's own.
    saved: Option<Saved>,
}

struct Saved {
    note: Option<String>,
    at: ohx_domain::Instant,
    by: String,
}

/// The text of a version; `None` where there is no such version.
async fn kept(store: &SharedStore, name: &str, which: Which) -> Result<Option<Kept>, StoreError> {
    match which {
        Which::Number(number) if number >= FIRST_SAVED_VERSION => {
            let saved = store.mapping(name, number).await?;
            Ok(saved.map(|m| Kept {
                version: m.version,
                text: m.document,
                saved: Some(Saved { note: m.note, at: m.saved_at, by: m.saved_by }),
            }))
        }
        _ => {
            let own = check::own(name).filter(|(version, _)| which.allows(*version));
            Ok(own.map(|(version, text)| Kept { version, text: text.to_owned(), saved: None }))
        }
    }
}

impl Which {
    fn allows(self, version: u32) -> bool {
        match self {
            Self::BuiltIn => true,
            Self::Number(number) => number == version,
        }
    }
}

/// Runs what may take some milliseconds where it holds up no other request.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let failed = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the function failed");
    tokio::task::spawn_blocking(work).await.map_err(failed)
}
