//! Every error is a problem (RFC 9457), also those that no handler has seen: a method that an address does not have, a body
//! that is too large.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderName, StatusCode, header};
use ohx_runtime::Problem;

/// What an error keeps of the answer that it replaces.
const KEPT: [HeaderName; 3] = [header::ALLOW, header::RETRY_AFTER, header::WWW_AUTHENTICATE];

/// Answers errors that are no problems with one.
pub(crate) async fn problems(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let response = next.run(request).await;
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE);
    if !(status.is_client_error() || status.is_server_error())
        || kind.is_some_and(|kind| kind == "application/problem+json")
    {
        return response;
    }
    let detail = match status {
        StatusCode::NOT_FOUND => "there is nothing at this address".to_owned(),
        StatusCode::METHOD_NOT_ALLOWED => match response.headers().get(header::ALLOW).map(|v| v.to_str()) {
            Some(Ok(allowed)) => format!("this address takes {allowed}, not {method}"),
            _ => format!("this address does not take {method}"),
        },
        StatusCode::PAYLOAD_TOO_LARGE => "the body is larger than this address takes".to_owned(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "this address does not take such a body".to_owned(),
        _ => "the request cannot be answered".to_owned(),
    };
    let mut problem = Problem::new(status, detail).into_response();
    for name in KEPT {
        if let Some(value) = response.headers().get(&name) {
            problem.headers_mut().insert(name, value.clone());
        }
    }
    problem
}
