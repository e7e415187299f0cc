//! Subscribers of the project: who is notified of what, once the address has proven itself.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Query, State as Shared};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::types::Type;
use super::wire::{Refusal, bearer};
use super::{Simulator, notify};

/// A subscriber.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Subscriber {
    pub(super) endpoint_uri: String,
    pub(super) subscriber_configs: Vec<SubscriberConfig>,
    #[serde(default)]
    pub(super) endpoint_authorization: Option<Authorization>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SubscriberConfig {
    pub(super) data_types: Vec<String>,
    pub(super) subscription_create_policy: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Authorization {
    pub(super) secret: String,
}

const PRECONDITION: Refusal = Refusal(400, "FAILED_PRECONDITION", "");
const CONFLICT: Refusal = Refusal(409, "ALREADY_EXISTS", "");
const DENIED: Refusal = Refusal(403, "PERMISSION_DENIED", "");

type Params = BTreeMap<String, String>;
type Reply = Result<Json<Value>, Refusal>;

fn name(project: &str, id: &str) -> String {
    format!("projects/{project}/subscribers/{id}")
}

fn rendered(project: &str, id: &str, subscriber: &Subscriber) -> Value {
    json!({
        "name": name(project, id), "endpointUri": subscriber.endpoint_uri, "state": "ACTIVE",
        "subscriberConfigs": subscriber.subscriber_configs,
        "endpointAuthorization": { "secretSet": subscriber.endpoint_authorization.is_some() },
    })
}

/// A write's answer: an operation that is done.
fn operation(project: &str, response: &Value) -> Json<Value> {
    Json(json!({ "name": format!("projects/{project}/operations/op-1"), "done": true, "response": response }))
}

impl Subscriber {
    fn check(&self) -> Result<(), Refusal> {
        let notifies = |name: &String| Type::named(name).is_some_and(Type::notifies);
        let policies = ["AUTOMATIC", "MANUAL"];
        let fits = |config: &SubscriberConfig| {
            !config.data_types.is_empty()
                && config.data_types.iter().all(notifies)
                && policies.contains(&config.subscription_create_policy.as_str())
        };
        let fits = !self.subscriber_configs.is_empty() && self.subscriber_configs.iter().all(fits);
        if fits { Ok(()) } else { Err(Refusal::invalid("")) }
    }
}

impl Simulator {
    /// Who may: the service account, by the project's number.
    fn admits(&self, project: &str, headers: &HeaderMap) -> Result<(), Refusal> {
        if bearer(headers).is_none() {
            return Err(Refusal::UNAUTHENTICATED);
        }
        let admitted = self.is_project(bearer(headers).as_deref()) && project == self.0.config.project;
        if admitted { Ok(()) } else { Err(DENIED) }
    }

    /// The subscribers' ids and addresses.
    pub fn subscribers(&self) -> BTreeMap<String, String> {
        let state = self.state();
        state.subscribers.iter().map(|(id, known)| (id.clone(), known.endpoint_uri.clone())).collect()
    }
}

/// `GET /v4/projects/{project}/subscribers`.
pub(super) async fn list(
    Shared(sim): Shared<Simulator>,
    Path(project): Path<String>,
    headers: HeaderMap,
) -> Reply {
    sim.admits(&project, &headers)?;
    let state = sim.state();
    let all: Vec<Value> = state.subscribers.iter().map(|(id, known)| rendered(&project, id, known)).collect();
    Ok(Json(json!({ "subscribers": all, "nextPageToken": "", "totalSize": all.len() })))
}

/// `POST /v4/projects/{project}/subscribers?subscriberId=`.
pub(super) async fn create(
    Shared(sim): Shared<Simulator>,
    Path(project): Path<String>,
    Query(query): Query<Params>,
    headers: HeaderMap,
    Json(new): Json<Subscriber>,
) -> Reply {
    sim.admits(&project, &headers)?;
    let id = query.get("subscriberId").cloned().unwrap_or_default();
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let starts = id.starts_with(|c: char| c.is_ascii_lowercase());
    if !(4..=36).contains(&id.len()) || !starts || id.ends_with('-') || !id.chars().all(letters) {
        return Err(Refusal::invalid(""));
    }
    new.check()?;
    if sim.state().subscribers.contains_key(&id) {
        return Err(CONFLICT);
    }
    verify(&sim, &new).await?;
    let response = rendered(&project, &id, &new);
    sim.state().subscribers.insert(id, new);
    Ok(operation(&project, &response))
}

/// `PATCH /v4/projects/{project}/subscribers/{id}?updateMask=`.
pub(super) async fn patch(
    Shared(sim): Shared<Simulator>,
    Path((project, id)): Path<(String, String)>,
    Query(query): Query<Params>,
    headers: HeaderMap,
    Json(new): Json<Subscriber>,
) -> Reply {
    sim.admits(&project, &headers)?;
    let mut changed = sim.state().subscribers.get(&id).cloned().ok_or(Refusal::NOT_FOUND)?;
    let mask = query.get("updateMask").cloned().unwrap_or_default();
    let mut again = false;
    for field in mask.split(',') {
        match field {
            "endpoint_uri" => changed.endpoint_uri.clone_from(&new.endpoint_uri),
            "subscriber_configs" => changed.subscriber_configs.clone_from(&new.subscriber_configs),
            "endpoint_authorization" => {
                changed.endpoint_authorization.clone_from(&new.endpoint_authorization);
            }
            _ => return Err(Refusal::invalid("")),
        }
        again |= field.starts_with("endpoint");
    }
    changed.check()?;
    if again {
        verify(&sim, &changed).await?;
    }
    let response = rendered(&project, &id, &changed);
    sim.state().subscribers.insert(id, changed);
    Ok(operation(&project, &response))
}

/// `DELETE /v4/projects/{project}/subscribers/{id}`.
pub(super) async fn delete(
    Shared(sim): Shared<Simulator>,
    Path((project, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if let Err(refusal) = sim.admits(&project, &headers) {
        return refusal.into_response();
    }
    match sim.state().subscribers.remove(&id) {
        Some(_) => operation(&project, &json!({})).into_response(),
        None => Refusal::NOT_FOUND.into_response(),
    }
}

/// Two calls: 200 or 201 to the one with the secret, 401 or 403 to the one without.
async fn verify(sim: &Simulator, subscriber: &Subscriber) -> Result<(), Refusal> {
    sim.state().stats.verifications += 1;
    let secret = subscriber.endpoint_authorization.as_ref().map(|a| a.secret.as_str());
    let knock = async |secret: Option<&str>| {
        let mut request = sim
            .0
            .http
            .post(&subscriber.endpoint_uri)
            .timeout(sim.0.config.notify_timeout)
            .header("content-type", "application/json")
            .header("user-agent", notify::VERIFIER)
            .body(r#"{"type":"verification"}"#);
        if let Some(secret) = secret {
            request = request.header("authorization", secret);
        }
        request.send().await.map(|reply| reply.status().as_u16()).unwrap_or(0)
    };
    let proven = matches!(knock(secret).await, 200 | 201) && matches!(knock(None).await, 401 | 403);
    if proven { Ok(()) } else { Err(PRECONDITION) }
}
