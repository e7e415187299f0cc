//! What a server, or whatever stands before it, may answer.

use std::time::Duration;

use ohx_domain::WriteStrategy;
use ohx_fhir::{Credentials, EhrError, Outcome};

use crate::server::{Canned, Server};
use crate::{BASE, BOTH, client, readings};

fn name(number: usize) -> String {
    readings(number + 1)[number].identifier.value.clone()
}

fn canned(status: u16, body: &str) -> Canned {
    (status, vec![], body.to_owned())
}

/// The outcomes are all `Created` but for `bad`, which are rejected with `status`.
fn assert_rejected(outcomes: &[Outcome], bad: &[(usize, u16)]) {
    for (number, outcome) in outcomes.iter().enumerate() {
        match (outcome, bad.iter().find(|(which, _)| *which == number)) {
            (Outcome::Created, None) => {}
            (Outcome::Rejected { status, reason }, Some((_, expect))) => {
                assert_eq!(*status, Some(*expect));
                assert!(reason.contains(&name(number)), "{reason}");
                assert!(!reason.contains("72.10") && !reason.contains("Jane"), "{reason}");
            }
            other => panic!("{number}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn two_bad_ones_of_fifty_stand_alone() {
    for strategy in BOTH {
        let server = Server::start().await;
        server.faults(|faults| {
            faults.entries.insert(name(7), [422].into());
            faults.poison.insert(name(23), 413);
            faults.poison.insert(name(41), 400);
        });
        let published = client(&server, strategy, 100).publish(BASE, &[], &readings(50)).await.unwrap();
        assert_rejected(&published.outcomes, &[(7, 422), (23, 413), (41, 400)]);
        let Outcome::Rejected { reason, .. } = &published.outcomes[7] else { panic!() };
        assert!(reason.ends_with("HTTP 422, invariant at Observation.value.ofType(Quantity)"), "{reason}");
        assert_eq!(server.count("Observation"), (47, 47));
    }
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_halved() {
    for strategy in BOTH {
        let server = Server::start().await;
        server.faults(|faults| faults.max_entries = Some(30));
        let ehr = client(&server, strategy, 100);
        let published = ehr.publish(BASE, &[], &readings(100)).await.unwrap();
        assert_eq!(published.outcomes, vec![Outcome::Created; 100]);
        assert_eq!(server.count("Observation"), (100, 100));
        // A lookup, 100, 50, and four of 25; what has been learnt is remembered.
        assert_eq!(server.requests().len(), 7);
        ehr.publish(BASE, &[], &(100..200).map(|n| crate::reading(n, "72.10", 0)).collect::<Vec<_>>())
            .await
            .unwrap();
        assert_eq!(server.requests().len(), 5, "a lookup and four of 25");
        assert_eq!(server.count("Observation"), (200, 200));
    }
}

#[tokio::test]
async fn a_page_of_html_is_no_success() {
    for strategy in BOTH {
        let server = Server::start().await;
        let ehr = client(&server, strategy, 100);
        let html = "<html>please log in, Jane 72.10</html>";
        for wrong in [
            "{}",
            html,
            "",
            r#"{"resourceType":"Bundle","type":"batch-response","entry":[]}"#,
            "\u{feff}[72.10",
        ] {
            server.faults(|faults| faults.next_batch.push_back(canned(200, wrong)));
            let error = ehr.publish(BASE, &[], &readings(3)).await.unwrap_err();
            assert!(matches!(error, EhrError::NotFhir { .. }), "{error:?}");
            let text = error.to_string();
            assert!(
                text.contains("main-clinic") && !text.contains("72.10") && !text.contains("Jane"),
                "{text}"
            );
            server.faults(|faults| faults.next.push_back(canned(200, wrong)));
            let error = ehr.publish(BASE, &[], &readings(3)).await.unwrap_err();
            assert!(matches!(error, EhrError::NotFhir { .. }), "{error:?}");
        }
        server.faults(|faults| {
            faults.next.push_back((302, vec![("location", "https://x.example".into())], "".into()))
        });
        let error = ehr.publish(BASE, &[], &readings(3)).await.unwrap_err();
        assert!(error.to_string().contains("redirects"), "{error}");
        assert_eq!(ehr.publish(BASE, &[], &readings(3)).await.unwrap().outcomes, vec![Outcome::Created; 3]);
    }
}

#[tokio::test]
async fn patience_is_kept_as_asked() {
    let server = Server::start().await;
    let ehr = client(&server, WriteStrategy::Update, 100);
    for status in [429, 503] {
        let wait = vec![("retry-after", "17".to_owned())];
        server.faults(|faults| faults.next_batch.push_back((status, wait, String::new())));
        let error = ehr.publish(BASE, &[], &readings(3)).await.unwrap_err();
        assert!(matches!(error, EhrError::Unavailable { .. }));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(17)));
    }
    for status in [408, 500, 502, 504] {
        server.faults(|faults| faults.next.push_back(canned(status, "<html>")));
        let error = ehr.publish(BASE, &[], &readings(3)).await.unwrap_err();
        assert!(matches!(error, EhrError::Unavailable { retry_after: None, .. }), "{error:?}");
    }
    for status in [401, 403] {
        server.faults(|faults| faults.next.push_back(canned(status, "")));
        let error = ehr.publish(BASE, &[], &readings(3)).await.unwrap_err();
        assert!(matches!(error, EhrError::Unauthorized { status: s, .. } if s == status), "{error:?}");
    }
}

#[tokio::test]
async fn nobody_there_names_the_endpoint_and_no_address() {
    let mut gone = Server::start().await;
    gone.base = "http://127.0.0.1:1/secret-path".into();
    let error = client(&gone, WriteStrategy::Update, 100).publish(BASE, &[], &readings(1)).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("main-clinic") && !text.contains("secret-path") && !text.contains("ohx-"),
        "{text}"
    );
}

#[tokio::test]
async fn busy_entries_are_tried_again_and_then_the_call() {
    for strategy in BOTH {
        let server = Server::start().await;
        server.faults(|faults| {
            faults.entries.insert(name(2), [503, 409].into());
            faults.entries.insert(name(4), [429].into());
        });
        let ehr = client(&server, strategy, 100);
        let published = ehr.publish(BASE, &[], &readings(10)).await.unwrap();
        assert_eq!(published.outcomes, vec![Outcome::Created; 10]);
        assert_eq!(server.count("Observation"), (10, 10));

        server.faults(|faults| {
            faults.entries.insert(name(11), [503, 503, 503].into());
        });
        let error = ehr.publish(BASE, &[], &readings(20)).await.unwrap_err();
        assert!(matches!(error, EhrError::Unavailable { .. }), "{error:?}");
        assert_eq!(server.count("Observation"), (19, 19), "the others are not held up");
        let published = ehr.publish(BASE, &[], &readings(20)).await.unwrap();
        assert_eq!(published.outcomes.iter().filter(|outcome| **outcome == Outcome::Created).count(), 1);
        assert_eq!(server.count("Observation"), (20, 20));
    }
}

#[tokio::test]
async fn what_no_reading_can_help_is_no_rejection() {
    for strategy in BOTH {
        let server = Server::start().await;
        let ehr = client(&server, strategy, 100);
        let all = |status: u16| {
            server.faults(|faults| {
                faults.entries = (0..20).map(|number| (name(number), [status].into())).collect();
            });
        };
        all(403);
        let error = ehr.publish(BASE, &[], &readings(20)).await.unwrap_err();
        assert!(matches!(error, EhrError::Unauthorized { status: 403, .. }), "{error:?}");
        all(405);
        let error = ehr.publish(BASE, &[], &readings(20)).await.unwrap_err();
        assert!(matches!(error, EhrError::Unsupported { .. }), "{error:?}");
        all(0);
        // A wrong base URL: every request is 404.
        server.requests();
        server.faults(|faults| faults.next.extend(vec![canned(404, "<html>"); 100]));
        let error = ehr.publish(BASE, &[], &readings(20)).await.unwrap_err();
        assert!(matches!(error, EhrError::NotFhir { .. }), "{error:?}");
        assert!(server.requests().len() < 15, "found out early");
        server.faults(|faults| faults.next.clear());
        assert_eq!(ehr.publish(BASE, &[], &readings(20)).await.unwrap().outcomes, vec![Outcome::Created; 20]);
    }
}

#[tokio::test]
async fn search_in_every_state_of_repair() {
    for strategy in BOTH {
        let server = Server::start().await;
        let ehr = client(&server, strategy, 100);
        ehr.publish(BASE, &[], &readings(100)).await.unwrap();
        let unchanged = async |what: &str| {
            let published = ehr.publish(BASE, &[], &readings(100)).await.unwrap();
            assert_eq!(published.outcomes, vec![Outcome::Unchanged; 100], "{what}");
            assert_eq!(server.count("Observation"), (100, 100), "{what}");
        };
        server.faults(|faults| faults.page = Some(30));
        unchanged("pages").await;
        server.faults(|faults| faults.next_origin = Some("http://127.0.0.1:1/fhir".into()));
        unchanged("pages at another origin, which are not visited").await;
        server.faults(|faults| faults.page = None);
        server.requests();
        server.faults(|faults| faults.no_post_search = Some(405));
        unchanged("no POST").await;
        assert!(server.requests().iter().skip(1).all(|line| line == "GET /fhir/Observation"));
        server.faults(|faults| faults.no_get_search = Some(501));
        let published = ehr.publish(BASE, &[], &readings(100)).await.unwrap();
        assert_eq!(server.count("Observation").0, 100, "no search: still each once");
        let expect = if strategy == WriteStrategy::Update { Outcome::Updated } else { Outcome::Unchanged };
        assert_eq!(published.outcomes, vec![expect; 100]);
    }
}

#[tokio::test]
async fn duplicates_that_are_there_already_are_no_failure() {
    let server = Server::start().await;
    let ehr = client(&server, WriteStrategy::ConditionalCreate, 100);
    ehr.publish(BASE, &[], &readings(1)).await.unwrap();
    {
        let mut inner = server.inner.lock().unwrap();
        let twin = inner.store["Observation/1"].clone();
        inner.store.insert("Observation/twin".into(), twin);
        let token = inner.tokens["Observation/1"].clone();
        inner.tokens.insert("Observation/twin".into(), token);
    }
    assert_eq!(ehr.publish(BASE, &[], &readings(1)).await.unwrap().outcomes, [Outcome::Unchanged]);
    server.faults(|faults| (faults.no_post_search, faults.no_get_search) = (Some(400), Some(400)));
    assert_eq!(ehr.publish(BASE, &[], &readings(1)).await.unwrap().outcomes, [Outcome::Unchanged]);
    assert_eq!(server.count("Observation"), (2, 2));
}

#[tokio::test]
async fn an_endpoint_says_what_it_is() {
    let server = Server::start().await;
    let ehr = client(&server, WriteStrategy::Update, 100);
    let statement = |version: &str, update_create: bool| {
        let resource = |kind: &str| {
            format!(
                r#"{{"type":"{kind}","interaction":[{{"code":"update"}},{{"code":"search-type"}}],"updateCreate":{update_create}}}"#
            )
        };
        format!(
            r#"{{"resourceType":"CapabilityStatement","fhirVersion":"{version}","rest":[{{"resource":[{},{}]}}]}}"#,
            resource("Observation"),
            resource("Device")
        )
    };
    let ask = async |body: String| {
        server.faults(|faults| faults.next.push_back((200, vec![], body)));
        ehr.capabilities().await
    };
    let good = ask(statement("5.0.0", true)).await.unwrap();
    // DeviceDefinition, DeviceAssociation and Provenance are not listed.
    assert_eq!((good.fhir_version.as_str(), good.plan.notes.len()), ("5.0.0", 3));
    assert!(!good.plan.needs_lock());
    assert_eq!(ask(statement("5.0.0", false)).await.unwrap().plan.notes.len(), 4);
    let error = ask(statement("4.0.1", true)).await.unwrap_err();
    assert!(
        matches!(&error, EhrError::Unsupported { .. }) && error.to_string().contains("FHIR 4.0.1"),
        "{error}"
    );
    assert!(matches!(ask("<html>".into()).await.unwrap_err(), EhrError::NotFhir { .. }));
    assert_eq!(server.requests()[0], "GET /fhir/metadata");
}

#[tokio::test]
async fn the_token_is_sent_and_not_shown() {
    let server = Server::start().await;
    let open = client(&server, WriteStrategy::Update, 10);
    let mut endpoint = open.endpoint().clone();
    endpoint.auth = ohx_domain::EhrAuth::Bearer;
    #[expect(clippy::disallowed_methods, reason = "a test's own client")]
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let ehr = ohx_fhir::EhrClient::new(http.clone(), endpoint.clone(), Credentials::secret("s3cret".into()));
    server.faults(|faults| faults.page = Some(2));
    for _ in 0..2 {
        ehr.publish(BASE, &[], &readings(5)).await.unwrap();
    }
    let sent = std::mem::take(&mut server.inner.lock().unwrap().credentials);
    assert_eq!(
        sent,
        vec![Some("Bearer s3cret".to_owned()); 5],
        "a lookup, a batch, and a lookup of three pages"
    );
    assert!(!format!("{ehr:?}").contains("s3cret"));

    let without = ohx_fhir::EhrClient::new(http, endpoint, Credentials::none());
    let error = without.publish(BASE, &[], &readings(5)).await.unwrap_err();
    assert!(matches!(error, EhrError::Unsupported { .. }), "{error}");
    assert!(server.inner.lock().unwrap().credentials.is_empty(), "nothing is sent without credentials");
}
