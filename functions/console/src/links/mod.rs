//! Links: all of them, a new one, one with its coverage, and its end.

mod act;
pub(crate) mod api;
mod calendar;
mod ending;
mod new;
mod one;
mod sync;
mod words;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use ohx_domain::LinkState;
use secrecy::SecretString;
use serde::Deserialize;
use tokio::task::JoinSet;

pub(crate) use self::act::{bring_devices, cancel, connect_address, synchronise};
use self::api::{Link, Summary};
pub(crate) use self::ending::{ask, end, receipt};
pub(crate) use self::new::{make, page as new_page};
pub(crate) use self::one::page as one;
pub(crate) use self::sync::page as sync;
use self::words::Badge;
use crate::api::ApiError;
use crate::page::{self, Frame};
use crate::session::SignedIn;
use crate::words::{When, given, query, sentence};
use crate::{Console, ConsoleError};

/// How many links are on a page. For each the API is asked for its latest syncs.
const LIMIT: &str = "25";
/// How many syncs of each are looked at for one that succeeded.
const SYNCS: &str = "10";

/// The states that a list can be narrowed to.
const STATES: [(LinkState, &str); 4] = [
    (LinkState::Active, "Active"),
    (LinkState::ReauthorizationRequired, "Consent needed again"),
    (LinkState::Pending, "Waits for consent"),
    (LinkState::Disconnected, "Ended"),
];

#[derive(Template)]
#[template(path = "links.html")]
struct LinksPage {
    frame: Frame,
    apps: Vec<String>,
    asked: Asked,
    error: Option<String>,
    rows: Vec<Row>,
    /// Where the next page is.
    next: Option<String>,
    /// Whether the list is narrowed, or not at its beginning.
    narrowed: bool,
}

struct Row {
    id: String,
    patient: String,
    provider: String,
    ehr: String,
    badge: Badge,
    reason: Option<String>,
    since: Option<When>,
    succeeded: Option<When>,
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    provider: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    patient: String,
    #[serde(default)]
    cursor: String,
}

/// `GET /console/links/`.
pub(crate) async fn page(
    State(console): State<Console>,
    signed_in: SignedIn,
    Query(asked): Query<Asked>,
) -> Result<Response, ConsoleError> {
    let key = &signed_in.key;
    let narrowing = [
        ("provider", given(Some(&asked.provider))),
        ("state", given(Some(&asked.state))),
        ("patient", given(Some(&asked.patient))),
        ("cursor", given(Some(&asked.cursor))),
    ];
    let mut wanted = vec![("limit", LIMIT)];
    wanted.extend(narrowing.iter().filter_map(|(name, value)| Some((*name, (*value)?))));
    let (found, next, error) = match console.api.link_page(key, &wanted).await {
        Ok(page) => (page.items, page.next, None),
        Err(ApiError::Refused {
            status: StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY,
            problem,
        }) => (Vec::new(), None, problem.detail.as_deref().map(sentence)),
        Err(error) => return Err(error.into()),
    };
    let next = next.map(|next| {
        let [provider, state, patient, _] = narrowing;
        format!("{}/links/?{}", console.base, query(&[provider, state, patient, ("cursor", Some(&next))]))
    });
    let narrowed = narrowing.iter().any(|(_, value)| value.is_some());
    let apps = console.api.apps(key).await?.into_iter().map(|app| app.name).collect();
    let rows = rows(&console, key, found).await?;
    let frame = Frame::new(&console, Some(&signed_in.session)).at("/links/");
    page::html(StatusCode::OK, &LinksPage { frame, apps, asked, error, rows, next, narrowed })
}

/// The links with when something of them last succeeded, which is asked for all of them at once.
async fn rows(console: &Console, key: &SecretString, links: Vec<Link>) -> Result<Vec<Row>, ApiError> {
    let mut asking = JoinSet::new();
    let mut rows = Vec::with_capacity(links.len());
    for (place, link) in links.into_iter().enumerate() {
        let (api, key, id) = (console.api.clone(), key.clone(), link.id.clone());
        if link.connected_at.is_some() {
            asking.spawn(async move { (place, api.syncs(&key, &id, SYNCS).await) });
        }
        rows.push(Row {
            badge: words::link(link.state),
            since: link.state_since.or(Some(link.created_at)).map(When::from),
            reason: link.state_reason.as_deref().map(sentence),
            id: link.id,
            patient: link.patient,
            provider: link.provider,
            ehr: link.ehr,
            succeeded: None,
        });
    }
    while let Some(asked) = asking.join_next().await {
        let Ok((place, syncs)) = asked else { continue };
        let succeeded = succeeded(&syncs?.items);
        if let Some(row) = rows.get_mut(place) {
            row.succeeded = succeeded;
        }
    }
    Ok(rows)
}

/// When a link's sync last came to its end without a failure; the latest are the first.
fn succeeded(syncs: &[Summary]) -> Option<When> {
    syncs.iter().find(|sync| sync.open == 0 && sync.failed == 0).map(|sync| sync.updated_at.into())
}
