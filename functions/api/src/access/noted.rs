//! Noting what was done, around the handlers and within what does a call once: an answer that is given again is not noted again.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use ohx_link::{Links, audit};
use ohx_runtime::Problem;
use ohx_runtime::trace::{here, within};
use tracing::Instrument as _;

use super::audit::Audited;
use super::guard::{Target, rule_of};
use super::principal::Principal;

/// Does what is asked, and notes it in the audit log where the rule of its address says so. On its own: a caller that hangs up
/// leaves no change without an entry.
pub(crate) async fn noted(State(links): State<Links>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let (path, rule) = rule_of(&parts);
    let principal = parts.extensions.get::<Principal>().cloned();
    let (Some((action, subject)), Some(principal)) = (rule.and_then(|rule| rule.audit), principal) else {
        return next.run(Request::from_parts(parts, body)).await;
    };
    let target = Target::of(&path, parts.uri.path());
    let work = async move {
        let mut response = next.run(Request::from_parts(parts, body)).await;
        if !response.status().is_success() {
            return response;
        }
        let audited = response.extensions_mut().remove::<Audited>().unwrap_or_default();
        let subject = audited.subject.unwrap_or_else(|| target.fill(subject));
        let noted = audit::note(links.parts(), &principal.actor, action, &subject, &audited.detail);
        match noted.await {
            Ok(_) => response,
            Err(error) => {
                // What was done cannot be undone. It is at least not taken for in order.
                tracing::error!(%error, action, subject, actor = principal.actor, "not in the audit log");
                let detail = "it was done, but could not be written into the audit log; look at what is there before you try again";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response()
            }
        }
    };
    let spawned = ohx_runtime::serve::spawn(within(here(), work).in_current_span());
    spawned.await.unwrap_or_else(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the function failed").into_response()
    })
}
