//! Every record, per-minute ones included: whole, once, exact to the digit, and as it is after a change.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ohx_domain::{Clock as _, Instant, SystemClock};
use ohx_sandbox::withings::{ALL, Day, Fault, Figure, Figures, Night, Sample, Workout};
use ohx_tests::deployment::{Deployment, Shape};
use ohx_tests::outside::Outside;
use ohx_tests::patient::connect;
use ohx_tests::until;
use serde_json::{Value, json};

use crate::both_shapes;

both_shapes!(
    every_record_arrives_once,
    what_changes_later_replaces_what_was,
    notifications_bring_their_records,
    what_is_not_allowed_holds_up_nothing_else,
);

const PATIENT: &str = "Patient/p1";
const HOUR: i64 = 3600;

fn now() -> Instant {
    SystemClock.now()
}

fn days_ago(days: u64) -> Instant {
    now() - Duration::from_secs(days * 86_400)
}

/// Asks for what changed, or for everything from an instant on; gives the sync when every request has ended.
async fn synchronise(deployment: &Deployment, link: &str, from: Option<Instant>) -> Value {
    let mut asked = json!({ "link": link });
    if let Some(from) = from {
        asked["from"] = json!(from);
    }
    let (status, sync) = deployment.post("/api/ingestors/syncs/", &asked).await;
    assert_eq!(status, 202, "{sync}");
    let id = sync["id"].as_str().unwrap().to_owned();
    until("every request has ended", 90, async || {
        let shown = deployment.get(&format!("/api/ingestors/syncs/{id}/")).await;
        let ended = |r: &Value| r["state"] == "published" || r["state"] == "failed";
        shown["requests"].as_array()?.iter().all(ended).then_some(shown)
    })
    .await
}

/// Every Observation's version, by its id.
fn versions(outside: &Outside) -> BTreeMap<String, String> {
    let version = |text: &String| {
        let observation: Value = serde_json::from_str(text).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&observation["id"]), text(&observation["meta"]["versionId"]))
    };
    outside.ehr.observations_of(PATIENT).iter().map(version).collect()
}

/// The one Observation whose identifier ends so: its resource id, status and version.
fn observation(outside: &Outside, ending: &str) -> (String, String, String) {
    let all = outside.ehr.observations_of(PATIENT);
    let parsed = all.iter().map(|text| serde_json::from_str::<Value>(text).unwrap());
    let mut found =
        parsed.filter(|o| o["identifier"][0]["value"].as_str().is_some_and(|value| value.ends_with(ending)));
    let (one, none) = (found.next().unwrap_or_else(|| panic!("no {ending}")), found.next());
    assert!(none.is_none(), "{ending} is there twice");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&one["id"]), text(&one["status"]), text(&one["meta"]["versionId"]))
}

/// The records that have arrived.
async fn arrived(outside: &Outside, person: u64) -> BTreeSet<String> {
    let rows = outside.agreed(person, PATIENT).await;
    rows.into_iter().filter(|(_, row)| row.ehr > 0).map(|((record, _), _)| record).collect()
}

async fn every_record_arrives_once(shape: Shape) {
    let outside = Outside::start().await.reading(&ALL);
    let person = outside.person(2, "Ada");
    outside.withings.seed_history(person, 14, 3).unwrap();
    outside.withings.seed_daily(person, 14).unwrap();
    let deployment = Deployment::start(shape, &outside).await;
    let link = connect(&deployment, &outside, PATIENT, "2", 15).await;
    deployment.settled(&link).await;
    assert_eq!(arrived(&outside, person).await, ALL.map(str::to_owned).into());
    assert_eq!(deployment.list("/api/publishers/dead-letters/").await, json!([]));
    let before = versions(&outside);
    assert!(before.len() > 5_000, "{}", before.len());

    // Read again, nothing is written.
    let again = synchronise(&deployment, &link, Some(days_ago(2))).await;
    let counts = &again["counts"];
    assert_eq!((&counts["created"], &counts["updated"]), (&json!(0), &json!(0)), "{again}");
    assert!(counts["unchanged"].as_u64().unwrap() > 500, "{again}");
    assert!(versions(&outside) == before, "an unchanged reading has a new version");
    assert_eq!(outside.ehr.snapshot().doubles, 0);
}

fn figures<const N: usize>(figures: [(&str, i64); N]) -> Figures {
    figures.into_iter().map(|(name, number)| (name.to_owned(), Figure::whole(number))).collect()
}

/// Nobody tells, and what changed is asked for: a day that goes on, a night that grows and ends, a corrected workout.
async fn what_changes_later_replaces_what_was(shape: Shape) {
    let outside = Outside::start().await;
    let person = outside.person(1, "Ada");
    outside.withings.seed_daily(person, 10).unwrap();
    let sim = &outside.withings;
    let began = now().as_second() - 9 * HOUR;
    let night = Night {
        id: 0,
        timezone: "Europe/Vienna".into(),
        modelid: 63,
        startdate: began,
        enddate: began + 2 * HOUR,
        created: 0,
        modified: 0,
        completed: Some(false),
        data: figures([("total_sleep_time", 6_000), ("deepsleepduration", 1_800), ("hr_average", 54)]),
        stages: Vec::new(),
    };
    let id = sim.add_nights(person, vec![night.clone()]).unwrap()[0];
    let deployment = Deployment::start(shape, &outside).await;
    let link = connect(&deployment, &outside, PATIENT, "1", 11).await;
    deployment.settled(&link).await;
    outside.agree(person, PATIENT).await;
    let kinds = [format!(".{id}.sleep"), format!(".{id}.sleep-heart-rate")];
    let states = |status: &str, version: &str| {
        let found = kinds.each_ref().map(|kind| observation(&outside, kind));
        assert!(found.iter().all(|(_, s, v)| s == status && v == version), "{status} {version}: {found:?}");
        found.map(|(id, ..)| id)
    };
    let ids = states("preliminary", "1");

    sim.inject(Fault::LoseNotifications { count: 1_000 });
    let day = sim.days(person).unwrap().into_iter().rfind(|day| day.modelid == 93).unwrap();
    let data = day.data.clone().into_iter().chain(figures([("steps", 15_001), ("elevation", 23)])).collect();
    let workout = sim.workouts(person).unwrap().into_iter().rfind(|workout| workout.model == 93).unwrap();
    let shorter = Workout { enddate: workout.enddate - 61, category: 3, ..workout.clone() };
    let grown = Night {
        id,
        enddate: began + 5 * HOUR,
        data: figures([("total_sleep_time", 16_501), ("deepsleepduration", 3_000), ("hr_average", 53)]),
        ..night
    };
    sim.add_days(person, vec![Day { data, ..day.clone() }]).unwrap();
    sim.add_workouts(person, vec![shorter]).unwrap();
    sim.add_nights(person, vec![grown.clone()]).unwrap();
    let changed = outside.agreement(person, PATIENT).await;
    // Steps, floors, the workout, and two kinds of the night.
    assert_eq!((changed.altered, changed.missing, changed.strange), (5, 0, 0), "{changed:?}");
    let sync = synchronise(&deployment, &link, None).await;
    assert_eq!((&sync["completed"], &sync["counts"]["updated"]), (&json!(true), &json!(5)), "{sync}");
    outside.agree(person, PATIENT).await;
    assert_eq!(states("preliminary", "2"), ids);
    let watch = sim.device_id(person, 93).unwrap().unwrap();
    for corrected in [format!(".{}-{watch}.steps-day", day.date), format!(".{}.workout", workout.id)] {
        let (_, status, version) = observation(&outside, &corrected);
        assert_eq!((status.as_str(), version.as_str()), ("corrected", "2"), "{corrected}");
    }

    // The night is over: the same figures, and now they count.
    sim.add_nights(person, vec![Night { completed: Some(true), ..grown }]).unwrap();
    let sync = synchronise(&deployment, &link, None).await;
    assert_eq!(sync["counts"]["updated"], 2, "{sync}");
    outside.agree(person, PATIENT).await;
    assert_eq!(states("final", "3"), ids);
    assert_eq!(outside.ehr.snapshot().doubles, 0);
}

async fn notifications_bring_their_records(shape: Shape) {
    let outside = Outside::start().await.reading(&ALL);
    let person = outside.person(1, "Ada");
    let deployment = Deployment::start(shape, &outside).await;
    let link = connect(&deployment, &outside, PATIENT, "1", 3).await;
    deployment.settled(&link).await;
    let sim = &outside.withings;
    let mut expected = BTreeSet::new();
    let mut also = |records: &[&str]| {
        expected.extend(records.iter().map(ToString::to_string));
        expected.clone()
    };

    // 44: a night.
    sim.sleep_until_now(person, 420).unwrap();
    assert_eq!(arrived(&outside, person).await, also(&["sleep-getsummary", "sleep-get"]));

    // 54: an ECG.
    sim.ecg_now(person).unwrap();
    assert_eq!(arrived(&outside, person).await, also(&["heart-list", "heart-get"]));

    // 16: what a watch has of the day.
    let at = now().as_second() - 2 * HOUR;
    let zone = "Europe/Vienna".to_owned();
    let date = now().to_zoned(jiff::tz::TimeZone::get(&zone).unwrap()).date();
    let day =
        Day { date, timezone: zone.clone(), modelid: 93, modified: 0, data: figures([("steps", 4_711)]) };
    sim.add_days(person, vec![day]).unwrap();
    assert_eq!(arrived(&outside, person).await, also(&["getactivity"]));
    let workout = Workout {
        id: 0,
        category: 2,
        timezone: zone,
        model: 93,
        attrib: 0,
        startdate: at,
        enddate: at + 1_801,
        modified: 0,
        data: figures([("steps", 4_000), ("hr_average", 131)]),
    };
    sim.add_workouts(person, vec![workout]).unwrap();
    let minute = |n: i64| Sample {
        at: at + n * 60,
        modelid: 93,
        data: figures([("heart_rate", 100 + n), ("steps", 133), ("duration", 60)]),
    };
    sim.add_samples(person, (0..30).map(minute).collect()).unwrap();
    assert_eq!(arrived(&outside, person).await, also(&["getworkouts", "getintradayactivity"]));
    assert_eq!(deployment.list("/api/publishers/dead-letters/").await, json!([]));
}

/// A plan that leaves things out, and one that refuses a record: the rest comes, a note says what did not, and a better
/// plan brings it.
async fn what_is_not_allowed_holds_up_nothing_else(shape: Shape) {
    let outside = Outside::start().await.reading(&ALL);
    let person = outside.person(1, "Ada");
    let sim = &outside.withings;
    sim.seed_history(person, 5, 2).unwrap();
    // The fifth day has an ECG in its morning: it is yesterday, whatever the hour is now.
    sim.seed_daily(person, 6).unwrap();
    let whole = sim.readings(person, &ALL).unwrap().len();
    sim.entitle(person, false).unwrap();
    let basic = sim.readings(person, &ALL).unwrap().len();
    assert!(basic < whole && basic > 500, "{basic} of {whole}");
    let deployment = Deployment::start(shape, &outside).await;
    let link = connect(&deployment, &outside, PATIENT, "1", 6).await;
    deployment.settled(&link).await;
    let records = arrived(&outside, person).await;
    assert!(records.contains("sleep-getsummary") && !records.contains("heart-get"), "{records:?}");
    assert_eq!(deployment.list("/api/publishers/dead-letters/").await, json!([]));

    // One record is refused as a whole.
    sim.inject(Fault::LoseNotifications { count: 1_000 });
    sim.weigh_now(person, "72.10").unwrap();
    sim.inject(Fault::RefuseAction { action: "getworkouts".into(), status: 2555, calls: 1 });
    let sync = synchronise(&deployment, &link, None).await;
    let requests = sync["requests"].as_array().unwrap();
    let (refused, others): (Vec<_>, Vec<_>) = requests.iter().partition(|r| r["record"] == "getworkouts");
    assert!(others.iter().all(|r| r["state"] == "published" && r.get("note").is_none()), "{sync}");
    let note = refused[0]["note"].as_str().unwrap();
    assert!(refused.len() == 1 && refused[0]["state"] == "failed", "{sync}");
    assert!(note.contains("does not allow measure getworkouts") && note.contains("2555"), "{note}");
    outside.agree(person, PATIENT).await;

    // The plan has grown, and what is asked for again comes whole.
    sim.entitle(person, true).unwrap();
    let sync = synchronise(&deployment, &link, Some(days_ago(6))).await;
    assert_eq!(sync["completed"], true, "{sync}");
    assert_eq!(arrived(&outside, person).await, ALL.map(str::to_owned).into());
    assert_eq!(outside.agreement(person, PATIENT).await.ehr, whole + 1);
}
