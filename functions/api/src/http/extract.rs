//! What comes with a request, or a problem that names the field.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use ohx_runtime::Problem;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::{Path as Place, Segment};
use url::form_urlencoded;

/// A JSON body.
pub(crate) struct InBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for InBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let detail = "send the body as Content-Type: application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let body = Bytes::from_request(request, state).await.map_err(|e| unread(&e))?;
        json(&body).map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// A body that could not be had: too large, mostly.
pub(crate) fn unread(rejection: &BytesRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than this address takes")
        }
        status => Problem::new(status, "the body could not be read"),
    }
}

/// Reads JSON. What is no JSON is a bad request; what is JSON of another shape cannot be processed.
pub(crate) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read: T = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = pointer(error.path());
        let inner = error.into_inner();
        let status = match inner.classify() {
            Category::Data => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::BAD_REQUEST,
        };
        of_field(status, &pointer, format!("the body: {inner}"))
    })?;
    deserializer.end().map_err(|e| Problem::new(StatusCode::BAD_REQUEST, format!("the body: {e}")))?;
    Ok(read)
}

/// A problem with one field of the body: RFC 9457 shows the member `errors`, with JSON pointers as URI fragments (RFC 6901,
/// section 6).
pub(crate) fn of_field(status: StatusCode, pointer: &str, detail: impl Into<String>) -> Problem {
    let detail = detail.into();
    let errors = serde_json::json!([{ "pointer": pointer, "detail": detail }]);
    Problem::new(status, detail).with("errors", errors)
}

fn pointer(place: &Place) -> String {
    let mut pointer = "#".to_owned();
    for segment in place.iter() {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => {
                pointer.push_str(&format!("/{}", key.replace('~', "~0").replace('/', "~1")))
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// The parameters of the address.
pub(crate) struct InQuery<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for InQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        serde_path_to_error::deserialize(pairs).map(Self).map_err(|error| {
            let name = error.path().to_string();
            of_parameter(&name, error.into_inner().to_string())
        })
    }
}

/// A problem with one parameter of the address.
pub(crate) fn of_parameter(name: &str, detail: impl Into<String>) -> Problem {
    let detail = detail.into();
    if name.is_empty() || name == "." {
        return Problem::new(StatusCode::BAD_REQUEST, detail);
    }
    let errors = serde_json::json!([{ "parameter": name, "detail": detail }]);
    Problem::new(StatusCode::BAD_REQUEST, format!("{name}: {detail}")).with("errors", errors)
}

/// The variable parts of the address.
pub(crate) struct InPath<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = Path::<T>::from_request_parts(parts, state).await;
        read.map(|Path(read)| Self(read)).map_err(|e| Problem::new(e.status(), e.body_text()))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "only read")]
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    struct Inner {
        #[expect(dead_code, reason = "only read")]
        days: u32,
    }

    #[test]
    fn a_wrong_field_is_pointed_at() {
        let shown = |body: &str| {
            let problem = json::<Outer>(body.as_bytes()).unwrap_err();
            let shown = serde_json::to_value(&problem).unwrap();
            (problem.status().as_u16(), shown["errors"][0]["pointer"].as_str().unwrap_or("").to_owned())
        };
        assert_eq!(shown(r#"{"inner": [{"days": 1}, {"days": "x"}]}"#), (422, "#/inner/1/days".to_owned()));
        assert_eq!(shown(r#"{"inner": [], "other": 1}"#), (422, "#/other".to_owned()));
        assert_eq!(shown("{"), (400, "#".to_owned()));
        assert_eq!(shown(r#"{"inner": []} x"#).0, 400);
    }
}
