use serde_json::{Value, json};

use super::{ANNA, World};
use ohx_sandbox::withings::SimulatorError;

#[tokio::test]
async fn another_process_can_do_everything_through_the_control_interface() {
    let world = World::new().await;
    let url = |path: &str| format!("{}/_sandbox/withings{path}", world.base);
    let post = async |path: &str, body: Value| -> (u16, Value) {
        let reply = world.http.post(url(path)).json(&body).send().await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap_or_default())
    };
    let get =
        async |path: &str| -> Value { world.http.get(url(path)).send().await.unwrap().json().await.unwrap() };

    let (_, cleo) = post("/persons", json!({ "name": "Cleo", "timezone": "Asia/Tokyo" })).await;
    assert_eq!(cleo, json!({ "id": 1002, "name": "Cleo", "timezone": "Asia/Tokyo" }));
    assert_eq!(get("/persons").await.as_array().unwrap().len(), 3);
    assert_eq!(
        post("/persons/1002/history", json!({ "groups_per_day": 4 })).await.1,
        json!({ "groups": 120 })
    );
    let before = get("/persons/1002/truth").await["counts"]["getmeas"]["body-weight"].as_u64().unwrap();

    let (_, weighed) = post("/persons/1002/weigh", json!({ "kg": "72.10" })).await;
    let grpid = weighed["grpid"].as_i64().unwrap();
    let truth = get("/persons/1002/truth").await;
    let last = truth["readings"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["id"], &last["values"]), (&json!(grpid.to_string()), &json!({ "value": "72.10 kg" })));
    assert_eq!(get("/truth").await["1002"]["getmeas"]["body-weight"], before + 1);

    let group =
        json!({ "date": world.now(), "attrib": 1, "measures": [{ "type": 54, "value": 97, "unit": 0 }] });
    let (_, added) = post("/persons/1002/groups", json!([group])).await;
    let ambiguous = added["grpids"][0].as_i64().unwrap();
    assert_eq!(post(&format!("/groups/{ambiguous}/confirm"), json!({})).await.0, 200);
    let rows = json!({ "measures": [{ "type": 1, "value": 722, "unit": -1 }] });
    assert_eq!(post(&format!("/groups/{grpid}/correct"), rows).await.0, 200);
    let corrected = get("/persons/1002/truth").await;
    let found =
        corrected["readings"].as_array().unwrap().iter().rev().take(2).map(|r| r["values"]["value"].clone());
    assert_eq!(found.collect::<Vec<_>>(), ["97 %", "72.2 kg"]);
    for expected in [200, 404] {
        let gone = world.http.delete(url(&format!("/groups/{grpid}"))).send().await.unwrap();
        assert_eq!(gone.status(), expected);
    }

    assert_eq!(post("/faults", json!({ "fault": "too-many-requests", "calls": 1 })).await.0, 200);
    assert_eq!(world.getmeas("x", &[]).await["status"], 601);
    assert_eq!(post("/faults", json!({ "fault": "http-status", "status": 500, "calls": 9 })).await.0, 200);
    world.http.delete(url("/faults")).send().await.unwrap();
    assert_eq!(world.getmeas("x", &[]).await["status"], 401);
    let stats = get("/stats").await;
    assert_eq!(stats["calls"]["measure/getmeas"], 2);
    assert_eq!((&stats["over_quota"], &stats["unauthorized"]), (&json!(1), &json!(1)));

    assert_eq!(post("/redirects", json!({ "uri": "http://127.0.0.1:2/cb" })).await.0, 200);
    assert_eq!(post("/persons/1002/unlink", json!({})).await.0, 200);
    for (path, body, status) in [
        ("/persons/1002/weigh", json!({ "kg": "heavy" }), 422),
        ("/persons/7/weigh", json!({ "kg": "72" }), 404),
        ("/persons", json!({ "name": "X", "timezone": "Mars/Base" }), 422),
        ("/faults", json!({ "fault": "unheard-of" }), 422),
    ] {
        assert_eq!(post(path, body).await.0, status, "{path}");
    }
}

#[tokio::test]
async fn every_refusal_says_why_and_names_nobody() {
    let world = World::new().await;
    assert_eq!(world.sim.weigh_now(7, "72"), Err(SimulatorError::UnknownPerson));
    assert_eq!(world.sim.weigh_now(1000, "1e99"), Err(SimulatorError::BadWeight));
    assert!(!SimulatorError::UnknownPerson.to_string().contains('7'));
    assert_eq!(format!("{:?}", world.sim), "Simulator { .. }");
}

#[tokio::test]
async fn everything_can_be_added_from_outside() {
    let world = World::new().await;
    let url = |path: &str| format!("{}/_sandbox/withings/persons/{path}", world.base);
    let post = async |path: &str, body: Value| -> Value {
        let reply = world.http.post(url(path)).json(&body).send().await.unwrap();
        assert_eq!(reply.status(), 200, "{path}: {:?}", reply.text().await);
        json!(null)
    };
    let count = async |path: &str| -> usize {
        let listed: Value = world.http.get(url(path)).send().await.unwrap().json().await.unwrap();
        listed.as_array().unwrap().len()
    };
    let day = json!([{ "date": "2026-10-03", "timezone": "Europe/Vienna", "modelid": 93, "data": { "steps": 12, "distance": 15.20 } }]);
    post("1000/days", day).await;
    assert_eq!(world.sim.days(ANNA).unwrap()[0].data["distance"].as_str(), "15.2", "as the body had it");
    let workout = json!([{ "category": 1, "timezone": "Europe/Vienna", "model": 93, "startdate": 1000, "enddate": 2000, "data": {} }]);
    post("1000/workouts", workout).await;
    let night = json!([{ "timezone": "Europe/Vienna", "modelid": 63, "startdate": 1000, "enddate": 2000, "data": {},
        "stages": [{ "startdate": 1000, "enddate": 2000, "state": 1, "series": { "hr": [[1000, 60]] } }] }]);
    post("1000/nights", night).await;
    post("1000/samples", json!([{ "at": 5, "modelid": 93, "data": { "heart_rate": 63 } }])).await;
    post("1000/ecgs", json!([{ "timestamp": 5, "modelid": 93, "heart_rate": 60, "signal": [1, 2] }])).await;
    post("1000/sleep", json!({ "minutes": 400 })).await;
    post("1000/ecg", json!({})).await;
    for (path, expected) in [("days", 1), ("workouts", 1), ("nights", 2), ("samples", 1), ("ecgs", 2)] {
        assert_eq!(count(&format!("1000/{path}")).await, expected, "{path}");
    }
    let written = world.http.get(url("1000/days")).send().await.unwrap().text().await.unwrap();
    assert!(written.contains(r#""distance":15.2"#), "{written}");
    post("1001/daily-history", json!({ "days": 10 })).await;
    assert!(count("1001/nights").await > 5);
    post("1000/entitlement", json!({ "everything": false })).await;
    let unknown = world.http.post(url("7/days")).json(&json!([])).send().await.unwrap();
    assert_eq!(unknown.status(), 404);
}
