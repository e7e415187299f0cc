//! One answer of a provider, read whole, and what every adapter does with one.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ProviderError;

/// The largest answer that is read, in bytes. A page of measurements is some hundred KiB, a day of samples as much.
pub(crate) const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Reads an answer up to [`MAX_ANSWER`]; `provider` and `call` name it in errors.
    pub(crate) async fn read(
        provider: &'static str,
        response: reqwest::Result<reqwest::Response>,
        call: &str,
    ) -> Result<Self, ProviderError> {
        let mut response = response.map_err(|e| transport(provider, &e, call))?;
        let headers = std::mem::take(response.headers_mut());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| transport(provider, &e, call))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(malformed(provider, call, format!("it is larger than {MAX_ANSWER} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self { status: response.status(), headers, body })
    }

    /// How long the provider asks to wait, in whole seconds (RFC 9110, section 10.2.3; dates are not read).
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds))
    }
}

/// Reads a JSON object; the error says what is wrong and where, without the text it is about. (serde reads a struct
/// from a list of its fields too, which would take one thing for another.)
pub(crate) fn object<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, String> {
    match text.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(text).map_err(|e| position(&e)),
        Some(b'<') => Err("HTML where JSON should be".into()),
        Some(_) => Err("it is not a JSON object".into()),
        None => Err("it is empty".into()),
    }
}

/// Whether it is `[]`, as an empty map may be written.
pub(crate) fn is_empty_list(raw: &RawValue) -> bool {
    raw.get().strip_prefix('[').is_some_and(|rest| rest.trim_ascii() == "]")
}

/// A JSON error's class and position, without the text it was about.
pub(crate) fn position(error: &serde_json::Error) -> String {
    let class = match error.classify() {
        serde_json::error::Category::Eof => "the JSON ends too early",
        serde_json::error::Category::Data => "the JSON has another shape than it should",
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => "it is not JSON",
    };
    format!("{class}, at line {} column {}", error.line(), error.column())
}

/// An answer that cannot be read.
pub(crate) fn malformed(provider: &'static str, call: &str, problem: String) -> ProviderError {
    ProviderError::Malformed { provider, call: call.to_owned(), problem }
}

/// A client's error by its kind alone: its text holds the URL.
fn transport(provider: &'static str, error: &reqwest::Error, call: &str) -> ProviderError {
    let kind = match error {
        e if e.is_timeout() => "timeout",
        e if e.is_connect() => "connect",
        _ => "transport",
    };
    ProviderError::Transport { provider, call: call.to_owned(), kind }
}
