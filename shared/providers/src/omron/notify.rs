//! Notifications: one address an app, which OMRON's staff register by hand, and nothing that proves who calls it but
//! that the address is known.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::{Method, StatusCode};
use jiff::tz::TimeZone;
use ohx_domain::{Account, Instant, Interval, Record};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::value::RawValue;
use url::{Url, form_urlencoded};

use super::records::{RECORDS, overlap, record};
use super::{NOTIFICATIONS, WEBHOOK, WEBHOOK_PREVIOUS, wrong};
use crate::loose::Text;
use crate::wire::object;
use crate::{App, Notification, Notified, ProviderError, Received, Subscriptions, WebhookRequest};

/// The shortest secret, in characters: 120 random bits in Base64.
const SHORTEST: usize = 20;
/// Clocks differ by as much.
const MARGIN: Duration = Duration::from_secs(60);
/// An upload longer ago than this is not believed: the call is not signed, and must not make us read years.
const OLDEST: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// A secret that can stand in an address, and that nobody guesses.
fn secret<'a>(app: &'a App, name: &str) -> Option<&'a SecretString> {
    let fit = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let good = |text: &str| text.len() >= SHORTEST && text.bytes().all(fit);
    app.secrets.get(name).filter(|secret| good(secret.expose_secret()))
}

/// Whether OMRON notifies us, as far as that can be known: the operator says so.
pub(super) fn registered(app: &App, address: &Url) -> Result<Subscriptions, ProviderError> {
    let told = |what: &str| {
        let problem = format!(
            "{what}. OMRON's staff register the address for notifications by hand: store a random secret `{WEBHOOK}` \
             of {SHORTEST} or more letters, digits, - and _, have them register {address}/<that secret>, then set options.{NOTIFICATIONS} to \
             registered. Until then readings come by polling"
        );
        Err(wrong(app, problem))
    };
    if secret(app, WEBHOOK).is_none() {
        return told("there is no usable secret for notifications");
    }
    match app.config.options.get(NOTIFICATIONS).map(String::as_str) {
        Some("registered") => Ok(Subscriptions { kept: 1, made: 0, refused: 0 }),
        _ => told("notifications are not said to be registered"),
    }
}

/// Reads a call to the app's address. With the right token the answer is always an empty 200: OMRON tries once more
/// otherwise, and nobody may learn which ids are known.
pub(super) fn receive(app: &App, request: &WebhookRequest<'_>) -> Received {
    let refused = |why: &str| Received::Refused { answer: StatusCode::NOT_FOUND, why: why.to_owned() };
    let expected: Vec<&SecretString> =
        [WEBHOOK, WEBHOOK_PREVIOUS].iter().filter_map(|name| secret(app, name)).collect();
    if secret(app, WEBHOOK).is_none() {
        return refused(
            "the app has no usable secret `webhook`, so that its address cannot be told from a guess",
        );
    }
    let Some(token) = request.token else { return refused("the address lacks its token") };
    let same = |secret: &&SecretString| {
        verify_slices_are_equal(token.as_bytes(), secret.expose_secret().as_bytes()).is_ok()
    };
    // All of them are compared, whichever it is.
    if expected.iter().filter(|secret| same(secret)).count() == 0 {
        return refused("the address ends in another token");
    }
    if request.method != Method::POST {
        return Received::Handshake(StatusCode::OK);
    }
    let notified = Told::read(request.body).map(|told| told.notified(app, request.now));
    if notified.is_none() {
        tracing::warn!("a notification of OMRON names no user: it is answered, and nothing else");
    }
    Received::Notified { answer: StatusCode::OK, notified: notified.into_iter().collect() }
}

/// What a notification says, as text.
struct Told {
    id: String,
    timestamp: Option<String>,
    topic: Option<String>,
}

impl Told {
    /// JSON, or a form as one client tolerates.
    fn read(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Json<'a> {
            #[serde(borrow, default)]
            id: Option<&'a RawValue>,
            #[serde(borrow, default)]
            timestamp: Option<&'a RawValue>,
            #[serde(borrow, default, rename = "type")]
            topic: Option<&'a RawValue>,
        }
        let text = |raw: Option<&RawValue>| {
            let text: Text = serde_json::from_str(raw?.get()).ok()?;
            Some(text.0.trim().to_owned()).filter(|text| !text.is_empty())
        };
        if let Ok(json) = object::<Json<'_>>(body) {
            let (timestamp, topic) = (text(json.timestamp), text(json.topic));
            return Some(Self { id: text(json.id)?, timestamp, topic });
        }
        let field = |wanted: &str| {
            let mut fields = form_urlencoded::parse(body);
            let found = fields.find(|(name, _)| name == wanted).map(|(_, value)| value.trim().to_owned());
            found.filter(|text| !text.is_empty())
        };
        Some(Self { id: field("id")?, timestamp: field("timestamp"), topic: field("type") })
    }

    fn notified(self, app: &App, now: Instant) -> Notified {
        let what = Notification::Changed { records: self.records(), window: self.window(app, now) };
        Notified { account: Account::new(self.id), what }
    }

    /// What may have news: what it names, else everything.
    fn records(&self) -> Vec<Record> {
        let letters = |text: &str| -> String {
            text.chars().filter(char::is_ascii_alphabetic).map(|c| c.to_ascii_lowercase()).collect()
        };
        let named = self.topic.as_deref().map(letters);
        match RECORDS.iter().find(|known| named.as_deref() == Some(**known)) {
            Some(name) => vec![record(name)],
            None => RECORDS.iter().map(|name| record(name)).collect(),
        }
    }

    /// When the upload was; the present where it does not say, or says what cannot be.
    fn uploaded(&self, now: Instant) -> Instant {
        let text = self.timestamp.as_deref().unwrap_or_default();
        let at = match text.parse::<i64>() {
            // Milliseconds; seconds would be in January 1970.
            Ok(number) if number.unsigned_abs() < 100_000_000_000 => Instant::from_second(number).ok(),
            Ok(number) => Instant::from_millisecond(number).ok(),
            Err(_) => text.parse().ok().or_else(|| {
                let civil: jiff::civil::DateTime = text.parse().ok()?;
                TimeZone::UTC.to_timestamp(civil).ok()
            }),
        };
        at.unwrap_or(now).clamp(now - OLDEST, now)
    }

    /// From the day of the upload, less what a device may have held back, to now.
    fn window(&self, app: &App, now: Instant) -> Interval {
        let day = TimeZone::UTC.to_datetime(self.uploaded(now)).date();
        let midnight = TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)).unwrap_or(now);
        Interval { start: midnight - overlap(&app.config), end: now + MARGIN }
    }
}
