//! Notifications: one address an app, tried out with a code, and signed with the client's secret.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use data_encoding::BASE64;
use http::{Method, StatusCode};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use ohx_domain::{Account, Instant, Interval};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::form_urlencoded;

use super::subscribe::REVOKED;
use super::{KIND, WEBHOOK, records};
use crate::loose::Text;
use crate::wire::{malformed, position};
use crate::{App, Notification, Notified, ProviderError, Received, WebhookRequest};

const SIGNATURE: &str = "x-fitbit-signature";
/// The account has been closed.
const DELETED: &str = "deleteUser";

/// A day begins at most so long before it does in UTC, and ends at most so long after.
const EARLY: Duration = Duration::from_secs(14 * 60 * 60);
const LATE: Duration = Duration::from_secs(12 * 60 * 60);
/// Clocks differ by as much.
const MARGIN: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A day longer ago is not looked at: somebody has typed in what was forgotten, and nothing is urgent about it.
const OLDEST: Duration = DAY.saturating_mul(31);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    #[serde(default)]
    collection_type: Option<String>,
    #[serde(default)]
    date: Option<String>,
    #[serde(default)]
    owner_id: Option<Text>,
}

/// Whether the signature is that of the body: HMAC-SHA1, keyed with the client's secret and an ampersand.
fn is_signed(secret: &SecretString, body: &[u8], signature: &[u8]) -> bool {
    let key = format!("{}&", secret.expose_secret());
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
    BASE64.decode(signature.trim_ascii()).is_ok_and(|tag| hmac::verify(&key, body, &tag).is_ok())
}

/// Reads a request to the app's address.
pub(super) fn receive(app: &App, request: &WebhookRequest<'_>) -> Result<Received, ProviderError> {
    let refused = |why: &str| Received::Refused { answer: StatusCode::NOT_FOUND, why: why.to_owned() };
    if request.method != Method::POST {
        let mut query = form_urlencoded::parse(request.query.as_bytes());
        let code = query.find(|(name, _)| name == "verify").map(|(_, code)| code.into_owned());
        let expected = app.secrets.get(WEBHOOK).filter(|secret| !secret.expose_secret().is_empty());
        return Ok(match (code, expected) {
            (None, _) => refused("it brings no verification code"),
            (_, None) => refused("the app has no secret `webhook`, the verification code"),
            (Some(code), Some(expected)) => {
                let expected = expected.expose_secret().as_bytes();
                match verify_slices_are_equal(code.as_bytes(), expected) {
                    Ok(()) => Received::Handshake(StatusCode::NO_CONTENT),
                    // Fitbit tries a wrong one, too, and wants to hear this.
                    Err(_) => Received::Handshake(StatusCode::NOT_FOUND),
                }
            }
        });
    }
    let Some(signature) = request.headers.get(SIGNATURE) else { return Ok(refused("it is not signed")) };
    if !is_signed(&app.secret, request.body, signature.as_bytes()) {
        return Ok(refused("its signature is not of the app's client secret"));
    }
    let told = read(request.body).map_err(|e| malformed(KIND, "a notification", position(&e)))?;
    let mut seen = BTreeSet::new();
    let mut notified = Vec::new();
    for one in told {
        let Some(owner) = one.owner_id.map(|text| text.0).filter(|owner| !owner.is_empty()) else {
            tracing::warn!("a notification of Fitbit names no user: it is left out");
            continue;
        };
        let collection = one.collection_type.unwrap_or_default();
        let date: Option<Date> = one.date.as_deref().and_then(|date| date.get(..10)?.parse().ok());
        if seen.insert((owner.clone(), collection.clone(), date)) {
            let what = what(&collection, date, request.now);
            notified.push(Notified { account: Account::new(owner), what });
        }
    }
    Ok(Received::Notified { answer: StatusCode::NO_CONTENT, notified })
}

/// A list, or the one.
fn read(body: &[u8]) -> serde_json::Result<Vec<Told>> {
    match body.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(body).map(|one| vec![one]),
        _ => serde_json::from_slice(body),
    }
}

fn what(collection: &str, date: Option<Date>, now: Instant) -> Notification {
    if matches!(collection, REVOKED | DELETED) {
        return Notification::Revoked;
    }
    let records = records::of_collection(collection);
    if records.is_empty() {
        let topic = if collection == "foods" { "foods" } else { "other" };
        return Notification::Irrelevant { topic: topic.to_owned() };
    }
    Notification::Changed { records, window: window(date, now) }
}

/// The local day in whatever zone it is; the last two days where it is not said.
fn window(date: Option<Date>, now: Instant) -> Interval {
    let midnight = |date: Date| TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok();
    let day = date.and_then(|date| Some((midnight(date)? - EARLY, midnight(date.tomorrow().ok()?)? + LATE)));
    let (start, end) = day.unwrap_or((now - DAY.saturating_mul(2), now));
    let end = end.clamp(now - OLDEST + DAY, now + MARGIN);
    Interval { start: start.clamp(now - OLDEST, end - DAY), end }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_published_algorithms() {
        let secret = "123ab4567c890d123e4567f8abcdef9a".into();
        let body = br#"[{"collectionType":"sleep","date":"2026-06-01","ownerId":"184X36","ownerType":"user","subscriptionId":"sub-1"}]"#;
        let signature = b"sOrRyNcpNX/ZX03S6FUTNHUCNw0=";
        assert!(is_signed(&secret, body, signature));
        assert!(!is_signed(&"123ab4567c890d123e4567f8abcdef9b".into(), body, signature));
        assert!(!is_signed(&secret, &body[..body.len() - 1], signature));
        for wrong in ["", "sOrRyNcpNX/ZX03S6FUTNHUCNw0", "AAAAyNcpNX/ZX03S6FUTNHUCNw0=", "not base64"] {
            assert!(!is_signed(&secret, body, wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn a_window_is_the_day_in_any_zone_and_never_empty() {
        let now: Instant = "2026-06-01T21:00:00Z".parse().unwrap();
        let shown = |date: Option<&str>| {
            let window = window(date.map(|date| date.parse().unwrap()), now);
            assert!(window.start < window.end && window.end <= now + MARGIN && window.start >= now - OLDEST);
            format!("{} {}", window.start, window.end)
        };
        assert_eq!(shown(Some("2026-05-20")), "2026-05-19T10:00:00Z 2026-05-21T12:00:00Z");
        assert_eq!(shown(Some("2026-06-01")), "2026-05-31T10:00:00Z 2026-06-01T21:01:00Z");
        assert_eq!(shown(Some("2026-06-02")), "2026-05-31T21:01:00Z 2026-06-01T21:01:00Z");
        assert_eq!(shown(None), "2026-05-30T21:00:00Z 2026-06-01T21:00:00Z");
        for far in ["2001-01-01", "9999-12-30", "-009999-01-01"] {
            shown(Some(far));
        }
    }
}
