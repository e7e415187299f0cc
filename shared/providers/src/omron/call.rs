//! One call: form out, envelope in.

use http::StatusCode;
use http::header::ACCEPT;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use super::KIND;
use super::status::{self, Said};
use crate::ProviderError;
use crate::bases::under;
use crate::loose::Number;
use crate::wire::{self, malformed, object};

/// What every call for data needs.
pub(super) struct Caller<'a> {
    pub(super) http: &'a reqwest::Client,
    pub(super) api: Url,
    pub(super) access_token: &'a SecretString,
}

impl Caller<'_> {
    /// Posts `form` to `path` with the access token. `call` names it in errors.
    pub(super) async fn post(
        &self,
        path: &str,
        form: &[(&str, &str)],
        call: &str,
    ) -> Result<Answer, ProviderError> {
        let request = self.http.post(under(&self.api, path)).bearer_auth(self.access_token.expose_secret());
        let request = request.header(ACCEPT, "application/json").form(form);
        wire::Answer::read(KIND, request.send().await, call).await.map(Answer)
    }
}

/// An answer, which may hold an envelope.
pub(super) struct Answer(wire::Answer);

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default)]
    status: Option<Number>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
}

impl Answer {
    /// The envelope's result.
    ///
    /// # Errors
    /// What the HTTP status, or else the envelope's status says; [`ProviderError::Malformed`].
    pub(super) fn result(&self, call: &str) -> Result<&RawValue, ProviderError> {
        let answer = &self.0;
        let said = || Said::read(&answer.body);
        if answer.status != StatusCode::OK {
            return Err(status::refused_http(call, answer.status, answer.retry_after(), &said()));
        }
        let envelope: Envelope<'_> =
            object(&answer.body).map_err(|problem| malformed(KIND, call, problem))?;
        match (envelope.status, envelope.result) {
            (Some(Number(0)) | None, Some(result)) => Ok(result),
            (Some(Number(0)), None) => Err(malformed(KIND, call, "status 0, but no result".into())),
            (None, None) => Err(malformed(KIND, call, "neither a status nor a result".into())),
            (Some(Number(status)), _) => Err(status::refused(call, status, answer.retry_after(), &said())),
        }
    }
}
