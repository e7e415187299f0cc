//! Everything that the built-in documents make of their examples and of the recorded pages.

use std::collections::BTreeMap;

use ohx_domain::{BundleKind, Instant, WriteStrategy};
use ohx_events::sealed::MappedResource;
use ohx_fhir::{Origin, Outcome, Publication};

use crate::json::Json;
use crate::outputs::{BASE, OUTPUTS};
use crate::readings::stored;
use crate::servers::{Server, Way};
use crate::wrong::Wrong;

/// It is much: two ways stand for all, and a server that validates has seen every resource.
const TWO: [Way; 2] = [
    Way { strategy: WriteStrategy::Update, bundle: BundleKind::Batch },
    Way { strategy: WriteStrategy::ConditionalCreate, bundle: BundleKind::Transaction },
];

pub(crate) async fn everything_that_is_mapped_is_taken_and_stays_valid(server: &Server) {
    let (outputs, devices) = &*OUTPUTS;
    // A reading that two pages have is one.
    let readings: BTreeMap<_, MappedResource> = outputs
        .iter()
        .map(|output| {
            let identifier = &output.mapped.identifier;
            ((identifier.system.clone(), identifier.value.clone()), output.mapped.clone())
        })
        .collect();
    assert!(readings.len() > 200, "{}", readings.len());
    let origin = Origin {
        provider: "Withings".to_owned(),
        source: "withings/getmeas".to_owned(),
        mapping: "withings/getmeas 1".to_owned(),
        sync: "0192e4a0-0000-7000-8000-000000000000".to_owned(),
        recorded: Instant::from_second(1_790_000_000).unwrap(),
    };
    for way in TWO {
        // Other identifiers for the other way: as of another deployment.
        let base = format!("{BASE}/mapped-{}", way.name());
        let again = |mapped: &MappedResource| {
            let mut mapped = mapped.clone();
            mapped.identifier.system = mapped.identifier.system.replace(BASE, &base);
            let text = mapped.resource.get().replace(&format!("{BASE}/"), &format!("{base}/"));
            mapped.resource = serde_json::value::RawValue::from_string(text).unwrap();
            if let Some(device) = &mut mapped.device {
                device.system = device.system.replace(BASE, &base);
            }
            mapped
        };
        let readings: Vec<MappedResource> = readings.values().map(again).collect();
        let devices: Vec<MappedResource> = devices.iter().map(again).collect();
        let publication = Publication {
            identifier_base: &base,
            devices: &devices,
            observations: &readings,
            origin: Some(&origin),
            patient: None,
        };
        let published = server.client(way).bring(&publication).await.unwrap();
        let rejected = |outcomes: &[Outcome]| {
            let reason = |outcome: &Outcome| match outcome {
                Outcome::Rejected { reason, .. } => Some(reason.clone()),
                _ => None,
            };
            outcomes.iter().filter_map(reason).collect::<Vec<_>>()
        };
        assert_eq!(rejected(&published.outcomes), Vec::<String>::new(), "{}", way.name());
        assert_eq!(rejected(&published.devices), Vec::<String>::new(), "{}", way.name());
        assert!(published.provenances > 0, "{}", way.name());
        for mapped in readings.iter().chain(&devices) {
            let found = stored(server, mapped).await;
            assert_eq!(found.len(), 1, "{:?}", mapped.identifier);
            if !server.is(Wrong::Digits) {
                assert_eq!(
                    quantities(mapped.resource.get()),
                    quantities(&found[0]),
                    "{:?}",
                    mapped.identifier
                );
            }
        }
    }
}

/// Every quantity, as text, in order.
fn quantities(resource: &str) -> Vec<String> {
    let mut found = Vec::new();
    Json::parse(resource).unwrap().objects(&mut |object| {
        if let (Some(Json::Number(value)), Some(unit)) = (object.get("value"), object.text_of("code")) {
            found.push(format!("{value} {unit}"));
        }
    });
    found.sort();
    found
}
