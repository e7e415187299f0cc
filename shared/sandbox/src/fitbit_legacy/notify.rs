//! Subscriptions, the one subscriber, and what it is told.

use std::collections::BTreeSet;

use aws_lc_rs::hmac;
use axum::http::{HeaderMap, Method};
use data_encoding::BASE64;
use jiff::civil::Date;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::oauth::Caller;
use super::wire::{Answer, Refusal};
use super::{Simulator, SimulatorError};
use crate::faults::take;

/// Collections, and the scope that each needs.
const COLLECTIONS: [(&str, &[&str]); 5] = [
    ("activities", &["activity", "heartrate", "cardio_fitness"]),
    ("body", &["weight"]),
    ("foods", &["nutrition"]),
    ("sleep", &["sleep", "heartrate", "oxygen_saturation", "respiratory_rate", "temperature"]),
    ("userRevokedAccess", &[]),
];

#[derive(Debug, Clone)]
pub(super) struct Subscription {
    pub(super) person: String,
    collection: &'static str,
    /// Which of the client's subscribers it names.
    subscriber: String,
}

/// The collection that a record's news are told of.
fn collection_of(record: &str) -> Option<&'static str> {
    match record {
        "weight" | "fat" => Some("body"),
        "heart" | "heart-intraday" | "activities" | "exercise" | "cardioscore" => Some("activities"),
        "hrv" | "spo2" | "br" | "sleep" | "temp-skin" => Some("sleep"),
        _ => None,
    }
}

/// `POST /1/user/-/{collection}/apiSubscriptions/{id}.json`.
pub(super) fn subscriptions(
    sim: &Simulator,
    caller: &Caller,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Result<Answer, Refusal> {
    let rest = path.strip_prefix("1/user/-/").ok_or_else(Refusal::not_found)?;
    let (collection, id) = rest.split_once("/apiSubscriptions/").ok_or_else(Refusal::not_found)?;
    let id = id.strip_suffix(".json").filter(|id| !id.is_empty()).ok_or_else(Refusal::not_found)?;
    let known = COLLECTIONS.iter().find(|(name, _)| *name == collection).ok_or_else(Refusal::validation)?;
    if !known.1.is_empty() && known.1.iter().all(|scope| caller.needs(scope).is_err()) {
        return Err(Refusal::new(403, "insufficient_scope"));
    }
    let mut state = sim.state();
    if method == Method::DELETE {
        let found = state.subscriptions.remove(id);
        return found.map(|_| Answer::Empty(204)).ok_or_else(Refusal::not_found);
    }
    let subscriber =
        headers.get("X-Fitbit-Subscriber-Id").and_then(|value| value.to_str().ok()).unwrap_or("1");
    let status = match state.subscriptions.get(id) {
        Some(held) if held.person == caller.person && held.collection == known.0 => 200,
        Some(_) => return Err(Refusal::new(409, "conflict")),
        None => 201,
    };
    let body = json!({
        "collectionType": known.0, "ownerId": caller.person, "ownerType": "user",
        "subscriberId": subscriber, "subscriptionId": id,
    });
    let (person, subscriber) = (caller.person.clone(), subscriber.to_owned());
    state.subscriptions.insert(id.to_owned(), Subscription { person, collection: known.0, subscriber });
    Ok(Answer::Status(status, body.to_string()))
}

impl Simulator {
    /// Registers where notifications go, as the developer site does: it is tried with its code and with another one.
    ///
    /// # Errors
    /// [`SimulatorError::NotVerified`].
    pub async fn register_subscriber(&self, url: &str, code: &str) -> Result<(), SimulatorError> {
        for (verify, expected) in
            [(code.to_owned(), StatusCode::NO_CONTENT), (format!("{code}-not"), StatusCode::NOT_FOUND)]
        {
            let request =
                self.0.http.get(url).query(&[("verify", verify)]).timeout(self.0.config.notify_timeout);
            match request.send().await {
                Ok(reply) if reply.status() == expected => {}
                _ => return Err(SimulatorError::NotVerified),
            }
        }
        self.state().subscriber = Some(url.to_owned());
        Ok(())
    }

    /// How many subscriptions a person has, and by which subscriber.
    pub fn subscriptions(&self, person: &str) -> (usize, BTreeSet<String>) {
        let state = self.state();
        let own = || state.subscriptions.values().filter(|held| held.person == person);
        (own().count(), own().map(|held| held.subscriber.clone()).collect())
    }

    pub(super) fn notify_of(&self, person: &str, record: &str, dates: &[Date]) {
        let Some(collection) = collection_of(record) else { return };
        let dates: BTreeSet<&Date> = dates.iter().collect();
        let told =
            dates.into_iter().map(|date| json!({ "collectionType": collection, "date": date.to_string() }));
        self.tell(person, collection, told.collect());
    }

    pub(super) fn notify_end(&self, person: &str, account_closed: bool) {
        let collection = if account_closed { "deleteUser" } else { "userRevokedAccess" };
        self.tell(person, "userRevokedAccess", vec![json!({ "collectionType": collection })]);
    }

    /// One batch, for each of the person's subscriptions of this collection.
    fn tell(&self, person: &str, collection: &str, told: Vec<Value>) {
        let (url, batch, times) = {
            let mut state = self.state();
            let Some(url) = state.subscriber.clone() else { return };
            let ids = state.subscriptions.iter();
            let ids = ids.filter(|(_, held)| held.person == person && held.collection == collection);
            let batch: Vec<Value> = ids
                .flat_map(|(id, _)| {
                    told.iter().cloned().map(move |mut one| {
                        one["ownerId"] = json!(person);
                        one["ownerType"] = json!("user");
                        one["subscriptionId"] = json!(id);
                        one
                    })
                })
                .collect();
            let lost = !batch.is_empty() && take(&mut state.faults.lose);
            let doubled = !batch.is_empty() && !lost && take(&mut state.faults.double);
            (url, batch, if lost { 0 } else { 1 + u32::from(doubled) })
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if batch.is_empty() {
            return;
        }
        let body = Value::from(batch).to_string();
        let key = format!("{}&", self.0.config.client_secret);
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
        let signature = BASE64.encode(hmac::sign(&key, body.as_bytes()).as_ref());
        for _ in 0..times {
            self.0.in_flight.send_modify(|count| *count += 1);
            let (sim, url, body, signature) = (self.clone(), url.clone(), body.clone(), signature.clone());
            runtime.spawn(async move {
                let request = sim.0.http.post(url).header("X-Fitbit-Signature", signature);
                let request = request.header("Content-Type", "application/json").body(body);
                let reply = request.timeout(sim.0.config.notify_timeout).send().await;
                let delivered = reply.is_ok_and(|reply| reply.status() == StatusCode::NO_CONTENT);
                {
                    let mut state = sim.state();
                    state.stats.notify_delivered += u64::from(delivered);
                    state.stats.notify_failed += u64::from(!delivered);
                }
                sim.0.in_flight.send_modify(|count| *count -= 1);
            });
        }
    }
}
