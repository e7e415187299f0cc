//! What is written, and what is not.

use std::sync::Arc;

use ohx_domain::WriteStrategy;
use ohx_events::sealed::MappedResource;
use ohx_fhir::Outcome;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::Barrier;

use crate::server::Server;
use crate::{BASE, BOTH, client, reading, readings, scale};

#[tokio::test]
async fn every_digit_arrives() {
    for strategy in BOTH {
        let server = Server::start().await;
        let values =
            ["72.10", "0.000", "106.00", "-0.50", "12345678901234567890.123456789", "7.210e1", "1E-7"];
        let mine: Vec<_> = values.iter().enumerate().map(|(n, value)| reading(n, value, 0)).collect();
        let published = client(&server, strategy, 100).publish(BASE, &[], &mine).await.unwrap();
        assert_eq!(published.outcomes, vec![Outcome::Created; values.len()]);
        for (resource, value) in mine.iter().zip(values) {
            let (_, text) = server.current(&resource.identifier.value);
            assert!(text.contains(&format!(r#""value":{value},"unit""#)), "{text}");
            assert!(
                text.contains(&format!(
                    r#"{{"system":"{BASE}/content-digest","code":"{}"}}"#,
                    resource.digest
                ))
            );
            assert!(
                text.contains(&format!(r#"{{"system":"{BASE}/mapping","code":"1"}}"#)),
                "other tags stay: {text}"
            );
        }
    }
}

#[tokio::test]
async fn again_is_nothing_new_and_cheap() {
    for strategy in BOTH {
        let server = Server::start().await;
        let (ehr, mine) = (client(&server, strategy, 100), readings(1000));
        let published = ehr.publish(BASE, &[], &mine).await.unwrap();
        assert_eq!(published.outcomes, vec![Outcome::Created; 1000]);
        assert_eq!(server.requests().len(), 20, "one lookup and one batch for each hundred");
        let published = ehr.publish(BASE, &[], &mine).await.unwrap();
        assert_eq!(published.outcomes, vec![Outcome::Unchanged; 1000]);
        assert_eq!(server.requests().len(), 10, "one lookup for each hundred");
        assert_eq!(server.count("Observation"), (1000, 1000));
    }
}

#[tokio::test]
async fn a_correction_is_a_new_version_and_an_older_one_is_not() {
    for strategy in BOTH {
        let server = Server::start().await;
        let ehr = client(&server, strategy, 100);
        ehr.publish(BASE, &[], &[reading(1, "72.10", 10)]).await.unwrap();
        let published = ehr.publish(BASE, &[], &[reading(1, "27.10", 20)]).await.unwrap();
        assert_eq!(published.outcomes, [Outcome::Updated]);
        let value = reading(1, "1", 0).identifier.value;
        let (key, text) = server.current(&value);
        assert!(text.contains(r#""status":"corrected""#) && text.contains(r#""value":27.10,"#), "{text}");
        assert!(text.contains(&format!(r#""id":"{}""#, key.trim_start_matches("Observation/"))), "{text}");
        // A late event of the former version, and the same correction again.
        for late in [reading(1, "72.10", 10), reading(1, "27.10", 20), reading(1, "99.99", 19)] {
            let published = ehr.publish(BASE, &[], &[late]).await.unwrap();
            assert_eq!(published.outcomes, [Outcome::Unchanged]);
        }
        assert_eq!(server.current(&value).1, text);
        assert_eq!(server.count("Observation"), (1, 2));
    }
}

#[tokio::test]
async fn of_two_versions_in_one_call_the_newer_is_written() {
    for strategy in BOTH {
        let server = Server::start().await;
        let ehr = client(&server, strategy, 100);
        let both =
            [reading(1, "72.10", 10), reading(1, "27.10", 20), reading(1, "72.10", 10), reading(2, "5.0", 0)];
        let published = ehr.publish(BASE, &[], &both).await.unwrap();
        use Outcome::{Created, Unchanged};
        assert_eq!(published.outcomes, [Unchanged, Created, Unchanged, Created]);
        let (_, text) = server.current(&both[0].identifier.value);
        assert!(text.contains(r#""value":27.10,"#) && text.contains(r#""status":"final""#), "{text}");
    }
}

#[tokio::test]
async fn corrected_and_corrected_back_on_a_server_that_keeps_old_tags() {
    for strategy in BOTH {
        let server = Server::start().await;
        server.faults(|faults| faults.keep_old_tags = true);
        let ehr = client(&server, strategy, 100);
        for (value, issued) in [("72.10", 10), ("27.10", 20), ("72.10", 30)] {
            ehr.publish(BASE, &[], &[reading(1, value, issued)]).await.unwrap();
        }
        let mine = reading(1, "72.10", 30);
        assert!(server.current(&mine.identifier.value).1.contains(r#""value":72.10,"#));
        assert_eq!(ehr.publish(BASE, &[], &[mine]).await.unwrap().outcomes, [Outcome::Unchanged]);
        assert_eq!(server.count("Observation"), (1, 3));
    }
}

#[tokio::test]
async fn a_server_that_drops_tags_gets_no_needless_version() {
    for strategy in BOTH {
        let server = Server::start().await;
        server.faults(|faults| faults.drop_tags = true);
        let ehr = client(&server, strategy, 100);
        for expect in [Outcome::Created, Outcome::Unchanged] {
            let published = ehr.publish(BASE, &[], &[reading(1, "72.10", 10)]).await.unwrap();
            assert_eq!(published.outcomes, [expect]);
        }
        assert_eq!(server.count("Observation"), (1, 1));
    }
}

fn with_scale(mut mine: Vec<MappedResource>) -> Vec<MappedResource> {
    mine.iter_mut().for_each(|reading| reading.device = Some(scale().identifier));
    mine
}

#[tokio::test]
async fn readings_refer_to_their_device() {
    for strategy in BOTH {
        for no_location in [false, true] {
            let server = Server::start().await;
            server.faults(|faults| faults.no_location = no_location);
            let ehr = client(&server, strategy, 100);
            let published = ehr.publish(BASE, &[scale(), scale()], &with_scale(readings(3))).await.unwrap();
            assert_eq!(published.devices, [Outcome::Created, Outcome::Unchanged]);
            assert_eq!(published.without_device, 0);
            // In a later call the device is there already.
            let published = ehr.publish(BASE, &[scale()], &with_scale(readings(4))).await.unwrap();
            assert_eq!(published.devices, [Outcome::Unchanged]);
            let (device, text) = server.current(&scale().identifier.value);
            assert!(text.contains(r#""status":"active""#), "{text}");
            for reading in readings(4) {
                let (_, text) = server.current(&reading.identifier.value);
                assert!(text.contains(&format!(r#""device":{{"reference":"{device}"}}"#)), "{text}");
            }
            assert_eq!(server.count("Device"), (1, 1));
        }
    }
}

#[tokio::test]
async fn without_its_device_a_reading_is_written_all_the_same() {
    for strategy in BOTH {
        for status in [422, 403] {
            let server = Server::start().await;
            server.faults(|faults| {
                faults.entries.insert(scale().identifier.value, [status].into());
            });
            let mut mine = with_scale(readings(3));
            mine[2].device = None;
            let published = client(&server, strategy, 100).publish(BASE, &[scale()], &mine).await.unwrap();
            assert!(matches!(published.devices[..], [Outcome::Rejected { .. }]), "{published:?}");
            assert_eq!(published.outcomes, vec![Outcome::Created; 3]);
            assert_eq!(published.without_device, 2);
            let (_, text) = server.current(&mine[0].identifier.value);
            let text: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(text["device"]["identifier"]["value"], "pseudonym.scale");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_writers_at_once_make_each_reading_once() {
    for strategy in BOTH {
        let server = Server::start().await;
        // All eight look before any writes: nobody sees what the others are about to create.
        server.faults(|faults| faults.together = Some((8, Arc::new(Barrier::new(8)))));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let server = server.clone();
            tasks.spawn(async move {
                client(&server, strategy, 100).publish(BASE, &[], &readings(100)).await.unwrap()
            });
        }
        let mut created = 0;
        for published in tasks.join_all().await {
            assert_eq!(published.outcomes.len(), 100);
            assert!(!published.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Rejected { .. })));
            created += published.outcomes.iter().filter(|outcome| **outcome == Outcome::Created).count();
        }
        assert_eq!(created, 100);
        let (resources, versions) = server.count("Observation");
        assert_eq!(resources, 100);
        if strategy == WriteStrategy::ConditionalCreate {
            assert_eq!(versions, 100);
        }
    }
}

#[tokio::test]
async fn a_newer_version_that_comes_between_lookup_and_write_stays() {
    for strategy in BOTH {
        let server = Server::start().await;
        let ehr = client(&server, strategy, 100);
        ehr.publish(BASE, &[], &[reading(1, "72.10", 10)]).await.unwrap();
        server.faults(|faults| faults.meanwhile = Some(reading(1, "27.10", 30)));
        let published = ehr.publish(BASE, &[], &[reading(1, "99.99", 20)]).await.unwrap();
        assert_eq!(published.outcomes, [Outcome::Unchanged]);
        assert!(server.current(&reading(1, "1", 0).identifier.value).1.contains(r#""value":27.10,"#));
        assert_eq!(server.count("Observation"), (1, 2));
    }
}

#[tokio::test]
async fn an_older_version_that_is_created_between_lookup_and_write_is_replaced() {
    let server = Server::start().await;
    let ehr = client(&server, WriteStrategy::ConditionalCreate, 100);
    server.faults(|faults| faults.meanwhile = Some(reading(1, "72.10", 10)));
    let published = ehr.publish(BASE, &[], &[reading(1, "27.10", 20)]).await.unwrap();
    assert_eq!(published.outcomes, [Outcome::Updated]);
    assert!(server.current(&reading(1, "1", 0).identifier.value).1.contains(r#""value":27.10,"#));
    assert_eq!(server.count("Observation"), (1, 2));
}

#[tokio::test]
async fn what_is_no_resource_stops_nothing_else() {
    let server = Server::start().await;
    let mut mine = readings(4);
    mine[1].resource = RawValue::from_string("[72.10]".into()).unwrap();
    mine[2].resource = RawValue::from_string(r#"{"resourceType":"Patient"}"#.into()).unwrap();
    let published = client(&server, WriteStrategy::Update, 100).publish(BASE, &[], &mine).await.unwrap();
    assert_eq!(published.outcomes[0], Outcome::Created);
    assert_eq!(published.outcomes[3], Outcome::Created);
    for bad in &published.outcomes[1..3] {
        assert!(
            matches!(bad, Outcome::Rejected { status: None, reason } if !reason.contains("72.10")),
            "{bad:?}"
        );
    }
}
