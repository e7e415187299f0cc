//! Google Health, Omron and legacy Fitbit: the same promises as with Withings, each in its own way.

use ohx_sandbox::google_health::{self, USUAL};
use ohx_sandbox::{Reading, fitbit_legacy, omron};
use ohx_tests::deployment::{Deployment, Shape};
use ohx_tests::others::{FITBIT_VERIFY, OMRON_WEBHOOK, agree};
use ohx_tests::outside::Outside;
use ohx_tests::patient::{connect_to, consent, create_link_to};
use ohx_tests::until;
use serde_json::{Value, json};

use crate::both_shapes;

both_shapes!(
    google_history_and_news_arrive_once,
    omron_history_and_news_arrive_once,
    legacy_fitbit_history_and_news_arrive_once,
    a_patient_moves_from_legacy_fitbit_to_google,
    an_account_without_a_profile_is_told_so,
    a_retired_service_is_no_revocation,
    an_apps_credentials_are_examined,
);

const PATIENT: &str = "Patient/p1";
const GOOGLE: u64 = 111_111_256_096_816_351;
const FITBIT: &str = "GGNJL9";
const OMRON: &str = "7d1b0a6e-4b7e-4c29-9d0a-4f1f6f1f2a31";

async fn world(shape: Shape) -> (Outside, Deployment) {
    let outside = Outside::start().await.and_others().await;
    let others = outside.others();
    let person = |linked| google_health::Person {
        id: if linked { GOOGLE } else { GOOGLE + 1 },
        name: "Gita".into(),
        timezone: "Europe/Amsterdam".into(),
        legacy_id: Some(FITBIT.into()),
        linked,
    };
    others.google.add_person(person(true)).unwrap();
    others.google.add_person(person(false)).unwrap();
    let omron = omron::Person { id: OMRON.into(), name: "Olaf".into(), timezone: "Europe/Vienna".into() };
    others.omron.add_person(omron).unwrap();
    let legacy =
        fitbit_legacy::Person { id: FITBIT.into(), name: "Gita".into(), timezone: "Europe/Amsterdam".into() };
    others.legacy.add_person(legacy).unwrap();
    let deployment = Deployment::start(shape, &outside).await;
    (outside, deployment)
}

impl World<'_> {
    fn google(&self) -> Vec<Reading> {
        self.0.others().google.readings(GOOGLE, &USUAL).unwrap()
    }

    fn omron(&self) -> Vec<Reading> {
        self.0.others().omron.readings(OMRON, &omron::USUAL).unwrap()
    }

    fn legacy(&self) -> Vec<Reading> {
        self.0.others().legacy.readings(FITBIT, &fitbit_legacy::USUAL).unwrap()
    }
}

struct World<'a>(&'a Outside);

async fn google_history_and_news_arrive_once(shape: Shape) {
    let (outside, deployment) = world(shape).await;
    let google = &outside.others().google;
    google.seed_daily(GOOGLE, 8).unwrap();
    let link = connect_to(&deployment, &outside, "fitbit", PATIENT, &GOOGLE.to_string(), 9).await;
    let history = agree(&outside, "fitbit", PATIENT, || World(&outside).google()).await;
    assert!(history.ehr > 40, "{history:?}");
    deployment.settled(&link).await;

    google.weigh_now(GOOGLE, 72_100).unwrap();
    let news = agree(&outside, "fitbit", PATIENT, || World(&outside).google()).await;
    assert_eq!(news.ehr, history.ehr + 1);
    assert!(google.stats().notify_delivered > 0, "by notification: {:?}", google.stats());
    assert_eq!(google.stats().bad_requests, 0);

    // Asking again changes nothing at the EHR.
    let (status, sync) = deployment.post("/api/ingestors/syncs/", &json!({"link": link})).await;
    assert_eq!(status, 202, "{sync}");
    let done = completed(&deployment, &sync).await;
    let counts = |name: &str| done["counts"][name].as_u64().unwrap();
    assert_eq!((counts("created"), counts("updated"), counts("rejected")), (0, 0, 0), "{done}");

    let devices = deployment.list(&format!("/api/base/provider-links/{link}/devices/")).await;
    assert!(devices.as_array().is_some_and(|d| !d.is_empty()), "{devices}");
    assert_eq!(deployment.list("/api/publishers/dead-letters/").await, json!([]));

    // Ended here, it is ended there.
    let (status, ended) =
        deployment.post(&format!("/api/base/provider-links/{link}/disconnect/"), &json!({})).await;
    assert_eq!((status, &ended["at_provider"]), (200, &json!("revoked")), "{ended}");
}

async fn omron_history_and_news_arrive_once(shape: Shape) {
    let (outside, deployment) = world(shape).await;
    let omron = &outside.others().omron;
    omron.seed_history(OMRON, 20).unwrap();
    // What OMRON's staff does by hand.
    omron.register_notifications(Some(&format!("{}/webhook/omron/{OMRON_WEBHOOK}", deployment.public_url())));
    let link = connect_to(&deployment, &outside, "omron", PATIENT, OMRON, 21).await;
    let history = agree(&outside, "omron", PATIENT, || World(&outside).omron()).await;
    assert!(history.ehr > 20, "{history:?}");
    deployment.settled(&link).await;

    let now = ohx_domain::Clock::now(&ohx_domain::SystemClock).as_second();
    omron.upload(OMRON, vec![omron::NewRow::pressure(now - 60, "128", "82", "67")]).unwrap();
    let news = agree(&outside, "omron", PATIENT, || World(&outside).omron()).await;
    assert_eq!(news.ehr, history.ehr + 2, "a blood pressure and its pulse");
    assert_eq!(deployment.list("/api/publishers/dead-letters/").await, json!([]));
}

async fn legacy_fitbit_history_and_news_arrive_once(shape: Shape) {
    let (outside, deployment) = world(shape).await;
    let legacy = &outside.others().legacy;
    legacy.seed(FITBIT, 8).unwrap();
    let address = format!("{}/webhook/fitbit-legacy", deployment.public_url());
    legacy.register_subscriber(&address, FITBIT_VERIFY).await.unwrap();
    let link = connect_to(&deployment, &outside, "fitbit-legacy", PATIENT, FITBIT, 7).await;
    let history = agree(&outside, "fitbit-legacy", PATIENT, || World(&outside).legacy()).await;
    assert!(history.ehr > 40, "{history:?}");
    deployment.settled(&link).await;

    legacy.weigh_now(FITBIT, 72_100).unwrap();
    let news = agree(&outside, "fitbit-legacy", PATIENT, || World(&outside).legacy()).await;
    assert!(news.ehr > history.ehr, "{news:?}");
    assert_eq!(deployment.list("/api/publishers/dead-letters/").await, json!([]));
}

/// The legacy link's readings stay, the Google link goes on where it ended, and nothing of one time is there from both.
async fn a_patient_moves_from_legacy_fitbit_to_google(shape: Shape) {
    let (outside, deployment) = world(shape).await;
    let others = outside.others();
    others.legacy.seed(FITBIT, 5).unwrap();
    // The same weighings, as Google took them over.
    for entry in World(&outside).legacy().into_iter().filter(|r| r.kind == "body-weight") {
        others.google.add_points(GOOGLE, vec![weight(entry.date)]).unwrap();
    }
    let address = format!("{}/webhook/fitbit-legacy", deployment.public_url());
    others.legacy.register_subscriber(&address, FITBIT_VERIFY).await.unwrap();
    let old = connect_to(&deployment, &outside, "fitbit-legacy", PATIENT, FITBIT, 4).await;
    let before = agree(&outside, "fitbit-legacy", PATIENT, || World(&outside).legacy()).await;
    deployment.settled(&old).await;
    let covered = deployment.list(&format!("/api/ingestors/coverage/?link={old}")).await;
    let ends = covered.as_array().unwrap().iter().flat_map(|c| c["published"].as_array().unwrap());
    let until_then: ohx_domain::Instant =
        ends.map(|i| i["end"].as_str().unwrap().parse().unwrap()).max().unwrap();

    // The clinic asks for a successor, the patient consents with the same person's Google account.
    let (status, refused) = deployment
        .post(&format!("/api/base/provider-links/{old}/successor/"), &json!({"provider": "omron"}))
        .await;
    assert_eq!(status, 422, "{refused}");
    let (status, new) = deployment
        .post(&format!("/api/base/provider-links/{old}/successor/"), &json!({"provider": "fitbit"}))
        .await;
    assert_eq!(status, 201, "{new}");
    let (status, page) = consent(&outside, new["connect_url"].as_str().unwrap(), &GOOGLE.to_string()).await;
    assert_eq!(status, 200, "{page}");
    let id = new["id"].as_str().unwrap();
    deployment.settled(id).await;

    let link = deployment.get(&format!("/api/base/provider-links/{id}/")).await;
    let start: ohx_domain::Instant = link["history_start"].as_str().unwrap().parse().unwrap();
    assert_eq!(start, until_then, "it begins where the other ended");
    let ended = deployment.get(&format!("/api/base/provider-links/{old}/")).await;
    assert_eq!(ended["state"], "disconnected", "{ended}");
    assert!(ended["state_reason"].as_str().unwrap().contains(id), "{ended}");

    // A new weighing comes from Google, the old ones are there once, from Fitbit.
    others.google.weigh_now(GOOGLE, 73_300).unwrap();
    let newer = || -> Vec<Reading> {
        let all = World(&outside).google();
        all.into_iter().filter(|r| r.kind == "body-weight" && r.date >= start.as_second()).collect()
    };
    let from_google = agree(&outside, "fitbit", PATIENT, newer).await;
    assert_eq!(from_google.ehr, 1);
    assert_eq!(agree(&outside, "fitbit-legacy", PATIENT, || World(&outside).legacy()).await, before);
}

fn weight(at: i64) -> google_health::NewPoint {
    google_health::NewPoint::new("weight", at, None, r#"{"weightGrams":81400}"#.into()).unwrap()
}

async fn an_account_without_a_profile_is_told_so(shape: Shape) {
    let (outside, deployment) = world(shape).await;
    let (link, address) = create_link_to(&deployment, "fitbit", PATIENT, 7).await;
    let (status, page) = consent(&outside, &address, &(GOOGLE + 1).to_string()).await;
    assert_eq!(status, 200);
    assert!(page.contains("no Google Health"), "{page}");
    let shown = deployment.get(&format!("/api/base/provider-links/{link}/")).await;
    assert_eq!(shown["state"], "pending");
    // With the right account it works.
    assert_eq!(consent(&outside, &address, &GOOGLE.to_string()).await.0, 200);
}

async fn a_retired_service_is_no_revocation(shape: Shape) {
    let (outside, deployment) = world(shape).await;
    let legacy = &outside.others().legacy;
    legacy.seed(FITBIT, 5).unwrap();
    let address = format!("{}/webhook/fitbit-legacy", deployment.public_url());
    legacy.register_subscriber(&address, FITBIT_VERIFY).await.unwrap();
    let link = connect_to(&deployment, &outside, "fitbit-legacy", PATIENT, FITBIT, 4).await;
    deployment.settled(&link).await;
    legacy.retire(Some(fitbit_legacy::Retired::Gone));
    let (status, sync) = deployment.post("/api/ingestors/syncs/", &json!({"link": link})).await;
    assert_eq!(status, 202, "{sync}");
    let path = format!("/api/ingestors/syncs/{}/", sync["id"].as_str().unwrap());
    let note = until("a request is given up", 30, async || {
        let shown = deployment.get(&path).await;
        let failed = shown["requests"].as_array()?.iter().find(|r| r["state"] == "failed").cloned()?;
        failed["note"].as_str().map(str::to_owned)
    })
    .await;
    assert!(note.contains("retired"), "{note}");
    let shown = deployment.get(&format!("/api/base/provider-links/{link}/")).await;
    assert_eq!(shown["state"], "active", "the patient did not leave: {shown}");
    let metrics = deployment.metrics("metrics").await;
    for (provider, retired) in [("fitbit-legacy", 1), ("fitbit", 0), ("withings", 0)] {
        let sample = format!("ohx_provider_retired{{provider=\"{provider}\"}} {retired}\n");
        assert!(metrics.contains(&sample), "{sample} in {metrics}");
    }
}

async fn an_apps_credentials_are_examined(shape: Shape) {
    let (outside, deployment) = world(shape).await;
    let check = async |name: &str| {
        let (status, report) =
            deployment.post(&format!("/api/base/providers/{name}/check/"), &json!({})).await;
        assert_eq!(status, 200, "{name}: {report}");
        report
    };
    for name in ["withings", "fitbit", "omron", "fitbit-legacy"] {
        let app = deployment.get(&format!("/api/base/providers/{name}/")).await;
        if name == "omron" {
            // OMRON wants a redirect address that it knows with every token request.
            outside.others().omron.register_redirect(app["redirect_uri"].as_str().unwrap());
        }
        let report = check(name).await;
        let expected = json!({"name": name, "reachable": true, "credentials": "accepted"});
        assert_eq!(report, expected, "{name}");

        // The same app with another secret, without one, and at an address where nobody is.
        let mut urls = app["base_urls"].clone();
        let mut new = json!({"name": format!("{name}-wrong"), "type": app["type"], "client_id": app["client_id"],
            "client_secret": "canary-another-secret", "base_urls": urls, "options": app["options"]});
        let add = async |new: &Value| {
            let (status, added) = deployment.post("/api/base/providers/", new).await;
            assert_eq!(status, 201, "{added}");
        };
        add(&new).await;
        let report = check(&format!("{name}-wrong")).await;
        assert_eq!(
            (&report["reachable"], &report["credentials"]),
            (&json!(true), &json!("refused")),
            "{report}"
        );
        let problem = report["problem"].as_str().unwrap();
        assert!(problem.contains("client_secret") && !problem.contains("canary"), "{problem}");

        for url in urls.as_object_mut().unwrap().values_mut() {
            *url = json!("http://127.0.0.1:9");
        }
        new["name"] = json!(format!("{name}-nowhere"));
        new["base_urls"] = urls;
        add(&new).await;
        let report = check(&format!("{name}-nowhere")).await;
        assert_eq!(
            (&report["reachable"], &report["credentials"]),
            (&json!(false), &json!("unknown")),
            "{report}"
        );
        new["name"] = json!(format!("{name}-bare"));
        new.as_object_mut().unwrap().remove("client_secret");
        add(&new).await;
        let report = check(&format!("{name}-bare")).await;
        assert_eq!((report.get("reachable"), &report["credentials"]), (None, &json!("unknown")), "{report}");
        assert!(report["problem"].as_str().unwrap().contains("client_secret is missing"), "{report}");
    }
    assert_eq!(check("beurer").await, json!({"name": "beurer", "credentials": "not-used"}));
    let (status, _) = deployment.post("/api/base/providers/nobody/check/", &json!({})).await;
    assert_eq!(status, 404);
}

pub(crate) async fn completed(deployment: &Deployment, sync: &Value) -> Value {
    let path = format!("/api/ingestors/syncs/{}/", sync["id"].as_str().unwrap());
    until("the sync is published", 60, async || {
        let shown = deployment.get(&path).await;
        (shown["completed"] == true).then_some(shown)
    })
    .await
}
