//! One call: an address from a template, and what an HTTP status means where nothing else is known.

use std::collections::BTreeMap;
use std::time::Duration;

use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use url::Url;

use super::KIND;
use super::document::Contract;
use crate::wire::Answer;
use crate::{ProviderError, Remedy};

/// Where the provider does not say how long to wait.
const PAUSE: Duration = Duration::from_secs(60);
/// A Retry-After beyond this is not believed.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// What placeholders stand for.
pub(super) type Meant<'a> = [(&'static str, &'a str)];

fn filled(template: &str, meant: &Meant<'_>) -> String {
    meant.iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

/// `path` under the contract's base URL. What a placeholder stands for is one piece of a segment, whatever it has in
/// it; `None` where it would be none.
pub(super) fn address(contract: &Contract, path: &str, meant: &Meant<'_>) -> Option<Url> {
    let mut url = contract.base_url.clone();
    {
        let mut segments = url.path_segments_mut().ok()?;
        segments.pop_if_empty();
        for segment in path.split('/') {
            let segment = filled(segment, meant);
            if matches!(segment.as_str(), "" | "." | "..") {
                return None;
            }
            segments.push(&segment);
        }
    }
    Some(url)
}

/// Adds a template's parameters.
pub(super) fn query(url: &mut Url, parameters: &BTreeMap<String, String>, meant: &Meant<'_>) {
    if parameters.is_empty() {
        return;
    }
    let mut pairs = url.query_pairs_mut();
    for (name, value) in parameters {
        pairs.append_pair(name, &filled(value, meant));
    }
}

/// Asks, and gives the body of a 2xx.
///
/// # Errors
/// What the status says; [`ProviderError::Transport`].
pub(super) async fn get(
    http: &reqwest::Client,
    headers: &HeaderMap,
    token: &str,
    url: Url,
    call: &str,
) -> Result<Vec<u8>, ProviderError> {
    let request =
        http.get(url).header(ACCEPT, "application/json").headers(headers.clone()).bearer_auth(token);
    let answer = Answer::read(KIND, request.send().await, call).await?;
    if answer.status.is_success() { Ok(answer.body) } else { Err(refused(call, &answer)) }
}

fn refused(call: &str, answer: &Answer) -> ProviderError {
    let wait = answer.retry_after().map(|wait| wait.min(LONGEST_PAUSE));
    let status = format!("HTTP {}", answer.status.as_u16());
    let (remedy, meaning) = match answer.status {
        StatusCode::FORBIDDEN => {
            return ProviderError::NotGranted {
                provider: KIND,
                call: call.to_owned(),
                status,
                meaning: "the patient or the agreement does not allow it: check the contract's scope".into(),
            };
        }
        StatusCode::UNAUTHORIZED => (
            Remedy::Refresh,
            "the access token is not accepted: it is refreshed once, and should that not help, the patient has to \
             connect again",
        ),
        StatusCode::TOO_MANY_REQUESTS => (
            Remedy::SlowDown { after: wait.unwrap_or(PAUSE) },
            "too many requests: all calls of this app pause",
        ),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => {
            (Remedy::Retry { after: wait }, "it is tried again")
        }
        status if status.is_server_error() => {
            (Remedy::Retry { after: wait }, "an error at the provider: it is tried again")
        }
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::GONE => {
            (Remedy::Permanent, "there is nothing at this address: check base_url and url in the contract")
        }
        status if status.is_redirection() => (
            Remedy::Permanent,
            "it is elsewhere, and redirects are not followed: check base_url in the contract",
        ),
        _ => (Remedy::Permanent, "the request is not accepted: check the parameters in the contract"),
    };
    ProviderError::Refused {
        provider: KIND,
        call: call.to_owned(),
        status,
        meaning: meaning.to_owned(),
        remedy,
    }
}
