//! `fetch`: from `sync.requested` to `records.fetched`.
//!
//! Reads every page that a ledger row asks for, under the app's quota and with a token that is good, and sends each
//! part on, sealed. When the last page has been read the ledger learns how many parts there are: the row counts as
//! done once `publish` has acknowledged each of them. An event that comes twice is another run of the same row. One whose turn
//! has not come waits in the bus, as often as need be, and counts no attempt. What the
//! patient or the app's plan does not allow ends the row with a note, and no other row of the link.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use ohx_domain::{Instant, Interval, LinkState, Query, Request, RequestState, RunId, SyncReason};
use ohx_events::envelope::{link_of, plain_data};
use ohx_events::plain::SyncRequested;
use ohx_events::{Event, Function, Priority};
use ohx_link::{Class, LinkError, Links, OpenLink, Place, Turn};
use ohx_providers::{App, Page, PageToken, Part, Provider, ProviderError};
use ohx_runtime::event::heard;
use ohx_runtime::parts::Parts;
use ohx_runtime::{CloudEvent, EventFailure, EventReply};

/// How long what was brought may be on its way: as long as SQS keeps a message.
const HELD: Duration = Duration::from_secs(14 * 86_400);

/// The function's routes: one event at `/`.
pub fn router(links: Links) -> Router {
    Router::new().route("/", post(handle)).with_state(links)
}

async fn handle(State(links): State<Links>, CloudEvent(event): CloudEvent) -> EventReply {
    let result = fetch(&links, &event).await;
    let result = links.or_later(&event, result).await;
    EventReply::of("fetch", &event, result)
}

async fn fetch(links: &Links, event: &Event) -> Result<(), EventFailure> {
    heard(Function::Fetch, event)?;
    let asked: SyncRequested = plain_data(event)?;
    let link = link_of(event)?;
    let store = &links.parts().store;
    let known = store.request_by_id(asked.request).await?;
    match known {
        None => return Err(EventFailure::reject(format!("request {} is not in the ledger", asked.request))),
        Some(request) if request.link != link => {
            let reason = format!("request {} belongs to another link than {link}", asked.request);
            return Err(EventFailure::reject(reason));
        }
        Some(request) if !request.state.is_open() => {
            tracing::info!(request = %asked.request, "already done");
            return Ok(());
        }
        Some(request) if asked.reason == SyncReason::Import && is_on_its_way(links, &request).await? => {
            tracing::info!(request = %asked.request, "brought, and on its way");
            return Ok(());
        }
        Some(_) => {}
    }
    if asked.reason == SyncReason::Import {
        // Left behind by a process that ended while sending: nobody can be asked for it.
        return give_up(links, &asked, "the readings were brought and not all sent on; bring the same again")
            .await;
    }
    let open = match links.open(link).await {
        Ok(open) if open.link.state == LinkState::Active => open,
        Ok(OpenLink { link: dormant, .. }) => {
            return give_up(links, &asked, &format!("link {link} is {}", dormant.state.as_str())).await;
        }
        Err(error @ LinkError::State { .. }) => return give_up(links, &asked, &error.to_string()).await,
        Err(error) => return Err(error.into()),
    };
    let turn = Turn::new(Class::of(asked.reason));
    let (app, provider) = links.app(&open.link.provider).await?;
    if let Err(error) = links.admit(&open, &app, provider.as_ref(), &turn).await {
        let failure = EventFailure::from(error);
        // A sign of life: it is neither lost nor begun.
        store.note(asked.request, failure.reason(), links.parts().clock.now()).await?;
        return Err(failure);
    }
    let Some(request) = store.begin_fetch(asked.request, links.parts().clock.now()).await? else {
        tracing::info!(request = %asked.request, "already done");
        return Ok(());
    };
    let at = At { links, open: &open, app: &app, provider: provider.as_ref(), turn: &turn };
    let result = match run(&at, &request, Priority::of(event)).await {
        Ok(Ended::Read) => Ok(()),
        Ok(Ended::NotGranted(why)) => return give_up(links, &asked, &why).await,
        Err(failure) => Err(failure),
    };
    if let Err(failure) = &result {
        let now = links.parts().clock.now();
        match failure {
            EventFailure::Retry { reason, .. } | EventFailure::Wait { reason, .. } => {
                store.note(request.id, reason, now).await?
            }
            EventFailure::Reject { reason } => store.fail(request.id, reason, now).await?,
        }
    }
    result
}

/// Whether all that was brought is in the hands of the bus: it is tried there until it is taken, refused or given up, which may take as
/// long as the EHR is away, and what is given up ends its row (`ohx_runtime::bury`).
async fn is_on_its_way(links: &Links, request: &Request) -> Result<bool, EventFailure> {
    let Parts { bus, clock, .. } = links.parts();
    let lost = clock.now().checked_sub(HELD).unwrap_or(Instant::UNIX_EPOCH);
    let since = bus.holds_since().await?.map_or(lost, |since| since.max(lost));
    Ok(request.state == RequestState::Fetched && request.updated_at >= since)
}

/// The link or this record of it cannot be read: the window stays a hole, for when it can. There is nothing to retry, and
/// nothing is wrong with the event.
async fn give_up(links: &Links, asked: &SyncRequested, why: &str) -> Result<(), EventFailure> {
    tracing::info!(request = %asked.request, why, "given up");
    links.parts().store.fail(asked.request, why, links.parts().clock.now()).await?;
    Ok(())
}

/// How a run ended.
enum Ended {
    /// Everything has been read and sent on.
    Read,
    /// The patient or the app's plan does not allow it; says what was not.
    NotGranted(String),
}

/// Whom a run asks.
struct At<'a> {
    links: &'a Links,
    open: &'a OpenLink,
    app: &'a App,
    provider: &'a dyn Provider,
    turn: &'a Turn,
}

async fn run(at: &At<'_>, request: &Request, priority: Priority) -> Result<Ended, EventFailure> {
    let At { links, open, app, provider, turn } = *at;
    let parts = links.parts();
    let run = RunId::new();
    let began = parts.clock.now();
    let mut until: Option<Instant> = None;
    let (mut next, mut sent, mut records): (Option<PageToken>, u32, u64) = (None, 0, 0);
    loop {
        let called: Result<Page, _> = links
            .call_in_turn(open, app, provider, turn, |token| {
                let next = next.as_ref();
                async move { provider.fetch(app, &token, &request.record, &request.query, next).await }
            })
            .await;
        let page = match called {
            Err(LinkError::Provider { source, .. })
                if matches!(*source, ProviderError::NotGranted { .. }) =>
            {
                return Ok(Ended::NotGranted(source.to_string()));
            }
            called => called?,
        };
        // What changes while pages are read is only certain to be seen from the first page's moment on.
        until = until.or(Some(page.as_of.unwrap_or(began)));
        records += page.records;
        let mut events = Vec::with_capacity(page.parts.len());
        let all = removed(request, sent, &page);
        let nothing = all.filter(|_| page.parts.is_empty()).map(|_| Part::nothing());
        for part in page.parts.into_iter().chain(nothing) {
            let place = Place { request, run, number: sent, priority, source: "fetch", all };
            events.push(links.part_event(open, place, part)?);
            sent += 1;
        }
        parts.bus.publish(events).await?;
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    let progress = parts.store.fetched(request.id, run, sent, until, parts.clock.now()).await?;
    tracing::info!(link = %open.link.id, request = %request.id, record = %request.record, records, parts = sent, ?progress, "fetched");
    Ok(Ended::Read)
}

/// The window whose readings are taken back but for those of `page`: the provider said that some were removed, and the page
/// is all that there is. Where there is more than a part can hold, nothing is taken back: the EHR keeps what it has.
fn removed(request: &Request, sent: u32, page: &Page) -> Option<Interval> {
    let (SyncReason::Removal, Query::Window(window)) = (request.reason, request.query) else { return None };
    let whole = sent == 0 && page.next.is_none() && page.parts.len() <= 1;
    if !whole && page.next.is_none() {
        tracing::warn!(request = %request.id, "removed readings are not marked: the window holds more than one part");
    }
    whole.then_some(window)
}
