//! The project's subscriber: one registration for all patients, made by the project's own credential.
//!
//! Each link asks for it every night, so that what has been found right is remembered for some hours, and what went
//! wrong for some minutes.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::{Method, StatusCode};
use ohx_domain::Instant;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::call::malformed;
use super::records::read;
use super::status::{names, refused};
use super::{Bases, KIND, PROJECT, SUBSCRIBER_ID, WEBHOOK, account, configuration};
use crate::bases::under;
use crate::wire::{Answer, object};
use crate::{App, ProviderError, Remedy, Subscriptions};

/// How long a subscriber that was right is taken to be right still.
const RIGHT: Duration = Duration::from_secs(6 * 60 * 60);
/// How long what went wrong is not tried again.
const WRONG: Duration = Duration::from_secs(10 * 60);
/// A project has few subscribers.
const MAX_PAGES: usize = 20;

/// What came of the last try for an app.
#[derive(Clone)]
enum Outcome {
    /// The registration is as it should be.
    Right,
    /// It could not be made so: what `ProviderError::Refused` says.
    Wrong { call: String, status: String, meaning: String },
}

/// Outcomes by app and what was wanted.
#[derive(Default)]
pub(super) struct Remembered(Mutex<HashMap<String, (Instant, Outcome)>>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    #[serde(default)]
    subscribers: Vec<Value>,
    #[serde(default)]
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Known {
    name: String,
    #[serde(default)]
    endpoint_uri: Option<String>,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    subscriber_configs: Vec<Config>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default)]
    data_types: Vec<String>,
    #[serde(default)]
    subscription_create_policy: Option<String>,
}

impl Remembered {
    /// Makes sure that Google notifies `address` of what the app reads. The counts are of data types that these scopes
    /// allow.
    pub(super) async fn subscribe(
        &self,
        http: &reqwest::Client,
        app: &App,
        scopes: &[String],
        address: &Url,
        now: Instant,
    ) -> Result<Subscriptions, ProviderError> {
        let wanted = Wanted::of(app, address)?;
        let allowed = read(&app.config, scopes).filter(|known| known.announced).count();
        let counted = |made: bool| Subscriptions {
            kept: if made { 0 } else { allowed },
            made: if made { allowed } else { 0 },
            refused: wanted.types.len().saturating_sub(allowed),
        };
        if wanted.types.is_empty() {
            return Ok(counted(false));
        }
        let key = format!("{}\n{}\n{}\n{:?}", app.config.name, wanted.parent, address, wanted.types);
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let within =
            |at: Instant, limit: Duration| at <= now && now.duration_since(at).unsigned_abs() < limit;
        match known {
            Some((at, Outcome::Right)) if within(at, RIGHT) => return Ok(counted(false)),
            Some((at, Outcome::Wrong { call, status, meaning })) if within(at, WRONG) => {
                let remedy = Remedy::Permanent;
                return Err(ProviderError::Refused { provider: KIND, call, status, meaning, remedy });
            }
            _ => {}
        }
        let result = match account::token(http, app, now).await {
            Ok(token) => Admin { http, token, app }.ensure(&wanted).await,
            Err(error) => Err(error),
        };
        let outcome = match &result {
            Ok(_) => Some(Outcome::Right),
            Err(ProviderError::Refused { call, status, meaning, remedy: Remedy::Permanent, .. }) => {
                Some(Outcome::Wrong { call: call.clone(), status: status.clone(), meaning: meaning.clone() })
            }
            Err(_) => None,
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = outcome {
            all.insert(key, (now, outcome));
        }
        result.map(counted)
    }
}

/// What the registration should be.
struct Wanted<'a> {
    /// `projects/<number>/subscribers` with the API before it.
    parent: Url,
    id: String,
    address: &'a Url,
    secret: &'a SecretString,
    types: BTreeSet<&'static str>,
}

impl<'a> Wanted<'a> {
    fn of(app: &'a App, address: &'a Url) -> Result<Self, ProviderError> {
        let wrong = |problem: String| configuration(app, problem);
        let digits = |text: &&String| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let project = app.config.options.get(PROJECT).filter(digits).ok_or_else(|| {
            wrong(format!(
                "options.{PROJECT} should be the Google Cloud project's number, to be notified; without it patients are polled"
            ))
        })?;
        let secret = app.secrets.get(WEBHOOK).ok_or_else(|| {
            wrong(format!(
                "the secret {WEBHOOK} is not set: a long random text that Google sends as Authorization"
            ))
        })?;
        let id = match app.config.options.get(SUBSCRIBER_ID) {
            Some(id) if valid(id) => id.clone(),
            Some(_) => {
                let shape = "4 to 36 of a-z, 0-9 and -, from a letter to a letter or digit";
                return Err(wrong(format!("options.{SUBSCRIBER_ID} should be {shape}")));
            }
            None => usual_id(app.config.name.as_str()),
        };
        let parent = under(&Bases::of(app)?.api, &format!("v4/projects/{project}/subscribers"));
        let types = read(&app.config, &[]).filter(|known| known.announced).map(|known| known.name).collect();
        Ok(Self { parent, id, address, secret, types })
    }

    fn body(&self) -> Value {
        json!({
            "endpointUri": self.address.as_str(),
            "subscriberConfigs": [{ "dataTypes": self.types, "subscriptionCreatePolicy": "AUTOMATIC" }],
            "endpointAuthorization": { "secret": self.secret.expose_secret() },
        })
    }

    /// Whether this subscriber is it. Which secret it has nobody tells.
    fn is(&self, known: &Known) -> bool {
        let automatic = |config: &&Config| config.subscription_create_policy.as_deref() == Some("AUTOMATIC");
        let types: BTreeSet<&str> = known
            .subscriber_configs
            .iter()
            .filter(automatic)
            .flat_map(|config| config.data_types.iter().map(String::as_str))
            .collect();
        let address = known.endpoint_uri.as_deref().and_then(|uri| Url::parse(uri).ok());
        address.as_ref() == Some(self.address)
            && types == self.types
            && known.state.as_deref().is_none_or(|state| state == "ACTIVE")
    }
}

fn valid(id: &str) -> bool {
    (4..=36).contains(&id.len())
        && id.starts_with(|c: char| c.is_ascii_lowercase())
        && !id.ends_with('-')
        && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// `ohx-` and the app's name, as far as that is allowed.
fn usual_id(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    let id: String = format!("ohx-{}", name.to_ascii_lowercase()).chars().map(allowed).take(36).collect();
    format!("{}{}", id.trim_end_matches('-'), if id.trim_end_matches('-').len() < 4 { "-app" } else { "" })
}

struct Admin<'a> {
    http: &'a reqwest::Client,
    token: SecretString,
    app: &'a App,
}

impl Admin<'_> {
    /// Makes the registration what it should be; gives whether anything had to be done.
    async fn ensure(&self, wanted: &Wanted<'_>) -> Result<bool, ProviderError> {
        let listed = self.find(wanted).await?;
        match listed {
            Some(known) if wanted.is(&known) => return Ok(false),
            Some(_) => self.patch(wanted).await?,
            None => self.create(wanted).await?,
        }
        tracing::info!(provider = %self.app.config.name, subscriber = wanted.id, "registered for notifications");
        Ok(true)
    }

    async fn find(&self, wanted: &Wanted<'_>) -> Result<Option<Known>, ProviderError> {
        const CALL: &str = "subscribers list";
        let ours = format!("/subscribers/{}", wanted.id);
        let mut token: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut url = wanted.parent.clone();
            url.query_pairs_mut().append_pair("pageSize", "1000");
            if let Some(token) = &token {
                url.query_pairs_mut().append_pair("pageToken", token);
            }
            let answer = self.send(Method::GET, url, None, CALL).await?;
            if !answer.status.is_success() {
                return Err(self.refused(CALL, &answer));
            }
            let listed: Listed = object(&answer.body).map_err(|problem| malformed(CALL, problem))?;
            let known =
                listed.subscribers.into_iter().filter_map(|s| serde_json::from_value::<Known>(s).ok());
            if let Some(found) = known.into_iter().find(|known| known.name.ends_with(&ours)) {
                return Ok(Some(found));
            }
            match listed.next_page_token.filter(|next| !next.is_empty()) {
                None => return Ok(None),
                next => token = next,
            }
        }
        Err(malformed(CALL, "its pages do not end"))
    }

    async fn create(&self, wanted: &Wanted<'_>) -> Result<(), ProviderError> {
        const CALL: &str = "subscribers create";
        let mut url = wanted.parent.clone();
        url.query_pairs_mut().append_pair("subscriberId", &wanted.id);
        let answer = self.send(Method::POST, url, Some(wanted.body()), CALL).await?;
        match answer.status {
            status if status.is_success() => Ok(()),
            // Somebody was faster.
            StatusCode::CONFLICT => self.patch(wanted).await,
            _ => Err(self.refused(CALL, &answer)),
        }
    }

    async fn patch(&self, wanted: &Wanted<'_>) -> Result<(), ProviderError> {
        const CALL: &str = "subscribers patch";
        let mut url = under(&wanted.parent, &wanted.id);
        url.query_pairs_mut()
            .append_pair("updateMask", "endpoint_uri,subscriber_configs,endpoint_authorization");
        let answer = self.send(Method::PATCH, url, Some(wanted.body()), CALL).await?;
        if answer.status.is_success() { Ok(()) } else { Err(self.refused(CALL, &answer)) }
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        body: Option<Value>,
        call: &str,
    ) -> Result<Answer, ProviderError> {
        let mut request = self.http.request(method, url).bearer_auth(self.token.expose_secret());
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::read(KIND, request.send().await, call).await
    }

    /// A refusal, in the words of who sets this up. The patient's token is not in it, so that nothing of the patient's
    /// helps.
    fn refused(&self, call: &str, answer: &Answer) -> ProviderError {
        let meaning = match (answer.status, names(&answer.body).0.as_deref()) {
            (_, Some("FAILED_PRECONDITION")) => {
                "Google could not verify the notification address: it has to answer 201 to a POST with the secret and 401 \
                 to one without, from the internet"
            }
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => {
                "the service account may not administer subscribers of this project: check its role, the project's number \
                 and that the Google Health API is enabled"
            }
            (StatusCode::NOT_FOUND, _) => {
                "there is no such project: options.project is its number, not its id"
            }
            _ => return refused(call, answer),
        };
        ProviderError::Refused {
            provider: KIND,
            call: call.to_owned(),
            status: format!("HTTP {}", answer.status.as_u16()),
            meaning: meaning.to_owned(),
            remedy: Remedy::Permanent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_shape_that_is_asked_for() {
        for (name, id) in [
            ("fitbit", "ohx-fitbit"),
            ("a", "ohx-a"),
            ("clinic-north", "ohx-clinic-north"),
            (&"x".repeat(60), &format!("ohx-{}", "x".repeat(32))),
        ] {
            assert_eq!(usual_id(name), id);
            assert!(valid(id));
        }
        for wrong in ["abc", "1abc", "abcd-", "Abcd", "ab_cd", &"a".repeat(37), ""] {
            assert!(!valid(wrong), "{wrong}");
        }
    }
}
