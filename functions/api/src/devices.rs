//! A link's devices.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use http::StatusCode;
use ohx_domain::{EhrName, Instant, Link, LinkId, LinkState, PatientReference, SyncId};
use ohx_events::plain::DevicesReason;
use ohx_link::{LinkError, Links};
use ohx_runtime::Problem;
use ohx_store::LinkFilter;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::access::Principal;
use crate::access::audit::Audited;
use crate::{problem, read, store_problem};

#[derive(Serialize)]
pub(crate) struct ShownDevice {
    id: String,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    battery_percent: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    battery: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_sync: Option<Instant>,
}

/// `GET /api/base/provider-links/{id}/devices/`: the patient's devices as the provider lists them now. Empty where it
/// lists none.
pub(crate) async fn listed(
    State(links): State<Links>,
    Path(id): Path<String>,
) -> Result<Json<Vec<ShownDevice>>, Problem> {
    let open = links.open(read(&id)?).await.map_err(problem)?;
    let (app, provider) = links.app(&open.link.provider).await.map_err(problem)?;
    let listed = links
        .call(&open, &app, provider.as_ref(), |token| {
            let (app, provider) = (&app, provider.as_ref());
            async move { provider.devices(app, &token).await }
        })
        .await
        .map_err(problem)?;
    let shown = listed.into_iter().map(|device| ShownDevice {
        id: device.id,
        kind: device.kind,
        model: device.model,
        battery_percent: device.battery_percent,
        battery: device.battery,
        last_sync: device.last_sync,
    });
    Ok(Json(shown.collect()))
}

/// Which link is meant, where the address names a provider only.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct Meant {
    link: Option<LinkId>,
    patient: Option<PatientReference>,
    ehr: Option<EhrName>,
}

#[derive(Serialize)]
pub(crate) struct Asked {
    /// The events that follow carry it.
    id: SyncId,
    /// The links whose devices are looked at.
    links: Vec<LinkId>,
}

/// `POST /api/base/provider-links/{id or provider}/create_fhir_device/`: asks for a link's devices to be brought to its EHR
/// endpoints. The address names the link, or a provider app or its type; then the body names the link, or the patient whose
/// active links with that provider are meant, and the EHR where the patient is known under that name at several.
pub(crate) async fn create(
    State(links): State<Links>,
    principal: Principal,
    Path(named): Path<String>,
    body: Bytes,
) -> Result<impl IntoResponse, Problem> {
    let meant: Meant = match body.trim_ascii() {
        [] => Meant::default(),
        text => serde_json::from_slice(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let detail = format!(
                "the body must be empty, or a JSON object with link, or patient and ehr (line {line} column {column})"
            );
            Problem::new(StatusCode::BAD_REQUEST, detail)
        })?,
    };
    let found = match named.parse::<LinkId>() {
        Ok(id) => {
            let link = links.get(id).await.map_err(problem)?;
            principal.sees(&link)?;
            vec![link]
        }
        Err(_) => of_provider(&links, &principal, &named, &meant).await?,
    };
    if let [link] = found.as_slice()
        && link.state != LinkState::Active
    {
        let hint =
            "only the devices of an active link can be asked for; send the patient its connect address";
        return Err(problem(LinkError::State { link: link.id, state: link.state, hint }));
    }
    let sync = SyncId::new();
    let mut asked = Vec::with_capacity(found.len());
    for link in found.iter().filter(|link| link.state == LinkState::Active) {
        let request = links.request_devices(link, DevicesReason::Manual, Vec::new(), sync, "api");
        request.await.map_err(problem)?;
        asked.push(link.id);
    }
    let subjects: Vec<String> = asked.iter().map(|id| format!("link:{id}")).collect();
    let audited = Extension(Audited::new(subjects.join(" "), json!({"sync": sync})));
    Ok((StatusCode::ACCEPTED, audited, Json(Asked { id: sync, links: asked })))
}

/// The links of a provider that are meant, at least one.
async fn of_provider(
    links: &Links,
    principal: &Principal,
    provider: &str,
    meant: &Meant,
) -> Result<Vec<Link>, Problem> {
    let store = &links.parts().store;
    let apps = store.providers().await.map_err(store_problem)?;
    let apps: Vec<_> =
        apps.into_iter().filter(|app| app.name.as_str() == provider || app.kind == provider).collect();
    if apps.is_empty() {
        let detail = format!("{provider} is neither a link, nor a provider app or type that is configured");
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    }
    let mut found = Vec::new();
    match (meant.link, &meant.patient) {
        (Some(id), _) => {
            let link = links.get(id).await.map_err(problem)?;
            principal.sees(&link)?;
            found.push(link);
        }
        (None, Some(patient)) => {
            for app in &apps {
                let filter = LinkFilter {
                    provider: Some(app.name.clone()),
                    patient: Some(patient.clone()),
                    state: Some(LinkState::Active),
                    after: None,
                    limit: 1000,
                    within: principal.within.clone(),
                };
                found.extend(store.links(&filter).await.map_err(store_problem)?);
            }
        }
        (None, None) => {
            let detail = "name the link in the address, or the link or the patient in the body: {\"link\": …} or {\"patient\": …}";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
        }
    }
    found.retain(|link| apps.iter().any(|app| app.name == link.provider) && principal.within.allows(link));
    if let Some(ehr) = &meant.ehr {
        found.retain(|link| link.patient_at(ehr).is_some());
    }
    if found.is_empty() {
        let detail = format!("there is no such link with {provider}");
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    }
    Ok(found)
}
