//! ETags of configuration (RFC 9110, section 8.8.3): whoever changes something says which state of it they have seen, so that
//! nobody undoes another's change without knowing.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use ohx_runtime::Problem;
use ohx_store::Revision;

/// The header of a revision.
pub(crate) fn etag(revision: Revision) -> [(HeaderName, HeaderValue); 1] {
    let text = format!("\"{}\"", revision.0);
    // Digits and quotes can always stand in a header.
    [(header::ETAG, HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("\"0\"")))]
}

/// The revision that a change wants to change: what `If-Match` names.
///
/// # Errors
/// 428 where nothing is said (RFC 6585, section 3), 412 where it can be no revision of ours. `*` is no answer to the question
/// which state was seen.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Revision, Problem> {
    let Some(given) = headers.get(header::IF_MATCH) else {
        let detail = "say which state you have seen: If-Match, with the ETag of the GET";
        return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, detail));
    };
    let text = given.to_str().unwrap_or_default().trim();
    let digits = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    digits.and_then(|digits| digits.parse().ok()).map(Revision).ok_or_else(changed)
}

/// Somebody else was faster.
pub(crate) fn changed() -> Problem {
    let detail = "it is not in the state that If-Match names: GET it again, and decide anew";
    Problem::new(StatusCode::PRECONDITION_FAILED, detail)
}
