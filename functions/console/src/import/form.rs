//! The form: fields first, the file last, so that all is known when the file comes.

use axum::extract::Multipart;
use axum::extract::multipart::Field;
use bytes::Bytes;
use http::StatusCode;
use reqwest::Body;
use secrecy::SecretString;

use super::pipe::{pipe, throw_away, unreadable};
use super::{Choices, words};
use crate::api::{ApiError, Asked, Imported, Problem};
use crate::session::SignedIn;
use crate::{Console, ConsoleError};

/// The longest text of a field, in bytes.
const LONGEST: usize = 2000;

/// What was filled in.
#[derive(Default)]
pub(super) struct Values {
    pub(super) link: String,
    pub(super) zone: String,
    /// `dmy`, `mdy`, or nothing for what the file shows.
    pub(super) date_order: String,
    pub(super) accept_counts: bool,
}

/// What is wrong, by field.
#[derive(Default)]
pub(super) struct Errors {
    pub(super) link: Option<String>,
    pub(super) zone: Option<String>,
    pub(super) date_order: Option<String>,
    pub(super) accept_counts: Option<String>,
    pub(super) file: Option<String>,
}

impl Errors {
    pub(super) fn any(&self) -> bool {
        !self.all().is_empty()
    }

    /// The id of each field that something is wrong with, and what.
    pub(super) fn all(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("link", &self.link),
            ("zone", &self.zone),
            ("date_order", &self.date_order),
            ("accept_counts", &self.accept_counts),
            ("file", &self.file),
        ];
        all.into_iter().filter_map(|(name, error)| Some((name, error.as_deref()?))).collect()
    }

    /// What the API says against it, at the field that it is about.
    fn place(&mut self, status: StatusCode, problem: Problem) -> Result<(), ApiError> {
        let field = match (problem.code.as_deref(), status) {
            (Some("unknown-zone"), _) => &mut self.zone,
            (Some("ambiguous-dates" | "date-order"), _) => &mut self.date_order,
            (Some("counts"), _) => &mut self.accept_counts,
            (Some(_), _) | (None, StatusCode::PAYLOAD_TOO_LARGE) => &mut self.file,
            (None, StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY) => {
                &mut self.link
            }
            _ => return Err(ApiError::Refused { status, problem }),
        };
        let said = match &problem.detail {
            Some(detail) => words::sentence(detail),
            None => format!("The exchange refuses it, with HTTP {status}"),
        };
        *field = Some(match problem.code.as_deref().and_then(words::hint) {
            Some(hint) => format!("{said}. {hint}"),
            None => said,
        });
        Ok(())
    }
}

/// A form that was sent.
pub(super) struct Sent {
    pub(super) values: Values,
    pub(super) errors: Errors,
    pub(super) choices: Choices,
    /// What became of the file, where it was taken.
    pub(super) imported: Option<Imported>,
}

/// Reads a form, and sends its file on where nothing is wrong before.
pub(super) async fn read(
    console: &Console,
    signed_in: &SignedIn,
    dry_run: bool,
    mut form: Multipart,
) -> Result<Sent, ConsoleError> {
    let (mut values, mut token) = (Values::default(), String::new());
    while let Some(mut field) = form.next_field().await.map_err(|e| unreadable(&e))? {
        match field.name() {
            Some("token") => token = text(&mut field).await?,
            Some("link") => values.link = text(&mut field).await?,
            Some("zone") => text(&mut field).await?.trim().clone_into(&mut values.zone),
            Some("date_order") => values.date_order = text(&mut field).await?,
            Some("accept_counts") => values.accept_counts = text(&mut field).await? == "yes",
            Some("file") => {
                let choices = match console.sessions.check(&signed_in.session, &token) {
                    Ok(()) => Choices::read(console, &signed_in.key).await.map_err(ConsoleError::from),
                    Err(error) => Err(error),
                };
                let choices = match choices {
                    Ok(choices) => choices,
                    Err(error) => {
                        throw_away(&mut field).await?;
                        return Err(error);
                    }
                };
                let mut sent = Sent { errors: against(&values, &choices), values, choices, imported: None };
                send(console, &signed_in.key, dry_run, &mut sent, &mut field).await?;
                return Ok(sent);
            }
            _ => return Err(ConsoleError::Form("It has a field that this page does not have.")),
        }
    }
    console.sessions.check(&signed_in.session, &token)?;
    Err(ConsoleError::Form("It has no file."))
}

/// What can be said before the file comes.
fn against(values: &Values, choices: &Choices) -> Errors {
    let mut errors = Errors::default();
    if values.link.is_empty() {
        errors.link = Some("Choose whose readings these are.".into());
    } else if !choices.has(&values.link) {
        errors.link =
            Some("This link is not active any more, or of another provider. Choose another one.".into());
    }
    if values.zone.is_empty() {
        let text = "Say which time zone the phone was in: the file has wall clock times only.";
        errors.zone = Some(text.into());
    }
    if !matches!(values.date_order.as_str(), "" | "dmy" | "mdy") {
        errors.date_order = Some("Choose one of the three.".into());
    }
    errors
}

async fn send(
    console: &Console,
    key: &SecretString,
    dry_run: bool,
    sent: &mut Sent,
    field: &mut Field<'_>,
) -> Result<(), ConsoleError> {
    let first = field.chunk().await.map_err(|e| unreadable(&e))?.unwrap_or_default();
    if first.is_empty() && field.file_name().is_none_or(str::is_empty) {
        sent.errors.file = Some("Choose the file.".into());
    }
    if sent.errors.any() {
        return throw_away(field).await;
    }
    let values = &sent.values;
    let asked = Asked {
        link: &values.link,
        zone: &values.zone,
        date_order: Some(values.date_order.as_str()).filter(|order| !order.is_empty()),
        accept_counts: values.accept_counts,
        dry_run,
    };
    let (filling, piped) = pipe();
    let (filled, answer) =
        tokio::join!(filling.fill(first, field), console.api.import(key, &asked, Body::wrap(piped)));
    if !filled? {
        sent.errors.file = Some(words::TOO_LARGE.into());
        return Ok(());
    }
    match answer {
        Ok(imported) => sent.imported = Some(imported),
        Err(ApiError::Refused { status, problem }) if status.is_client_error() => {
            sent.errors.place(status, problem)?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// A short text.
async fn text(field: &mut Field<'_>) -> Result<String, ConsoleError> {
    let mut bytes = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(|e| unreadable(&e))? {
        let piece: Bytes = piece;
        if bytes.len() + piece.len() > LONGEST {
            return Err(ConsoleError::Form("A field is too long."));
        }
        bytes.extend_from_slice(&piece);
    }
    String::from_utf8(bytes).map_err(|_| ConsoleError::Form("A field is not UTF-8."))
}
