//! Notifications to the app's address, proven as the contract says.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use http::{Method, StatusCode};
use ohx_domain::{Account, Instant, Interval, Record};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::value::RawValue;

use super::document::{Algorithm, Contract, Encoding, Webhook};
use super::{KIND, WEBHOOK, WEBHOOK_PREVIOUS, pointer};
use crate::wire::{malformed, position};
use crate::{App, Notification, Notified, ProviderError, Received, WebhookRequest};

const CALL: &str = "a notification";
/// The shortest secret, in characters.
const SHORTEST: usize = 20;
/// Clocks differ by as much.
const MARGIN: Duration = Duration::from_secs(60);
/// The most events in one body.
const MOST: usize = 1000;

/// A secret that is long enough not to be guessed.
fn secrets(app: &App) -> Vec<&SecretString> {
    let named = [WEBHOOK, WEBHOOK_PREVIOUS].into_iter().filter_map(|name| app.secrets.get(name));
    named.filter(|secret| secret.expose_secret().len() >= SHORTEST).collect()
}

/// Whether notifications can be received.
///
/// # Errors
/// What is missing.
pub(super) fn ready<'c>(app: &App, contract: &'c Contract) -> Result<&'c Webhook, String> {
    let webhook = contract.webhook.as_ref();
    let webhook = webhook.ok_or("the contract has no webhook: readings come by polling")?;
    if secrets(app).is_empty() {
        return Err(format!("secrets.{WEBHOOK} should be at least {SHORTEST} characters long"));
    }
    Ok(webhook)
}

fn is_proven(webhook: &Webhook, secret: &SecretString, sent: &[u8], body: &[u8]) -> bool {
    let algorithm = match webhook.algorithm {
        Algorithm::SharedSecret => {
            return verify_slices_are_equal(sent, secret.expose_secret().as_bytes()).is_ok();
        }
        Algorithm::HmacSha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Algorithm::HmacSha256 => hmac::HMAC_SHA256,
    };
    let tag = match webhook.encoding {
        Encoding::Hex => HEXLOWER_PERMISSIVE.decode(sent),
        Encoding::Base64 => BASE64.decode(sent),
    };
    let key = hmac::Key::new(algorithm, secret.expose_secret().as_bytes());
    tag.is_ok_and(|tag| hmac::verify(&key, body, &tag).is_ok())
}

/// Reads a call to the app's address.
///
/// # Errors
/// [`ProviderError::Malformed`] for a proven body that is not as the contract says.
pub(super) fn receive(
    app: &App,
    contract: &Contract,
    request: &WebhookRequest<'_>,
) -> Result<Received, ProviderError> {
    let refused = |answer: StatusCode, why: &str| Ok(Received::Refused { answer, why: why.to_owned() });
    let webhook = match ready(app, contract) {
        Ok(webhook) => webhook,
        Err(why) => return refused(StatusCode::NOT_FOUND, &why),
    };
    if request.method != Method::POST {
        return refused(StatusCode::METHOD_NOT_ALLOWED, "notifications are posted");
    }
    let mut sent = request.headers.get_all(&webhook.header).iter();
    let (Some(header), None) = (sent.next(), sent.next()) else {
        return refused(StatusCode::NOT_FOUND, "the header of the contract's webhook is not there once");
    };
    let Some(sent) = header.as_bytes().trim_ascii().strip_prefix(webhook.prefix.as_bytes()) else {
        return refused(StatusCode::NOT_FOUND, "the header lacks the prefix of the contract's webhook");
    };
    // All secrets are tried, whichever it is.
    let proofs = secrets(app).into_iter().filter(|secret| is_proven(webhook, secret, sent, request.body));
    if proofs.count() == 0 {
        return refused(StatusCode::NOT_FOUND, "the header does not prove the origin");
    }
    let answer = StatusCode::from_u16(webhook.answer).unwrap_or(StatusCode::OK);
    let body: &RawValue =
        serde_json::from_slice(request.body).map_err(|e| malformed(KIND, CALL, position(&e)))?;
    let events: Vec<&RawValue> = match &webhook.events {
        None => vec![body],
        Some(at) => match pointer::find(body, at) {
            None => Vec::new(),
            Some(list) => {
                serde_json::from_str(list.get()).map_err(|e| malformed(KIND, CALL, position(&e)))?
            }
        },
    };
    if events.len() > MOST {
        return Err(malformed(KIND, CALL, format!("it has more than {MOST} events")));
    }
    let all = events.len();
    let notified: Vec<Notified> =
        events.into_iter().filter_map(|event| told(contract, webhook, event, request.now)).collect();
    if notified.len() < all {
        tracing::warn!(events = all - notified.len(), "events of a notification that name no user");
    }
    Ok(Received::Notified { answer, notified })
}

/// Whose an event is, and what it says. Nothing of it is believed but that it is worth looking.
fn told(contract: &Contract, webhook: &Webhook, event: &RawValue, now: Instant) -> Option<Notified> {
    let account = pointer::text(event, &webhook.account).filter(|id| pointer::is_name(id, 256))?;
    let topic = webhook.topic.as_ref().and_then(|at| pointer::text(event, at));
    let what = match topic.as_deref() {
        Some(topic) if webhook.revoked.iter().any(|word| word == topic) => Notification::Revoked,
        Some(topic) if !webhook.records.is_empty() => {
            match webhook.records.get(topic).and_then(|name| name.parse().ok()) {
                Some(record) => changed(contract, vec![record], now),
                None => Notification::Irrelevant { topic: "another topic".into() },
            }
        }
        _ => {
            let all = contract.records.keys().filter_map(|name| name.parse().ok()).collect();
            changed(contract, all, now)
        }
    };
    Some(Notified { account: Account::new(account), what })
}

fn changed(contract: &Contract, records: Vec<Record>, now: Instant) -> Notification {
    let window = Interval { start: now - super::overlap(contract), end: now + MARGIN };
    Notification::Changed { records, window }
}
