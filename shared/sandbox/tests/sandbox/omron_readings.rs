//! What the simulated OMRON knows arrives through the adapter, however it is said, and the built-in mappings make of it
//! what it is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ohx_domain::{Sensitive, account_pseudonym};
use ohx_mapping::{Context, Mapping};
use ohx_providers::{Part, Provider as _};
use ohx_sandbox::omron::{ALL, Fault, Manner, NewRow, Paging, Type};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::omron_adapter::{CARLA, Cloud, DAN, DAY, interval};

impl Cloud {
    /// The last `days` days, every record, as the built-in mappings have them; what was left out, too.
    async fn delivered(&self, token: &SecretString, days: i64) -> (BTreeSet<String>, BTreeMap<String, u64>) {
        let window = interval(self.now() - days * DAY, self.now());
        let (mut all, mut skipped) = (BTreeSet::new(), BTreeMap::new());
        for record in ALL {
            for part in self.read(token, record, window).await {
                assert!(part.covers.is_none(), "what is uploaded later may be of any time");
                let (observations, left_out) = mapped(record, &part);
                for observation in observations {
                    assert!(all.insert(told(record, &observation)), "twice");
                }
                for (reason, count) in left_out {
                    *skipped.entry(reason).or_insert(0) += count;
                }
            }
        }
        (all, skipped)
    }

    /// The same as the cloud knows it.
    fn truth(&self, person: &str) -> BTreeSet<String> {
        let readings = self.sim.readings(person, &ALL).unwrap();
        let line = |reading: &ohx_sandbox::Reading| {
            let said: Vec<_> = reading.values.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let (record, identity) = (reading.record, reading.identity());
            format!("{record} {identity} {} {} {}", reading.code, reading.when, said.join(", "))
        };
        readings.iter().map(line).collect()
    }

    async fn holds(&self, token: &SecretString, person: &str, days: i64) {
        let (delivered, _) = self.delivered(token, days).await;
        let truth = self.truth(person);
        assert!(!truth.is_empty());
        let only =
            |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).take(3).cloned().collect::<Vec<_>>();
        assert_eq!((only(&truth, &delivered), only(&delivered, &truth)), (Vec::new(), Vec::new()));
    }
}

pub(super) fn mapped(record: &str, part: &Part) -> (Vec<String>, BTreeMap<String, u64>) {
    let mapping = Mapping::parse(ohx_mapping::builtin("omron", record).unwrap()).unwrap();
    let (provider, subject) = ("cuffs".parse().unwrap(), "Patient/p1".parse().unwrap());
    let account = account_pseudonym(&provider, &Sensitive::new("x".to_owned()), &subject);
    let identifier_base = "https://ohx.example/ns".into();
    let context = Context { identifier_base, provider, account, subject, covers: part.covers };
    let mapped = mapping.map(part.text.reveal().get().as_bytes(), &context).unwrap();
    let observations = mapped.observations.iter().map(|o| o.resource.get().to_owned());
    (observations.collect(), mapped.skipped)
}

/// What of an Observation is compared; numbers by their digits.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Observation {
    identifier: Vec<Value>,
    code: Value,
    #[serde(default)]
    effective_date_time: Option<String>,
    #[serde(default)]
    effective_period: Option<BTreeMap<String, String>>,
    #[serde(default)]
    value_quantity: Option<Quantity>,
    #[serde(default)]
    value_codeable_concept: Option<Value>,
    #[serde(default)]
    component: Vec<Component>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Component {
    code: Value,
    value_quantity: Quantity,
}

#[derive(Deserialize)]
struct Quantity {
    value: Box<RawValue>,
    code: String,
}

/// An Observation as a line of the truth.
fn told(record: &str, observation: &str) -> String {
    let observation: Observation = serde_json::from_str(observation).unwrap();
    let code = |concept: &Value| concept["coding"][0]["code"].as_str().unwrap().to_owned();
    let quantity = |of: &Quantity| format!("{} {}", of.value, of.code);
    let identity = observation.identifier[0]["value"].as_str().unwrap().split_once('.').unwrap().1;
    let when = match &observation.effective_period {
        Some(period) => format!("{}/{}", period["start"], period["end"]),
        None => observation.effective_date_time.unwrap(),
    };
    let components = observation.component.iter().map(|c| (code(&c.code), quantity(&c.value_quantity)));
    let mut said: BTreeMap<String, String> = components.collect();
    said.extend(observation.value_quantity.iter().map(|of| ("value".into(), quantity(of))));
    said.extend(observation.value_codeable_concept.iter().map(|of| ("value".into(), code(of))));
    let said: Vec<_> = said.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{record} {identity} {} {when} {}", code(&observation.code), said.join(", "))
}

#[tokio::test]
async fn what_the_cloud_knows_arrives_however_it_is_said() {
    let cloud = Cloud::with(|config| config.page_size = 40).await;
    for person in [CARLA, DAN] {
        cloud.sim.seed_history(person, 45).unwrap();
        let token = cloud.connect(person).await.access_token;
        let pagings =
            [Paging::NumberByType, Paging::TextByType, Paging::Text, Paging::NextText, Paging::None];
        for paging in pagings {
            for odd in [false, true] {
                cloud.sim.behave(Manner {
                    paging,
                    numbers_as_text: odd,
                    ids_as_text: odd,
                    null_lists: odd,
                    zone_in_local_time: odd,
                    ..Manner::default()
                });
                cloud.holds(&token, person, 46).await;
            }
        }
    }
    let kinds = cloud.sim.counts(CARLA).unwrap();
    assert!(kinds["possible-afib"] > 0 && kinds["blood-pressure"] > 50, "{kinds:?}");
    assert_eq!(kinds.len(), 17, "{kinds:?}");
}

#[tokio::test]
async fn without_an_offset_a_time_is_in_utc() {
    let cloud = Cloud::new().await;
    cloud.sim.upload(CARLA, vec![NewRow::weight(cloud.now() - 60, "81.40", "kg")]).unwrap();
    cloud.sim.behave(Manner { no_offset: true, ..Manner::default() });
    let token = cloud.connect(CARLA).await.access_token;
    let (delivered, _) = cloud.delivered(&token, 1).await;
    let [line] = &delivered.into_iter().collect::<Vec<_>>()[..] else { panic!() };
    assert!(line.contains("2026-10-04T05:59:00+00:00") && line.ends_with("value=81.40 kg"), "{line}");
}

#[tokio::test]
async fn possible_atrial_fibrillation_is_never_a_blood_pressure() {
    let cloud = Cloud::new().await;
    let at = cloud.now() - 600;
    cloud
        .sim
        .upload(CARLA, vec![NewRow::possible_afib(at), NewRow::pressure(at + 60, "128", "82", "67")])
        .unwrap();
    let token = cloud.connect(CARLA).await.access_token;
    let (delivered, skipped) = cloud.delivered(&token, 1).await;
    let kinds: Vec<&str> = delivered.iter().map(|line| line.split(' ').nth(2).unwrap()).collect();
    assert_eq!(kinds, ["possible-afib", "85354-9", "8867-4"]);
    assert_eq!(skipped, BTreeMap::from([("possible-afib".to_owned(), 1)]));
    cloud.holds(&token, CARLA, 1).await;
}

#[tokio::test]
async fn late_uploads_arrive_and_a_day_grows() {
    let cloud = Cloud::new().await;
    let token = cloud.connect(CARLA).await.access_token;
    let specs = cloud.adapter.records(&cloud.app.config, &[]);
    let overlap = i64::try_from(specs[0].overlap.as_secs()).unwrap() / DAY;
    assert!(specs.iter().all(|spec| !spec.changes) && overlap == 14);
    let old = NewRow::pressure(cloud.now() - 13 * DAY, "131", "85", "71");
    let mut day = NewRow::new(Type::Activity, cloud.now(), "HJ-329", &[("steps", "100")], &[]);
    day.hours.insert(7, 100);
    let id = cloud.sim.upload(CARLA, vec![day.clone()]).unwrap()[0];
    let (before, _) = cloud.delivered(&token, overlap).await;
    assert_eq!(before.len(), 2);
    cloud.clock.advance(Duration::from_secs(3600));
    day.id = Some(id);
    day.values.insert("steps".into(), "250".into());
    day.hours.insert(8, 150);
    cloud.sim.upload(CARLA, vec![old, day]).unwrap();
    let token = cloud.connect(CARLA).await.access_token;
    let (after, _) = cloud.delivered(&token, overlap).await;
    assert!(after.iter().any(|line| line.starts_with("bloodpressure ")));
    let of_day = |lines: &BTreeSet<String>| {
        let lines = lines.iter().filter(|line| line.contains("steps-day"));
        lines
            .map(|line| (line.split(' ').nth(1).unwrap().to_owned(), line.contains("250")))
            .collect::<Vec<_>>()
    };
    let identity = format!("{id}.steps-day");
    assert_eq!((of_day(&before), of_day(&after)), (vec![(identity.clone(), false)], vec![(identity, true)]));
    cloud.holds(&token, CARLA, overlap).await;
}

#[tokio::test]
async fn windows_together_are_the_whole_and_each_ends() {
    let cloud = Cloud::with(|config| config.page_size = 10).await;
    cloud.sim.seed_history(CARLA, 30).unwrap();
    let token = cloud.connect(CARLA).await.access_token;
    let rows = cloud.sim.rows(CARLA).unwrap();
    let wanted: BTreeSet<i64> =
        rows.iter().filter(|row| row.content.of == Type::BloodPressure).map(|row| row.id).collect();
    let mut found = BTreeSet::new();
    for back in (0..30).step_by(5) {
        let end = cloud.now() - back * DAY;
        let calls = || cloud.sim.stats().calls["measurement/bloodpressure"];
        let before = cloud.sim.stats().calls.get("measurement/bloodpressure").copied().unwrap_or(0);
        for part in cloud.read(&token, "bloodpressure", interval(end - 5 * DAY, end)).await {
            let page: Value = serde_json::from_str(part.text.reveal().get()).unwrap();
            found.extend(
                page["bloodPressure"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()),
            );
        }
        assert!(calls() - before <= 3, "paging stops where the window ends");
    }
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn pages_that_stand_still_come_to_an_end() {
    let cloud = Cloud::with(|config| config.page_size = 5).await;
    cloud.sim.seed_history(CARLA, 10).unwrap();
    cloud.sim.behave(Manner { paging: Paging::StandsStill, ..Manner::default() });
    let token = cloud.connect(CARLA).await.access_token;
    let parts = cloud.read(&token, "bloodpressure", interval(cloud.now() - 10 * DAY, cloud.now())).await;
    assert_eq!((parts.len(), cloud.sim.stats().calls["measurement/bloodpressure"]), (1, 2));
}

#[tokio::test]
async fn one_bad_row_costs_itself_alone() {
    let cloud = Cloud::new().await;
    cloud.sim.seed_history(CARLA, 5).unwrap();
    let token = cloud.connect(CARLA).await.access_token;
    let window = interval(cloud.now() - 6 * DAY, cloud.now());
    for record in ["temperature", "oxygen"] {
        let good = cloud.read(&token, record, window).await;
        cloud.sim.inject(Fault::UnreadableRows);
        let bad = cloud.read(&token, record, window).await;
        let ([good], [bad]) = (&good[..], &bad[..]) else { panic!() };
        let ((good, before), (bad, after)) = (mapped(record, good), mapped(record, bad));
        let lines = |all: &[String]| all.iter().map(|o| told(record, o)).collect::<BTreeSet<_>>();
        assert_eq!(lines(&good), lines(&bad));
        let unreadable = after.values().sum::<u64>() - before.values().sum::<u64>();
        assert_eq!(unreadable, 3, "{record}: {before:?} {after:?}");
    }
}
