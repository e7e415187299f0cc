//! What is in the EHR in the end: after `publish` has put in tags, ids, references to devices and new statuses.

use std::collections::BTreeSet;

use ohx_domain::Instant;
use ohx_events::sealed::MappedResource;
use ohx_fhir::{Credentials, EhrClient, Outcome};
use ohx_tests::outside::{Outside, http};

use crate::json::Json;
use crate::mapped::problems;
use crate::outputs::{BASE, OUTPUTS};
use crate::schema;

async fn publish(strategy: &str) {
    let outside = Outside::start().await;
    let endpoint = serde_json::json!({
        "name": "main-clinic", "base_url": outside.fhir_url, "strategy": strategy,
    });
    let ehr = EhrClient::new(http(), serde_json::from_value(endpoint).unwrap(), Credentials::none());
    let (outputs, devices) = &*OUTPUTS;
    let mut readings: Vec<MappedResource> = outputs.iter().map(|o| o.mapped.clone()).collect();
    let refused = |outcomes: Vec<Outcome>| {
        outcomes.into_iter().filter(|o| matches!(o, Outcome::Rejected { .. })).collect::<Vec<_>>()
    };

    // One device stays unknown to the EHR: its readings name it by its identifier.
    let published = ehr.publish(BASE, &devices[1..], &readings).await.unwrap();
    assert_eq!(refused(published.outcomes), []);
    assert_eq!(refused(published.devices), []);
    let known = stored(&outside);
    assert!(known.contains("final") && !known.contains("corrected"), "{known:?}");

    // Each reading once more, as the provider corrected it later.
    for reading in &mut readings {
        reading.digest = format!("{}-later", reading.digest);
        reading.issued = Some(Instant::from_second(4_000_000_000).unwrap());
    }
    let published = ehr.publish(BASE, devices, &readings).await.unwrap();
    assert_eq!(refused(published.outcomes), []);
    assert!(stored(&outside).contains("corrected"));
}

/// Holds everything in the EHR against the specification. The statuses of its Observations.
fn stored(outside: &Outside) -> BTreeSet<String> {
    let mut statuses = BTreeSet::new();
    let mut wrong = Vec::new();
    for kind in ["Observation", "Device"] {
        let resources = outside.ehr.resources(kind);
        assert!(!resources.is_empty(), "no {kind}");
        for text in resources {
            wrong.extend(problems(&text).into_iter().chain(schema::problems(&text)));
            let resource = Json::parse(&text).unwrap();
            statuses.extend(resource.text_of("status").map(str::to_owned));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    statuses
}

#[tokio::test]
async fn what_an_update_leaves_in_the_ehr_is_valid() {
    publish("update").await;
}

#[tokio::test]
async fn what_a_conditional_create_leaves_in_the_ehr_is_valid() {
    publish("conditional-create").await;
}
