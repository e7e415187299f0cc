//! Clocks that know no CloudEvents.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest as _, Request};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use ohx_events::types;

/// Makes a ping of a POST that says nothing at all: neither a body nor anything of a CloudEvent. OpenFaaS' cron-connector sends such, and
/// what it wants is in its schedule. Whatever says more than that goes on as it is.
pub(crate) async fn ping(request: Request, next: Next) -> Response {
    let event = |name: &header::HeaderName| name.as_str().starts_with("ce-");
    let typed = |value: &HeaderValue| value.as_bytes().starts_with(b"application/cloudevents");
    if request.headers().keys().any(event) || request.headers().get(header::CONTENT_TYPE).is_some_and(typed) {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let body = match Bytes::from_request(Request::from_parts(parts.clone(), body), &()).await {
        Ok(body) => body,
        Err(refused) => return refused.into_response(),
    };
    if !body.is_empty() {
        return next.run(Request::from_parts(parts, Body::from(body))).await;
    }
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-id", "clock"),
        ("ce-source", "/clock"),
        ("ce-type", types::PING),
        ("content-type", "application/json"),
    ] {
        parts.headers.insert(name, HeaderValue::from_static(value));
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    next.run(Request::from_parts(parts, Body::from("{}"))).await
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::StatusCode;
    use axum::middleware;
    use axum::routing::post;
    use cloudevents::AttributesReader as _;
    use ohx_runtime::CloudEvent;
    use tower::ServiceExt as _;

    use super::*;

    async fn answer(headers: &[(&str, &str)], body: &'static str) -> (StatusCode, String) {
        let router = Router::new()
            .route("/", post(async |CloudEvent(event): CloudEvent| event.ty().to_owned()))
            .layer(middleware::from_fn(ping));
        let mut request = Request::builder().method("POST").uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = router.oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let status = response.status();
        let text = axum::body::to_bytes(response.into_body(), 65_536).await.unwrap();
        (status, String::from_utf8(text.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_post_that_says_nothing_is_a_ping_and_anything_else_is_what_it_was() {
        let ping = (StatusCode::OK, types::PING.to_owned());
        assert_eq!(answer(&[], "").await, ping);
        assert_eq!(answer(&[("content-type", "text/plain"), ("content-length", "0")], "").await, ping);
        assert_eq!(answer(&[], "{}").await.0, StatusCode::BAD_REQUEST, "a body that is no event");
        assert_eq!(answer(&[("ce-id", "1")], "").await.0, StatusCode::BAD_REQUEST, "half an event");
        let structured = [("content-type", "application/cloudevents+json")];
        assert_eq!(answer(&structured, "").await.0, StatusCode::BAD_REQUEST);
        let binary = [
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "/functions/api"),
            ("ce-type", types::LINK_CONNECTED),
            ("content-type", "application/json"),
        ];
        assert_eq!(answer(&binary, "{}").await, (StatusCode::OK, types::LINK_CONNECTED.to_owned()));
    }
}
