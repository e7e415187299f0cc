//! One call: form out, envelope in.

use std::time::Duration;

use http::StatusCode;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use super::loose::Number;
use super::status::{Endpoint, NOT_IN_PLAN, refused, refused_http};
use super::{KIND, under};
use crate::ProviderError;

/// The largest answer that is read, in bytes. A page of getmeas is some hundred KiB, a day of samples as much.
pub(super) const MAX_ANSWER: usize = 16 * 1024 * 1024;

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

/// An answer, read whole.
pub(super) struct Answer {
    status: StatusCode,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    status: Number,
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
}

impl Answer {
    /// Reads an answer up to [`MAX_ANSWER`].
    pub(super) async fn read(
        response: reqwest::Result<reqwest::Response>,
        call: &str,
    ) -> Result<Self, ProviderError> {
        let mut response = response.map_err(|e| transport(&e, call))?;
        let retry_after = response.headers().get(http::header::RETRY_AFTER);
        let retry_after =
            retry_after.and_then(|v| v.to_str().ok()?.trim().parse().ok()).map(Duration::from_secs);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| transport(&e, call))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(malformed(call, format!("it is larger than {MAX_ANSWER} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self { status: response.status(), retry_after, body })
    }

    /// The envelope's status and body, whatever the status says.
    ///
    /// An envelope counts over a 4xx around it; a 429 or 5xx counts over whatever it brings.
    pub(super) fn envelope(
        &self,
        call: &str,
        endpoint: Endpoint,
    ) -> Result<(i64, Option<&RawValue>), ProviderError> {
        let refuse = || refused_http(call, self.status, self.retry_after, endpoint);
        if self.status == StatusCode::TOO_MANY_REQUESTS || self.status.is_server_error() {
            return Err(refuse());
        }
        match object::<Envelope<'_>>(&self.body) {
            Ok(envelope) if self.status.is_success() || envelope.status.0 != 0 => {
                Ok((envelope.status.0, envelope.body))
            }
            Err(problem) if self.status.is_success() => Err(malformed(call, problem)),
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

/// Reads a JSON object; the error says what is wrong and where, without the text it is about. (serde reads a struct
/// from a list of its fields too, which would take one thing for another.)
pub(super) fn object<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, String> {
    match text.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(text).map_err(|e| position(&e)),
        Some(b'<') => Err("HTML where JSON should be".into()),
        Some(_) => Err("it is not a JSON object".into()),
        None => Err("it is empty".into()),
    }
}

/// Whether it is `[]`, as an empty map may be written.
pub(super) fn is_empty_list(raw: &RawValue) -> bool {
    raw.get().strip_prefix('[').is_some_and(|rest| rest.trim_ascii() == "]")
}

/// A JSON error's class and position, without the text it was about.
pub(super) fn position(error: &serde_json::Error) -> String {
    let class = match error.classify() {
        serde_json::error::Category::Eof => "the JSON ends too early",
        serde_json::error::Category::Data => "the JSON has another shape than it should",
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => "it is not JSON",
    };
    format!("{class}, at line {} column {}", error.line(), error.column())
}

pub(super) fn malformed(call: &str, problem: String) -> ProviderError {
    ProviderError::Malformed { provider: KIND, call: call.to_owned(), problem }
}

/// A client's error by its kind alone: its text holds the URL.
fn transport(error: &reqwest::Error, call: &str) -> ProviderError {
    let kind = match error {
        e if e.is_timeout() => "timeout",
        e if e.is_connect() => "connect",
        _ => "transport",
    };
    ProviderError::Transport { provider: KIND, call: call.to_owned(), kind }
}
