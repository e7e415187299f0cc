//! Withings' signed calls: `getnonce` needs no user, so it tells whether the app's own credentials are right.

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use ohx_domain::Instant;
use secrecy::ExposeSecret as _;
use url::Url;

use super::call::Answer;
use super::status::{Endpoint, refused};
use crate::bases::under;
use crate::{App, Credentials, ProviderError};

const CALL: &str = "v2/signature getnonce";

/// What is in an envelope's status where the signature is wrong, or the client is not known.
const BAD_SIGNATURE: i64 = 342;

/// The values of the signed parameters, in the order of their names, under the client's secret.
fn sign(secret: &str, values: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    HEXLOWER.encode(hmac::sign(&key, values.as_bytes()).as_ref())
}

/// Asks for a nonce, and uses it for nothing.
pub(super) async fn check(
    http: &reqwest::Client,
    api: &Url,
    app: &App,
    now: Instant,
) -> Result<Credentials, ProviderError> {
    let (client, timestamp) = (&app.config.client_id, now.as_second().to_string());
    let signature = sign(app.secret.expose_secret(), &format!("getnonce,{client},{timestamp}"));
    let form =
        [("action", "getnonce"), ("client_id", client), ("timestamp", &timestamp), ("signature", &signature)];
    let sent = http.post(under(api, "v2/signature")).form(&form).send().await;
    let answer = Answer::read(sent, CALL).await?;
    match answer.envelope(CALL, Endpoint::Api)? {
        (0, _) => Ok(Credentials::Accepted),
        (BAD_SIGNATURE, _) => Ok(Credentials::Refused),
        (status, _) => Err(refused(CALL, status, Endpoint::Api)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_the_documented_ones() {
        let expected = "620643d4d58fa2951a982792c2d641b6d07f8e55854bd889aa6fdb3748c64e0e";
        assert_eq!(sign("s3cr3t", "getnonce,abc123,1700000000"), expected);
    }
}
