//! Bad input, from every side: a clear error that names the thing, no lost neighbour, no value in a log, no panic.

use ohx_domain::{LinkId, RequestId, RunId};
use ohx_events::http_binding::to_binary;
use ohx_events::sealed::FetchedPart;
use ohx_events::{Envelope, Event, Priority, types};
use ohx_sandbox::withings::{Fault, Measure, NewGroup};
use ohx_tests::deployment::{Deployment, Shape};
use ohx_tests::outside::{Outside, http};
use ohx_tests::patient::connect;
use ohx_tests::until;
use serde_json::{Value, json};

use crate::both_shapes;

both_shapes!(
    a_truncated_page_is_read_again,
    html_from_either_side_is_no_answer,
    a_wrong_type_in_one_measure_costs_that_measure,
    one_refused_entry_of_fifty_holds_up_no_other,
    one_oversized_entry_of_fifty_holds_up_no_other,
    a_busy_ehr_is_waited_for,
    too_many_requests_are_waited_for,
    a_dead_grant_asks_for_consent_again,
);

const PATIENT: &str = "Patient/p1";

/// Posts to a function; gives status, and the problem's detail.
async fn post(
    deployment: &Deployment,
    function: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> (u16, String) {
    let process = deployment.processes.iter().find(|p| p.name == format!("ohx-{function}")).unwrap();
    let mut request = http().post(process.url()).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    let problem: Value = serde_json::from_str(&text).unwrap_or_default();
    (status, problem["detail"].as_str().unwrap_or(&text).to_owned())
}

async fn post_event(deployment: &Deployment, function: &str, event: Event) -> (u16, String) {
    let (headers, body) = to_binary(event).unwrap();
    let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
    post(deployment, function, &headers, body).await
}

fn envelope(event_type: &'static str, link: LinkId) -> Envelope {
    Envelope {
        id: "e1".into(),
        event_type,
        source: "test",
        link,
        sync: None,
        priority: Priority::Normal,
        time: "2026-11-21T00:00:00Z".parse().unwrap(),
        traceparent: None,
    }
}

/// Malformed events, unknown links, payloads of other links: refused at once, by each function, in words.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_of_ours_is_refused() {
    let outside = Outside::start().await;
    outside.person(1, "Ada");
    let deployment = Deployment::start(Shape::ManyProcesses, &outside).await;
    let ce = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/test"),
        ("content-type", "application/json"),
    ];
    let functions = [
        ("nightly", types::LINK_CONNECTED),
        ("fetch", types::SYNC_REQUESTED),
        ("transform", types::RECORDS_FETCHED),
        ("publish", types::RESOURCES_MAPPED),
        ("devices", types::DEVICES_REQUESTED),
    ];
    for (function, event_type) in functions {
        let (status, detail) = post(&deployment, function, &[], b"no event".to_vec()).await;
        assert_eq!((status, detail.contains("ce-specversion")), (400, true), "{function}: {detail}");
        let (status, detail) = post(&deployment, function, &ce, b"{}".to_vec()).await;
        assert_eq!(status, 400, "{function}, no type: {detail}");
        let structured = [("content-type", "application/cloudevents+json")];
        let (status, detail) =
            post(&deployment, function, &structured, b"{\"specversion\":\"1.0\"".to_vec()).await;
        assert_eq!(status, 400, "{function}, cut off: {detail}");
        let typed: Vec<_> = ce.iter().copied().chain([("ce-type", event_type)]).collect();
        let (status, detail) = post(&deployment, function, &typed, b"{\"request\": 5}".to_vec()).await;
        assert_eq!(status, 422, "{function}, no subject: {detail}");
        let (status, _) = post(&deployment, function, &typed, vec![b' '; 3 << 20]).await;
        assert_eq!(status, 413, "{function}, over the limit");

        // A link that nobody knows. (What fetch is asked for is looked up first.)
        let stranger = LinkId::new();
        let unknown = envelope(event_type, stranger);
        let event = match function {
            "nightly" => unknown.plain(&json!({"provider": "withings", "again": false})),
            "fetch" => unknown
                .plain(&json!({"request": RequestId::new(), "provider": "withings", "record": "getmeas",
                "query": "since", "since": "2026-01-01T00:00:00Z", "reason": "manual"})),
            "devices" => unknown.plain(&json!({"provider": "withings", "reason": "manual"})),
            _ => Ok(unknown.sealed(&some_key(), &json!({})).unwrap().0),
        };
        let (status, detail) = post_event(&deployment, function, event.unwrap()).await;
        assert_eq!(status, 422, "{function}: {detail}");
        assert!(
            detail.contains(&stranger.to_string()) || detail.contains("is not in the ledger"),
            "{function}: {detail}"
        );
    }

    // A payload that was sealed for another link.
    let link: LinkId = connect(&deployment, &outside, PATIENT, "1", 7).await.parse().unwrap();
    let part = FetchedPart {
        request: RequestId::new(),
        run: RunId::new(),
        part: 0,
        provider: "withings".parse().unwrap(),
        record: "getmeas".parse().unwrap(),
        covers: None,
        removed: None,
        page: serde_json::value::to_raw_value(&json!({"secret-weight": 77.125})).unwrap(),
    };
    let (foreign, _) = envelope(types::RECORDS_FETCHED, link).sealed(&some_key(), &part).unwrap();
    let (status, detail) = post_event(&deployment, "transform", foreign).await;
    assert_eq!(status, 422);
    assert!(detail.contains("does not open") && detail.contains(&link.to_string()), "{detail}");
    assert!(!deployment.logs().contains("77.125"));
    assert!(!deployment.logs().contains("panicked"), "{}", deployment.logs());
}

fn some_key() -> ohx_seal::DataKey {
    use secrecy::ExposeSecret as _;
    let ring = format!("k:{}", ohx_seal::generate_key().expose_secret());
    ohx_seal::Keyring::parse(&ring.into()).unwrap().new_data_key("another").unwrap().0
}

async fn world(shape: Shape, groups: i64) -> (Outside, Deployment) {
    let outside = Outside::start().await.writing("update", 50);
    let person = outside.person(1, "Ada");
    let now = {
        use ohx_domain::Clock as _;
        ohx_domain::SystemClock.now().as_second()
    };
    let group = |n: i64| NewGroup {
        date: now - 3600 - n * 3600,
        attrib: 0,
        category: 1,
        modelid: None,
        measures: vec![Measure::new(1, 71_234_500 + n, -6), Measure::new(11, 60 + n % 9, 0)],
    };
    outside.withings.add_groups(person, (0..groups).map(group).collect()).unwrap();
    let deployment = Deployment::start(shape, &outside).await;
    (outside, deployment)
}

/// Waits until all but `missing` readings are at the EHR, exactly; then nothing may have leaked or panicked.
async fn arrives(outside: &Outside, deployment: &Deployment, missing: usize) {
    let row = until("the rest is at the EHR", 60, async || {
        let row = outside.agreement(1, PATIENT).await;
        (row.provider > 0 && row.missing <= missing).then_some(row)
    })
    .await;
    assert_eq!((row.missing, row.duplicates, row.altered, row.strange), (missing, 0, 0, 0), "{row:?}");
    let logs = deployment.logs();
    assert!(!logs.contains("712345") && !logs.contains("71.2345"), "a value in a log");
    assert!(!logs.contains("panicked"), "{logs}");
}

async fn a_truncated_page_is_read_again(shape: Shape) {
    let (outside, deployment) = world(shape, 30).await;
    outside.withings.inject(Fault::TruncateNextPage);
    connect(&deployment, &outside, PATIENT, "1", 31).await;
    arrives(&outside, &deployment, 0).await;
    assert!(deployment.logs().contains("unreadable"), "the log says so");
}

async fn html_from_either_side_is_no_answer(shape: Shape) {
    let (outside, deployment) = world(shape, 30).await;
    let link = connect(&deployment, &outside, PATIENT, "1", 31).await;
    // Nothing else may meet the pages.
    deployment.settled(&link).await;
    let late = NewGroup {
        date: recently(),
        attrib: 0,
        category: 1,
        modelid: None,
        measures: vec![Measure::new(1, 71_234_999, -6)],
    };
    outside.withings.inject(Fault::HtmlErrorPage { status: 200, calls: 1 });
    outside.withings.inject(Fault::HtmlErrorPage { status: 502, calls: 1 });
    outside.html_from_ehr(2);
    outside.withings.add_group(1, late).unwrap();
    // Only then look: the test's own reading would meet the EHR's page.
    until("both pages were met", 30, async || {
        let logs = deployment.logs();
        (logs.contains("withings answered measure getmeas")
            && logs.contains("EHR endpoint clinic is not available"))
        .then_some(())
    })
    .await;
    outside.ehr_recovers();
    arrives(&outside, &deployment, 0).await;
}

fn recently() -> i64 {
    use ohx_domain::Clock as _;
    ohx_domain::SystemClock.now().as_second() - 30
}

async fn a_wrong_type_in_one_measure_costs_that_measure(shape: Shape) {
    let (outside, deployment) = world(shape, 30).await;
    outside.withings.inject(Fault::WrongTypeInOneMeasure);
    let link = connect(&deployment, &outside, PATIENT, "1", 31).await;
    arrives(&outside, &deployment, 1).await;
    assert!(deployment.logs().contains("unreadable"), "it is counted, by reason");

    // And visible in the sync that met it, without its value.
    outside.withings.inject(Fault::WrongTypeInOneMeasure);
    let from = outside.withings.truth(1).unwrap().iter().map(|g| g.content.date).min().unwrap();
    let begin = ohx_domain::Instant::from_second(from).unwrap();
    let (status, sync) =
        deployment.post("/api/ingestors/syncs/", &json!({"link": link, "from": begin})).await;
    assert_eq!(status, 202, "{sync}");
    let id = sync["id"].as_str().unwrap().to_owned();
    let shown = until("the sync is published", 30, async || {
        let shown = deployment.get(&format!("/api/ingestors/syncs/{id}/")).await;
        (shown["completed"] == true).then_some(shown)
    })
    .await;
    let n = shown["counts"]["skipped"].as_u64().unwrap();
    assert!(n > 0, "{shown}");
    assert_eq!(shown["left_out"], json!({"getmeas": {"unreadable": n}}), "{shown}");
}

async fn one_refused_entry_of_fifty_holds_up_no_other(shape: Shape) {
    one_entry(shape, 422).await;
}

async fn one_oversized_entry_of_fifty_holds_up_no_other(shape: Shape) {
    one_entry(shape, 413).await;
}

async fn one_entry(shape: Shape, status: u16) {
    let (outside, deployment) = world(shape, 25).await;
    // The EHR refuses one of fifty: the tenth group's weight.
    let grpid = outside.withings.truth(1).unwrap()[10].grpid;
    outside.refuse_at_ehr(&format!(".{grpid}.body-weight"), status);
    let link = connect(&deployment, &outside, PATIENT, "1", 31).await;
    arrives(&outside, &deployment, 1).await;
    let letters = until("the dead letter", 20, async || {
        let letters = deployment.list(&format!("/api/publishers/dead-letters/?link={link}")).await;
        (!letters.as_array()?.is_empty()).then_some(letters)
    })
    .await;
    let letter = &letters[0];
    assert!(letter["key"].as_str().unwrap().ends_with(&format!(".{grpid}.body-weight")), "{letter}");
    assert!(letter["reason"].as_str().unwrap().contains(&status.to_string()), "{letter}");

    // The ledger still lacks exactly that reading's second.
    let coverage = until("a hole of one second", 20, async || {
        let coverage = deployment.list(&format!("/api/ingestors/coverage/?link={link}&record=getmeas")).await;
        (coverage[0]["published"].as_array()?.len() == 2).then_some(coverage)
    })
    .await;
    let hole = &coverage[0]["missing"][0];
    let seconds =
        |name: &str| hole[name].as_str().unwrap().parse::<ohx_domain::Instant>().unwrap().as_second();
    assert_eq!(seconds("end") - seconds("start"), 1, "{hole}");

    // Once the EHR takes it, the next nightly run brings it in, and the letter is gone.
    outside.ehr_recovers();
    if shape == Shape::ManyProcesses {
        deployment.ping_nightly().await;
        arrives(&outside, &deployment, 0).await;
        until("the letter is gone", 20, async || {
            let letters = deployment.list("/api/publishers/dead-letters/").await;
            letters.as_array()?.is_empty().then_some(())
        })
        .await;
    }
}

async fn a_busy_ehr_is_waited_for(shape: Shape) {
    let (outside, deployment) = world(shape, 30).await;
    outside.busy_ehr(3, 1);
    connect(&deployment, &outside, PATIENT, "1", 31).await;
    arrives(&outside, &deployment, 0).await;
}

async fn too_many_requests_are_waited_for(shape: Shape) {
    let (outside, deployment) = world(shape, 30).await;
    let link = connect(&deployment, &outside, PATIENT, "1", 31).await;
    deployment.settled(&link).await;
    arrives(&outside, &deployment, 0).await;
    outside.withings.inject(Fault::TooManyRequests { calls: 1 });
    let (_, sync) = deployment.post("/api/ingestors/syncs/", &json!({"link": link})).await;
    let id = sync["id"].as_str().unwrap().to_owned();
    // A refusal is a retry, never a success with zero readings.
    let (shown, refused) = until("the refusal shows", 20, async || {
        let shown = deployment.get(&format!("/api/ingestors/syncs/{id}/")).await;
        // The others may be told that the app's quota is used up, without asking.
        let says = |request: &&Value| request["note"].as_str().is_some_and(|note| note.contains("601"));
        let refused = shown["requests"].as_array()?.iter().find(says)?.clone();
        Some((shown, refused))
    })
    .await;
    assert_eq!(shown["completed"], false, "{shown}");
    assert_ne!(refused["state"], "published", "{shown}");
}

async fn a_dead_grant_asks_for_consent_again(shape: Shape) {
    let (outside, deployment) = world(shape, 30).await;
    let link = connect(&deployment, &outside, PATIENT, "1", 31).await;
    arrives(&outside, &deployment, 0).await;
    outside.withings.unlink(1).unwrap();
    let (_, _) = deployment.post("/api/ingestors/syncs/", &json!({"link": link})).await;
    let shown = until("the link needs consent", 30, async || {
        let shown = deployment.get(&format!("/api/base/provider-links/{link}/")).await;
        (shown["state"] == "reauthorization-required").then_some(shown)
    })
    .await;
    assert!(!shown["state_reason"].as_str().unwrap().is_empty(), "{shown}");

    // Readings go on at the provider; with a fresh consent only the gap is fetched, and all is there.
    outside.withings.weigh_now(1, "71.234567").unwrap();
    let (status, address) =
        deployment.post(&format!("/api/base/provider-links/{link}/initiate_oauth2/"), &Value::Null).await;
    assert_eq!(status, 200);
    let (status, page) =
        ohx_tests::patient::consent(&outside, address["connect_url"].as_str().unwrap(), "1").await;
    assert_eq!(status, 200, "{page}");
    arrives(&outside, &deployment, 0).await;
}
