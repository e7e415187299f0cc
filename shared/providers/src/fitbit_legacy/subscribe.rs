//! Subscriptions: one for each collection, and one that tells when the patient leaves.

use http::StatusCode;

use super::call::Caller;
use super::{SUBSCRIBER, records};
use crate::{App, ProviderError, Subscriber, Subscriptions};

/// Tells that the patient has left.
pub(super) const REVOKED: &str = "userRevokedAccess";

/// Makes sure of every collection that tells of what is read. One that is not granted, or is another's, is left out: the
/// nightly run brings what it would have told.
pub(super) async fn subscribe(
    caller: &Caller<'_>,
    app: &App,
    scopes: &[String],
    subscriber: Subscriber<'_>,
) -> Result<Subscriptions, ProviderError> {
    let mut collections: Vec<&str> =
        records::read(&app.config, scopes).filter_map(|known| known.collection).collect();
    collections.push(REVOKED);
    collections.sort_unstable();
    collections.dedup();
    let link = subscriber.link.to_string().replace('-', "");
    let header = app.config.options.get(SUBSCRIBER).map(|id| ("X-Fitbit-Subscriber-Id", id.as_str()));
    let mut done = Subscriptions { kept: 0, made: 0, refused: 0 };
    for collection in collections {
        // One link has the same ids for ever, so that asking again makes nothing new.
        let path = format!("1/user/-/{collection}/apiSubscriptions/{link}-{collection}.json");
        match caller.post(&path, header, &format!("apiSubscriptions of {collection}")).await {
            Ok(answer) if answer.status == StatusCode::CREATED => done.made += 1,
            Ok(_) => done.kept += 1,
            Err(ProviderError::NotGranted { .. }) => done.refused += 1,
            Err(ProviderError::Refused { status, .. }) if status.starts_with("HTTP 409") => done.refused += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
