//! When the night's work will be done, said before it begins.

use std::time::Duration;

use ohx_link::{LinkError, Links};
use ohx_providers::{App, Provider};
use ohx_store::{Prediction, WorkAhead};

/// How many calls a night takes, at least, and how long they take at the app's pace: what is waiting, one call for each record of
/// each link, and one for the look at its subscriptions. Further pages are not known before they are read; what the
/// provider allows a single patient hardly ever decides.
fn forecast(links: &Links, ahead: &WorkAhead, app: &App, provider: &dyn Provider) -> (u64, Duration) {
    let kind = ohx_providers::kind(&app.config.kind);
    if kind.is_some_and(|kind| !kind.consent) {
        return (0, Duration::ZERO);
    }
    let records = provider.records(&app.config, &[]).len() as u64;
    let push = u64::from(kind.is_some_and(|kind| kind.push));
    let calls = ahead.waiting + ahead.links * (records + push);
    let per_minute = u64::from(links.calls_per_minute(app, provider).max(1));
    (calls, Duration::from_secs((calls * 60).div_ceil(per_minute)))
}

/// Logs it, and writes it down with the beginning of the run: `metrics` shows it when this process is gone.
pub(crate) async fn begin(links: &Links) -> Result<(), LinkError> {
    let (store, now) = (&links.parts().store, links.parts().clock.now());
    let mut predicted = Vec::new();
    for ahead in store.work_ahead().await? {
        let (app, provider) = match links.app(&ahead.provider).await {
            Ok(app) => app,
            Err(error @ LinkError::Store(_)) => return Err(error),
            // Its links are told of when they are planned.
            Err(_) => continue,
        };
        let (calls, lasts) = forecast(links, &ahead, &app, provider.as_ref());
        let finish = now.checked_add(lasts).unwrap_or(now);
        let name = ahead.provider.as_str();
        tracing::info!(provider = name, links = ahead.links, waiting = ahead.waiting, calls, minutes = lasts.as_secs().div_ceil(60), finish = %finish, "the night's work");
        predicted.push(Prediction { provider: ahead.provider, calls, finish });
    }
    Ok(store.begin_night(now, &predicted).await?)
}
