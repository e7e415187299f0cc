//! The control interface.

use super::*;

#[tokio::test]
async fn the_control_interface_makes_the_same_world_for_the_same_seed() {
    let (one, two) = (Cloud::new().await, Cloud::new().await);
    let api = one.app.config.base_urls["api"].clone();
    let at = |path: &str| api.join(&format!("/_sandbox/fitbit-legacy{path}")).unwrap();
    let post = async |path: &str, body: serde_json::Value| {
        let reply = client().post(at(path)).json(&body).send().await.unwrap();
        assert_eq!(reply.status(), 200, "{path}");
        reply.json::<serde_json::Value>().await.unwrap()
    };
    post(&format!("/persons/{GINA}/history"), serde_json::json!({ "days": 9 })).await;
    two.sim.seed(GINA, 9).unwrap();
    for record in ALL {
        assert!(one.truth(GINA, record) == two.truth(GINA, record), "{record}");
    }
    post(&format!("/persons/{GINA}/weigh"), serde_json::json!({ "grams": 72100 })).await;
    post("/retired", serde_json::json!({ "how": "gone" })).await;
    post("/faults", serde_json::json!({ "fault": "too-many-requests", "calls": 2 })).await;
    client().delete(at("/faults")).send().await.unwrap();
    let grant = one.connect(GINA).await;
    let days = one.delivered(&grant, "weight", 8).await;
    assert!(days.iter().any(|line| line.contains("72.100 kg")), "{days:?}");
    let nobody = client().get(at("/persons/X/truth")).send().await.unwrap();
    assert_eq!(nobody.status(), 404);
    let truth: Vec<serde_json::Value> = client()
        .get(at(&format!("/persons/{GINA}/truth?records=weight,fat")))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(truth.len(), one.sim.readings(GINA, &["weight", "fat"]).unwrap().len());
}
