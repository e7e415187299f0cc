//! The simulated Google Health API, held against what Google documents and what has been seen of it.

use std::sync::Arc;
use std::time::Duration;

use ohx_domain::ManualClock;
use ohx_sandbox::google_health::{Config, Fault, Person, Simulator, SimulatorError};
use serde_json::{Value, json};

use super::{client, serve};

const CARLA: u64 = 111_111_256_096_816_351;
const REDIRECT: &str = "http://127.0.0.1:1/oauth/callback/fitbit";
const TYPES: &str = "/v4/users/me/dataTypes";

struct World {
    http: reqwest::Client,
    clock: Arc<ManualClock>,
    sim: Simulator,
    base: String,
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::new("2026-10-30T09:00:00Z".parse().unwrap()));
        let config = Config::new("client-1", "s3cr3t", &[REDIRECT]);
        let sim = Simulator::new(config, clock.clone(), client()).unwrap();
        let (name, timezone) = ("Carla <C>".to_owned(), "Europe/Amsterdam".to_owned());
        sim.add_person(Person { id: CARLA, name, timezone, legacy_id: None, linked: true }).unwrap();
        sim.seed_daily(CARLA, 20).unwrap();
        let base = serve(sim.router()).await;
        Self { http: client(), clock, sim, base }
    }

    fn scopes() -> String {
        let names = ["activity_and_fitness", "health_metrics_and_measurements", "sleep", "ecg", "settings"];
        names.map(|name| format!("https://www.googleapis.com/auth/googlehealth.{name}.readonly")).join(" ")
    }

    /// A request to the consent page, with changes.
    async fn decide(&self, changes: &[(&str, &str)]) -> reqwest::Response {
        let scopes = Self::scopes();
        let usual = [
            ("client_id", "client-1"),
            ("redirect_uri", REDIRECT),
            ("response_type", "code"),
            ("scope", scopes.as_str()),
            ("state", "s"),
            ("access_type", "offline"),
            ("prompt", "consent"),
            ("user", "111111256096816351"),
        ];
        let form = usual.map(|(name, value)| {
            (name, changes.iter().find(|(changed, _)| *changed == name).map_or(value, |(_, new)| *new))
        });
        self.http.post(format!("{}/o/oauth2/v2/auth", self.base)).form(&form).send().await.unwrap()
    }

    async fn tokens(&self, changes: &[(&str, &str)]) -> Value {
        let reply = self.decide(changes).await;
        let back = url::Url::parse(reply.headers()["location"].to_str().unwrap()).unwrap();
        let code = back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", "client-1"),
            ("client_secret", "s3cr3t"),
            ("code", &code),
            ("redirect_uri", REDIRECT),
        ];
        self.http.post(format!("{}/token", self.base)).form(&form).send().await.unwrap().json().await.unwrap()
    }

    async fn token(&self) -> String {
        self.tokens(&[]).await["access_token"].as_str().unwrap().to_owned()
    }

    async fn get(&self, token: &str, path: &str, query: &[(&str, &str)]) -> (u16, Value) {
        let request = self.http.get(format!("{}{path}", self.base)).bearer_auth(token).query(query);
        let reply = request.send().await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap())
    }

    async fn roll_up(&self, token: &str, name: &str, body: Value) -> (u16, Value) {
        let url = format!("{}{TYPES}/{name}/dataPoints:dailyRollUp", self.base);
        let reply = self.http.post(url).bearer_auth(token).json(&body).send().await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap())
    }
}

fn reason(answer: &(u16, Value)) -> (u16, &str, &str) {
    let error = &answer.1["error"];
    (answer.0, error["status"].as_str().unwrap(), error["details"][0]["reason"].as_str().unwrap_or(""))
}

#[tokio::test]
async fn the_consent_page_takes_what_is_registered_only() {
    let world = World::new().await;
    for wrong in [
        ("client_id", "another"),
        ("redirect_uri", "https://elsewhere.example/"),
        ("response_type", "token"),
        ("scope", "weight"),
        ("user", "7"),
    ] {
        assert_eq!(world.decide(&[wrong]).await.status(), 400, "{wrong:?}");
    }
    // Without the prompt, or for a session only, there is no refresh token.
    assert!(world.tokens(&[]).await["refresh_token"].is_string());
    for without in [("access_type", "online"), ("prompt", "none")] {
        assert!(world.tokens(&[without]).await.get("refresh_token").is_none(), "{without:?}");
    }
}

#[tokio::test]
async fn points_have_googles_shapes() {
    let world = World::new().await;
    let token = world.token().await;
    let list = async |path: &str, query: &[(&str, &str)]| {
        world.get(&token, &format!("{TYPES}/{path}"), query).await.1
    };
    let steps = list("steps/dataPoints", &[("pageSize", "3")]).await;
    let [first, second, _] = &steps["dataPoints"].as_array().unwrap()[..] else { panic!("{steps}") };
    let start = |point: &Value| point["steps"]["interval"]["startTime"].as_str().unwrap().to_owned();
    assert!(start(first) > start(second), "the latest first");
    assert!(first["steps"]["count"].is_string(), "int64 is text");
    assert_eq!(first["steps"]["interval"]["startUtcOffset"], "3600s");
    assert!(first.get("name").is_none() && first["dataSource"]["device"]["displayName"].is_string());
    // The phone's steps are in the list, and not in the stream of all sources, which tells no source.
    let noon = r#"steps.interval.civil_start_time >= "2026-10-29T12:00:00" AND steps.interval.civil_start_time < "2026-10-29T13:00:00""#;
    let all = list("steps/dataPoints", &[("filter", noon)]).await;
    let merged = list("steps/dataPoints:reconcile", &[("filter", noon)]).await;
    let count = |page: &Value| page["dataPoints"].as_array().unwrap().len();
    assert!(count(&merged) > 0 && count(&all) == 2 * count(&merged));
    assert!(merged["dataPoints"][0].get("dataSource").is_none());
    // A night is found by its end, on the day after it began, and named.
    let night =
        r#"sleep.interval.civil_end_time >= "2026-10-29" AND sleep.interval.civil_end_time < "2026-10-30""#;
    let nights = list("sleep/dataPoints:reconcile", &[("filter", night)]).await;
    let sleep = &nights["dataPoints"][0];
    assert_eq!(sleep["sleep"]["interval"]["civilStartTime"]["date"]["day"], 28);
    assert_eq!(sleep["sleep"]["interval"]["civilEndTime"]["date"]["day"], 29);
    assert!(sleep["dataPointName"].as_str().unwrap().starts_with("users/me/dataTypes/sleep/dataPoints/"));
    let daily = list("daily-resting-heart-rate/dataPoints:reconcile", &[]).await;
    assert_eq!(
        daily["dataPoints"][0]["dailyRestingHeartRate"]["date"],
        json!({ "year": 2026, "month": 10, "day": 30 })
    );
    // Hours that there are twice, and the offset after.
    let at_night = r#"heart_rate.sample_time.physical_time >= "2026-10-25T00:00:00Z" AND heart_rate.sample_time.physical_time < "2026-10-25T02:00:00Z""#;
    let beats = list("heart-rate/dataPoints", &[("filter", at_night)]).await;
    let offsets: Vec<&str> = beats["dataPoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["heartRate"]["sampleTime"]["utcOffset"].as_str().unwrap())
        .collect();
    assert_eq!((offsets.len(), offsets[0], offsets[7]), (8, "3600s", "7200s"));
}

#[tokio::test]
async fn pages_are_capped_and_belong_to_their_question() {
    let world = World::new().await;
    let token = world.token().await;
    let path = format!("{TYPES}/sleep/dataPoints");
    let (_, first) = world.get(&token, &path, &[("pageSize", "10000")]).await;
    let all = world.sim.points(CARLA, "sleep").unwrap().len();
    assert_eq!(first["dataPoints"].as_array().unwrap().len(), all.min(25));
    let (_, few) = world.get(&token, &path, &[("pageSize", "4")]).await;
    let next = few["nextPageToken"].as_str().unwrap();
    let (_, more) = world.get(&token, &path, &[("pageSize", "4"), ("pageToken", next)]).await;
    assert_ne!(few["dataPoints"], more["dataPoints"]);
    let other = world.get(&token, &path, &[("pageSize", "5"), ("pageToken", next)]).await;
    assert_eq!(reason(&other).0, 400, "a token of another question");
    world.sim.inject(Fault::EmptyPages { count: 1 });
    let (_, empty) = world.get(&token, &path, &[]).await;
    assert!(empty.get("dataPoints").is_none() && !empty["nextPageToken"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn what_google_refuses_is_refused() {
    let world = World::new().await;
    let token = world.token().await;
    let member = "INVALID_DATA_POINT_FILTER_DATA_TYPE_MEMBER";
    for (path, query, expected) in [
        ("sleep/dataPoints", ("filter", r#"sleep.interval.start_time >= "2026-10-01T00:00:00Z""#), member),
        (
            "steps/dataPoints",
            (
                "filter",
                r#"steps.interval.start_time >= "2026-10-01T00:00:00Z" AND steps.interval.start_time < "2026-10-01T00:00:00Z""#,
            ),
            "INVALID_TIME_RANGE",
        ),
        ("blood-pressure/dataPoints", ("pageSize", "5"), "INVALID_PARENT_DATA_TYPE_COLLECTION"),
        (
            "sleep/dataPoints",
            ("dataSourceFamily", "users/me/dataSourceFamilies/google-wearables"),
            "INVALID_DATA_POINT_DATA_SOURCE_FAMILY",
        ),
        ("floors/dataPoints", ("pageSize", "5"), ""),
        ("total-calories/dataPoints:reconcile", ("pageSize", "5"), ""),
        ("electrocardiogram/dataPoints:reconcile", ("pageSize", "5"), ""),
        ("weight/dataPoints", ("page_size", "5"), ""),
    ] {
        let answer = world.get(&token, &format!("{TYPES}/{path}"), &[query]).await;
        assert_eq!(reason(&answer), (400, "INVALID_ARGUMENT", expected), "{path}");
    }
    let range = |from: u8, to: u8| json!({ "start": { "date": { "year": 2026, "month": 10, "day": from } }, "end": { "date": { "year": 2026, "month": 10, "day": to } } });
    let ask = |from, to| json!({ "range": range(from, to), "windowSizeDays": 1 });
    assert_eq!(world.roll_up(&token, "total-calories", ask(15, 29)).await.0, 200);
    let mut sized = ask(15, 29);
    sized["pageSize"] = 14.into();
    for (name, body) in [
        ("total-calories", ask(14, 29)),
        ("total-calories", sized.clone()),
        ("floors", ask(29, 29)),
        ("sleep", ask(28, 29)),
    ] {
        assert_eq!(reason(&world.roll_up(&token, name, body).await).0, 400, "{name}");
    }
    let (status, floors) = world.roll_up(&token, "floors", sized).await;
    assert_eq!(status, 200);
    assert_eq!(floors["rollupDataPoints"].as_array().unwrap().len(), 14);
    assert!(floors["rollupDataPoints"][0]["floors"]["countSum"].is_string());
    assert_eq!(
        reason(&world.get("ya29.none", "/v4/users/me/settings", &[]).await),
        (401, "UNAUTHENTICATED", "")
    );
    assert_eq!(
        reason(&world.get(&token, "/v4/projects/123456789012/subscribers", &[]).await).0,
        403,
        "a person's token"
    );
}

#[tokio::test]
async fn a_user_has_a_quota_of_a_minute() {
    let world = World::new().await;
    let token = world.token().await;
    for _ in 0..300 {
        assert_eq!(world.get(&token, "/v4/users/me/settings", &[]).await.0, 200);
    }
    let answer = world.get(&token, "/v4/users/me/settings", &[]).await;
    assert_eq!(reason(&answer), (429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED"));
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(world.get(&token, "/v4/users/me/settings", &[]).await.0, 200);
    assert_eq!(world.sim.stats().over_quota, 1);
}

#[tokio::test]
async fn the_same_seed_makes_the_same_past() {
    let (one, two) = (World::new().await, World::new().await);
    let told = |world: &World, name: &str| {
        let points = world.sim.points(CARLA, name).unwrap();
        points.iter().map(|p| (p.content.start, p.content.value.get().to_owned())).collect::<Vec<_>>()
    };
    for name in ["steps", "weight", "sleep", "electrocardiogram", "daily-oxygen-saturation"] {
        assert!(!told(&one, name).is_empty());
        assert_eq!(told(&one, name), told(&two, name), "{name}");
    }
    assert_eq!(one.sim.seed_daily(7, 1).unwrap_err(), SimulatorError::UnknownPerson);
}

#[tokio::test]
async fn the_control_interface_does_what_rust_does() {
    let world = World::new().await;
    let control = |path: &str| format!("{}/_sandbox/google-health{path}", world.base);
    let post = async |path: &str, body: Value| {
        let reply = client().post(control(path)).json(&body).send().await.unwrap();
        (reply.status().as_u16(), reply.json::<Value>().await.unwrap())
    };
    let person = json!({ "id": 5, "name": "Eve", "timezone": "Asia/Kathmandu", "linked": false });
    assert_eq!(post("/persons", person).await.0, 200);
    assert_eq!(post("/persons", json!({ "id": 6, "name": "F", "timezone": "Mars/Olympus" })).await.0, 422);
    assert!(post("/persons/5/daily-history", json!({ "days": 2 })).await.1["steps"].as_u64().unwrap() > 0);
    assert_eq!(post("/persons/9/weigh", json!({ "grams": 1 })).await.0, 404);
    let id = post("/persons/5/weigh", json!({ "grams": 70_100 })).await.1["id"].as_str().unwrap().to_owned();
    let value = json!({ "weightGrams": 70_200 });
    let url = control(&format!("/persons/5/points/weight/{id}"));
    assert_eq!(client().put(&url).json(&value).send().await.unwrap().status(), 200);
    assert_eq!(world.sim.value(5, "weight", &id).unwrap(), value);
    assert_eq!(client().delete(&url).send().await.unwrap().status(), 200);
    assert_eq!(client().delete(&url).send().await.unwrap().status(), 404);
    let point = json!({ "data_type": "steps", "start": 0, "value": { "count": "1" } });
    assert_eq!(post("/persons/5/points", json!([point])).await.0, 422, "steps have an end");
    assert_eq!(post("/faults", json!({ "fault": "too-many-requests", "calls": 1 })).await.0, 200);
    let token = world.token().await;
    assert_eq!(world.get(&token, "/v4/users/me/identity", &[]).await.0, 429);
    let truth =
        client().get(control("/persons/5/truth")).send().await.unwrap().json::<Value>().await.unwrap();
    assert!(!truth["readings"].as_array().unwrap().is_empty());
}
