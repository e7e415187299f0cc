//! Notifications: signed as Tink does, sent to every subscriber of what has changed.

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::Json;
use axum::extract::State as Shared;
use data_encoding::BASE64;
use ohx_domain::Instant;
use serde_json::{Value, json};

use super::points::instant;
use super::types::Type;
use super::{Simulator, SimulatorError, State};
use crate::faults::take;

pub(super) const VERIFIER: &str = "Google-Health-API-Webhooks-Verifier";
const SENDER: &str = "Google-Health-API-Webhooks";

/// The key that notifications are signed with, and those before it.
pub(super) struct Signer {
    pair: EcdsaKeyPair,
    id: u32,
    /// Public keys by id, the latest last.
    published: Vec<(u32, Vec<u8>)>,
}

impl Signer {
    pub(super) fn new(id: u32) -> Result<Self, SimulatorError> {
        let pair = pair()?;
        let published = vec![(id, pair.public_key().as_ref().to_vec())];
        Ok(Self { pair, id, published })
    }

    /// Version, key id and signature, in base64.
    fn sign(&self, body: &[u8]) -> Option<String> {
        let signature = self.pair.sign(&SystemRandom::new(), body).ok()?;
        Some(BASE64.encode(&[&[1], &self.id.to_be_bytes()[..], signature.as_ref()].concat()))
    }

    fn keyset(&self) -> Value {
        let keys: Vec<Value> = self.published.iter().map(|(id, point)| key(*id, point)).collect();
        json!({ "primaryKeyId": self.id, "key": keys })
    }
}

fn pair() -> Result<EcdsaKeyPair, SimulatorError> {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| SimulatorError::NoKey)
}

/// Tink's EcdsaPublicKey: SHA-256, P-256 and DER, then both coordinates with a zero before them.
fn key(id: u32, point: &[u8]) -> Value {
    let (x, y) = point.get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
    let params = [0x12, 6, 8, 3, 16, 2, 24, 2];
    let value = [&params[..], &[0x1a, 33, 0], x, &[0x22, 33, 0], y].concat();
    json!({
        "keyData": {
            "typeUrl": "type.googleapis.com/google.crypto.tink.EcdsaPublicKey", "value": BASE64.encode(&value),
            "keyMaterialType": "ASYMMETRIC_PUBLIC",
        },
        "status": "ENABLED", "keyId": id, "outputPrefixType": "TINK",
    })
}

/// `GET /keyset.json`.
pub(super) async fn keyset(Shared(sim): Shared<Simulator>) -> Json<Value> {
    *sim.state().stats.calls.entry("keyset".to_owned()).or_insert(0) += 1;
    Json(sim.signer().keyset())
}

/// A notification on its way to one address.
#[derive(Clone)]
struct Delivery {
    endpoint: String,
    secret: Option<String>,
    signature: String,
    body: String,
}

/// A data type, and from when to when something of it changed.
pub(super) type Changed = (String, i64, Option<i64>);

impl Simulator {
    fn signer(&self) -> std::sync::MutexGuard<'_, Signer> {
        self.0.signer.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Signs with a new key from now on. The old one stays published.
    ///
    /// # Errors
    /// [`SimulatorError::NoKey`].
    pub fn rotate_key(&self) -> Result<(), SimulatorError> {
        let pair = pair()?;
        let mut signer = self.signer();
        let id = signer.id.wrapping_add(1);
        signer.published.push((id, pair.public_key().as_ref().to_vec()));
        (signer.pair, signer.id) = (pair, id);
        Ok(())
    }

    /// Tells every subscriber of what has changed of a person who has consented: one notification a type.
    pub(super) fn tell(&self, person: u64, operation: &str, changed: &[Changed]) {
        let deliveries = {
            let mut state = self.state();
            if !state.has_consented(person) {
                return;
            }
            let mut bodies = Vec::new();
            let mut names: Vec<&str> = changed.iter().map(|(name, ..)| name.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names.into_iter().filter(|name| Type::named(name).is_some_and(Type::notifies)) {
                let own: Vec<&Changed> = changed.iter().filter(|(known, ..)| known == name).collect();
                bodies.push((name.to_owned(), state.body(person, operation, name, &own)));
            }
            self.deliveries(&mut state, &bodies)
        };
        self.send(deliveries);
    }

    fn deliveries(&self, state: &mut State, bodies: &[(String, String)]) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        let subscribers: Vec<_> = state.subscribers.values().cloned().collect();
        for subscriber in subscribers {
            let wants = |name: &String| {
                let automatic = |policy: &str| policy == "AUTOMATIC";
                let mut configs = subscriber.subscriber_configs.iter();
                configs.any(|c| automatic(&c.subscription_create_policy) && c.data_types.contains(name))
            };
            for (_, body) in bodies.iter().filter(|(name, _)| wants(name)) {
                if take(&mut state.faults.lose) {
                    state.stats.notify_lost += 1;
                    continue;
                }
                let signed = if take(&mut state.faults.forge) { "another body" } else { body.as_str() };
                let Some(signature) = self.signer().sign(signed.as_bytes()) else { continue };
                let bare = take(&mut state.faults.bare);
                let secret = subscriber.endpoint_authorization.as_ref().map(|a| a.secret.clone());
                let endpoint = subscriber.endpoint_uri.clone();
                let secret = secret.filter(|_| !bare);
                let delivery = Delivery { endpoint, secret, signature, body: body.clone() };
                if take(&mut state.faults.double) {
                    deliveries.push(delivery.clone());
                }
                deliveries.push(delivery);
            }
        }
        deliveries
    }

    /// Sends in the background. Outside of an asynchronous runtime nobody can: they are lost.
    fn send(&self, deliveries: Vec<Delivery>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            self.state().stats.notify_lost += deliveries.len() as u64;
            return;
        };
        for delivery in deliveries {
            self.0.in_flight.send_modify(|count| *count += 1);
            let sim = self.clone();
            runtime.spawn(async move {
                let delivered = sim.attempt(&delivery).await;
                {
                    let stats = &mut sim.state().stats;
                    let counter =
                        if delivered { &mut stats.notify_delivered } else { &mut stats.notify_failed };
                    *counter += 1;
                }
                sim.0.in_flight.send_modify(|count| *count -= 1);
            });
        }
    }

    async fn attempt(&self, delivery: &Delivery) -> bool {
        let mut waited = Duration::ZERO;
        for round in &self.0.config.notify_rounds {
            tokio::time::sleep(round.saturating_sub(waited)).await;
            waited = *round;
            self.state().stats.notify_attempts += 1;
            let mut request = self
                .0
                .http
                .post(&delivery.endpoint)
                .timeout(self.0.config.notify_timeout)
                .header("content-type", "application/json")
                .header("user-agent", SENDER)
                .header("google-health-api-signature", &delivery.signature)
                .body(delivery.body.clone());
            if let Some(secret) = &delivery.secret {
                request = request.header("authorization", secret);
            }
            if request.send().await.is_ok_and(|reply| reply.status().is_success()) {
                return true;
            }
        }
        false
    }
}

impl State {
    /// What a notification says; every other one comes as a list.
    fn body(&mut self, person: u64, operation: &str, name: &str, changed: &[&Changed]) -> String {
        let Some(account) = self.persons.get(&person) else { return String::new() };
        let civil = |second: i64| {
            let at = Instant::from_second(second).unwrap_or_default();
            account.zone.to_datetime(at).strftime("%Y-%m-%dT%H:%M:%S").to_string()
        };
        let intervals: Vec<Value> = changed
            .iter()
            .map(|(_, start, end)| {
                let end = end.filter(|end| end > start).unwrap_or(start + 1);
                json!({
                    "physicalTimeInterval": { "startTime": instant(*start), "endTime": instant(end) },
                    "civilIso8601TimeInterval": { "startTime": civil(*start), "endTime": civil(end) },
                })
            })
            .collect();
        let one = json!({ "data": {
            "version": "1", "clientProvidedSubscriptionName": "subscriptions/sandbox",
            "healthUserId": person.to_string(), "operation": operation, "dataType": name, "intervals": intervals,
        } });
        self.told += 1;
        if self.told.is_multiple_of(2) { json!([one]).to_string() } else { one.to_string() }
    }
}
