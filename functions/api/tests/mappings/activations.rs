//! What can be active for whom, and back again.

use ohx_domain::{Clock as _, Link};
use ohx_store::NewMapping;
use serde_json::{Value, json};

use crate::{AT, Api, GETMEAS, document};

#[tokio::test]
async fn a_pointer_moves_and_rolls_back() {
    let api = Api::new().await;
    api.save(1000).await;
    api.save(1001).await;
    let roll_back =
        async |scope: &str| api.post(&format!("{GETMEAS}roll-back/"), &json!({"scope": scope})).await;
    let (status, said) = roll_back("ehr:clinic").await;
    assert!(status == 409 && said["detail"].as_str().unwrap().contains("never activated"), "{said}");

    let (status, done) =
        api.activate(json!({"scope": "ehr:clinic", "version": 1000, "expected_seq": 0})).await;
    assert_eq!((status, &done["seq"], &done["by"]), (201, &json!(1), &json!("operator")), "{done}");
    let canary = json!({"version": 1001, "percent": 50});
    let (status, done) = api
        .activate(json!({"scope": "ehr:clinic", "version": 1000, "canary": canary, "expected_seq": 1}))
        .await;
    assert_eq!((status, &done["canary"]), (201, &canary), "{done}");
    // Somebody who still sees the first one.
    let (status, said) =
        api.activate(json!({"scope": "ehr:clinic", "version": 1001, "expected_seq": 1})).await;
    assert_eq!(status, 409, "{said}");
    let (status, _) = api.activate(json!({"scope": "ehr:clinic", "version": 1001})).await;
    assert_eq!(status, 201);
    let (status, done) = roll_back("ehr:clinic").await;
    assert_eq!(
        (status, &done["version"], &done["canary"], &done["seq"]),
        (201, &json!(1000), &canary, &json!(4))
    );

    // One step more than there is leads to the next wider scope.
    let (status, _) = api.activate(json!({"scope": "global", "version": 1000})).await;
    assert_eq!(status, 201);
    let (status, done) = roll_back("global").await;
    assert_eq!((status, &done["version"]), (201, &Value::Null), "{done}");

    let history = api.list(&format!("{GETMEAS}activations/?scope=ehr:clinic")).await;
    let seqs: Vec<_> = history.as_array().unwrap().iter().map(|a| a["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, [4, 3, 2, 1]);
    let now = api.list(&format!("{GETMEAS}activations/")).await;
    let scopes: Vec<_> = now.as_array().unwrap().iter().map(|a| a["scope"].as_str().unwrap()).collect();
    assert_eq!(scopes, ["ehr:clinic", "global"]);
    let all = api.list(AT).await;
    let listed = all.as_array().unwrap().iter().find(|m| m["name"] == "withings/getmeas").unwrap();
    assert_eq!(listed["activations"], now);
    assert_eq!(api.list("/api/transformers/mappings/withings/getactivity/activations/").await, json!([]));
}

#[tokio::test]
async fn what_cannot_be_active_is_refused_and_the_pointer_stays() {
    let api = Api::new().await;
    api.save(1000).await;
    let link = Link::pending(
        "withings".parse().unwrap(),
        "clinic".parse().unwrap(),
        "Patient/p1".parse().unwrap(),
        1,
        api.clock.now(),
    );
    api.store.insert_link(&link).await.unwrap();
    // As a version of OHX with other rules may have saved it.
    let stale = document(1001).replacen("\"value\": 95.850", "\"value\": 95.85", 1);
    let name = "withings/getmeas".to_owned();
    let stale = NewMapping { name, document: stale, note: None, by: "test".into() };
    api.store.save_mapping(&stale, 1001, api.clock.now()).await.unwrap();
    let (status, _) = api.activate(json!({"scope": "global", "version": 1000})).await;
    assert_eq!(status, 201);
    let before = api.rows().await;

    let stranger = ohx_domain::LinkId::new();
    for (body, status, part) in [
        (json!({"scope": "global", "version": 1001}), 409, "a scale, one group"),
        (
            json!({"scope": "global", "version": 1000, "canary": {"version": 1001, "percent": 1}}),
            409,
            "cannot be activated",
        ),
        (json!({"scope": "global", "version": 1002}), 422, "is not saved"),
        (json!({"scope": "global", "version": 2}), 422, "not what this program has"),
        (json!({"scope": "ehr:elsewhere", "version": 1000}), 422, "ehr:elsewhere does not exist"),
        (json!({"scope": format!("link:{stranger}"), "version": 1000}), 422, "does not exist"),
        (json!({"scope": "everyone", "version": 1000}), 422, "global, ehr:<name> or link:<id>"),
        (json!({"scope": "global"}), 422, "version"),
        (
            json!({"scope": "global", "version": null, "canary": {"version": 1000, "percent": 0}}),
            422,
            "1 to 100",
        ),
        (
            json!({"scope": "global", "version": null, "canary": {"version": 1000, "percent": 101}}),
            422,
            "1 to 100",
        ),
    ] {
        let (got, said) = api.activate(body.clone()).await;
        assert_eq!(got, status, "{body}: {said}");
        assert!(said["detail"].as_str().unwrap().contains(part), "{body}: {said}");
    }
    assert_eq!(api.rows().await, before);

    for body in [
        json!({"scope": format!("link:{}", link.id), "version": 1000}),
        json!({"scope": "global", "version": 1, "canary": {"version": 1000, "percent": 100}}),
        json!({"scope": "ehr:clinic", "version": null}),
    ] {
        assert_eq!(api.activate(body.clone()).await.0, 201, "{body}");
    }
    // Rolling back to what no longer holds would disturb the sync as well.
    let stale = ohx_store::NewActivation {
        mapping: "withings/getmeas".into(),
        scope: ohx_domain::MappingScope::Global,
        version: Some(1001),
        canary: None,
        by: "test".into(),
        expected_seq: None,
    };
    api.store.activate(&stale, api.clock.now()).await.unwrap();
    assert_eq!(api.activate(json!({"scope": "global", "version": 1000})).await.0, 201);
    let (status, said) = api.post(&format!("{GETMEAS}roll-back/"), &json!({"scope": "global"})).await;
    assert!(status == 409 && said["example"] == "a scale, one group", "{said}");
}
