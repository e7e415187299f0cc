//! What a page of links lacks.
//!
//! Everything that is known of a page is read in two questions, and everything that is asked is written in one statement and
//! published together: a link costs microseconds, and no way to the database of its own.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use ohx_domain::{
    Instant, Interval, Intervals, Link, LinkId, LinkState, ProviderName, Query, Record, Request, RequestId,
    SyncId, SyncReason,
};
use ohx_events::{Event, Priority};
use ohx_link::{LinkError, Links};
use ohx_providers::{App, Provider, RecordSpec};
use ohx_runtime::metrics::PLANNED;
use ohx_store::{Coverage, NewRequest, OpenRequests};

use crate::push;

/// A request that has not moved for so long was lost on the way: longer than any retry takes, and any wait for a quota.
pub const STALE: Duration = Duration::from_secs(3600);
/// How long finished requests are kept for those who ask what happened.
pub(crate) const KEEP_FINISHED: Duration = Duration::from_secs(30 * 24 * 3600);
/// How far the provider's clock may be behind ours: the first cursor is set that much before the consent.
const SKEW: Duration = Duration::from_secs(600);
/// Events published at once.
const TOGETHER: usize = 500;
/// How often links are looked at again that somebody else planned at the same moment.
const AGAIN: usize = 3;

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

type Asked = (App, Arc<dyn Provider>);

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// Why it asks.
    pub reason: SyncReason,
    /// When the night began that this run goes on with: what was asked since, and answered, is not asked again. `None` where
    /// nothing came before it.
    pub night: Option<Instant>,
}

/// Plans links: a page of them, in the order of their ids. One whose app is not configured is logged and holds up no other.
pub(crate) async fn page(links: &Links, page: &[Link], run: Run) -> Result<Planned, LinkError> {
    let (mut total, mut contested) = once(links, page, run).await?;
    for _ in 0..AGAIN {
        if contested.is_empty() {
            break;
        }
        let rest: Vec<Link> = page.iter().filter(|link| contested.contains(&link.id)).cloned().collect();
        let (planned, still) = once(links, &rest, run).await?;
        total += planned;
        contested = still;
    }
    if !contested.is_empty() {
        tracing::warn!(links = contested.len(), "somebody else keeps planning these links: left to them");
    }
    Ok(total)
}

/// Plans links once. Gives those that somebody else planned meanwhile: nothing was asked for them.
async fn once(links: &Links, page: &[Link], run: Run) -> Result<(Planned, BTreeSet<LinkId>), LinkError> {
    let (Some(first), Some(last)) = (page.first(), page.last()) else { return Ok(Default::default()) };
    let (store, now) = (&links.parts().store, links.parts().clock.now());
    // In this order: what completes in between is then in the coverage.
    let open = store.open_requests_between(first.id, last.id).await?;
    let known: BTreeSet<RequestId> = open.iter().map(|request| request.id).collect();
    let mut open = by_link(open, |request| request.link);
    let mut covered = by_link(store.coverage_between(first.id, last.id).await?, |(link, ..)| *link);

    let mut apps = HashMap::new();
    let mut plan = Plan { now, run, new: Vec::new(), cursors: Vec::new(), planned: Planned::default() };
    let mut repeated = Vec::new();
    for link in page.iter().filter(|link| link.state == LinkState::Active) {
        let unfinished = open.remove(&link.id).unwrap_or_default();
        let covered = covered.remove(&link.id).unwrap_or_default();
        let Some((app, provider)) = app(links, &mut apps, link).await? else {
            plan.planned.failed += 1;
            continue;
        };
        plan.planned.links += 1;
        // A consent found these open on purpose; nobody may be at work on them any more.
        let lost =
            |request: &&Request| run.reason != SyncReason::Nightly || request.updated_at <= now - STALE;
        for request in unfinished.iter().filter(lost) {
            repeated.push(links.sync_event(link, request, "nightly")?);
        }
        // Where readings are brought there is nobody to ask. An import that was cut off ends when `fetch` sees its row.
        if ohx_providers::kind(&app.config.kind).is_none_or(|kind| kind.consent) {
            let sync = SyncId::new();
            for spec in provider.records(&app.config, &link.scopes) {
                let known = covered.iter().find(|(_, record, _)| *record == spec.record);
                let known = known.map(|(.., coverage)| coverage);
                let mine = unfinished.iter().filter(|request| request.record == spec.record);
                plan.record(link, &spec, known, mine, sync);
            }
        }
    }
    let Plan { new, cursors, mut planned, .. } = plan;
    store.init_cursors(&cursors).await?;
    let contested = store.plan(&new, &known, now).await?;
    planned.unfinished = repeated.len() as u64;
    let mut events = repeated;
    let by_id: HashMap<LinkId, &Link> = page.iter().map(|link| (link.id, link)).collect();
    let mut asked = BTreeSet::new();
    for new in new.into_iter().filter(|new| !contested.contains(&new.link)) {
        let Some(link) = by_id.get(&new.link) else { continue };
        asked.insert(link.id);
        match new.query {
            Query::Window(_) => planned.holes += 1,
            Query::Since { .. } => planned.changes += 1,
        }
        events.push(links.sync_event(link, &new.into_request(now), "nightly")?);
    }
    planned.links -= contested.len() as u64;
    let counts = [("hole", planned.holes), ("changes", planned.changes), ("unfinished", planned.unfinished)];
    for (kind, count) in counts {
        PLANNED.with_label_values(&[kind]).inc_by(count);
    }
    // After the asking: readings come first. Where a night is gone on with, those that were asked before were looked at before.
    let looked_at = |link: &Link| run.night.is_some() && !asked.contains(&link.id);
    for link in page.iter().filter(|link| link.state == LinkState::Active && !contested.contains(&link.id)) {
        let asks = apps
            .get(&link.provider)
            .and_then(Option::as_ref)
            .is_some_and(|(app, _)| ohx_providers::kind(&app.config.kind).is_none_or(|kind| kind.consent));
        if asks && !looked_at(link) && push::is_due(link, now) {
            let priority = if run.reason == SyncReason::Nightly { Priority::Low } else { Priority::High };
            events.push(push::event(links, link, 0, priority)?);
        }
    }
    publish(links, events).await?;
    Ok((planned, contested))
}

async fn publish(links: &Links, events: Vec<Event>) -> Result<(), LinkError> {
    let mut events = events.into_iter().peekable();
    while events.peek().is_some() {
        links.parts().bus.publish(events.by_ref().take(TOGETHER).collect()).await?;
    }
    Ok(())
}

fn by_link<T>(all: Vec<T>, link: impl Fn(&T) -> LinkId) -> HashMap<LinkId, Vec<T>> {
    let mut by_link = HashMap::<_, Vec<T>>::new();
    for one in all {
        by_link.entry(link(&one)).or_default().push(one);
    }
    by_link
}

/// The app of a link, looked up once for a page. `None` where it cannot be used.
async fn app<'a>(
    links: &Links,
    apps: &'a mut HashMap<ProviderName, Option<Asked>>,
    link: &Link,
) -> Result<Option<&'a Asked>, LinkError> {
    if !apps.contains_key(&link.provider) {
        let app = match links.app(&link.provider).await {
            Ok(app) => Some(app),
            Err(error @ (LinkError::Store(_) | LinkError::Bus(_))) => return Err(error),
            Err(error) => {
                tracing::warn!(provider = %link.provider, error = %error, "links of this app are not planned");
                None
            }
        };
        apps.insert(link.provider.clone(), app);
    }
    Ok(apps.get(&link.provider).and_then(Option::as_ref))
}

/// What is to be asked.
struct Plan {
    now: Instant,
    run: Run,
    new: Vec<NewRequest>,
    cursors: Vec<(LinkId, Record, Instant)>,
    planned: Planned,
}

impl Plan {
    /// What one record of a link lacks.
    fn record<'r>(
        &mut self,
        link: &Link,
        spec: &RecordSpec,
        known: Option<&Coverage>,
        unfinished: impl Iterator<Item = &'r Request>,
        sync: SyncId,
    ) {
        let now = self.now;
        let Some(start) = link.history_start else { return };
        let connected = link.connected_at.map(|connected| connected - SKEW);
        let mut cursor = known.and_then(|known| known.cursor);
        if let (true, None, Some(connected)) = (spec.changes, cursor, connected) {
            cursor = Some(connected);
            self.cursors.push((link.id, spec.record.clone(), connected));
        }
        let mut covered = known.map(|known| known.published.clone()).unwrap_or_default();
        let mut asks_for_changes = false;
        for request in unfinished {
            match request.query {
                Query::Window(window) => covered.insert(window),
                Query::Since { since } => {
                    asks_for_changes = true;
                    insert_until_now(&mut covered, since, now);
                }
            }
        }
        let reason = self.run.reason;
        let new = |query| NewRequest {
            id: RequestId::new(),
            sync,
            link: link.id,
            record: spec.record.clone(),
            query,
            reason,
        };
        // A link that was connected, or connected again, lacks a stretch of time; what changed before is for the night.
        if reason == SyncReason::Nightly && !asks_for_changes {
            let changes = cursor.filter(|_| spec.changes);
            let last = changes.or(known.and_then(|known| known.reread));
            // A cursor that is where the consent has put it is no answer.
            let tonight = |last: &Instant| {
                Some(*last) != connected && self.run.night.is_some_and(|night| *last >= night - SKEW)
            };
            match (last.filter(tonight), changes) {
                // Answered already. What has come since is for the next night.
                (Some(last), _) => insert_until_now(&mut covered, last, now),
                (None, Some(cursor)) => {
                    let since = cursor - spec.overlap;
                    self.new.push(new(Query::Since { since }));
                    insert_until_now(&mut covered, since, now);
                }
                // The provider cannot say what changed: what may have come late is read again, counted from the last night
                // that did so, because nights may have been missed.
                (None, None) => {
                    let last = last.or(connected).unwrap_or(now).min(now);
                    covered
                        .remove(Interval { start: last - spec.overlap, end: now + Duration::from_secs(1) });
                }
            }
        }
        let Some(wanted) = Interval::new(start, now) else { return };
        for hole in covered.gaps(wanted).iter() {
            self.new.extend(spec.windows(*hole).map(|window| new(Query::Window(window))));
        }
    }
}

fn insert_until_now(covered: &mut Intervals, since: Instant, now: Instant) {
    if let Some(interval) = Interval::new(since, now) {
        covered.insert(interval);
    }
}

/// Publishes the event of every request that is open, whatever its age: after a restart of one process with an
/// in-process bus, none of them is on its way any more. The same for what is left to do of links that have ended. Gives their number.
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
            return Ok(resumed + links.resume_erasures().await?);
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
