//! What one link lacks.

use std::time::Duration;

use ohx_domain::{Interval, Intervals, Link, LinkId, LinkState, Query, Request, SyncId, SyncReason};
use ohx_events::Priority;
use ohx_link::{Asked, Asking, LinkError, Links, OpenLink};
use ohx_providers::RecordSpec;
use ohx_runtime::metrics::PLANNED;
use ohx_store::OpenRequests;

use crate::push;

/// A request that has not moved for so long was lost on the way: longer than any retry takes.
pub const STALE: Duration = Duration::from_secs(3600);
/// How long finished requests are kept for those who ask what happened.
pub(crate) const KEEP_FINISHED: Duration = Duration::from_secs(30 * 24 * 3600);
/// How far the provider's clock may be behind ours: the first cursor is set that much before the consent.
const SKEW: Duration = Duration::from_secs(600);

/// How many requests were made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Planned {
    /// Links looked at.
    pub links: u64,
    /// Holes asked for.
    pub holes: u64,
    /// Requests for what changed.
    pub changes: u64,
    /// Requests repeated because they were left unfinished.
    pub unfinished: u64,
    /// Links that could not be planned.
    pub failed: u64,
}

impl std::ops::AddAssign for Planned {
    fn add_assign(&mut self, other: Self) {
        self.links += other.links;
        self.holes += other.holes;
        self.changes += other.changes;
        self.unfinished += other.unfinished;
        self.failed += other.failed;
    }
}

/// Plans one link.
pub(crate) async fn one(links: &Links, id: LinkId, reason: SyncReason) -> Result<Planned, LinkError> {
    let open = links.open(id).await?;
    let mut planned = Planned { links: 1, ..Planned::default() };
    if open.link.state != LinkState::Active {
        return Ok(planned);
    }
    let (app, provider) = links.app(&open.link.provider).await?;
    let unfinished = open_requests(links, id).await?;
    if ohx_providers::kind(&app.config.kind).is_some_and(|kind| !kind.consent) {
        // Its readings are brought: there is nobody to ask. An import that was cut off ends when `fetch` sees its row.
        for request in unfinished.iter().filter(|r| is_stale(links, r)) {
            repeat(links, &open.link, request, &mut planned).await?;
        }
        return Ok(planned);
    }
    let records = provider.records(&app.config, &open.link.scopes);
    let sync = SyncId::new();
    for spec in &records {
        let mine: Vec<_> = unfinished.iter().filter(|r| r.record == spec.record).collect();
        record(links, &open, spec, &mine, sync, reason, &mut planned).await?;
    }
    // After the asking: readings come first.
    if push::is_due(&open.link, links.parts().clock.now()) {
        let priority = if reason == SyncReason::Nightly { Priority::Low } else { Priority::High };
        let event = push::event(links, &open.link, 0, priority)?;
        links.parts().bus.publish(vec![event]).await?;
    }
    Ok(planned)
}

/// Whether a request has not moved for so long that its event must be lost.
fn is_stale(links: &Links, request: &Request) -> bool {
    request.updated_at <= links.parts().clock.now() - STALE
}

/// Publishes the event of a request once more.
async fn repeat(
    links: &Links,
    link: &Link,
    request: &Request,
    planned: &mut Planned,
) -> Result<(), LinkError> {
    links.announce(link, request, "nightly", Duration::ZERO).await?;
    PLANNED.with_label_values(&["unfinished"]).inc();
    planned.unfinished += 1;
    Ok(())
}

async fn open_requests(links: &Links, link: LinkId) -> Result<Vec<Request>, LinkError> {
    let mut all = Vec::new();
    loop {
        let after = all.last().map(|r: &Request| r.id);
        let filter = OpenRequests { link: Some(link), idle_since: None, after, limit: 500 };
        let page = links.parts().store.open_requests(&filter).await?;
        let done = page.len() < 500;
        all.extend(page);
        if done {
            return Ok(all);
        }
    }
}

async fn record(
    links: &Links,
    open: &OpenLink,
    spec: &RecordSpec,
    unfinished: &[&Request],
    sync: SyncId,
    reason: SyncReason,
    planned: &mut Planned,
) -> Result<(), LinkError> {
    let parts = links.parts();
    let now = parts.clock.now();
    let link = &open.link;
    let Some(start) = link.history_start else {
        return Ok(());
    };
    if spec.changes
        && let Some(connected) = link.connected_at
    {
        parts.store.init_cursor(link.id, &spec.record, connected - SKEW).await?;
    }
    let coverage = parts.store.coverage(link.id, &spec.record).await?;
    let mut covered = coverage.published.clone();
    let mut asks_for_changes = false;
    for request in unfinished {
        if is_stale(links, request) {
            repeat(links, link, request, planned).await?;
        }
        match request.query {
            Query::Window(window) => covered.insert(window),
            Query::Since { since } => {
                asks_for_changes = true;
                insert_until_now(&mut covered, since, now);
            }
        }
    }
    let asking = |query| Asking {
        record: spec.record.clone(),
        query,
        reason,
        sync,
        source: "nightly",
        delay: Duration::ZERO,
    };
    let backfill = reason == SyncReason::Backfill;
    if !backfill && !asks_for_changes {
        let since = match coverage.cursor {
            Some(cursor) if spec.changes => Some(cursor - spec.overlap),
            _ => None,
        };
        match since {
            Some(since) => {
                links.ask(link, &asking(Query::Since { since })).await?;
                PLANNED.with_label_values(&["changes"]).inc();
                planned.changes += 1;
                insert_until_now(&mut covered, since, now);
            }
            // The provider cannot say what changed: read the last days again.
            None => covered.remove(Interval { start: now - spec.overlap, end: now + Duration::from_secs(1) }),
        }
    }
    let Some(wanted) = Interval::new(start, now) else {
        return Ok(());
    };
    for hole in covered.gaps(wanted).iter() {
        for window in spec.windows(*hole) {
            if let Asked::Requested(_) = links.ask(link, &asking(Query::Window(window))).await? {
                PLANNED.with_label_values(&["hole"]).inc();
                planned.holes += 1;
            }
        }
    }
    Ok(())
}

fn insert_until_now(covered: &mut Intervals, since: ohx_domain::Instant, now: ohx_domain::Instant) {
    if let Some(interval) = Interval::new(since, now) {
        covered.insert(interval);
    }
}

/// Publishes the event of every request that is open, whatever its age: after a restart of one process with an
/// in-process bus, none of them is on its way any more. Gives their number.
///
/// # Errors
/// [`LinkError::Store`], [`LinkError::Bus`].
pub async fn resume(links: &Links) -> Result<u64, LinkError> {
    let mut resumed = 0;
    let mut after = None;
    loop {
        let filter = OpenRequests { link: None, idle_since: None, after, limit: 500 };
        let page = links.parts().store.open_requests(&filter).await?;
        let Some(last) = page.last() else {
            return Ok(resumed);
        };
        after = Some(last.id);
        for request in &page {
            match links.get(request.link).await {
                Ok(link) => links.announce(&link, request, "nightly", Duration::ZERO).await?,
                Err(LinkError::Unknown(id)) => {
                    tracing::warn!(link = %id, request = %request.id, "a request of no link")
                }
                Err(error) => return Err(error),
            }
            resumed += 1;
        }
    }
}
