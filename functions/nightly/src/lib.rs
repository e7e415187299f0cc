//! `nightly`: asks for exactly what the ledger lacks.
//!
//! Triggered by Knative's PingSource (every active link, streamed), by `link.connected` (that link), and by `push.requested`
//! ([`push`]). For each
//! record of a link it repeats what was left unfinished, asks for every hole between the start of the link's history
//! and now, and, where the provider can say what changed, for the changes since the cursor, less an overlap: that
//! is what catches a watch that syncs days late, and a reading that was corrected.

mod clock;
mod forecast;
mod plan;
mod push;

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::middleware;
use axum::routing::post;
use cloudevents::AttributesReader as _;
use futures_util::stream::{self, TryStreamExt as _};
use ohx_domain::{Link, LinkId, LinkState, SyncReason};
use ohx_events::envelope::{link_of, plain_data, shown_type};
use ohx_events::plain::{LinkConnected, PushRequested};
use ohx_events::{Event, Priority, types};
use ohx_link::{Class, LinkError, Links};
use ohx_runtime::{CloudEvent, EventFailure, EventReply};
use ohx_store::LinkFilter;
use serde::Deserialize;

use plan::Run;
pub use plan::{Planned, STALE, resume};

/// Links read from the store, and planned, together.
const PAGE: u32 = 500;
/// Pages planned at the same time.
const PAGES_AT_ONCE: usize = 4;
/// A run that begins sooner than this after the night's first goes on with that night: a ping that was delivered again, or a second
/// one, for what the first could not do. Who wants everything asked again says so.
const NIGHT: Duration = Duration::from_secs(4 * 3600);
/// Quotas of patients are by the hour at most: one that nobody has used for so long is full.
const KEEP_QUOTAS: Duration = Duration::from_secs(24 * 3600);

/// The function's routes: one event at `/`.
pub fn router(links: Links) -> Router {
    Router::new().route("/", post(handle)).with_state(links)
}

/// The same, where a POST of nothing is a ping: for clocks that know no CloudEvents.
pub fn with_plain_clock(router: Router) -> Router {
    router.layer(middleware::from_fn(clock::ping))
}

/// What a clock may say with its ping.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Ping {
    /// Everything is to be asked for, however short ago the last run was.
    all: bool,
}

async fn handle(State(links): State<Links>, CloudEvent(event): CloudEvent) -> EventReply {
    let mut result = on_event(&links, &event).await;
    if event.ty() == types::PUSH_REQUESTED {
        result = links.or_later(&event, result).await;
    }
    EventReply::of("nightly", &event, result)
}

async fn on_event(links: &Links, event: &Event) -> Result<(), EventFailure> {
    match event.ty() {
        types::PING => {
            // Other clocks send other data, or none.
            let ping: Ping = plain_data(event).unwrap_or_default();
            let planned = all(links, ping).await?;
            tracing::info!(?planned, "nightly run planned");
            Ok(())
        }
        types::LINK_CONNECTED => {
            let connected: LinkConnected = plain_data(event)?;
            let link = links.get(link_of(event)?).await?;
            let reason = if connected.again { SyncReason::Reconnect } else { SyncReason::Backfill };
            let run = Run { reason, night: None };
            let planned = plan::page(links, std::slice::from_ref(&link), run).await?;
            tracing::info!(?planned, link = %link_of(event)?, "link planned");
            Ok(())
        }
        types::PUSH_REQUESTED => {
            let requested: PushRequested = plain_data(event)?;
            let class = match Priority::of(event) {
                Priority::Low => Class::Nightly,
                Priority::Normal => Class::Reconnect,
                Priority::High => Class::Push,
            };
            push::register(links, link_of(event)?, requested.failed, class).await
        }
        other => Err(EventFailure::reject(format!("nightly does not listen to {}", shown_type(other)))),
    }
}

/// Plans every active link, page after page, some pages at once: the run's memory does not grow with the number of links. The
/// database or the bus failing ends the run, to be repeated: what is asked already is not asked again.
async fn all(links: &Links, ping: Ping) -> Result<Planned, EventFailure> {
    let parts = links.parts();
    let now = parts.clock.now();
    let began = parts.store.last_night().await?.map(|night| night.started);
    let night = began.filter(|began| !ping.all && (now - NIGHT..=now).contains(began));
    if night.is_none() {
        forecast::begin(links).await?;
    }
    let run = Run { reason: SyncReason::Nightly, night };
    let pages = stream::try_unfold((links.clone(), None), next_page);
    // Pages are read and planned by turns that never stand still: one that waited for the next page with a connection in hand
    // could wait for itself.
    let total = pages
        .map_ok(|page| planned(links.clone(), page, run))
        .try_buffer_unordered(PAGES_AT_ONCE)
        .try_fold(Planned::default(), add)
        .await?;
    let ending = links.resume_erasures().await?;
    let pruned = parts.store.prune(now - plan::KEEP_FINISHED).await?;
    let buckets = parts.store.prune_quotas(now - KEEP_QUOTAS).await?;
    parts.store.end_night(parts.clock.now()).await?;
    tracing::debug!(pruned, buckets, ending, "finished requests and idle quotas removed");
    Ok(total)
}

type Place = (Links, Option<LinkId>);

/// The page of active links after a place, and the place after it.
async fn next_page((links, after): Place) -> Result<Option<(Vec<Link>, Place)>, LinkError> {
    let filter = LinkFilter { state: Some(LinkState::Active), after, limit: PAGE, ..LinkFilter::default() };
    let page = links.parts().store.links(&filter).await?;
    let last = page.last().map(|link| link.id);
    Ok(last.map(|last| (page, (links, Some(last)))))
}

async fn add(mut total: Planned, more: Planned) -> Result<Planned, LinkError> {
    total += more;
    Ok(total)
}

async fn planned(links: Links, page: Vec<Link>, run: Run) -> Result<Planned, LinkError> {
    plan::page(&links, &page, run).await
}
