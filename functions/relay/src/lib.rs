//! `relay`: delivers events from the queues of Redis or SQS to the functions' addresses, or to a Knative broker.
//!
//! It exists because scale-to-zero functions are pushed to, and because a queue's own connectors lose events. Several
//! relays share the load; what one leaves behind when it dies, another takes up. Where a Knative broker delivers, it is the
//! broker's dead-letter sink ([`broker`]).

pub mod broker;

use std::collections::BTreeMap;

use ohx_events::Function;
use ohx_runtime::settings::{SettingError, Settings};
use url::Url;

/// The functions' addresses: `OHX_FETCH_URL`, `OHX_TRANSFORM_URL`, `OHX_PUBLISH_URL`, `OHX_DEVICES_URL`,
/// `OHX_NIGHTLY_URL`.
///
/// # Errors
/// One is missing or no address.
pub fn addresses(settings: &Settings) -> Result<BTreeMap<Function, Url>, SettingError> {
    let expected = "the function's address, such as http://fetch.ohx.svc.cluster.local";
    let name = |function| match function {
        Function::Nightly => "OHX_NIGHTLY_URL",
        Function::Fetch => "OHX_FETCH_URL",
        Function::Transform => "OHX_TRANSFORM_URL",
        Function::Publish => "OHX_PUBLISH_URL",
        Function::Devices => "OHX_DEVICES_URL",
    };
    Function::ALL
        .into_iter()
        .map(|function| Ok((function, settings.url(name(function), expected)?)))
        .collect()
}
