//! One call: a request with the patient's token, and its answer.

use std::time::Duration;

use ohx_domain::Instant;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::KIND;
use super::memory::Memory;
use super::status::{self, Said};
use crate::bases::under;
use crate::wire::Answer;
use crate::{ProviderError, Remedy};

/// What every call for a patient needs.
pub(super) struct Caller<'a> {
    pub(super) http: &'a reqwest::Client,
    pub(super) api: Url,
    pub(super) access_token: &'a SecretString,
    pub(super) memory: &'a Memory,
    pub(super) now: Instant,
}

impl Caller<'_> {
    /// GETs something; `call` names it in errors. No language is asked for: without one, units are metric.
    pub(super) async fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
        call: &str,
    ) -> Result<Answer, ProviderError> {
        let mut url = under(&self.api, path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.send(self.http.get(url), call).await
    }

    /// POSTs to `path` without a body.
    pub(super) async fn post(
        &self,
        path: &str,
        header: Option<(&'static str, &str)>,
        call: &str,
    ) -> Result<Answer, ProviderError> {
        let mut request = self.http.post(under(&self.api, path));
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        self.send(request, call).await
    }

    /// Sends it, unless the patient's calls of this hour are used up, and reads a success.
    async fn send(&self, request: reqwest::RequestBuilder, call: &str) -> Result<Answer, ProviderError> {
        let known = self.memory.of(self.access_token, self.now);
        if let Some(until) = known.spent.filter(|until| self.now < *until) {
            return Err(status::spent(call, until.duration_since(self.now).unsigned_abs()));
        }
        let request = request.bearer_auth(self.access_token.expose_secret());
        let answer = match Answer::read(KIND, request.send().await, call).await {
            Ok(answer) => answer,
            Err(error) => return Err(unheard(self.memory, &self.api, self.now, error)),
        };
        self.count(&answer);
        let said = Said::read(&answer.body);
        if answer.status.is_success() || said.is_legacy() {
            self.memory.spoke(&self.api);
        }
        if answer.status.is_success() {
            return Ok(answer);
        }
        let error = status::refused(call, &answer, &said, known.fresh);
        let outage = !said.is_legacy()
            && matches!(&error, ProviderError::Refused { remedy: Remedy::Retry { .. }, .. })
            && answer.status != http::StatusCode::TOO_MANY_REQUESTS;
        Err(if outage { unheard(self.memory, &self.api, self.now, error) } else { error })
    }

    /// Takes note of the patient's last call of this hour.
    fn count(&self, answer: &Answer) {
        let number = |name| answer.headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
        if number(status::REMAINING) == Some(0)
            && let Some(seconds) = number(status::RESET).filter(|seconds| *seconds > 0)
        {
            let until = self.now + Duration::from_secs(seconds).min(status::HOUR);
            self.memory.learn(self.access_token, self.now, |known| known.spent = Some(until));
        }
    }
}

/// The API was not heard. Where that has been so for a day, it is gone.
pub(super) fn unheard(memory: &Memory, api: &Url, now: Instant, error: ProviderError) -> ProviderError {
    let (call, status) = match &error {
        ProviderError::Transport { call, .. } => (call.clone(), "no answer".to_owned()),
        ProviderError::Refused { call, status, .. } => (call.clone(), status.clone()),
        _ => return error,
    };
    if memory.is_gone(api, now) { status::retired(call, format!("{status} for a day")) } else { error }
}
