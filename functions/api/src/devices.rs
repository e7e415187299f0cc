//! A link's devices.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use http::StatusCode;
use ohx_domain::{EhrName, Instant, Link, LinkId, LinkState, PatientReference, ProviderName, SyncId};
use ohx_events::plain::DevicesReason;
use ohx_link::{LinkError, Links};
use ohx_providers::PairedDevice;
use ohx_runtime::Problem;
use ohx_store::LinkFilter;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use crate::access::Principal;
use crate::access::audit::Audited;
use crate::http::extract::{json as read_json, unread};
use crate::http::page::{Page, Paging, narrowed, unprocessable};
use crate::http::{InPath, InQuery};
use crate::{problem, read, store_problem};

#[derive(Serialize, ToSchema)]
#[schema(as = ProviderDevice)]
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
    #[schema(value_type = Option<String>, format = DateTime)]
    last_sync: Option<Instant>,
}

impl From<PairedDevice> for ShownDevice {
    fn from(device: PairedDevice) -> Self {
        Self {
            id: device.id,
            kind: device.kind,
            model: device.model,
            battery_percent: device.battery_percent,
            battery: device.battery,
            last_sync: device.last_sync,
        }
    }
}

/// A link's devices as its provider lists them now, by their ids.
async fn of_link(links: &Links, id: LinkId) -> Result<Vec<PairedDevice>, Problem> {
    let open = links.open(id).await.map_err(problem)?;
    let (app, provider) = links.app(&open.link.provider).await.map_err(problem)?;
    let asked = links.call(&open, &app, provider.as_ref(), |token| {
        let (app, provider) = (&app, provider.as_ref());
        async move { provider.devices(app, &token).await }
    });
    let mut listed = asked.await.map_err(problem)?;
    listed.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(listed)
}

/// The patient's devices as the provider lists them now. Empty where it lists none.
#[utoipa::path(get, path = "/api/base/provider-links/{id}/devices/", operation_id = "listLinkDevices", tag = "base",
    params(("id" = LinkId, Path, description = "The link"), Paging),
    responses((status = 200, description = "Devices", body = Page<ShownDevice>)))]
pub(crate) async fn listed(
    State(links): State<Links>,
    InPath(id): InPath<String>,
    InQuery(paging): InQuery<Paging>,
) -> Result<Json<Page<ShownDevice>>, Problem> {
    let listed = of_link(&links, read(&id)?).await?;
    let shown = listed.into_iter().map(ShownDevice::from);
    Page::of("link-devices", shown, &paging, |device| device.id.clone()).map(Json)
}

/// A device, and whose it is.
#[derive(Serialize, ToSchema)]
#[schema(as = Device)]
pub(crate) struct PatientsDevice {
    link: LinkId,
    provider: ProviderName,
    patient: PatientReference,
    #[serde(flatten)]
    device: ShownDevice,
}

/// Whose devices.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Whose {
    /// Of this link.
    #[param(value_type = Option<LinkId>)]
    link: Option<String>,
    /// Of this patient's active links.
    #[param(value_type = Option<PatientReference>)]
    patient: Option<String>,
    /// At most so many items: 1 to 1000, 100 where nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// The links of one patient whose providers are asked, at most.
const LINKS_ASKED: u32 = 20;

/// The devices of a link, or of a patient over all of their active links, as the providers list them now: OHX keeps no list of
/// its own. Say one of `link` and `patient`.
#[utoipa::path(get, path = "/api/devices/devices/", operation_id = "listDevices", tag = "devices", params(Whose),
    responses((status = 200, description = "Devices", body = Page<PatientsDevice>)))]
pub(crate) async fn list(
    State(links): State<Links>,
    principal: Principal,
    InQuery(whose): InQuery<Whose>,
) -> Result<Json<Page<PatientsDevice>>, Problem> {
    let paging = Paging { limit: whose.limit, cursor: whose.cursor };
    let link: Option<LinkId> = narrowed("link", whose.link.as_deref())?;
    let patient: Option<PatientReference> = narrowed("patient", whose.patient.as_deref())?;
    let of = match (link, patient) {
        (Some(id), None) => {
            let link = links.get(id).await.map_err(problem)?;
            principal.sees(&link)?;
            vec![link]
        }
        (None, Some(patient)) => {
            let filter = LinkFilter {
                patient: Some(patient),
                state: Some(LinkState::Active),
                limit: LINKS_ASKED,
                within: principal.within.clone(),
                ..LinkFilter::default()
            };
            links.parts().store.links(&filter).await.map_err(store_problem)?
        }
        _ => return Err(unprocessable("say whose devices: either link or patient")),
    };
    let mut all = Vec::new();
    for link in of {
        for device in of_link(&links, link.id).await? {
            let (provider, patient) = (link.provider.clone(), link.patient.clone());
            all.push(PatientsDevice { link: link.id, provider, patient, device: device.into() });
        }
    }
    Page::of("devices", all, &paging, |d| format!("{}.{}", d.link, d.device.id)).map(Json)
}

/// Which link is meant, where the address names a provider only.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DevicesOf)]
pub(crate) struct Meant {
    link: Option<LinkId>,
    patient: Option<PatientReference>,
    ehr: Option<EhrName>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = DevicesAsked)]
pub(crate) struct Asked {
    /// The events that follow carry it.
    id: SyncId,
    /// The links whose devices are looked at.
    links: Vec<LinkId>,
}

/// Asks for a link's devices to be brought to its EHR endpoints. The address names the link, or a provider app or its type; then the body names the link, or the patient whose
/// active links with that provider are meant, and the EHR where the patient is known under that name at several.
#[utoipa::path(post, path = "/api/base/provider-links/{id}/create_fhir_device/", operation_id = "createFhirDevice", tag = "base",
    params(("id" = String, Path, description = "A link's id, or a provider app or its type")), request_body(content = Option<Meant>), responses((status = 202, description = "What was asked", body = Asked)))]
pub(crate) async fn create(
    State(links): State<Links>,
    principal: Principal,
    InPath(named): InPath<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<impl IntoResponse, Problem> {
    let meant: Meant = match body.map_err(|e| unread(&e))?.trim_ascii() {
        [] => Meant::default(),
        text => read_json::<Option<Meant>>(text)?.unwrap_or_default(),
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
