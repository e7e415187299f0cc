//! One call: a request with the patient's token, and its answer.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use url::Url;

use super::KIND;
use super::status::refused;
use crate::bases::under;
use crate::wire::Answer;
use crate::{ProviderError, wire};

/// What every call for a patient needs.
pub(super) struct Caller<'a> {
    pub(super) http: &'a reqwest::Client,
    pub(super) api: Url,
    pub(super) access_token: &'a SecretString,
}

impl Caller<'_> {
    /// GETs `path` below `v4/users/me`; `call` names it in errors. The answer may be a refusal.
    pub(super) async fn ask(
        &self,
        path: &str,
        query: &[(&str, String)],
        call: &str,
    ) -> Result<Answer, ProviderError> {
        let mut url = under(&self.api, &format!("v4/users/me/{path}"));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.get(url).bearer_auth(self.access_token.expose_secret());
        Answer::read(KIND, request.send().await, call).await
    }

    /// POSTs JSON to `path` below `v4/users/me`.
    pub(super) async fn post(&self, path: &str, body: &Value, call: &str) -> Result<Answer, ProviderError> {
        let url = under(&self.api, &format!("v4/users/me/{path}"));
        let request = self.http.post(url).bearer_auth(self.access_token.expose_secret()).json(body);
        Answer::read(KIND, request.send().await, call).await
    }

    /// GETs something, or says why it was refused.
    pub(super) async fn get(
        &self,
        path: &str,
        query: &[(&str, String)],
        call: &str,
    ) -> Result<Answer, ProviderError> {
        success(self.ask(path, query, call).await?, call)
    }
}

/// An answer that is a success.
pub(super) fn success(answer: Answer, call: &str) -> Result<Answer, ProviderError> {
    if answer.status.is_success() { Ok(answer) } else { Err(refused(call, &answer)) }
}

/// An answer that cannot be read.
pub(super) fn malformed(call: &str, problem: impl Into<String>) -> ProviderError {
    wire::malformed(KIND, call, problem.into())
}
