//! Readings that somebody brings: export files, and where a gateway sends what it heard.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use http::StatusCode;
use ohx_domain::{Interval, LinkId, Record, SyncId};
use ohx_link::{Brought, Links, OpenLink};
use ohx_providers::beurer::csv::{self, CsvError, DateOrder, Options, Report};
use ohx_providers::beurer::{self, RecordParts};
use ohx_runtime::Problem;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use crate::access::audit::Audited;
use crate::http::page::narrowed;
use crate::http::{InPath, InQuery};
use crate::{problem, read};

/// What a file is read with.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Import {
    /// The link that the readings belong to.
    link: LinkId,
    /// The IANA name of the zone that the phone was in.
    zone: String,
    /// `dmy` or `mdy`: how dates with slashes are read.
    #[param(value_type = Option<DateOrder>)]
    date_order: Option<String>,
    /// Whether a file is taken that has other counts than it states.
    #[serde(default)]
    accept_counts: bool,
    /// Only says what would be imported.
    #[serde(default)]
    dry_run: bool,
}

/// What became of a file. No values.
#[derive(Serialize, ToSchema)]
pub(crate) struct Imported {
    /// The sync by which its readings travel; absent where there are none, or in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    sync: Option<SyncId>,
    dry_run: bool,
    records: Vec<ImportedRecord>,
    report: Report,
}

#[derive(Serialize, ToSchema)]
struct ImportedRecord {
    record: Record,
    readings: u64,
    /// The times that count as covered.
    #[serde(flatten)]
    window: Interval,
}

/// The link, where readings can be brought to it.
pub(crate) async fn open(links: &Links, id: LinkId) -> Result<OpenLink, Problem> {
    let open = links.open(id).await.map_err(problem)?;
    let (app, _) = links.app(&open.link.provider).await.map_err(problem)?;
    if app.config.kind != beurer::KIND {
        let detail = format!(
            "link {id} is of provider app {} ({}): its readings are fetched, and only those of type {} are brought",
            app.config.name,
            app.config.kind,
            beurer::KIND
        );
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    Ok(open)
}

/// A HealthManager Pro export (CSV) as the body. All of it is read before
/// any of it is sent on; to import a file again is safe.
#[utoipa::path(post, path = "/api/ingestors/imports/", operation_id = "importFile", tag = "ingestors",
    params(Import), request_body(content = String, content_type = "text/csv", description = "The export file"), responses((status = 200, description = "A dry run, or nothing to bring", body = Imported), (status = 202, description = "The readings are on their way", body = Imported)))]
pub(crate) async fn import(
    State(links): State<Links>,
    InQuery(import): InQuery<Import>,
    body: Result<Bytes, BytesRejection>,
) -> Result<impl IntoResponse, Problem> {
    let body = body.map_err(|e| too_large(e.status(), &e.body_text()))?;
    let date_order = narrowed::<DateOrder>("date_order", import.date_order.as_deref())?;
    let link = open(&links, import.link).await?;
    let options = Options {
        zone: import.zone,
        date_order,
        accept_counts: import.accept_counts,
        now: links.parts().clock.now(),
    };
    let export = csv::read(&body, &options).map_err(|e| refused(&e))?;
    let shown = |parts: &RecordParts| {
        let window = export.window.unwrap_or(parts.window);
        Some(ImportedRecord { record: parts.record()?, readings: parts.readings, window })
    };
    let records: Vec<ImportedRecord> = export.records.iter().filter_map(shown).collect();
    let sync = match import.dry_run || records.is_empty() {
        true => None,
        false => {
            let brought = Brought::of(export.records, export.window);
            Some(links.bring(&link, brought, "api").await.map_err(problem)?)
        }
    };
    let status = if sync.is_some() { StatusCode::ACCEPTED } else { StatusCode::OK };
    let detail = json!({"sync": sync, "dry_run": import.dry_run});
    let audited = Extension(Audited::new(format!("link:{}", import.link), detail));
    Ok((status, audited, Json(Imported { sync, dry_run: import.dry_run, records, report: export.report })))
}

fn too_large(status: StatusCode, text: &str) -> Problem {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let detail =
                format!("the file has more than {} bytes: export a shorter period", csv::MAX_FILE_BYTES);
            Problem::new(status, detail)
        }
        status => Problem::new(status, text),
    }
}

fn refused(error: &CsvError) -> Problem {
    let status = match error {
        CsvError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        error if error.needs_an_answer() => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::BAD_REQUEST,
    };
    Problem::new(status, format!("nothing was imported: {error}")).with("code", error.code())
}

/// Where a gateway sends readings for a link, and what it proves itself with.
#[derive(Serialize, ToSchema)]
pub(crate) struct Gateway {
    url: String,
    /// Good for this link only, and until it is disconnected. Send it as `Authorization: Bearer …`.
    token: String,
}

/// What to configure a gateway with.
#[utoipa::path(get, path = "/api/base/provider-links/{id}/gateway/", operation_id = "getGateway", tag = "base",
    params(("id" = LinkId, Path, description = "The link")), responses((status = 200, description = "Where the gateway sends to", body = Gateway)))]
pub(crate) async fn gateway(
    State(links): State<Links>,
    InPath(id): InPath<String>,
) -> Result<Json<Gateway>, Problem> {
    let link = open(&links, read(&id)?).await?;
    let url = links.parts().public(&format!("gateway/{}", link.link.id)).to_string();
    Ok(Json(Gateway { url, token: ohx_seal::gateway_token(&link.key) }))
}
