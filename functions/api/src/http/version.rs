//! The version of the API is asked for by the header `Accept`: `application/json; version=1`.
//!
//! There is one version. Who names none gets it; who names another gets 406. What answers in another form than JSON (the
//! events of a sync) can also be asked for by that.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use ohx_runtime::Problem;

/// The version.
const VERSION: &str = "1";
/// What JSON is answered as.
const ANSWERED: &str = "application/json; version=1";

/// Whether one media range (RFC 9110, section 12.5.1) allows an answer of ours.
fn allows(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let parameters: Vec<(String, &str)> = parts
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"')))
        .collect();
    let refused = |value: &str| value.parse::<f32>().is_ok_and(|q| q <= 0.0);
    if parameters.iter().any(|(name, value)| name == "q" && refused(value)) {
        return false;
    }
    let version = parameters.iter().find(|(name, _)| name == "version").map(|(_, value)| *value);
    match kind.as_str() {
        "*/*" | "application/*" | "application/json" => version.is_none_or(|version| version == VERSION),
        "text/event-stream" => true,
        _ => false,
    }
}

fn acceptable(headers: &HeaderMap) -> bool {
    let given: Vec<&HeaderValue> = headers.get_all(header::ACCEPT).iter().collect();
    let ranges = || given.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    ranges().all(|range| range.trim().is_empty()) || ranges().any(allows)
}

/// Refuses what asks for another version, and says which version an answer is.
pub(crate) async fn version(request: Request, next: Next) -> Response {
    if !acceptable(request.headers()) {
        let detail = "this API answers Accept: application/json; version=1";
        return Problem::new(StatusCode::NOT_ACCEPTABLE, detail).into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json") {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(ANSWERED));
    }
    headers.append(header::VARY, HeaderValue::from_static("accept"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_version_is_there() {
        let asked = |accept: &[&str]| {
            let mut headers = HeaderMap::new();
            for accept in accept {
                headers.append(header::ACCEPT, accept.parse().unwrap());
            }
            acceptable(&headers)
        };
        for good in [
            &[][..],
            &[""],
            &["*/*"],
            &["application/*;q=0.1"],
            &["application/json"],
            &["Application/JSON; Version=\"1\""],
            &["application/json;q=0.5;version=1"],
            &["text/html, */*;q=0.1"],
            &["text/html", "application/json"],
            &["application/json; version=2, application/json; version=1"],
            &["text/event-stream"],
        ] {
            assert!(asked(good), "{good:?}");
        }
        for bad in [
            &["application/json; version=2"][..],
            &["application/json; version=01"],
            &["application/json; q=0"],
            &["text/html"],
            &["application/fhir+json"],
            &["nonsense"],
        ] {
            assert!(!asked(bad), "{bad:?}");
        }
    }
}
