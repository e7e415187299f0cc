//! What the simulated OMRON is asked in a way that it should not be, its control interface, and its truth worked out by
//! hand.

use serde_json::{Value, json};

use super::omron_adapter::{CARLA, Cloud, DAN, REDIRECT};

#[tokio::test]
async fn a_request_that_is_not_the_clients_goes_nowhere() {
    let cloud = Cloud::new().await;
    let good = [
        ("response_type", "code"),
        ("client_id", "client-1"),
        ("redirect_uri", REDIRECT),
        ("scope", "weight openid"),
        ("state", "s"),
    ];
    let page = format!("{}/connect/authorize", cloud.base);
    assert_eq!(cloud.http.get(&page).query(&good).send().await.unwrap().status(), 200);
    let bad = [
        ("client_id", "other"),
        ("redirect_uri", "https://elsewhere.example"),
        ("response_type", "token"),
        ("scope", ""),
        ("code_challenge", "plain-one"),
    ];
    for (name, value) in bad {
        let rest = good.iter().filter(|(n, _)| *n != name).copied();
        let query: Vec<_> = rest.chain([(name, value)]).collect();
        assert_eq!(cloud.http.get(&page).query(&query).send().await.unwrap().status(), 400, "{name}");
    }
}

#[tokio::test]
async fn a_call_that_makes_no_sense_is_an_error_in_a_200() {
    let cloud = Cloud::new().await;
    let code = cloud.decide(CARLA).await["code"].clone();
    let form = [
        ("client_id", "client-1"),
        ("client_secret", "s3cr3t"),
        ("grant_type", "authorization_code"),
        ("redirect_uri", REDIRECT),
        ("code_verifier", "a-verifier-of-at-least-forty-three-characters-0123456789"),
        ("code", &code),
    ];
    let tokens =
        cloud.http.post(format!("{}/prd/connect/token", cloud.base)).form(&form).send().await.unwrap();
    let tokens: Value = tokens.json().await.unwrap();
    let token = tokens["access_token"].as_str().unwrap();
    let ask = async |form: &[(&str, &str)]| -> Value {
        let request = cloud.http.post(format!("{}/prd/api/measurement", cloud.base)).bearer_auth(token);
        let reply = request.form(form).send().await.unwrap();
        assert_eq!(reply.status(), 200);
        reply.json().await.unwrap()
    };
    for since in ["2026-10-01", "2026-10-01T07:00:00Z"] {
        assert_eq!(ask(&[("since", since)]).await["status"], 0);
    }
    let bad: [&[(&str, &str)]; 5] = [
        &[("type", "weight")],
        &[("since", "soon")],
        &[("since", "2026-10-01"), ("type", "sleep")],
        &[("since", "2026-10-01"), ("sortOrder", "up")],
        &[("since", "2026-10-01"), ("weightPaginationKey", "7")],
    ];
    for form in bad {
        let answer = ask(form).await;
        assert!(answer["status"] != 0 && answer["reason"].is_string(), "{form:?}: {answer}");
    }
    let reply = cloud.http.post(format!("{}/prd/api/measurement", cloud.base)).bearer_auth("guess");
    assert_eq!(reply.form(&[("since", "2026-10-01")]).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn the_control_interface_does_what_the_program_does() {
    let cloud = Cloud::new().await;
    let path = |rest: &str| format!("{}/_sandbox/omron/{rest}", cloud.base);
    let post = async |rest: &str, body: Value| -> Value {
        let reply = cloud.http.post(path(rest)).json(&body).send().await.unwrap();
        reply.json().await.unwrap()
    };
    let get = async |rest: &str| -> Value {
        cloud.http.get(path(rest)).send().await.unwrap().json().await.unwrap()
    };
    post("persons", json!({ "id": "eve", "name": "Eve", "timezone": "Asia/Kolkata" })).await;
    let row = json!([{ "type": "bloodpressure", "at": 1_791_000_000, "device": "X2", "values":
        { "systolic": "128", "diastolic": "82.0", "pulse": "0" }, "words": { "bloodPressureUnits": "mmHg" } }]);
    let ids = post("persons/eve/rows", row).await;
    let id = ids["ids"][0].as_i64().unwrap();
    assert!(id > 1 << 53, "beyond what a binary float holds");
    let truth = get("persons/eve/truth").await;
    assert_eq!(
        truth,
        json!([{ "record": "bloodpressure", "id": id.to_string(), "kind": "blood-pressure", "code": "85354-9",
            "date": 1_791_000_000, "when": "2026-10-03T09:30:00+05:30", "preliminary": false,
            "values": { "8462-4": "82.0 mm[Hg]", "8480-6": "128 mm[Hg]" } }])
    );
    assert_eq!(get("persons/eve/truth?records=weight").await, json!([]));
    assert_eq!(get("truth").await["eve"], json!({ "blood-pressure": 1 }));
    let rows = post(&format!("persons/{DAN}/history"), json!({ "days": 2 })).await["rows"].as_u64().unwrap();
    assert_eq!(get(&format!("persons/{DAN}/rows")).await.as_array().unwrap().len() as u64, rows);
    post("faults", json!({ "fault": "http-status", "status": 500, "calls": 1 })).await;
    post("redirects", json!({ "uri": "https://one.more.example/" })).await;
    let manner = json!({ "paging": "next-text", "rotation": "keep" });
    for (rest, body) in [("manner", manner), ("notifications", json!({ "address": null }))] {
        assert_eq!(cloud.http.put(path(rest)).json(&body).send().await.unwrap().status(), 200);
    }
    assert_eq!(get("stats").await["refreshes"], 0);
    assert_eq!(cloud.http.delete(path("faults")).send().await.unwrap().status(), 200);
    assert!(post("persons/nobody/unlink", json!({})).await["error"].is_string());
    let bad = json!([{ "type": "weight", "at": 1, "device": "X", "values": { "weight": "heavy" } }]);
    assert!(post("persons/eve/rows", bad).await["error"].is_string());
}

#[tokio::test]
async fn the_same_seed_makes_the_same_past() {
    let (one, two) = (Cloud::new().await, Cloud::new().await);
    for cloud in [&one, &two] {
        cloud.sim.seed_history(CARLA, 20).unwrap();
    }
    assert_eq!(one.sim.rows(CARLA).unwrap(), two.sim.rows(CARLA).unwrap());
    assert!(one.sim.rows(CARLA).unwrap().iter().all(|row| row.content.at < one.now()));
}
