//! One call: form out, envelope in.

use http::StatusCode;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use super::KIND;
use super::status::{Endpoint, NOT_IN_PLAN, refused, refused_http};
use crate::bases::under;
use crate::loose::Number;
use crate::wire::object;
use crate::{ProviderError, wire};

/// What every API call needs.
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
        let request = self.http.post(under(&self.api, path)).bearer_auth(self.bearer()).form(form);
        Answer::read(request.send().await, call).await
    }

    /// Posts `form` and the data fields that are wanted. A plan without heart rate variability may answer with a
    /// refusal of everything: then once more without it. Nothing of that is remembered, as a plan can change.
    pub(super) async fn post_for(
        &self,
        path: &str,
        form: &[(&str, &str)],
        fields: &[&str],
        call: &str,
    ) -> Result<Answer, ProviderError> {
        let all = fields.join(",");
        let answer = self.post(path, &[form, &[("data_fields", all.as_str())]].concat(), call).await?;
        let basic: Vec<&str> = fields.iter().copied().filter(|field| !is_variability(field)).collect();
        let refused = matches!(answer.envelope(call, Endpoint::Api), Ok((NOT_IN_PLAN, _)));
        if !refused || basic.len() == fields.len() {
            return Ok(answer);
        }
        let basic = basic.join(",");
        self.post(path, &[form, &[("data_fields", basic.as_str())]].concat(), call).await
    }
}

/// Whether a data field is of heart rate variability, which needs a plan of its own.
fn is_variability(field: &str) -> bool {
    ["rmssd", "sdnn", "hrv_"].iter().any(|start| field.starts_with(start))
}

/// An answer, which may hold an envelope.
pub(super) struct Answer(wire::Answer);

#[derive(Deserialize)]
struct Envelope<'a> {
    status: Number,
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
}

impl Answer {
    pub(super) async fn read(
        response: reqwest::Result<reqwest::Response>,
        call: &str,
    ) -> Result<Self, ProviderError> {
        wire::Answer::read(KIND, response, call).await.map(Self)
    }

    /// The envelope's status and body, whatever the status says.
    ///
    /// An envelope counts over a 4xx around it; a 429 or 5xx counts over whatever it brings.
    pub(super) fn envelope(
        &self,
        call: &str,
        endpoint: Endpoint,
    ) -> Result<(i64, Option<&RawValue>), ProviderError> {
        let refuse = || refused_http(call, self.0.status, self.0.retry_after(), endpoint);
        if self.0.status == StatusCode::TOO_MANY_REQUESTS || self.0.status.is_server_error() {
            return Err(refuse());
        }
        match object::<Envelope<'_>>(&self.0.body) {
            Ok(envelope) if self.0.status.is_success() || envelope.status.0 != 0 => {
                Ok((envelope.status.0, envelope.body))
            }
            Err(problem) if self.0.status.is_success() => Err(malformed(call, problem)),
            _ => Err(refuse()),
        }
    }

    /// The envelope's body, where its status is 0.
    pub(super) fn success(&self, call: &str) -> Result<Option<&RawValue>, ProviderError> {
        match self.envelope(call, Endpoint::Api)? {
            (0, body) => Ok(body),
            (status, _) => Err(refused(call, status, Endpoint::Api)),
        }
    }
}

pub(super) fn malformed(call: &str, problem: String) -> ProviderError {
    wire::malformed(KIND, call, problem)
}
