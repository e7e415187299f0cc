//! Mapping versions: active for whom they are meant for, first for a share of the links, and back again.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use ohx_domain::in_canary;
use ohx_sandbox::withings::{Measure, NewGroup};
use ohx_tests::deployment::{Deployment, Shape};
use ohx_tests::outside::Outside;
use ohx_tests::patient::{connect, consent};
use ohx_tests::until;
use serde_json::{Value, json};

use crate::both_shapes;

both_shapes!(
    a_version_is_used_by_the_links_of_its_scope,
    a_share_of_the_links_runs_the_next_version_first,
    a_refused_document_disturbs_no_sync,
    a_file_saves_activates_and_changes_nothing_the_second_time,
);

const NAME: &str = "withings/getmeas";
const AT: &str = "/api/transformers/mappings/";
const GETMEAS: &str = "/api/transformers/mappings/withings/getmeas/";
const TAGS: &str = "https://ohx.test/ns/mapping";

/// The program's own document under another version, with another text for weights.
fn document(version: u32, text: &str) -> String {
    ohx_mapping::builtin("withings", "getmeas")
        .unwrap()
        .replacen("version: 1\n", &format!("version: {version}\n"), 1)
        .replace("Body weight", text)
}

/// That document, with weights in grams.
fn in_grams(version: u32) -> String {
    document(version, "Weight in grams")
        .replacen("value: { item: 1 } }", "value: { item: 1, unit: kg } }", 1)
        .replacen("value: { unit: kg, range: [0.2, 700] }", "value: { unit: g, range: [200, 700000] }", 1)
        .replacen("\"value\": 95.850, \"unit\": \"kg\"", "\"value\": 95850, \"unit\": \"g\"", 1)
        .replacen("\"system\": \"http://unitsofmeasure.org\", \"code\": \"kg\"", "\"code\": \"g\"", 1)
}

async fn save(deployment: &Deployment, document: &str) {
    let (status, said) = deployment.post(AT, &json!({"document": document, "note": "a test"})).await;
    assert_eq!(status, 201, "{said}");
}

async fn activate(deployment: &Deployment, body: Value) {
    let (status, said) = deployment.post(&format!("{GETMEAS}activations/"), &body).await;
    assert_eq!(status, 201, "{said}");
}

async fn roll_back(deployment: &Deployment, scope: &str) {
    let (status, said) = deployment.post(&format!("{GETMEAS}roll-back/"), &json!({"scope": scope})).await;
    assert_eq!(status, 201, "{said}");
}

/// What the EHR has of a weight: the version of the mapping it was made with, its text, its unit.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Weight {
    version: String,
    text: String,
    unit: String,
    status: String,
}

fn is(version: u32, text: &str, unit: &str, status: &str) -> Weight {
    Weight {
        version: format!("{NAME}.{version}"),
        text: text.into(),
        unit: unit.into(),
        status: status.into(),
    }
}

/// A patient's Observations with the numbers of their groups.
fn observations(outside: &Outside, patient: &str) -> Vec<(String, Value)> {
    let all = outside.ehr.observations_of(patient).into_iter();
    all.map(|text| {
        let observation: Value = serde_json::from_str(&text).unwrap();
        let id = observation["identifier"][0]["value"].as_str().unwrap().to_owned();
        (id, observation)
    })
    .collect()
}

fn weight(outside: &Outside, patient: &str, grpid: i64) -> Option<Weight> {
    let ending = format!(".{grpid}.body-weight");
    let mut found = observations(outside, patient).into_iter().filter(|(id, _)| id.ends_with(&ending));
    let (_, observation) = found.next()?;
    assert!(found.next().is_none(), "a double of {ending}");
    let tags = observation["meta"]["tag"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Some(Weight {
        version: text(&tags.iter().find(|tag| tag["system"] == TAGS).unwrap()["code"]),
        text: text(&observation["code"]["text"]),
        unit: text(&observation["valueQuantity"]["code"]),
        status: text(&observation["status"]),
    })
}

/// A person steps on the scale; gives what arrives.
async fn weigh(outside: &Outside, person: u64, patient: &str) -> Weight {
    let grpid = outside.withings.weigh_now(person, "72.10").unwrap();
    until("the reading is at the EHR", 60, async || weight(outside, patient, grpid)).await
}

/// Reads a month again; gives the counts when all of it is published.
async fn read_again(deployment: &Deployment, link: &str) -> Value {
    use ohx_domain::Clock as _;
    let from = ohx_domain::SystemClock.now() - std::time::Duration::from_secs(30 * 86_400);
    let (status, sync) = deployment.post("/api/ingestors/syncs/", &json!({"link": link, "from": from})).await;
    assert_eq!(status, 202, "{sync}");
    let id = sync["id"].as_str().unwrap().to_owned();
    let done = until("the sync is published", 60, async || {
        let shown = deployment.get(&format!("/api/ingestors/syncs/{id}/")).await;
        (shown["completed"] == true).then_some(shown)
    })
    .await;
    done["counts"].clone()
}

/// A link of another EHR endpoint, which is the same server.
async fn connect_ward(deployment: &Deployment, outside: &Outside, patient: &str, person: &str) -> String {
    let (code, said) =
        deployment.apply(&format!("ehrs:\n  - name: ward\n    base_url: {}\n", outside.fhir_url));
    assert_eq!(code, Some(0), "{said}");
    let new = json!({"provider": "withings", "ehr": "ward", "patient": patient, "backfill_days": 7});
    let (status, created) = deployment.post("/api/base/provider-links/", &new).await;
    assert_eq!(status, 201, "{created}");
    let (status, page) = consent(outside, created["connect_url"].as_str().unwrap(), person).await;
    assert_eq!(status, 200, "{page}");
    created["id"].as_str().unwrap().to_owned()
}

fn group(date: i64, measures: Vec<Measure>) -> NewGroup {
    NewGroup { date, attrib: 0, category: 1, modelid: None, measures }
}

fn now() -> i64 {
    use ohx_domain::Clock as _;
    ohx_domain::SystemClock.now().as_second()
}

async fn a_version_is_used_by_the_links_of_its_scope(shape: Shape) {
    const CLINIC: &str = "Patient/p1";
    const WARD: &str = "Patient/p2";
    let outside = Outside::start().await;
    let (ada, ben) = (outside.person(1, "Ada"), outside.person(2, "Ben"));
    let mut old = Vec::new();
    for person in [ada, ben] {
        for n in 0..5 {
            // With something that no document reads.
            let measures =
                vec![Measure::new(1, 72_100 + n, -3), Measure::new(11, 60 + n, 0), Measure::new(18, 21, 0)];
            let grpid = outside.withings.add_group(person, group(now() - 7200 - n * 60, measures)).unwrap();
            old.extend((person == ada).then_some(grpid));
        }
    }
    let deployment = Deployment::start(shape, &outside).await;
    let link = connect(&deployment, &outside, CLINIC, "1", 7).await;
    let other = connect_ward(&deployment, &outside, WARD, "2").await;
    join_all([deployment.settled(&link), deployment.settled(&other)]).await;
    outside.agree(ada, CLINIC).await;
    outside.agree(ben, WARD).await;
    let own = is(1, "Body weight", "kg", "final");
    assert_eq!(weight(&outside, CLINIC, old[0]).unwrap(), own);

    // Saved is not active.
    save(&deployment, &document(1000, "Weight of the body")).await;
    assert_eq!(weigh(&outside, ada, CLINIC).await, own);
    activate(&deployment, json!({"scope": "ehr:clinic", "version": 1000})).await;
    assert_eq!(weigh(&outside, ada, CLINIC).await, is(1000, "Weight of the body", "kg", "final"));
    assert_eq!(weigh(&outside, ben, WARD).await, own);

    // What says the same, in other words only, costs the EHR no new version when it is read again.
    outside.agree(ada, CLINIC).await;
    let before = (outside.ehr.snapshot().versions, observations(&outside, CLINIC));
    let counts = read_again(&deployment, &link).await;
    assert_eq!((&counts["created"], &counts["updated"]), (&json!(0), &json!(0)), "{counts}");
    assert_eq!(counts["unchanged"], before.1.len(), "{counts}");
    assert!(before.1 == observations(&outside, CLINIC), "another text is at the EHR");
    assert_eq!(outside.ehr.snapshot().versions, before.0, "something was written");
    assert_eq!(weight(&outside, CLINIC, old[0]).unwrap(), own);

    // What says it in another unit is corrected, under the same identity.
    save(&deployment, &in_grams(1001)).await;
    activate(&deployment, json!({"scope": "ehr:clinic", "version": 1001})).await;
    let ids = |of: &[(String, Value)]| of.iter().map(|(id, _)| id.clone()).collect::<BTreeSet<_>>();
    let counts = read_again(&deployment, &link).await;
    assert_eq!(counts["created"], 0, "{counts}");
    let after = observations(&outside, CLINIC);
    assert_eq!((ids(&after), after.len()), (ids(&before.1), before.1.len()));
    for grpid in &old {
        let in_grams = is(1001, "Weight in grams", "g", "corrected");
        assert_eq!(weight(&outside, CLINIC, *grpid).unwrap(), in_grams);
    }
    assert_eq!(weigh(&outside, ada, CLINIC).await, is(1001, "Weight in grams", "g", "final"));

    // Back, for what comes and for what is read again.
    roll_back(&deployment, "ehr:clinic").await;
    assert_eq!(weigh(&outside, ada, CLINIC).await, is(1000, "Weight of the body", "kg", "final"));
    let counts = read_again(&deployment, &link).await;
    assert_eq!(counts["created"], 0, "{counts}");
    for grpid in &old {
        let in_kilograms = is(1000, "Weight of the body", "kg", "corrected");
        assert_eq!(weight(&outside, CLINIC, *grpid).unwrap(), in_kilograms);
    }
    outside.agree(ada, CLINIC).await;
    outside.agree(ben, WARD).await;
    assert_eq!(outside.ehr.snapshot().doubles, 0);

    let metrics = deployment.metrics("transform").await;
    for version in [1, 1000, 1001] {
        let label = format!("mapping=\"{NAME}\",provider=\"withings\",version=\"{version}\"");
        assert!(metrics.contains(&format!("ohx_observations_mapped_total{{{label}}}")), "{metrics}");
    }
    let left_out =
        "ohx_readings_skipped_total{provider=\"withings\",reason=\"unmapped\",record=\"getmeas\"} ";
    let count = metrics.lines().find_map(|line| line.strip_prefix(left_out)).unwrap();
    assert!(count.parse::<u64>().unwrap() >= 10, "{count}");
}

async fn a_share_of_the_links_runs_the_next_version_first(shape: Shape) {
    const LINKS: u64 = 24;
    let outside = Outside::start().await;
    let deployment = Deployment::start(shape, &outside).await;
    let mut links = Vec::new();
    for person in 1..=LINKS {
        outside.person(person, "Ada");
        let patient = format!("Patient/p{person}");
        let link = connect(&deployment, &outside, &patient, &person.to_string(), 1).await;
        links.push((person, patient, link));
    }
    join_all(links.iter().map(|(_, _, link)| deployment.settled(link))).await;
    // The versions that the links' next readings are made with, all of them.
    let versions = async || {
        let arriving = links.iter().map(|(person, patient, _)| weigh(&outside, *person, patient));
        let arrived = join_all(arriving).await;
        arrived.into_iter().map(|weight| weight.version).collect::<Vec<_>>()
    };
    let all = |version: u32| vec![format!("{NAME}.{version}"); links.len()];
    let share = |percent: u8, canary: u32, others: u32| {
        let version =
            |link: &String| if in_canary(link.parse().unwrap(), NAME, percent) { canary } else { others };
        links.iter().map(|(_, _, link)| format!("{NAME}.{}", version(link))).collect::<Vec<_>>()
    };

    save(&deployment, &document(1000, "Weight of the body")).await;
    save(&deployment, &document(1001, "Body mass")).await;
    let canary = |version: Option<u32>, next: u32, percent: u8| json!({"scope": "global", "version": version, "canary": {"version": next, "percent": percent}});
    activate(&deployment, canary(None, 1000, 50)).await;
    let half = share(50, 1000, 1);
    assert!(half != all(1) && half != all(1000), "some and some: {half:?}");
    assert_eq!(versions().await, half);
    activate(&deployment, canary(None, 1000, 100)).await;
    assert_eq!(versions().await, all(1000));
    activate(&deployment, json!({"scope": "global", "version": 1000})).await;
    assert_eq!(versions().await, all(1000));

    // The next one goes wrong for the first links, and is taken back.
    activate(&deployment, canary(Some(1000), 1001, 25)).await;
    assert_eq!(versions().await, share(25, 1001, 1000));
    roll_back(&deployment, "global").await;
    assert_eq!(versions().await, all(1000));
}

async fn a_refused_document_disturbs_no_sync(shape: Shape) {
    const PATIENT: &str = "Patient/p1";
    let outside = Outside::start().await;
    let person = outside.person(1, "Ada");
    let measures = |n: i64| vec![Measure::new(1, 72_100 + n, -3), Measure::new(11, 60 + n, 0)];
    let groups = (0..30).map(|n| group(now() - 3600 - n * 3600, measures(n))).collect();
    outside.withings.add_groups(person, groups).unwrap();
    let deployment = Deployment::start(shape, &outside).await;
    // In the middle of a sync.
    outside.busy_ehr(1000, 1);
    connect(&deployment, &outside, PATIENT, "1", 31).await;
    until("the EHR holds the sync up", 30, async || {
        deployment.logs().contains("EHR endpoint clinic is not available").then_some(())
    })
    .await;
    let good = document(1000, "Weight of the body");
    let examples = good.replacen("\"value\": 95.850", "\"value\": 95.851", 1);
    let (status, said) = deployment.post(AT, &json!({"document": examples})).await;
    assert_eq!((status, &said["example"]), (422, &json!("a scale, one group")), "{said}");
    let unit = good.replacen("value: { unit: kg,", "value: { unit: kgs,", 1);
    let (status, said) = deployment.post(AT, &json!({"document": unit})).await;
    assert_eq!((status, said["line"].as_u64().is_some()), (422, true), "{said}");
    let (status, said) = deployment
        .post(&format!("{GETMEAS}activations/"), &json!({"scope": "global", "version": 1000}))
        .await;
    assert_eq!(status, 422, "nothing was saved: {said}");
    let file = format!(
        "mappings:\n  - document: {examples:?}\nactivations:\n  - {{ mapping: {NAME}, scope: global, version: 1000 }}\n"
    );
    let (code, said) = deployment.apply(&file);
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains("a scale, one group"), "{said}");
    assert_eq!(deployment.get(GETMEAS).await["items"].as_array().unwrap().len(), 1);
    assert_eq!(deployment.list(&format!("{GETMEAS}activations/")).await, json!([]));

    outside.ehr_recovers();
    outside.agree(person, PATIENT).await;
    assert_eq!(deployment.list("/api/publishers/dead-letters/").await, json!([]));
    assert!(weigh(&outside, person, PATIENT).await.version.ends_with(".1"));
}

async fn a_file_saves_activates_and_changes_nothing_the_second_time(shape: Shape) {
    const PATIENT: &str = "Patient/p1";
    let outside = Outside::start().await;
    let person = outside.person(1, "Ada");
    outside.withings.weigh_now(person, "80.05").unwrap();
    let deployment = Deployment::start(shape, &outside).await;
    let link = connect(&deployment, &outside, PATIENT, "1", 1).await;
    deployment.settled(&link).await;
    // JSON is YAML: the text as one quoted scalar.
    let text = json!(document(1000, "Weight of the body"));
    let file = format!(
        "mappings:\n  - document: {text}\nactivations:\n  - {{ mapping: {NAME}, scope: \"link:{link}\", version: 1000 }}\n"
    );
    let (code, said) = deployment.apply(&file);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(weigh(&outside, person, PATIENT).await, is(1000, "Weight of the body", "kg", "final"));
    let history = format!("{GETMEAS}activations/?scope=link:{link}");
    let before = (deployment.get(GETMEAS).await, deployment.list(&history).await);
    assert_eq!((before.1.as_array().unwrap().len(), &before.1[0]["by"]), (1, &json!("apply")));
    let (code, said) = deployment.apply(&file);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!((deployment.get(GETMEAS).await, deployment.list(&history).await), before);
}
