//! A document tried out on a page: nothing of it is kept, and nothing of it is logged.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::IntoResponse;
use http::{StatusCode, header};
use ohx_domain::{FIRST_SAVED_VERSION, Identifier, Instant};
use ohx_link::Links;
use ohx_mapping::{
    Change, Changed, Comparison, Difference, LeftOut, MappedObservation, Mapping, ReadingDifference, Side,
    Survey, compare,
};
use ohx_runtime::Problem;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::refusal::Refusal;
use super::{Which, aside, check, kept};
use crate::http::extract::unread;

/// The most Observations, differences and fields that are shown. How many there are of the former two is told.
const MOST_SHOWN: usize = 1000;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PreviewRequest)]
struct ToPreview {
    /// A document, saved or not.
    document: Option<String>,
    /// In place of a document: the name of one, and its version.
    mapping: Option<String>,
    version: Option<Which>,
    /// The provider's page: JSON, whose numbers keep their digits.
    #[schema(value_type = Object)]
    page: Box<RawValue>,
    /// What its effect is told against.
    compare_with: Option<Which>,
}

#[derive(Serialize, ToSchema)]
struct Preview {
    mapping: String,
    version: u32,
    records: u64,
    /// How many Observations came of them.
    made: usize,
    observations: Vec<Shown>,
    /// What was left out, by reason.
    left_out: BTreeMap<String, u64>,
    /// The fields of the page that no rule looked at, and how often each was there.
    never_read: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compared: Option<Compared>,
}

/// An Observation as it is handed on to be written. Only then come its id, the digest of its content and the reference to
/// its device, because they are the EHR's matter.
#[derive(Serialize, ToSchema)]
#[schema(as = PreviewObservation)]
struct Shown {
    kind: String,
    identifier: Identifier,
    #[schema(value_type = String, format = DateTime)]
    taken: Instant,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<ShownDevice>,
    #[schema(value_type = Object)]
    resource: Box<RawValue>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PreviewDevice)]
struct ShownDevice {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_id: Option<String>,
}

/// What the document makes of the page otherwise than another version.
#[derive(Serialize, ToSchema)]
#[schema(as = PreviewComparison)]
struct Compared {
    /// The other version.
    with: u32,
    /// How many readings are the same, by kind.
    unchanged: BTreeMap<String, u64>,
    /// How many are not.
    differ: usize,
    readings: Vec<ShownDifference>,
    left_out: Vec<ShownLeftOut>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PreviewDifference)]
struct ShownDifference {
    kind: String,
    change: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Identifier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Identifier>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<ShownChange>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PreviewChange)]
struct ShownChange {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    before: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    after: Option<Box<RawValue>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PreviewLeftOut)]
struct ShownLeftOut {
    reason: String,
    before: u64,
    after: u64,
}

fn unprocessable(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
}

/// What becomes of a page. It is mapped for `Patient/example`, as a page that holds everything. Nothing of it is kept.
#[utoipa::path(post, path = "/api/transformers/mappings/preview/", operation_id = "previewMapping", tag = "transformers",
    request_body = ToPreview, responses((status = 200, description = "What becomes of the page", body = Preview)))]
pub(super) async fn preview(
    State(links): State<Links>,
    body: Result<Bytes, BytesRejection>,
) -> Result<impl IntoResponse, Refusal> {
    let to = read(&body.map_err(|e| unread(&e))?)?;
    let store = &links.parts().store;
    let find = async |name: &str, which: Which| -> Result<String, Refusal> {
        let found = kept(store, name, which).await?;
        Ok(found.ok_or_else(|| unprocessable(no_version(name, which)))?.text)
    };
    let document = match (to.document, &to.mapping, to.version) {
        (Some(document), None, None) => document,
        (None, Some(name), Some(which)) => find(name, which).await?,
        _ => return Err(unprocessable("give a document, or a mapping and its version").into()),
    };
    let mapping = aside(move || Mapping::parse(&document)).await??;
    let other = match to.compare_with {
        Some(which) => Some(find(mapping.name(), which).await?),
        None => None,
    };
    let base = links.parts().identifier_base.clone();
    let preview = aside(move || run(&mapping, &to.page, other.as_deref(), base)).await??;
    // A page may be a real one.
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(preview)))
}

/// Reads the body. What serde would say of a mistake may quote the page.
fn read(body: &[u8]) -> Result<ToPreview, Problem> {
    let to: ToPreview = serde_json::from_slice(body).map_err(|e| {
        let detail = format!(
            "the body is no JSON object with `page`, with `document` or `mapping` and `version`, and perhaps with \
             `compare_with` (a version, or builtin), and nothing else; look at line {}, column {}",
            e.line(),
            e.column()
        );
        unprocessable(detail)
    })?;
    if to.page.get().starts_with('{') {
        Ok(to)
    } else {
        Err(unprocessable("page should be a JSON object: the provider's answer itself, not in a text"))
    }
}

fn no_version(name: &str, which: Which) -> String {
    match which {
        Which::BuiltIn => {
            let known = check::names().join(", ");
            format!("the program has no mapping {name}; it has {known}")
        }
        Which::Number(version) => {
            let own =
                if version < FIRST_SAVED_VERSION { "; the program's own is called builtin" } else { "" };
            format!("mapping {name} has no version {version}{own}")
        }
    }
}

fn run(
    mapping: &Mapping,
    page: &RawValue,
    other: Option<&str>,
    identifier_base: String,
) -> Result<Preview, Refusal> {
    let page = page.get().as_bytes();
    let unusable = |e: ohx_mapping::MapError| unprocessable(e.to_string());
    let context = mapping.example_context().map_err(|e| unprocessable(e.to_string()))?;
    let context = ohx_mapping::Context { identifier_base, ..context };
    let mapped = mapping.map(page, &context).map_err(unusable)?;
    let mut survey = Survey::default();
    mapping.survey(page, &context, &mut survey).map_err(unusable)?;
    let compared = match other {
        None => None,
        Some(text) => {
            let other = Mapping::parse(text)?;
            let comparison = compare(&other, mapping, page, &context, false).map_err(unusable)?;
            Some(Compared::new(&other, &comparison)?)
        }
    };
    Ok(Preview {
        mapping: mapping.name().to_owned(),
        version: mapping.version(),
        records: mapped.records,
        made: mapped.observations.len(),
        observations: shown(mapped.observations, Shown::new)?,
        left_out: mapped.skipped,
        never_read: survey.never_read().take(MOST_SHOWN).map(|(path, n)| (path.to_owned(), n)).collect(),
        compared,
    })
}

/// The first of them, as they are shown.
fn shown<T, S>(
    all: impl IntoIterator<Item = T>,
    show: impl Fn(T) -> serde_json::Result<S>,
) -> Result<Vec<S>, Problem> {
    // The engine's own tests look for what would make it write no JSON.
    let broken = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "an Observation is no JSON");
    all.into_iter().take(MOST_SHOWN).map(|one| show(one).map_err(broken)).collect()
}

impl Shown {
    fn new(observation: MappedObservation) -> serde_json::Result<Self> {
        Ok(Self {
            kind: observation.kind.to_string(),
            identifier: observation.identifier,
            taken: observation.taken,
            device: observation.device.map(|device| ShownDevice {
                id: device.id.clone(),
                model: device.model.clone(),
                model_id: device.model_id.clone(),
            }),
            resource: observation.resource.into_raw()?,
        })
    }
}

impl Compared {
    fn new(with: &Mapping, comparison: &Comparison) -> Result<Self, Problem> {
        let reading = |d| match d {
            Difference::Reading(reading) => Some(reading),
            Difference::LeftOut(_) => None,
        };
        let left_out = |d| match d {
            Difference::LeftOut(LeftOut { reason, before, after }) => {
                Some(ShownLeftOut { reason, before, after })
            }
            Difference::Reading(_) => None,
        };
        let differences = || comparison.differences.iter().cloned();
        Ok(Self {
            with: with.version(),
            unchanged: comparison.unchanged.iter().map(|(kind, n)| (kind.to_string(), *n)).collect(),
            differ: differences().filter_map(reading).count(),
            readings: shown(differences().filter_map(reading), |d| ShownDifference::new(&d))?,
            left_out: differences().filter_map(left_out).collect(),
        })
    }
}

impl ShownDifference {
    fn new(difference: &ReadingDifference) -> serde_json::Result<Self> {
        let identifier = |side: Option<&Side>| side.map(|side| side.identifier.clone());
        Ok(Self {
            kind: difference.kind().to_owned(),
            change: match difference.change() {
                Change::Changed => "changed",
                Change::IdentityChanged => "identity-changed",
                Change::OnlyInA => "no-longer-made",
                Change::OnlyInB => "newly-made",
            },
            before: identifier(difference.before()),
            after: identifier(difference.after()),
            changes: difference.changes().iter().map(ShownChange::new).collect::<Result<_, _>>()?,
        })
    }
}

impl ShownChange {
    fn new(changed: &Changed) -> serde_json::Result<Self> {
        let raw = |text: Option<&str>| text.map(|t| RawValue::from_string(t.to_owned())).transpose();
        Ok(Self {
            path: changed.path().to_owned(),
            before: raw(changed.before())?,
            after: raw(changed.after())?,
        })
    }
}
