//! The client against a server over a real socket that does what FHIR says, and fails on request.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod auth;
mod convergence;
mod faults;
mod plans;
mod server;
mod writing;

use ohx_domain::{Identifier, Instant, WriteStrategy};
use ohx_events::sealed::MappedResource;
use ohx_fhir::{Credentials, EhrClient};
use serde_json::value::RawValue;

pub(crate) const BASE: &str = "https://ohx.example/ns";
pub(crate) const BOTH: [WriteStrategy; 2] = [WriteStrategy::Update, WriteStrategy::ConditionalCreate];

/// A client of `server`.
pub(crate) fn client(server: &server::Server, strategy: WriteStrategy, batch_size: usize) -> EhrClient {
    let mut endpoint: ohx_domain::EhrEndpoint =
        serde_json::from_value(serde_json::json!({ "name": "main-clinic", "base_url": server.base }))
            .unwrap();
    endpoint.strategy = strategy;
    endpoint.batch_size = batch_size;
    endpoint.provenance = false;
    #[expect(clippy::disallowed_methods, reason = "a test's own client")]
    let http =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    EhrClient::new(http, endpoint, Credentials::none())
}

/// A reading as `transform` maps it. `value` is the JSON text of a decimal.
pub(crate) fn reading(number: usize, value: &str, issued: i64) -> MappedResource {
    let identifier = Identifier {
        system: format!("{BASE}/withings/getmeas"),
        value: format!("pseudonym.{number}.body-weight"),
    };
    let issued = Instant::from_second(1_790_000_000 + issued).unwrap();
    let resource = format!(
        r#"{{"resourceType":"Observation","meta":{{"tag":[{{"system":"{BASE}/mapping","code":"1"}}]}},"identifier":[{{"system":"{}","value":"{}"}}],"status":"final","issued":"{issued}","valueQuantity":{{"value":{value},"unit":"kg"}}}}"#,
        identifier.system, identifier.value
    );
    MappedResource {
        identifier,
        digest: format!("digest-of-{}", value.replace('.', "-")),
        issued: Some(issued),
        taken: Some(issued),
        device: None,
        only_if_missing: false,
        resource: RawValue::from_string(resource).unwrap(),
    }
}

pub(crate) fn readings(count: usize) -> Vec<MappedResource> {
    (0..count).map(|number| reading(number, "72.10", 0)).collect()
}

pub(crate) fn scale() -> MappedResource {
    let identifier =
        Identifier { system: format!("{BASE}/withings/device"), value: "pseudonym.scale".into() };
    let resource = format!(
        r#"{{"resourceType":"Device","identifier":[{{"system":"{}","value":"{}"}}],"status":"active"}}"#,
        identifier.system, identifier.value
    );
    MappedResource {
        identifier,
        digest: "digest-of-scale".into(),
        issued: None,
        taken: None,
        device: None,
        only_if_missing: false,
        resource: RawValue::from_string(resource).unwrap(),
    }
}

#[test]
fn the_published_example_is_true() {
    let published = include_str!("../../../../docs/identity.md");
    let (provider, patient) = ("withings".parse().unwrap(), "Patient/p1".parse().unwrap());
    let account =
        ohx_domain::account_pseudonym(&provider, &ohx_domain::Sensitive::new("363".into()), &patient);
    let value = format!("{account}.7130001.body-weight");
    let identifier = Identifier { system: format!("{BASE}/withings/getmeas"), value };
    for part in [format!("\"{}\"", identifier.system), format!("\"{}\"", identifier.value)] {
        assert!(published.contains(&part), "{part}");
    }
    let id = identifier.resource_id();
    assert!(published.contains(&format!("`{id}`")), "{id}");
}
