//! Days, workouts, nights, samples and ECGs as the wire has them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{ANNA, BEN, World, pair};
use ohx_sandbox::withings::{Day, Ecg, Fault, Figure, Night, Sample, SimulatorError, Stage, Workout};

const ALL: &str = "user.info,user.metrics,user.activity";

async fn token(world: &World, person: u64, scope: &str) -> String {
    let code = world.code(person, scope).await;
    pair(&world.exchange(&code).await).0
}

/// A world with a past, and Anna's token.
async fn lived() -> (World, String) {
    let world = World::new().await;
    world.sim.seed_daily(ANNA, 40).unwrap();
    let token = token(&world, ANNA, ALL).await;
    (world, token)
}

fn body(envelope: &Value) -> &Value {
    assert_eq!(envelope["status"], 0, "{envelope}");
    &envelope["body"]
}

fn rows<'a>(body: &'a Value, list: &str) -> &'a Vec<Value> {
    body[list].as_array().unwrap()
}

#[tokio::test]
async fn a_past_is_the_same_for_the_same_seed_and_has_every_oddity() {
    let (one, two) = (World::new().await, World::new().await);
    two.sim.seed_history(ANNA, 3, 3).unwrap();
    let seeded = one.sim.seed_daily(ANNA, 30).unwrap();
    assert_eq!(two.sim.seed_daily(ANNA, 30).unwrap(), seeded);
    assert_eq!(one.sim.days(ANNA), two.sim.days(ANNA));
    assert_eq!(one.sim.nights(ANNA), two.sim.nights(ANNA));
    assert_eq!(one.sim.workouts(ANNA), two.sim.workouts(ANNA));
    assert_eq!(one.sim.intraday(ANNA), two.sim.intraday(ANNA));
    assert_eq!(one.sim.ecgs(ANNA), two.sim.ecgs(ANNA));
    assert_eq!(one.sim.seed_daily(7, 30), Err(SimulatorError::UnknownPerson));

    let days = one.sim.days(ANNA).unwrap();
    assert!(
        days.iter().any(|day| day.modelid == 1055) && days.iter().any(|day| !day.data.contains_key("hr_min"))
    );
    assert!(days.iter().map(|day| &day.timezone).collect::<BTreeSet<_>>().len() > 1, "a trip");
    let workouts = one.sim.workouts(ANNA).unwrap();
    let pulse = |figure: Figure| workouts.iter().any(|w| w.data.get("hr_average") == Some(&figure));
    assert!(pulse(Figure::whole(0)) && pulse(Figure::null()));
    assert!(workouts.iter().any(|w| w.data.contains_key("pool_laps")));
    let nights = one.sim.nights(ANNA).unwrap();
    assert!(nights.iter().any(|n| n.modified > n.created) && nights.iter().any(|n| n.modelid == 93));
    let stages: Vec<_> = nights.iter().flat_map(|n| &n.stages).collect();
    assert!(
        stages.iter().any(|s| s.series.get("rmssd").is_some_and(|r| r.iter().any(|(_, value)| *value == 0)))
    );
    assert!(
        nights.iter().any(|n| n.stages.windows(2).any(|pair| pair[0].enddate < pair[1].startdate)),
        "a gap"
    );
    let ecgs = one.sim.ecgs(ANNA).unwrap();
    assert!(ecgs.iter().any(|e| e.signal.len() == 9000) && ecgs.iter().any(|e| e.signal.len() == 10_000));
    assert!(ecgs.iter().any(|e| e.signal.is_empty() && e.bloodpressure.is_some()));
    assert!(ecgs.iter().flat_map(|e| &e.signal).all(|microvolts| microvolts.abs() < 2_000));

    // What is read by default stays small, and nothing is in the future.
    let now = one.now();
    assert!(seeded.days + seeded.workouts + seeded.nights + seeded.ecgs < 120, "{seeded:?}");
    let last = one.sim.intraday(ANNA).unwrap().last().map(|sample| sample.at);
    assert!(last.is_some_and(|at| at < now) && nights.iter().all(|n| n.enddate < now && n.modified <= now));
    assert!(days.iter().all(|day| day.modified <= now) && ecgs.iter().all(|ecg| ecg.timestamp < now));
}

#[tokio::test]
async fn days_are_asked_for_by_date_or_by_change_and_paged() {
    let (world, token) = lived().await;
    let ask = async |form: &[(&str, &str)]| {
        world.call("/v2/measure", Some(&token), &[&[("action", "getactivity")], form].concat()).await
    };
    let range = [("startdateymd", "2026-09-10"), ("enddateymd", "2026-09-20")];
    let found = ask(&range).await;
    let activities = rows(body(&found), "activities");
    let truth: Vec<Day> = world.sim.days(ANNA).unwrap();
    let inside =
        truth.iter().filter(|day| ("2026-09-10"..="2026-09-20").contains(&day.date.to_string().as_str()));
    assert_eq!(activities.len(), inside.count());
    assert_eq!(found["body"]["more"], false);
    let relay = activities.iter().find(|row| row["brand"] == 18).unwrap();
    assert_eq!((&relay["deviceid"], &relay["is_tracker"]), (&Value::Null, &json!(false)));
    assert_eq!((&relay["modelid"], &relay["model"]), (&json!(1055), &json!("GoogleFit tracker")));
    let own = activities.iter().find(|row| row["brand"] == 1).unwrap();
    assert_eq!(own["deviceid"], json!(world.sim.device_id(ANNA, 93).unwrap().unwrap()));
    assert_eq!(own["timezone"], "Europe/Vienna");

    let some = ask(&[&range[..], &[("data_fields", "steps,distance")]].concat()).await;
    let row = &rows(body(&some), "activities")[0];
    assert!(row["steps"].is_i64() && row["distance"].is_f64() && row.get("calories").is_none());
    let single = ask(&[("startdateymd", "2026-09-12"), ("enddateymd", "2026-09-12")]).await;
    let alone = truth.iter().filter(|day| day.date.to_string() == "2026-09-12").count() == 1;
    assert_eq!(body(&single)["activities"].is_object(), alone);
    let none = ask(&[("startdateymd", "2020-01-01"), ("enddateymd", "2020-02-01")]).await;
    assert_eq!(rows(body(&none), "activities").len(), 0);

    let now = world.now().to_string();
    world.advance(60);
    let changed = Day { data: [("steps".to_owned(), Figure::whole(7))].into(), ..truth[3].clone() };
    world.sim.add_days(ANNA, vec![changed.clone()]).unwrap();
    let since = ask(&[("lastupdate", &(world.now() - 1).to_string())]).await;
    assert_eq!(rows(body(&since), "activities").len(), 1);
    assert_eq!(rows(body(&since), "activities")[0]["steps"], 7);
    assert_eq!(world.sim.days(ANNA).unwrap().len(), truth.len(), "replaced, not added");
    for wrong in [
        &[("startdateymd", "2026-09-10")][..],
        &[("lastupdate", &now), range[0], range[1]],
        &[],
        &[("startdateymd", "soon"), range[1]],
    ] {
        assert_eq!(ask(wrong).await["status"], 503, "{wrong:?}");
    }
}

#[tokio::test]
async fn pages_go_on_by_the_offset_and_not_by_the_rows() {
    for size in [1, 2, 5, 300] {
        let world = World::with(|config| config.page_size = size).await;
        world.sim.seed_daily(ANNA, 40).unwrap();
        let token = token(&world, ANNA, ALL).await;
        let truth = [world.sim.workouts(ANNA).unwrap().len(), world.sim.nights(ANNA).unwrap().len()];
        for (path, action, truth) in
            [("/v2/measure", "getworkouts", truth[0]), ("/v2/sleep", "getsummary", truth[1])]
        {
            let (mut seen, mut offset) = (BTreeSet::new(), "0".to_owned());
            loop {
                let form = [("action", action), ("lastupdate", "0"), ("offset", &offset)];
                let page = world.call(path, Some(&token), &form).await;
                let series = rows(body(&page), "series");
                assert!(series.len() <= size);
                for row in series {
                    assert!(seen.insert(row["id"].as_i64().unwrap()), "{action} twice");
                }
                if page["body"]["more"] == false {
                    assert_eq!(page["body"]["offset"], 0);
                    break;
                }
                offset = page["body"]["offset"].to_string();
            }
            assert_eq!(seen.len(), truth, "{action}, {size} a page");
        }
    }
}

#[tokio::test]
async fn workouts_and_nights_have_the_documented_shape() {
    let (world, token) = lived().await;
    let workouts =
        world.call("/v2/measure", Some(&token), &[("action", "getworkouts"), ("lastupdate", "0")]).await;
    let workouts = rows(body(&workouts), "series").clone();
    let relayed = workouts.iter().find(|w| w["model"] == 1055).unwrap();
    assert!(relayed["deviceid"].is_null() && relayed["data"]["hr_average"] == 0);
    assert!(workouts.iter().all(|w| w["data"]["algo_pause_duration"].is_null() && w["date"].is_string()));

    let nights =
        world.call("/v2/sleep", Some(&token), &[("action", "getsummary"), ("lastupdate", "0")]).await;
    let nights = rows(body(&nights), "series").clone();
    let mat = nights.iter().find(|n| n["model_id"] == 63).unwrap();
    assert_eq!(mat["model"], 32);
    let events: Value = serde_json::from_str(mat["data"]["night_events"].as_str().unwrap()).unwrap();
    assert_eq!(events["1"], json!([0]));
    assert!(mat["data"]["sleep_efficiency"].as_f64().unwrap() <= 1.0);
    let total = ["lightsleepduration", "deepsleepduration", "remsleepduration"]
        .map(|f| mat["data"][f].as_i64().unwrap());
    assert_eq!(mat["data"]["total_sleep_time"], total.iter().sum::<i64>());
    let watch = nights.iter().find(|n| n["model_id"] == 93).unwrap();
    assert!(watch["model"] == 16 && watch["data"]["night_events"].is_null());
    assert!(
        nights.iter().any(|n| n.get("completed").is_none()) && nights.iter().any(|n| n["completed"] == true)
    );
    let zone = jiff::tz::TimeZone::get("Europe/Vienna").unwrap();
    let end = jiff::Timestamp::from_second(mat["enddate"].as_i64().unwrap()).unwrap();
    assert_eq!(mat["date"], zone.to_datetime(end).date().to_string(), "the day it ends on");
}

#[tokio::test]
async fn the_details_of_a_night_are_unsorted_and_cut_at_24_hours() {
    let (world, token) = lived().await;
    let night = world.sim.nights(ANNA).unwrap().into_iter().find(|n| n.modelid == 63).unwrap();
    let ask = async |from: i64, to: i64| {
        let (from, to) = (from.to_string(), to.to_string());
        let form = [
            ("action", "get"),
            ("startdate", from.as_str()),
            ("enddate", &to),
            ("data_fields", "hr,snoring"),
        ];
        world.call("/v2/sleep", Some(&token), &form).await
    };
    let found = ask(night.startdate, night.enddate).await;
    let series = rows(body(&found), "series");
    let starts: Vec<i64> = series.iter().map(|row| row["startdate"].as_i64().unwrap()).collect();
    assert!(!starts.is_sorted());
    let row = series.iter().find(|row| row["model_id"] == 63).unwrap();
    assert_eq!((&row["model"], found["body"]["model"].is_i64()), (&json!("Aura Sensor V2"), true));
    let (second, _) = row["hr"].as_object().unwrap().iter().next().unwrap();
    assert!(second.parse::<i64>().is_ok() && row.get("rr").is_none());
    assert_eq!(row["hash_deviceid"], json!(world.sim.device_id(ANNA, 63).unwrap().unwrap()));

    let week = ask(night.startdate, night.startdate + 7 * 86_400).await;
    let last = rows(body(&week), "series").iter().map(|row| row["enddate"].as_i64().unwrap()).max();
    assert!(last.is_some_and(|last| last <= night.startdate + 86_400));
    assert_eq!(ask(5, 4).await["status"], 503);
    assert_eq!(rows(body(&ask(0, 100).await), "series").len(), 0);
}

#[tokio::test]
async fn samples_are_a_map_in_no_order_and_cut_at_24_hours() {
    let (world, token) = lived().await;
    let ask = async |form: &[(&str, &str)]| {
        world.call("/v2/measure", Some(&token), &[&[("action", "getintradayactivity")], form].concat()).await
    };
    let text = async |form: &[(&str, &str)]| {
        let form = [&[("action", "getintradayactivity")], form].concat();
        world.raw("/v2/measure", Some(&token), &form).await.unwrap().text().await.unwrap()
    };
    let day = (world.now() - 3 * 86_400).to_string();
    let week = (world.now() + 86_400).to_string();
    let window = [("startdate", day.as_str()), ("enddate", week.as_str())];
    let found = ask(&window).await;
    let series = body(&found)["series"].as_object().unwrap();
    let from: i64 = day.parse().unwrap();
    let truth = world.sim.intraday(ANNA).unwrap();
    let inside = truth.iter().filter(|sample| (from..=from + 86_400).contains(&sample.at)).count();
    assert_eq!(series.len(), inside);
    assert!(inside > 100, "{inside}");
    let written = text(&window).await;
    let first = series.keys().next().unwrap();
    assert!(
        !written.starts_with(&format!(r#"{{"status":0,"body":{{"series":{{"{first}""#)),
        "not the earliest"
    );
    let walk = series.values().find(|row| row.get("steps").is_some()).unwrap();
    assert_eq!((&walk["duration"], &walk["model_id"]), (&json!(60), &json!(93)));
    assert!(series.values().any(|row| row["rmssd"] == 0));

    let empty = [("startdate", "0"), ("enddate", "100")];
    assert_eq!(text(&empty).await, r#"{"status":0,"body":{"series":[]}}"#);
    let newest = ask(&[]).await;
    let last = truth.last().unwrap().at.to_string();
    assert!(body(&newest)["series"].get(&last).is_some(), "no dates: the most recent");
    assert_eq!(ask(&[("startdate", "5")]).await["status"], 503);
}

#[tokio::test]
async fn an_ecg_is_listed_and_its_signal_is_got() {
    let (world, token) = lived().await;
    let heart = async |form: &[(&str, &str)]| world.call("/v2/heart", Some(&token), form).await;
    let list = heart(&[("action", "list")]).await;
    let series = rows(body(&list), "series");
    assert_eq!(series.len(), world.sim.ecgs(ANNA).unwrap().len());
    assert!(series.iter().any(|entry| entry.get("ecg").is_none() && entry.get("bloodpressure").is_some()));
    let cuff = series.iter().find(|entry| entry["model"] == 44 && entry.get("ecg").is_some()).unwrap();
    assert!(cuff["bloodpressure"]["systole"].as_i64() > cuff["bloodpressure"]["diastole"].as_i64());
    assert!(cuff["stetho"]["signalid"].is_i64());
    let watch = series.iter().find(|entry| entry["model"] == 93).unwrap();
    assert!(watch.get("bloodpressure").is_none());
    let id = watch["ecg"]["signalid"].to_string();
    let got = heart(&[("action", "get"), ("signalid", &id)]).await;
    assert_eq!(body(&got)["sampling_frequency"], 300);
    assert_eq!(rows(body(&got), "signal").len(), 9000);
    let at = watch["timestamp"].to_string();
    let one = heart(&[("action", "list"), ("startdate", &at), ("enddate", &at)]).await;
    assert_eq!(rows(body(&one), "series"), std::slice::from_ref(watch));
    for wrong in ["1", "", "x"] {
        assert_eq!(heart(&[("action", "get"), ("signalid", wrong)]).await["status"], 503, "{wrong}");
    }
    let other = self::token(&world, BEN, ALL).await;
    let foreign = world.call("/v2/heart", Some(&other), &[("action", "get"), ("signalid", &id)]).await;
    assert_eq!(foreign["status"], 503, "another person's");
}

#[tokio::test]
async fn scopes_and_plans_open_only_what_they_name() {
    let (world, all) = lived().await;
    let services = [
        ("/v2/measure", "getactivity", "user.activity"),
        ("/v2/measure", "getworkouts", "user.activity"),
        ("/v2/measure", "getintradayactivity", "user.activity"),
        ("/v2/sleep", "getsummary", "user.activity"),
        ("/v2/sleep", "get", "user.activity"),
        ("/v2/heart", "list", "user.metrics"),
        ("/v2/heart", "get", "user.metrics"),
    ];
    for scope in ["user.metrics", "user.activity"] {
        let token = token(&world, BEN, scope).await;
        for (path, action, needs) in services {
            let status = world.call(path, Some(&token), &[("action", action)]).await["status"].clone();
            assert_eq!(status == 277, scope != needs, "{action} with {scope}: {status}");
        }
        for path in ["/v2/measure", "/v2/sleep", "/v2/heart"] {
            assert_eq!(world.call(path, Some(&token), &[("action", "signal")]).await["status"], 2554);
            assert_eq!(world.call(path, None, &[("action", "list")]).await["status"], 401);
        }
    }

    world.sim.entitle(ANNA, false).unwrap();
    let premium =
        [("action", "getsummary"), ("lastupdate", "0"), ("data_fields", "hr_average,rmssd_start_avg")];
    assert_eq!(world.call("/v2/sleep", Some(&all), &premium).await["status"], 2555);
    let basic =
        [("action", "getsummary"), ("lastupdate", "0"), ("data_fields", "hr_average,total_sleep_time")];
    let found = world.call("/v2/sleep", Some(&all), &basic).await;
    assert!(rows(body(&found), "series").iter().all(|n| n["data"].get("hr_average").is_none()));
    assert!(rows(body(&found), "series").iter().all(|n| n["data"]["total_sleep_time"].is_i64()));
    let list = world.call("/v2/heart", Some(&all), &[("action", "list")]).await;
    let entry = rows(body(&list), "series").iter().find(|entry| entry.get("ecg").is_some()).unwrap().clone();
    assert!(entry["ecg"].get("afib").is_none());
    let id = entry["ecg"]["signalid"].to_string();
    let got = world.call("/v2/heart", Some(&all), &[("action", "get"), ("signalid", &id)]).await;
    assert!(body(&got).get("signal").is_none() && body(&got)["heart_rate"].is_i64(), "absent, and no error");

    let fault = Fault::RefuseAction { action: "getworkouts".into(), status: 2553, calls: 1 };
    world.sim.inject(fault);
    let ask = async |action| {
        world.call("/v2/measure", Some(&all), &[("action", action), ("lastupdate", "0")]).await["status"]
            .clone()
    };
    assert_eq!(
        (ask("getactivity").await, ask("getworkouts").await, ask("getworkouts").await),
        (json!(0), json!(2553), json!(0))
    );
    assert!(world.sim.stats().calls["measure/getworkouts"] >= 2);
}

/// The types are enough to write a test's own world with.
#[tokio::test]
async fn a_correction_replaces_what_has_the_same_id() {
    let world = World::new().await;
    let figures = |steps| [("steps".to_owned(), Figure::whole(steps))].into();
    let workout = |id, steps| Workout {
        id,
        category: 1,
        timezone: "Europe/Vienna".into(),
        model: 93,
        attrib: 0,
        startdate: 10,
        enddate: 20,
        modified: 0,
        data: figures(steps),
    };
    let id = world.sim.add_workouts(ANNA, vec![workout(0, 5)]).unwrap()[0];
    world.advance(5);
    assert_eq!(world.sim.add_workouts(ANNA, vec![workout(id, 6)]), Ok(vec![id]));
    let known = world.sim.workouts(ANNA).unwrap();
    assert_eq!((known.len(), known[0].modified, &known[0].data), (1, world.now(), &figures(6)));
    let stages = vec![Stage { startdate: 10, enddate: 20, state: 0, series: Default::default() }];
    let night = Night {
        id: 0,
        timezone: "Europe/Vienna".into(),
        modelid: 63,
        startdate: 10,
        enddate: 20,
        created: 0,
        modified: 0,
        completed: Some(false),
        data: figures(1),
        stages,
    };
    let id = world.sim.add_nights(ANNA, vec![night.clone()]).unwrap()[0];
    let created = world.now();
    world.advance(5);
    world.sim.add_nights(ANNA, vec![Night { id, completed: Some(true), ..night }]).unwrap();
    let known = world.sim.nights(ANNA).unwrap();
    assert_eq!((known.len(), known[0].created, known[0].modified), (1, created, created + 5));
    world.sim.add_samples(ANNA, vec![Sample { at: 5, modelid: 93, data: figures(1) }]).unwrap();
    world.sim.add_samples(ANNA, vec![Sample { at: 5, modelid: 93, data: figures(2) }]).unwrap();
    assert_eq!(world.sim.intraday(ANNA).unwrap().len(), 1);
    let ecg = Ecg {
        signalid: 0,
        timestamp: 5,
        modified: 0,
        modelid: 93,
        afib: 0,
        heart_rate: 60,
        bloodpressure: None,
        sampling_frequency: 300,
        wearposition: 1,
        signal: vec![1],
    };
    let id = world.sim.add_ecgs(ANNA, vec![ecg.clone()]).unwrap()[0];
    assert_eq!(world.sim.add_ecgs(ANNA, vec![Ecg { signalid: id, afib: 1, ..ecg }]), Ok(vec![id]));
    assert_eq!(world.sim.ecgs(ANNA).unwrap()[0].afib, 1);
}
