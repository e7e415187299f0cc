//! One mapping: its text, a payload, and what becomes of it.

use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::active::{Scope, time};
use super::known::{Document, Known};
use super::preview::{self, Mistake, Preview};
use super::text::{self, Diff, Example};
use crate::page::{self, Frame};
use crate::session::SignedIn;
use crate::{Console, ConsoleError};

struct ShownVersion {
    version: u32,
    own: bool,
    about: String,
}

#[derive(Deserialize)]
struct Valid {
    name: String,
    version: u32,
    kinds: Vec<String>,
    examples: Vec<String>,
}

/// What came of a button.
#[derive(Default)]
struct Outcome {
    mistake: Option<Mistake>,
    preview: Option<Preview>,
    /// The kinds and examples of a document that is valid.
    valid: Option<(usize, usize)>,
    saved: Option<u32>,
}

#[derive(Template)]
#[template(path = "mapping.html")]
struct EditorPage {
    frame: Frame,
    token: String,
    style: &'static str,
    script: &'static str,
    name: String,
    address: String,
    /// What has happened to what is active, or why nothing has.
    note: Option<String>,
    refused: Option<String>,
    scopes: Vec<Scope>,
    versions: Vec<ShownVersion>,
    /// The version whose text the document began as.
    from: u32,
    /// The number that the next saved version gets.
    next: u32,
    document: String,
    payload: String,
    remark: String,
    examples: Vec<Example>,
    /// What is active for everybody: its number, and what the document changes in its text.
    active: Option<u32>,
    diff: Option<Diff>,
    outcome: Outcome,
}

/// What is in the form.
struct Filled {
    document: String,
    payload: String,
    remark: String,
    from: u32,
}

async fn show(
    console: &Console,
    signed_in: &SignedIn,
    known: Known,
    filled: Filled,
    outcome: Outcome,
) -> Result<EditorPage, ConsoleError> {
    let diff = match known.active_name() {
        Some(active) => {
            let active = known.document(console, signed_in, &active).await?;
            Some(Diff::of(&active.document, &filled.document))
        }
        None => None,
    };
    let versions = known.versions.iter().map(|version| {
        let by = version.saved_by.as_deref().unwrap_or_default();
        let mut about = match &version.saved_at {
            Some(at) => format!("saved {} by {by}", time(at)),
            None => "the program's own".to_owned(),
        };
        if let Some(note) = &version.note {
            about = format!("{about}: {note}");
        }
        ShownVersion { version: version.version, own: Some(version.version) == known.builtin, about }
    });
    Ok(EditorPage {
        frame: Frame::new(console, Some(&signed_in.session)).below("/mappings/"),
        token: console.sessions.token(&signed_in.session),
        style: &super::STYLE.name,
        script: &super::SCRIPT.name,
        address: format!("{}/mappings/{}/", console.base, known.name),
        note: None,
        refused: None,
        versions: versions.collect(),
        from: filled.from,
        next: known.next,
        examples: text::examples(&filled.document),
        document: filled.document,
        payload: filled.payload,
        remark: filled.remark,
        active: known.active,
        diff,
        outcome,
        name: known.name,
        scopes: known.scopes,
    })
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    version: Option<String>,
    note: Option<String>,
}

/// A version on its page, tried out on its own first example.
async fn fresh(
    console: &Console,
    signed_in: &SignedIn,
    provider: &str,
    record: &str,
    version: Option<&str>,
) -> Result<EditorPage, ConsoleError> {
    let known = Known::read(console, signed_in, provider, record).await?;
    let active = known.active_name();
    let which = version.or(active.as_deref()).unwrap_or("builtin");
    let Document { version, document } = known.document(console, signed_in, which).await?;
    let payload =
        text::examples(&document).into_iter().next().map(|example| example.page).unwrap_or_default();
    let filled = Filled { document, payload, remark: String::new(), from: version };
    let outcome = try_out(console, signed_in, &known, &filled).await?;
    show(console, signed_in, known, filled, outcome).await
}

/// `GET /console/mappings/{provider}/{record}/`, with `?version=` for another than the active one.
pub(crate) async fn page(
    State(console): State<Console>,
    signed_in: SignedIn,
    Path((provider, record)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Response, ConsoleError> {
    let mut page = fresh(&console, &signed_in, &provider, &record, asked.version.as_deref()).await?;
    page.note = match asked.note.as_deref() {
        Some("activated") => {
            Some("It is active from now on: what is fetched next is mapped by it.".to_owned())
        }
        Some("rolled-back") => Some("What was active before is active again.".to_owned()),
        _ => None,
    };
    page::html(StatusCode::OK, &page)
}

/// The page that says why nothing was activated.
pub(super) async fn refused(
    console: &Console,
    signed_in: &SignedIn,
    provider: &str,
    record: &str,
    said: String,
) -> Result<Response, ConsoleError> {
    let mut page = fresh(console, signed_in, provider, record, None).await?;
    page.refused = Some(said);
    page::html(StatusCode::CONFLICT, &page)
}

#[derive(Deserialize)]
pub(crate) struct Given {
    #[serde(default)]
    token: String,
    document: String,
    #[serde(default)]
    payload: String,
    #[serde(default)]
    remark: String,
    #[serde(default)]
    number: String,
    #[serde(default)]
    from: u32,
    #[serde(default)]
    example: usize,
    #[serde(default, rename = "do")]
    button: String,
}

/// `POST /console/mappings/{provider}/{record}/`: tries out, validates or saves what is in the form.
pub(crate) async fn edit(
    State(console): State<Console>,
    signed_in: SignedIn,
    Path((provider, record)): Path<(String, String)>,
    given: Result<Form<Given>, FormRejection>,
) -> Result<Response, Response> {
    let done = async {
        let Form(given) = given.map_err(|_| {
            ConsoleError::Form(
                "It is not a form of this page, or document and payload are too large together.",
            )
        })?;
        console.sessions.check(&signed_in.session, &given.token)?;
        let mut known = Known::read(&console, &signed_in, &provider, &record).await?;
        // Browsers send line ends as the web has them; documents have the usual ones.
        let lines = |text: String| text.replace("\r\n", "\n");
        let mut filled = Filled {
            document: lines(given.document),
            payload: lines(given.payload),
            remark: given.remark,
            from: given.from,
        };
        let outcome = match given.button.as_str() {
            "save" => {
                let outcome = save(&console, &signed_in, &known, &mut filled, &given.number).await?;
                if outcome.saved.is_some() {
                    known = Known::read(&console, &signed_in, &provider, &record).await?;
                }
                outcome
            }
            "check" => check(&console, &signed_in, &known, &filled).await?,
            "example" => {
                if let Some(example) = text::examples(&filled.document).into_iter().nth(given.example) {
                    filled.payload = example.page;
                }
                try_out(&console, &signed_in, &known, &filled).await?
            }
            _ => try_out(&console, &signed_in, &known, &filled).await?,
        };
        let status = match outcome.mistake {
            Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
            None => StatusCode::OK,
        };
        page::html(status, &show(&console, &signed_in, known, filled, outcome).await?)
    };
    done.await.map_err(ConsoleError::into_response)
}

/// What becomes of the payload; without one, whether the document is right.
async fn try_out(
    console: &Console,
    signed_in: &SignedIn,
    known: &Known,
    filled: &Filled,
) -> Result<Outcome, ConsoleError> {
    if filled.payload.trim().is_empty() {
        return check(console, signed_in, known, filled).await;
    }
    let active = known.active_name();
    let Filled { document, payload, .. } = filled;
    Ok(match preview::preview(console, &signed_in.key, document, payload, active.as_deref()).await? {
        Ok(preview) => Outcome { preview: Some(preview), ..Outcome::default() },
        Err(mistake) => Outcome { mistake: Some(mistake), ..Outcome::default() },
    })
}

/// Compiles the document and runs its examples.
async fn check(
    console: &Console,
    signed_in: &SignedIn,
    known: &Known,
    filled: &Filled,
) -> Result<Outcome, ConsoleError> {
    let address = ["transformers", "mappings", "validate"];
    let body = json!({"document": filled.document});
    let valid = match console.api.post::<Valid>(&signed_in.key, &address, &body).await {
        Ok(valid) => valid,
        Err(error) => {
            return Ok(Outcome { mistake: Some(preview::mistake(error)?), ..Outcome::default() });
        }
    };
    if valid.name != known.name {
        let text =
            format!("The document calls itself {}, and this page is about {}.", valid.name, known.name);
        let hint = format!("write mapping: {}", known.name);
        return Ok(Outcome {
            mistake: Some(Mistake { text, hint, ..Mistake::default() }),
            ..Outcome::default()
        });
    }
    Ok(Outcome { valid: Some((valid.kinds.len(), valid.examples.len())), ..Outcome::default() })
}

/// Saves the document under the number that was chosen.
async fn save(
    console: &Console,
    signed_in: &SignedIn,
    known: &Known,
    filled: &mut Filled,
    number: &str,
) -> Result<Outcome, ConsoleError> {
    let wrong = |text: &str| {
        let mistake = Mistake { text: text.to_owned(), ..Mistake::default() };
        Ok(Outcome { mistake: Some(mistake), ..Outcome::default() })
    };
    let Ok(number) = number.trim().parse::<u32>() else {
        return wrong("The version has to be a whole number.");
    };
    match text::with_version(&filled.document, number) {
        Some(document) => filled.document = document,
        None => return wrong("The document has no line that begins with version: and a number."),
    }
    let checked = check(console, signed_in, known, filled).await?;
    if checked.mistake.is_some() {
        return Ok(checked);
    }
    let remark = Some(filled.remark.trim()).filter(|remark| !remark.is_empty());
    let body = json!({"document": filled.document, "note": remark});
    match console.api.post::<Valid>(&signed_in.key, &["transformers", "mappings"], &body).await {
        Ok(valid) => {
            let mut outcome = try_out(console, signed_in, known, filled).await?;
            filled.from = valid.version;
            outcome.saved = Some(valid.version);
            Ok(outcome)
        }
        Err(error) => Ok(Outcome { mistake: Some(preview::mistake(error)?), ..Outcome::default() }),
    }
}
