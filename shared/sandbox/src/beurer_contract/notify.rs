//! Notifications, proven as the contract says.

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};

use super::{Simulator, data};

impl Simulator {
    /// The body of a notification about persons, each with a topic in the contract's own words, and the header that
    /// proves it: name and value.
    pub fn notification(&self, events: &[(&str, &str)]) -> (String, String, String) {
        let event = |(person, topic): &(&str, &str)| {
            let mut event = json!({});
            data::set(&mut event, self.said("/webhook/account").unwrap_or_default(), json!(person));
            if let Some(place) = self.said("/webhook/topic") {
                data::set(&mut event, place, json!(topic));
            }
            event
        };
        let all: Vec<Value> = events.iter().map(event).collect();
        let body = match self.said("/webhook/events") {
            Some(place) => {
                let mut body = json!({});
                data::set(&mut body, place, Value::Array(all));
                body
            }
            None => all.into_iter().next().unwrap_or_default(),
        };
        let body = body.to_string();
        let secret = self.0.config.webhook_secret.as_bytes();
        let encode = |tag: &[u8]| match self.said("/webhook/encoding") {
            Some("base64") => BASE64.encode(tag),
            _ => HEXLOWER.encode(tag),
        };
        let proof = match self.said("/webhook/algorithm") {
            Some("hmac-sha256") => Hmac::<sha2::Sha256>::new_from_slice(secret)
                .map(|mac| encode(&mac.chain_update(&body).finalize().into_bytes()))
                .unwrap_or_default(),
            Some("hmac-sha1") => {
                let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
                encode(aws_lc_rs::hmac::sign(&key, body.as_bytes()).as_ref())
            }
            _ => self.0.config.webhook_secret.clone(),
        };
        let prefix = self.said("/webhook/prefix").unwrap_or_default();
        (body, self.said("/webhook/header").unwrap_or_default().to_owned(), format!("{prefix}{proof}"))
    }

    /// Sends one, and gives the status of the answer.
    ///
    /// # Errors
    /// The client's.
    pub async fn notify(&self, address: &str, events: &[(&str, &str)]) -> reqwest::Result<u16> {
        let (body, name, value) = self.notification(events);
        let request = self.0.http.post(address).header("content-type", "application/json");
        Ok(request.header(name, value).body(body).send().await?.status().as_u16())
    }
}
