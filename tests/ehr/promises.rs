//! What is promised, for every strategy and both kinds of Bundle.

use ohx_domain::{BundleKind, WriteStrategy};
use ohx_events::sealed::MappedResource;
use ohx_fhir::Outcome;
use serde_json::value::RawValue;

use crate::readings::{Case, counts, digits, one, stored};
use crate::servers::{Server, WAYS};
use crate::wrong::Wrong;

pub(crate) async fn new_readings_arrive_once_and_digit_for_digit(server: &Server) {
    // As text, and as a server has it that reads numbers into binary floats.
    let values = [
        ("72.10", "72.1"),
        ("0.000", "0"),
        ("106.00", "106"),
        ("-0.50", "-0.5"),
        ("81.4", "81.4"),
        ("123456789.123456789", "123456789.12345679"),
    ];
    for way in WAYS {
        let case = Case::new("digits", *way);
        let readings: Vec<_> =
            values.iter().enumerate().map(|(n, (value, _))| case.reading(n, value, 0)).collect();
        let published = case.publish(server, &[], &readings).await;
        let new = if put_looks_updated(server, &case) { Outcome::Updated } else { Outcome::Created };
        assert_eq!(published.outcomes, vec![new; values.len()], "{}", way.name());
        for (reading, (exact, float)) in readings.iter().zip(values) {
            let arrived = digits(&one(server, reading).await, "valueQuantity.value");
            assert_eq!(arrived, if server.is(Wrong::Digits) { float } else { exact }, "{}", way.name());
        }
    }
}

/// Whether a new reading is reported as updated, because the server says so.
fn put_looks_updated(server: &Server, case: &Case) -> bool {
    let puts = matches!(case.way.strategy, WriteStrategy::Update | WriteStrategy::Auto);
    puts && server.is(Wrong::PutCreatesWith200)
}

pub(crate) async fn the_same_again_costs_no_version(server: &Server) {
    for way in WAYS {
        let case = Case::new("again", *way);
        let (readings, scale) = (with_scale(&case, case.readings(12)), case.scale());
        case.publish(server, std::slice::from_ref(&scale), &readings).await;
        let before = versions(server, &readings).await;
        let device = one(server, &scale).await;
        for _ in 0..2 {
            let published = case.publish(server, std::slice::from_ref(&scale), &readings).await;
            assert_eq!(published.outcomes, vec![Outcome::Unchanged; 12], "{}", way.name());
            assert_eq!(published.devices, [Outcome::Unchanged], "{}", way.name());
        }
        assert_eq!(versions(server, &readings).await, before, "{}", way.name());
        assert_eq!(one(server, &scale).await, device, "{}", way.name());
    }
}

/// Id and version of each reading.
async fn versions(server: &Server, readings: &[MappedResource]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for reading in readings {
        let resource = one(server, reading).await;
        let text = |path: &str| resource.at(path)[0].text().unwrap().to_owned();
        found.push((text("id"), text("meta.versionId")));
    }
    found
}

pub(crate) async fn a_correction_replaces_and_an_older_version_does_not(server: &Server) {
    for way in WAYS {
        let case = Case::new("correction", *way);
        let outcomes = async |reading| case.publish(server, &[], &[reading]).await.outcomes;
        let (first, corrected) = (case.reading(1, "72.15", 10), case.reading(1, "27.15", 20));
        outcomes(first.clone()).await;
        let before = one(server, &first).await;
        assert_eq!(outcomes(corrected.clone()).await, [Outcome::Updated], "{}", way.name());
        let after = one(server, &corrected).await;
        assert_eq!(digits(&after, "valueQuantity.value"), "27.15", "{}", way.name());
        assert_eq!(after.text_of("status"), Some("corrected"), "{}", way.name());
        assert_eq!(after.text_of("id"), before.text_of("id"), "{}: the same resource", way.name());
        assert_ne!(after.at("meta.versionId"), before.at("meta.versionId"), "{}", way.name());
        // The former version comes again, and one from between.
        for late in [first, case.reading(1, "99.95", 15), corrected.clone()] {
            assert_eq!(outcomes(late).await, [Outcome::Unchanged], "{}", way.name());
        }
        assert_eq!(one(server, &corrected).await, after, "{}", way.name());
    }
}

pub(crate) async fn one_bad_entry_does_not_block_the_others(server: &Server) {
    for way in WAYS {
        let case = Case::new("bad", *way);
        let mut readings = case.readings(9);
        // No `code`, which an Observation must have, and an element that it does not have.
        let text = readings[4].resource.get().replace(r#""code":{"coding""#, r#""kode":{"coding""#);
        readings[4].resource = RawValue::from_string(text).unwrap();
        let published = case.publish(server, &[], &readings).await;
        for (number, outcome) in published.outcomes.iter().enumerate() {
            let rejected = matches!(outcome, Outcome::Rejected { status: Some(400..500), .. });
            assert_eq!(rejected, number == 4, "{} of {}: {outcome:?}", number, way.name());
        }
        for (number, reading) in readings.iter().enumerate() {
            let count = stored(server, reading).await.len();
            // Only this strategy cannot help it: what a failed transaction has left is written again with its halves.
            let again =
                way.strategy == WriteStrategy::SearchThenCreate && way.bundle == BundleKind::Transaction;
            let expected = match number {
                4 => 0,
                0..4 if again && server.is(Wrong::TransactionKeepsSome) => 2,
                _ => 1,
            };
            assert_eq!(count, expected, "{number} of {}", way.name());
        }
    }
}

fn with_scale(case: &Case, mut readings: Vec<MappedResource>) -> Vec<MappedResource> {
    readings.iter_mut().for_each(|reading| reading.device = Some(case.scale().identifier));
    readings
}

pub(crate) async fn a_device_comes_first_and_is_referred_to(server: &Server) {
    for way in WAYS {
        let case = Case::new("device", *way);
        let readings = with_scale(&case, case.readings(4));
        let published = case.publish(server, &[case.scale(), case.scale()], &readings[..3]).await;
        assert_eq!(published.without_device, 0, "{}", way.name());
        // In a later call the device is there already.
        let published = case.publish(server, &[case.scale()], &readings).await;
        assert_eq!(published.devices, [Outcome::Unchanged], "{}", way.name());
        assert_eq!(counts(&published.outcomes)[2], 3, "{}: {:?}", way.name(), published.outcomes);
        let device = one(server, &case.scale()).await;
        let reference = format!("Device/{}", device.text_of("id").unwrap());
        for reading in &readings {
            let resource = one(server, reading).await;
            assert_eq!(resource.at("device.reference")[0].text(), Some(&*reference), "{}", way.name());
        }
    }
}

pub(crate) async fn every_page_of_a_search_is_read(server: &Server) {
    for way in WAYS {
        let case = Case::new("pages", *way);
        let readings = case.readings(50);
        case.publish(server, &[], &readings).await;
        // The server does send pages: otherwise what follows proves nothing.
        let tokens: Vec<String> = readings
            .iter()
            .map(|reading| format!("{}|{}", reading.identifier.system, reading.identifier.value))
            .collect();
        let query = [("identifier", tokens.join(",")), ("_count", "50".to_owned())];
        let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (found, more) = server.page("Observation", &query).await;
        if server.is(Wrong::NoPages) {
            assert_eq!((found.len(), more), (50, false), "{}", way.name());
        } else {
            assert_eq!((found.len(), more), (20, true), "{}", way.name());
        }
        let published = case.publish(server, &[], &readings).await;
        assert_eq!(published.outcomes, vec![Outcome::Unchanged; 50], "{}", way.name());
    }
}
