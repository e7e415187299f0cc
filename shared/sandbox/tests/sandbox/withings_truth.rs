//! The truth, held against the examples of the documentation, worked out by hand.

use std::collections::BTreeMap;

use ohx_providers::Provider as _;
use ohx_sandbox::withings::{ALL, Day, Ecg, Night, Reading, Sample, Simulator, Stage, USUAL, Workout};
use serde_json::Value;

use super::{ANNA, World};

/// Of each reading: its record, its identity, when it was, and what it says.
fn told(sim: &Simulator) -> Vec<[String; 4]> {
    let said = |reading: &Reading| {
        let values: Vec<String> =
            reading.values.iter().map(|(name, said)| format!("{name}={said}")).collect();
        values.join(", ")
    };
    let readings = sim.readings(ANNA, &ALL).unwrap();
    readings.iter().map(|r| [r.record.to_owned(), r.identity(), r.when.clone(), said(r)]).collect()
}

fn data<T: serde::de::DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn a_day_is_one_of_its_zone_and_of_a_device_of_ones_own() {
    let World { sim, .. } = World::new().await;
    let days: Vec<Day> = data(
        r#"[{"date":"2023-10-29","timezone":"Europe/Amsterdam","modelid":93,"data":{"steps":1209,"distance":1028.559,
             "elevation":0,"soft":1864,"moderate":292,"intense":0,"active":292,"calories":85.497,"totalcalories":2303.788,
             "hr_average":80,"hr_min":0,"hr_max":80,"hr_zone_0":100,"hr_zone_3":400}},
            {"date":"2023-10-28","timezone":"Europe/Amsterdam","modelid":91,"data":{"steps":7}},
            {"date":"2023-10-29","timezone":"Europe/Amsterdam","modelid":1055,"data":{"steps":7}}]"#,
    );
    sim.add_days(ANNA, days).unwrap();
    let watch = sim.device_id(ANNA, 93).unwrap().unwrap();
    let long = "2023-10-29T00:00:00+02:00/2023-10-30T00:00:00+01:00";
    let of = |kind: &str, said: &str| {
        ["getactivity".to_owned(), format!("2023-10-29-{watch}.{kind}"), long.to_owned(), said.to_owned()]
    };
    let before = "2023-10-28T00:00:00+02:00/2023-10-29T00:00:00+02:00";
    let expected = [
        ["getactivity", "2023-10-28-aggregate.steps-day", before, "value=7 {steps}"].map(str::to_owned),
        of("steps-day", "value=1209 {steps}"),
        of("distance-day", "value=1028.559 m"),
        of("floors-day", "value=0 {flight}"),
        of("active-energy-day", "value=85.497 kcal"),
        of("total-energy-day", "value=2303.788 kcal"),
        of(
            "activity-duration-day",
            "activity-active=292 s, activity-intense=0 s, activity-moderate=292 s, activity-soft=1864 s",
        ),
        of("heart-rate-day", "heart-rate-maximum=80 /min, heart-rate-mean=80 /min"),
        of("heart-rate-zones-day", "heart-rate-zone-0=100 s, heart-rate-zone-3=400 s"),
    ];
    assert_eq!(told(&sim), expected);
}

#[tokio::test]
async fn a_workout_says_its_sport_and_how_long_it_was() {
    let World { sim, .. } = World::new().await;
    let walk = r#"{"category":1,"timezone":"Europe/Amsterdam","model":1055,"startdate":1693336011,"enddate":1693336513,
        "data":{"calories":47,"intensity":30,"manual_distance":0,"manual_calories":70,"hr_average":80,"hr_min":0,
        "pause_duration":80,"steps":779,"distance":680,"elevation":10,"algo_pause_duration":null,"spo2_average":95}}"#;
    let unheard_of = walk.replace("\"category\":1,", "\"category\":533,").replace("1693336", "1693337");
    let workouts: Vec<Workout> = vec![data(walk), data(&unheard_of)];
    let ids = sim.add_workouts(ANNA, workouts).unwrap();
    let told = told(&sim);
    assert_eq!(told[0][1], format!("{}.workout", ids[0]));
    assert_eq!(told[0][2], "2023-08-29T21:06:51+02:00/2023-08-29T21:15:13+02:00");
    let said = "100304-5=10 {flight}, 103208-5=680 m, 103209-3=95 %, 41981-2=47 kcal, 55411-3=8.367 min, \
                55423-8=779 {steps}, energy-reported=70 kcal, exercise-intensity=30 {score}, exercise-paused=80 s, \
                heart-rate-mean=80 /min, value=1";
    assert_eq!(told[0][3], said);
    assert!(told[1][3].ends_with("value=36"), "no sport has this number");
}

#[tokio::test]
async fn a_night_is_told_in_hours_and_may_be_preliminary() {
    let World { sim, .. } = World::new().await;
    let night: Night = data(
        r#"{"timezone":"Europe/Paris","modelid":63,"startdate":1618691453,"enddate":1618713173,"completed":false,
            "data":{"wakeupduration":3060,"wakeupcount":1,"remsleepduration":2400,"total_sleep_time":18660,
            "sleep_efficiency":0.86,"hr_average":103,"hr_min":0,"rr_average":14,"apnea_hypopnea_index":9}}"#,
    );
    let id = sim.add_nights(ANNA, vec![night.clone()]).unwrap()[0];
    let period = "2021-04-17T22:30:53+02:00/2021-04-18T04:32:53+02:00";
    let of = |kind: &str, said: &str| {
        ["sleep-getsummary".to_owned(), format!("{id}.{kind}"), period.to_owned(), said.to_owned()]
    };
    let sleep =
        "93828-2=0.8500 h, 93829-0=0.6667 h, sleep-efficiency=86 %, sleep-wakeups=1 {events}, value=5.1833 h";
    let expected = [
        of("sleep", sleep),
        of("sleep-heart-rate", "heart-rate-mean=103 /min"),
        of("sleep-respiratory-rate", "103217-6=14 /min"),
        of("apnea-hypopnea-index", "value=9 /h"),
    ];
    assert_eq!(told(&sim), expected);
    assert!(sim.readings(ANNA, &ALL).unwrap().iter().all(|reading| reading.preliminary));
    sim.add_nights(ANNA, vec![Night { id, completed: None, ..night }]).unwrap();
    assert!(sim.readings(ANNA, &ALL).unwrap().iter().all(|reading| !reading.preliminary));
    sim.entitle(ANNA, false).unwrap();
    assert_eq!(told(&sim), expected[..1], "without what the plan leaves out");
}

#[tokio::test]
async fn samples_and_stages_are_told_by_the_second() {
    let World { sim, .. } = World::new().await;
    let samples: Vec<Sample> = data(
        r#"[{"at":1594245600,"modelid":93,"data":{"heart_rate":63,"rmssd":0,"sdnn1":41}},
            {"at":1594245660,"modelid":93,"data":{"steps":21,"distance":15.20,"elevation":0,"duration":60}},
            {"at":1594245720,"modelid":93,"data":{"steps":0}}]"#,
    );
    sim.add_samples(ANNA, samples).unwrap();
    let stages: Vec<Stage> = data(
        r#"[{"startdate":1618691453,"enddate":1618691573,"state":0,
             "series":{"hr":[[1618691513,71],[1618691453,70]],"rmssd":[[1618691453,0]],"snoring":[[1618691453,0]]}},
            {"startdate":1618692053,"enddate":1618692113,"state":9,"series":{"sdnn_1":[[1618692053,0],[1618692113,44]]}}]"#,
    );
    let night =
        r#"{"timezone":"Europe/Paris","modelid":63,"startdate":1618691453,"enddate":1618692113,"data":{}}"#;
    sim.add_nights(ANNA, vec![Night { stages, ..data(night) }]).unwrap();
    let id = |model| sim.device_id(ANNA, model).unwrap().unwrap();
    let (watch, mat) = (id(93), id(63));
    let minute = "2020-07-08T22:01:00+00:00/2020-07-08T22:02:00+00:00";
    let awake = "2021-04-17T20:30:53+00:00/2021-04-17T20:32:53+00:00";
    let expected = [
        (
            "getintradayactivity",
            format!("1594245600-{watch}.heart-rate"),
            "2020-07-08T22:00:00+00:00",
            "63 /min",
        ),
        ("getintradayactivity", format!("1594245600-{watch}.hrv-sdnn"), "2020-07-08T22:00:00+00:00", "41 ms"),
        ("getintradayactivity", format!("1594245660-{watch}.steps"), minute, "21 {steps}"),
        ("getintradayactivity", format!("1594245660-{watch}.distance"), minute, "15.20 m"),
        ("getintradayactivity", format!("1594245660-{watch}.floors"), minute, "0 {flight}"),
        (
            "getintradayactivity",
            format!("1594245720-{watch}.steps"),
            "2020-07-08T22:02:00+00:00",
            "0 {steps}",
        ),
        ("sleep-get", format!("1618691453-{mat}.sleep-state"), awake, "awake"),
        ("sleep-get", format!("1618691453-{mat}.sleep-heart-rate-samples"), awake, "70 71 /min at 0 60 s"),
        ("sleep-get", format!("1618691453-{mat}.sleep-snoring-samples"), awake, "0 s at 0 s"),
        (
            "sleep-get",
            format!("1618692053-{mat}.sleep-hrv-sdnn-samples"),
            "2021-04-17T20:40:53+00:00/2021-04-17T20:41:53+00:00",
            "44 ms at 60 s",
        ),
    ];
    let expected = expected.map(|(record, identity, when, said)| {
        [record.to_owned(), identity, when.to_owned(), format!("value={said}")]
    });
    assert_eq!(told(&sim), expected);
}

#[tokio::test]
async fn an_ecg_has_a_class_and_a_signal_where_the_plan_includes_them() {
    let World { sim, .. } = World::new().await;
    let ecgs: Vec<Ecg> = data(
        r#"[{"timestamp":1594159644,"modelid":93,"afib":1,"heart_rate":64,"sampling_frequency":300,"signal":[12,15,-3]},
            {"timestamp":1594159645,"modelid":44,"afib":0,"heart_rate":0,"sampling_frequency":500,"signal":[7]},
            {"timestamp":1594159646,"modelid":44,"heart_rate":82,"bloodpressure":[118,79]}]"#,
    );
    let ids = sim.add_ecgs(ANNA, ecgs).unwrap();
    let (first, second) = ("2020-07-07T22:07:24+00:00", "2020-07-07T22:07:25+00:00");
    let expected = [
        ("heart-list", format!("{}.ecg-classification", ids[0]), first, "value=positive"),
        (
            "heart-get",
            format!("{}.ecg", ids[0]),
            first,
            "131329=12 15 -3 uV every 3.333333333 ms, 8867-4=64 /min",
        ),
        ("heart-list", format!("{}.ecg-classification", ids[1]), second, "value=negative"),
        ("heart-get", format!("{}.ecg", ids[1]), second, "131329=7 uV every 2 ms"),
    ];
    let expected =
        expected.map(|(record, identity, when, said)| [record.into(), identity, when.into(), said.into()]);
    assert_eq!(told(&sim), expected);
    sim.entitle(ANNA, false).unwrap();
    assert_eq!(told(&sim), [] as [[String; 4]; 0]);
}

/// Both sides mean the same records, and the same of them by default.
#[tokio::test]
async fn the_records_are_those_of_the_adapter() {
    let world = World::new().await;
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let names = |records: &[&str]| sorted(records.iter().map(ToString::to_string).collect());
    assert_eq!(names(&ALL), names(ohx_providers::kind("withings").unwrap().records));
    let app: ohx_domain::ProviderApp = serde_json::from_value::<_>(
        serde_json::json!({ "name": "withings", "type": "withings", "client_id": "client-1" }) as Value,
    )
    .unwrap();
    let adapter = ohx_providers::withings::Withings::new(world.http.clone());
    let usual = adapter.records(&app, &[]).iter().map(|spec| spec.record.to_string()).collect();
    assert_eq!(names(&USUAL), sorted(usual));

    world.sim.seed_daily(ANNA, 12).unwrap();
    world.sim.seed_history(ANNA, 12, 3).unwrap();
    let by_record = |records: &[&str]| -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        let readings = world.sim.readings(ANNA, records).unwrap();
        readings.iter().for_each(|reading| *counts.entry(reading.record).or_default() += 1);
        counts
    };
    assert_eq!(by_record(&USUAL).into_keys().map(str::to_owned).collect::<Vec<_>>(), names(&USUAL));
    let all = by_record(&ALL);
    assert!(all["getintradayactivity"] > 2_000 && all["sleep-get"] > 1_000, "{all:?}");
}
