//! Keeping the provider's notifications registered.
//!
//! A subscription is looked at when a link is connected and every night, each time as an event of its own: the provider calls our
//! address back before it accepts it, and a slow answer there must hold up neither the asking for readings nor the other
//! links. What fails is tried again soon, some times; then the next night does. Until then the link is polled, and says so.

use std::time::Duration;

use ohx_domain::{Instant, Link, LinkId, LinkState, PushState};
use ohx_events::plain::PushRequested;
use ohx_events::{Envelope, Event, Priority, types};
use ohx_link::{Class, LinkError, Links, Turn};
use ohx_providers::{Subscriber, Subscriptions};
use ohx_runtime::EventFailure;
use ohx_runtime::trace::traceparent;

/// What was looked at within this time is not looked at again: two runs of one night do the work of one.
const FRESH: Duration = Duration::from_secs(20 * 3600);
/// How long after each failure in a row the next try comes. Then the night does it.
const AGAIN: [Duration; 5] = [
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
];

/// Whether a link's subscriptions are due for a look.
pub(crate) fn is_due(link: &Link, now: Instant) -> bool {
    match link.push {
        PushState::Subscribed { checked } => checked <= now - FRESH,
        PushState::Unknown | PushState::Polling { .. } => true,
    }
}

/// The event that asks for a look.
pub(crate) fn event(links: &Links, link: &Link, failed: u32, priority: Priority) -> Result<Event, LinkError> {
    let now = links.parts().clock.now();
    let envelope = Envelope {
        id: format!("{}.push.{}.{failed}", link.id, now.as_microsecond()),
        event_type: types::PUSH_REQUESTED,
        source: "nightly",
        link: link.id,
        sync: None,
        priority,
        time: now,
        traceparent: traceparent(),
    };
    Ok(envelope.plain(&PushRequested { provider: link.provider.clone(), failed })?)
}

/// Looks at a link's subscriptions, and makes those that are missing. What came of it is the link's push state.
///
/// # Errors
/// The store's and the bus's. What the provider says against it is no error: the link is polled.
pub(crate) async fn register(
    links: &Links,
    id: LinkId,
    failed: u32,
    class: Class,
) -> Result<(), EventFailure> {
    let open = links.open(id).await?;
    if open.link.state != LinkState::Active {
        return Ok(());
    }
    // Every link comes by here each night: a refresh token that nobody has needed for long is used before it ends. What the
    // provider says against that, it says of the next call as well.
    match links.keep_alive(&open).await {
        Ok(_) => {}
        Err(error @ (LinkError::Store(_) | LinkError::Bus(_))) => return Err(error.into()),
        Err(error) => tracing::debug!(link = %id, %error, "its tokens were not refreshed"),
    }
    let (app, provider) = links.app(&open.link.provider).await?;
    let (address, app_address) = (links.callback(&open), links.app_callback(&open.link.provider));
    let now = links.parts().clock.now();
    let turn = Turn::new(class);
    let pushed = links
        .call_in_turn(&open, &app, provider.as_ref(), &turn, |token| {
            let (app, provider) = (&app, provider.as_ref());
            let subscriber = Subscriber { link: id, address: &address, app_address: &app_address, now };
            let scopes = open.link.scopes.as_slice();
            async move { provider.subscribe(app, scopes, &token, subscriber).await }
        })
        .await;
    let reason = match pushed {
        Ok(Subscriptions { kept: 0, made: 0, .. }) => {
            let reason = "the provider notifies of nothing that this link reads".to_owned();
            links.parts().store.set_push_state(id, &PushState::Polling { reason }).await?;
            return Ok(());
        }
        Ok(_) => {
            links.parts().store.set_push_state(id, &PushState::Subscribed { checked: now }).await?;
            return Ok(());
        }
        // Not its turn yet: that says nothing about push.
        Err(
            error @ (LinkError::Store(_)
            | LinkError::Bus(_)
            | LinkError::Quota { .. }
            | LinkError::Doubted { .. }
            | LinkError::Outage { .. }),
        ) => return Err(error.into()),
        Err(LinkError::Provider { source, .. }) => source.to_string(),
        Err(error) => error.to_string(),
    };
    let again = usize::try_from(failed).ok().and_then(|failed| AGAIN.get(failed)).copied();
    let next_in = again.map_or_else(|| "next night".to_owned(), |wait| format!("in {} s", wait.as_secs()));
    tracing::warn!(link = %id, reason, next_try = next_in, "push is not registered; polling");
    let polling = PushState::Polling { reason: reason.clone() };
    links.parts().store.set_push_state(id, &polling).await?;
    let Some(wait) = again else { return Ok(()) };
    if links.parts().bus.can_wait() {
        let event = event(links, &open.link, failed + 1, Priority::Normal)?;
        links.parts().bus.publish_after(event, wait).await?;
        return Ok(());
    }
    // The broker's own retries are what waits.
    Err(EventFailure::Retry { reason: format!("push is not registered: {reason}"), after: Some(wait) })
}
