//! `nightly`: asks for exactly what the ledger lacks.
//!
//! Triggered by Knative's PingSource (every active link, streamed), by `link.connected` (that link), and by `push.requested`
//! ([`push`]). For each
//! record of a link it repeats what was left unfinished, asks for every hole between the start of the link's history
//! and now, and, where the provider can say what changed, for the changes since the cursor, less an overlap: that
//! is what catches a watch that syncs days late, and a reading that was corrected.

mod plan;
mod push;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use cloudevents::AttributesReader as _;
use futures_util::StreamExt as _;
use ohx_domain::{LinkId, SyncReason};
use ohx_events::envelope::{link_of, plain_data};
use ohx_events::plain::PushRequested;
use ohx_events::{Event, types};
use ohx_link::{LinkError, Links};
use ohx_runtime::{CloudEvent, EventFailure, EventReply};

pub use plan::{Planned, STALE, resume};

/// Links planned at the same time.
const AT_ONCE: usize = 8;
/// Links read from the store at once: the run's memory does not grow with their number.
const PAGE: u32 = 500;

/// The function's routes: one event at `/`.
pub fn router(links: Links) -> Router {
    Router::new().route("/", post(handle)).with_state(links)
}

async fn handle(State(links): State<Links>, CloudEvent(event): CloudEvent) -> EventReply {
    let result = on_event(&links, &event).await;
    EventReply::of("nightly", &event, result)
}

async fn on_event(links: &Links, event: &Event) -> Result<(), EventFailure> {
    match event.ty() {
        types::PING => {
            let planned = all(links).await?;
            tracing::info!(?planned, "nightly run planned");
            Ok(())
        }
        types::LINK_CONNECTED => {
            let planned = plan::one(links, link_of(event)?, SyncReason::Backfill).await?;
            tracing::info!(?planned, link = event.subject().unwrap_or(""), "link planned");
            Ok(())
        }
        types::PUSH_REQUESTED => {
            let requested: PushRequested = plain_data(event)?;
            Ok(push::register(links, link_of(event)?, requested.failed).await?)
        }
        other => Err(EventFailure::reject(format!("nightly does not listen to {other}"))),
    }
}

/// Plans every active link. One that fails is logged and holds up no other; the database or the bus failing ends the
/// run, to be repeated: what is asked already is not asked again.
async fn all(links: &Links) -> Result<Planned, EventFailure> {
    let parts = links.parts();
    let mut total = Planned::default();
    let mut after: Option<LinkId> = None;
    loop {
        let page = parts.store.active_links(after, PAGE).await?;
        let Some(last) = page.last().copied() else {
            break;
        };
        let mut planning = futures_util::stream::iter(page)
            .map(|id| async move { (id, plan::one(links, id, SyncReason::Nightly).await) })
            .buffer_unordered(AT_ONCE);
        while let Some((id, result)) = planning.next().await {
            match result {
                Ok(planned) => total += planned,
                Err(error @ (LinkError::Store(_) | LinkError::Bus(_))) => return Err(error.into()),
                Err(error) => {
                    total.failed += 1;
                    tracing::warn!(link = %id, error = %error, "link not planned");
                }
            }
        }
        after = Some(last);
    }
    let kept = parts.clock.now() - plan::KEEP_FINISHED;
    let pruned = parts.store.prune(kept).await?;
    tracing::debug!(pruned, "finished requests removed");
    Ok(total)
}
