//! `Idempotency-Key`: a POST that was lost on its way can be sent again, and is done once.
//!
//! The first answer is kept for a day, sealed, and given again to the same call with the same key. The same key with another
//! call is refused (422), and so is a call while the first one is under way (409, `Retry-After`). After draft-ietf-httpapi-
//! idempotency-key-header-07. What went wrong in a way that may pass (5xx, 429) is not kept: the call may be tried anew.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use ohx_domain::RequestId;
use ohx_link::Links;
use ohx_providers::beurer::csv::MAX_FILE_BYTES;
use ohx_runtime::Problem;
use ohx_store::{Begun, NewCall};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tracing::Instrument as _;

use crate::access::Principal;
use crate::store_problem;

/// The request's header.
pub(crate) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The longest key, in bytes.
const LONGEST_KEY: usize = 255;
/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// How long a call may take: after that its process is taken for dead, and the call may be begun anew.
const AT_MOST: Duration = Duration::from_secs(300);
/// The largest answer that is kept, in bytes. A larger one is the report about an import, and to import again is safe.
const LARGEST: usize = 256 * 1024;
/// What is kept of an answer beside its body.
const HEADERS: [HeaderName; 3] = [header::CONTENT_TYPE, header::LOCATION, header::ETAG];
/// What has no effect is done again rather than kept: pages that are tried out may be a patient's.
const NO_EFFECT: [&str; 2] = ["/preview/", "/validate/"];

/// An answer as it is kept, sealed.
#[derive(Serialize, Deserialize)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    fn of(status: StatusCode, headers: &HeaderMap, body: &Bytes) -> Option<Self> {
        let text = |name: &HeaderName| Some((name.to_string(), headers.get(name)?.to_str().ok()?.to_owned()));
        Some(Self {
            status: status.as_u16(),
            headers: HEADERS.iter().filter_map(text).collect(),
            body: std::str::from_utf8(body).ok().filter(|body| body.len() <= LARGEST)?.to_owned(),
        })
    }

    fn into_response(self) -> Option<Response> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).ok()?;
        for (name, value) in self.headers {
            response.headers_mut().insert(name.parse::<HeaderName>().ok()?, value.parse().ok()?);
        }
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        Some(response)
    }
}

/// Who calls: keys of two callers have nothing to do with each other.
fn caller(head: &Parts) -> &[u8] {
    head.extensions.get::<Principal>().map(|principal| principal.actor.as_bytes()).unwrap_or_default()
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

fn place(holder: &str) -> [&str; 2] {
    ["idempotency", holder]
}

/// Does a POST that carries a key once.
pub(crate) async fn idempotency(State(links): State<Links>, request: Request, next: Next) -> Response {
    let keyed = request.method() == Method::POST && request.headers().contains_key(KEY);
    if !keyed || NO_EFFECT.iter().any(|end| request.uri().path().ends_with(end)) {
        return next.run(request).await;
    }
    once(links, request, next).await.unwrap_or_else(|problem| problem.into_response())
}

async fn once(links: Links, request: Request, next: Next) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let key = head.headers.get(KEY).map(HeaderValue::as_bytes).unwrap_or_default().to_vec();
    if key.is_empty() || key.len() > LONGEST_KEY {
        let detail = format!("Idempotency-Key must have 1 to {LONGEST_KEY} characters; a UUID is a good one");
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    // The addresses have limits of their own, which come later.
    let body = to_bytes(body, MAX_FILE_BYTES + 1).await.map_err(|_| {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than this address takes")
    })?;
    let address = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let (parts, now) = (links.parts().clone(), links.parts().clock.now());
    let holder = RequestId::new().to_string();
    let call = NewCall {
        digest: digest(&[caller(&head), &key]),
        // The key is not kept, and without it nobody can try out which body this is.
        fingerprint: digest(&[&key, address.as_bytes(), &body]),
        holder: &holder,
        until: now + AT_MOST,
        expires_at: now + KEPT,
    };
    let digest = call.digest;
    match parts.store.begin_call(&call, now).await.map_err(store_problem)? {
        Begun::Yours => {}
        Begun::Another => {
            let detail = "this Idempotency-Key was used for another call: every call has a key of its own";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
        }
        Begun::UnderWay(until) => {
            let detail = "the same call is under way: ask again for its answer";
            let wait = until
                .duration_since(now)
                .unsigned_abs()
                .clamp(Duration::from_secs(1), Duration::from_secs(5));
            return Err(Problem::new(StatusCode::CONFLICT, detail).retry_after(Some(wait)));
        }
        Begun::Answered(sealed) => return again(&links, &digest, &sealed),
    }
    let request = Request::from_parts(head, Body::from(body));
    // On its own: a caller that hangs up, and comes back with the same key, finds it done.
    let work = async move {
        let (head, body) = next.run(request).await.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        let passes = head.status.is_server_error() || head.status == StatusCode::TOO_MANY_REQUESTS;
        let answer = Answer::of(head.status, &head.headers, &body).filter(|_| !passes);
        let answer = answer.and_then(|answer| serde_json::to_vec(&answer).ok());
        let sealed = answer.and_then(|answer| {
            let of = data_encoding::HEXLOWER.encode(&digest);
            parts.keyring.seal(&place(&of), &answer).ok()
        });
        let kept = match sealed {
            Some(sealed) => parts.store.finish_call(&digest, &holder, &sealed).await,
            None => parts.store.give_up_call(&digest, &holder).await,
        };
        if let Err(error) = kept {
            tracing::warn!(error = %error, "the answer to a call with a key could not be kept");
        }
        Response::from_parts(head, Body::from(body))
    };
    let context = ohx_runtime::trace::here();
    let spawned = ohx_runtime::serve::spawn(ohx_runtime::trace::within(context, work).in_current_span());
    spawned.await.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the function failed"))
}

fn again(links: &Links, digest: &[u8; 32], sealed: &[u8]) -> Result<Response, Problem> {
    let of = data_encoding::HEXLOWER.encode(digest);
    let opened = links.parts().keyring.open(&place(&of), sealed).ok();
    let answer = opened.and_then(|opened| serde_json::from_slice::<Answer>(&opened).ok());
    answer.and_then(Answer::into_response).ok_or_else(|| {
        let detail = "this call was done, and its answer cannot be shown any more: look at what it has made";
        Problem::new(StatusCode::CONFLICT, detail)
    })
}
