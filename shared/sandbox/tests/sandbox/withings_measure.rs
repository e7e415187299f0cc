use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ohx_sandbox::withings::{ALL, Fault, Measure, NewGroup};
use serde_json::{Value, json};

use super::{ANNA, BEN, World};

fn groups(envelope: &Value) -> &Vec<Value> {
    assert_eq!(envelope["status"], 0, "{envelope}");
    envelope["body"]["measuregrps"].as_array().unwrap()
}

fn ids(envelope: &Value) -> Vec<i64> {
    groups(envelope).iter().map(|group| group["grpid"].as_i64().unwrap()).collect()
}

/// All pages, looping on `more` as the documentation says.
async fn all(world: &World, token: &str, form: &[(&str, &str)]) -> Vec<Value> {
    let (mut found, mut offset) = (Vec::new(), String::from("0"));
    loop {
        let page = world.getmeas(token, &[form, &[("offset", offset.as_str())]].concat()).await;
        found.extend(groups(&page).iter().cloned());
        match page["body"].get("more") {
            None => return found,
            Some(more) => assert_eq!(more, 1),
        }
        offset = page["body"]["offset"].to_string();
    }
}

#[tokio::test]
async fn pages_come_newest_first_and_miss_nothing() {
    let world = World::with(|config| config.page_size = 100).await;
    world.sim.seed_history(ANNA, 30, 9).unwrap();
    let (token, _) = world.grant(ANNA).await;
    let found = all(&world, &token, &[]).await;
    assert_eq!(found.len(), 270);
    let dates: Vec<i64> = found.iter().map(|group| group["date"].as_i64().unwrap()).collect();
    assert!(dates.is_sorted_by(|a, b| a >= b));
    let distinct: BTreeSet<i64> = found.iter().map(|group| group["grpid"].as_i64().unwrap()).collect();
    assert_eq!(distinct.len(), 270);
    assert_eq!(found, all(&world, &token, &[]).await, "an unchanged group always reads the same");
    assert_eq!(
        dates.iter().filter(|date| **date >= world.now() || **date < world.now() - 30 * 86_400).count(),
        0
    );
    let measured = all(&world, &token, &[("category", "1")]).await;
    assert!(measured.len() < 270 && measured.iter().all(|group| group["category"] == 1));
}

#[tokio::test]
async fn a_history_is_the_same_for_the_same_seed_and_has_every_oddity() {
    let (one, two) = (World::new().await, World::new().await);
    one.grant(BEN).await;
    for world in [&one, &two] {
        assert_eq!(world.sim.seed_history(ANNA, 30, 40), Ok(1200));
        assert_eq!(world.sim.seed_history(BEN, 30, 40), Ok(1200));
    }
    let contents = |world: &World| {
        world.sim.readings(ANNA, &ALL).unwrap().into_iter().map(|r| (r.date, r.kind, r.values))
    };
    assert!(contents(&one).eq(contents(&two)));

    let counts = one.sim.counts(ANNA).unwrap();
    let kinds = [
        "basal-metabolic-rate",
        "blood-pressure",
        "body-height",
        "body-temperature",
        "body-water",
        "body-weight",
        "bone-mass",
        "fat-free-mass",
        "fat-mass",
        "fat-ratio",
        "heart-rate",
        "muscle-mass",
        "oxygen-saturation",
        "pulse-wave-velocity",
        "segment-fat-free-mass",
        "segment-fat-mass",
        "segment-muscle-mass",
        "skin-temperature",
        "visceral-fat",
    ];
    assert_eq!(counts.keys().copied().collect::<Vec<_>>(), ["getmeas"]);
    assert_eq!(counts["getmeas"].keys().copied().collect::<Vec<_>>(), kinds);

    let groups: Vec<_> = [ANNA, BEN].iter().flat_map(|person| one.sim.truth(*person).unwrap()).collect();
    let attribs: BTreeSet<i64> = groups.iter().map(|group| group.content.attrib).collect();
    assert!(attribs.is_superset(&BTreeSet::from([0, 1, 2, 4, 5, 7, 17])), "{attribs:?}");
    let rows: Vec<&Measure> = groups.iter().flat_map(|group| &group.content.measures).collect();
    let units: BTreeSet<i32> = rows.iter().filter(|row| row.meastype == 10).map(|row| row.unit).collect();
    assert_eq!(units, BTreeSet::from([-2, 0]));
    for unread in [12, 18] {
        assert!(rows.iter().any(|row| row.meastype == unread), "{unread}");
    }
    assert!(
        rows.iter().any(|row| row.position == Some(7)) && rows.iter().any(|row| row.position == Some(12))
    );
    let doubled = groups.iter().filter(|group| {
        let rows = &group.content.measures;
        rows.iter().enumerate().any(|(index, row)| rows.get(..index).unwrap().contains(row))
    });
    assert!(doubled.count() > 0, "exact duplicate rows");
    assert!(groups.iter().any(|group| group.content.category == 2));
    assert!(groups.iter().any(|group| group.created > group.content.date + 3600), "late arrivals");
}

#[tokio::test]
async fn the_wire_has_the_documented_shape_and_its_variations() {
    let world = World::new().await;
    world.sim.seed_history(ANNA, 30, 10).unwrap();
    let (token, _) = world.grant(ANNA).await;
    let found = all(&world, &token, &[]).await;
    let has = |test: &dyn Fn(&Value) -> bool| found.iter().any(test);
    assert!(has(&|group| group["modelid"].is_i64()) && has(&|group| group["modelid"].is_string()));
    assert!(has(&|group| group.get("modelid").is_none() && group.get("model_id").is_some()));
    assert!(has(&|group| group["deviceid"].is_null() && group["attrib"] == 2));
    assert!(has(&|group| group["measures"][0].get("algo").is_some()));
    let scale = world.sim.device_id(ANNA, 18).unwrap().unwrap();
    assert_eq!(scale.len(), 40);
    assert!(has(&|group| group["deviceid"] == json!(scale) && group["hash_deviceid"] == json!(scale)));

    let bodies = [world.getmeas(&token, &[]).await, world.getmeas(&token, &[]).await];
    let times: Vec<&Value> = bodies.iter().map(|envelope| &envelope["body"]["updatetime"]).collect();
    assert!(
        times.contains(&&json!(world.now())) && times.contains(&&json!(world.now().to_string())),
        "{times:?}"
    );
    assert_eq!(bodies[0]["body"]["timezone"], "Europe/Vienna");

    let devices = world.call("/v2/user", Some(&token), &[("action", "getdevice")]).await;
    let devices = devices["body"]["devices"].as_array().unwrap();
    assert_eq!(devices.len(), 6);
    assert!(
        devices.iter().any(|device| device["deviceid"] == json!(scale) && device["model"] == "Body Comp")
    );
    assert!(devices.iter().any(|device| device["model"] == "" && device["battery"] == "unknown"));
}

#[tokio::test]
async fn filters_by_type_date_and_change() {
    let world = World::new().await;
    let (token, _) = world.grant(ANNA).await;
    assert_eq!(ids(&world.getmeas(&token, &[]).await), [] as [i64; 0], "no data is an empty list");
    let weight = world.sim.weigh_now(ANNA, "72.10").unwrap();
    world.advance(100);
    let date = world.now();
    let rows = vec![Measure::new(9, 7900, -2), Measure::new(10, 118, 0), Measure::new(11, 64, 0)];
    let group = NewGroup { date, attrib: 0, category: 1, modelid: Some(45), measures: rows };
    let pressure = world.sim.add_group(ANNA, group).unwrap();
    world.advance(100);
    let late = world.sim.late(ANNA, "2026-10-01T00:00:00Z".parse().unwrap(), 97).unwrap();

    let reply = world.getmeas(&token, &[("meastypes", "1,11")]).await;
    assert_eq!(ids(&reply), [pressure, weight]);
    assert_eq!(groups(&reply)[0]["measures"].as_array().unwrap().len(), 1, "only the rows asked for");
    assert_eq!(groups(&reply)[1]["measures"][0]["value"], 7210);
    assert_eq!(groups(&reply)[1]["measures"][0]["unit"], -2);
    assert_eq!(ids(&world.getmeas(&token, &[("meastype", "54")]).await), [late]);
    let at = date.to_string();
    assert_eq!(ids(&world.getmeas(&token, &[("startdate", &at), ("enddate", &at)]).await), [pressure]);
    assert_eq!(ids(&world.getmeas(&token, &[("lastupdate", &at)]).await), [pressure, late]);
    assert_eq!(world.getmeas(&token, &[("lastupdate", &at), ("enddate", &at)]).await["status"], 503);
    assert_eq!(world.getmeas(&token, &[("startdate", "soon")]).await["status"], 503);
    assert_eq!(world.call("/measure", Some(&token), &[("action", "getall")]).await["status"], 2554);

    world.advance(100);
    let now = world.now().to_string();
    world.sim.correct(weight, vec![Measure::new(1, 72_200, -3)]).unwrap();
    let changed = world.getmeas(&token, &[("lastupdate", &now)]).await;
    assert_eq!(ids(&changed), [weight]);
    assert_eq!(groups(&changed)[0]["measures"][0]["value"], 72_200);
    assert_eq!(groups(&changed)[0]["modified"].to_string(), now);
    let readings = world.sim.readings(ANNA, &ALL).unwrap();
    let values: Vec<Vec<&String>> = readings.iter().map(|r| r.values.values().collect()).collect();
    assert_eq!(
        values,
        [vec!["97 %"], vec!["72.200 kg"], vec!["64 /min"], vec!["79.00 mm[Hg]", "118 mm[Hg]"]]
    );

    world.sim.delete(weight).unwrap();
    assert_eq!(ids(&world.getmeas(&token, &[]).await), [pressure, late]);
    assert!(world.sim.delete(weight).is_err() && world.sim.confirm(weight).is_err());
    let counts = BTreeMap::from([("blood-pressure", 1), ("heart-rate", 1), ("oxygen-saturation", 1)]);
    assert_eq!(world.sim.counts(ANNA).unwrap()["getmeas"], counts);
}

#[tokio::test]
async fn an_ambiguous_reading_counts_once_it_is_confirmed() {
    let world = World::new().await;
    let measures = vec![Measure::new(1, 7210, -2)];
    let group = NewGroup { date: world.now(), attrib: 1, category: 1, modelid: Some(18), measures };
    let grpid = world.sim.add_group(ANNA, group).unwrap();
    assert_eq!(world.sim.counts(ANNA).unwrap(), BTreeMap::new());
    world.sim.confirm(grpid).unwrap();
    assert_eq!(world.sim.counts(ANNA).unwrap()["getmeas"], BTreeMap::from([("body-weight", 1)]));
}

#[tokio::test]
async fn scopes_open_only_what_they_name() {
    let world = World::new().await;
    let granted = async |scope: &str| {
        let code = world.code(ANNA, scope).await;
        super::pair(&world.exchange(&code).await).0
    };
    let info = granted("user.info").await;
    assert_eq!(world.getmeas(&info, &[]).await["status"], 277);
    assert_eq!(world.call("/v2/user", Some(&info), &[("action", "getdevice")]).await["status"], 0);
    let metrics = granted("user.metrics").await;
    assert_eq!(world.getmeas(&metrics, &[]).await["status"], 0);
    assert_eq!(world.call("/v2/user", Some(&metrics), &[("action", "getdevice")]).await["status"], 277);
}

#[tokio::test]
async fn the_quota_is_per_minute_and_for_all_users_together() {
    let world = World::with(|config| config.requests_per_minute = 10).await;
    let (anna, _) = world.grant(ANNA).await;
    let (ben, _) = world.grant(BEN).await;
    for _ in 0..4 {
        assert_eq!(world.getmeas(&anna, &[]).await["status"], 0);
        assert_eq!(world.getmeas(&ben, &[]).await["status"], 0);
    }
    assert_eq!(world.getmeas(&anna, &[]).await["status"], 601);
    world.advance(59);
    assert_eq!(world.getmeas(&ben, &[]).await["status"], 601);
    world.advance(1);
    assert_eq!(world.getmeas(&ben, &[]).await["status"], 0);
    assert_eq!(world.sim.stats().over_quota, 2);
}

#[tokio::test]
async fn faults_strike_as_often_as_they_were_injected() {
    let world = World::new().await;
    world.sim.seed_history(ANNA, 2, 6).unwrap();
    let (token, _) = world.grant(ANNA).await;
    let raw = async || world.raw("/measure", Some(&token), &[("action", "getmeas")]).await.unwrap();

    world.sim.inject(Fault::TruncateNextPage);
    let cut = raw().await.text().await.unwrap();
    assert!(cut.starts_with("{\"body\"") && serde_json::from_str::<Value>(&cut).is_err());

    world.sim.inject(Fault::WrongTypeInOneMeasure);
    let reply = world.getmeas(&token, &[]).await;
    let broken: Vec<i64> = groups(&reply)
        .iter()
        .filter(|group| !group["measures"][0]["value"].is_i64())
        .map(|group| group["grpid"].as_i64().unwrap())
        .collect();
    assert_eq!(broken, world.sim.stats().corrupted_groups);
    assert_eq!(broken.len(), 1);

    world.sim.inject(Fault::HtmlErrorPage { status: 502, calls: 1 });
    world.sim.inject(Fault::HttpStatus { status: 429, calls: 1 });
    world.sim.inject(Fault::TooManyRequests { calls: 2 });
    let html = raw().await;
    assert_eq!(html.status(), 502);
    assert!(html.text().await.unwrap().starts_with("<html>"));
    assert_eq!(raw().await.status(), 429);
    for _ in 0..2 {
        assert_eq!(world.getmeas(&token, &[]).await["status"], 601);
    }
    let whole = world.getmeas(&token, &[]).await;
    assert!(groups(&whole).iter().all(|group| group["measures"][0]["value"].is_i64()));

    world.sim.inject(Fault::Latency { millis: 60_000 });
    let slow = tokio::time::timeout(Duration::from_millis(200), raw()).await;
    assert!(slow.is_err());
    world.sim.clear_faults();
    assert_eq!(raw().await.status(), 200);
}
