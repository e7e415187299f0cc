//! What is saved, and what is refused and how that is told.

use http::Method;
use serde_json::{Value, json};

use crate::{AT, Api, GETMEAS, document};

#[tokio::test]
async fn a_document_is_saved_listed_and_read_back() {
    let api = Api::new().await;
    let note = "says it otherwise";
    let (status, said) = api.post(AT, &json!({"document": document(1000), "note": note})).await;
    assert_eq!((status, &said["name"], &said["version"]), (201, &json!("withings/getmeas"), &json!(1000)));
    assert!(said["kinds"].as_array().unwrap().contains(&json!("body-weight")), "{said}");
    api.save(1007).await;
    // A client that did not see the answer sends it again.
    let (status, _) = api.post(AT, &json!({"document": document(1000)})).await;
    assert_eq!(status, 200);

    let versions = api.get(GETMEAS).await;
    let listed: Vec<_> = versions["items"].as_array().unwrap().iter().collect();
    let shown = |n: usize| (listed[n]["version"].as_u64().unwrap(), listed[n]["origin"].as_str().unwrap());
    assert_eq!((shown(0), shown(1), shown(2)), ((1007, "saved"), (1000, "saved"), (1, "program")));
    assert_eq!((listed.len(), &listed[1]["note"]), (3, &json!(note)));
    assert_eq!(listed[1]["saved_by"], "operator");
    assert_eq!(listed[1]["saved_at"], "2026-11-21T08:00:00Z");
    let page = api.get(&format!("{GETMEAS}?limit=1")).await;
    assert_eq!((page["next"].is_string(), page["items"].as_array().unwrap().len()), (true, 1));
    let next = page["next"].as_str().unwrap();
    let rest = api.get(&format!("{GETMEAS}?limit=100&cursor={next}")).await;
    assert_eq!((&rest["next"], rest["items"].as_array().unwrap().len()), (&Value::Null, 2));

    let own = ohx_mapping::builtin("withings", "getmeas").unwrap();
    for (version, text) in [("1000", document(1000).as_str()), ("1", own), ("builtin", own)] {
        let read = api.get(&format!("{GETMEAS}versions/{version}/")).await;
        assert_eq!(read["document"], text, "{version}");
    }
    let all = api.list(AT).await;
    let names: Vec<_> = all.as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
    assert_eq!(names, ohx_api::mappings::check::names());
    let of = |name: &str| all.as_array().unwrap().iter().find(|m| m["name"] == name).unwrap();
    assert_eq!(
        (&of("withings/getmeas")["newest"], &of("withings/getmeas")["builtin"]),
        (&json!(1007), &json!(1))
    );
    assert_eq!(of("withings/sleep-get")["newest"], of("withings/sleep-get")["builtin"]);

    for path in ["versions/1003/", "versions/2/", "versions/1003/x/"] {
        let (status, ..) = api.answer(Method::GET, &format!("{GETMEAS}{path}"), String::new()).await;
        assert_eq!(status, 404, "{path}");
    }
    for unknown in ["withings/getmood", "fitbit/getmeas"] {
        let (status, _, text) = api.answer(Method::GET, &format!("{AT}{unknown}/"), String::new()).await;
        assert!(status == 404 && text.contains("withings/getmeas"), "{text}");
    }
}

#[tokio::test]
async fn a_wrong_document_is_refused_with_its_place_and_is_not_saved() {
    let api = Api::new().await;
    let good = document(1000);
    let unit = good.replacen("value: { unit: kg,", "value: { unit: kgs,", 1);
    let line = 1 + unit.lines().position(|l| l.contains("kgs")).unwrap();
    let example = good.replacen("\"value\": 95.850", "\"value\": 95.85", 1);
    let named = good.replacen("mapping: withings/getmeas", "mapping: withings/getmood", 1);
    let bare = good.split("\nexamples:").next().unwrap().to_owned();
    for (wrong, status, part) in [
        (&unit, 422, "kgs"),
        (&example, 422, "a scale, one group"),
        (&named, 422, "withings/getmood"),
        (&bare, 422, "no example"),
        (&"mapping: [".to_owned(), 422, "mapping document"),
        (&"#".repeat(300 * 1024), 422, "bytes"),
    ] {
        for (path, body) in [
            (AT.to_owned(), json!({"document": wrong})),
            (format!("{AT}validate/"), json!({"document": wrong})),
        ] {
            let (got, said) = api.post(&path, &body).await;
            assert_eq!((got, said["status"].as_u64()), (status, Some(status.into())), "{part}: {said}");
            assert!(said["detail"].as_str().unwrap().contains(part), "{part}: {said}");
            assert!(part == "mapping document" || !said["hint"].as_str().unwrap().is_empty(), "{said}");
            if part == "kgs" {
                assert_eq!(said["line"].as_u64(), u64::try_from(line).ok(), "{said}");
                assert!(
                    said["column"].as_u64().unwrap() > 1 && said["snippet"].as_str().unwrap().contains('^')
                );
            } else if part == "a scale, one group" {
                assert_eq!((&said["example"], said.get("line")), (&json!(part), None), "{said}");
                assert!(said["detail"].as_str().unwrap().contains("95.850, expected 95.85"), "{said}");
            }
        }
    }
    for (body, status) in [(json!({"document": good, "typo": 1}), 422), (json!({}), 422)] {
        assert_eq!(api.post(AT, &body).await.0, status);
    }
    let (status, _) = api.post(AT, &json!({"document": good, "note": "x".repeat(2001)})).await;
    assert_eq!(status, 422);
    let (status, ..) =
        api.answer(Method::POST, AT, format!("{{\"document\":\"{}\"}}", "x".repeat(600_000))).await;
    assert_eq!(status, 413);
    assert_eq!(api.get(GETMEAS).await["items"].as_array().unwrap().len(), 1, "only the program's own");
}

#[tokio::test]
async fn validating_saves_nothing() {
    let api = Api::new().await;
    for text in [document(1000), ohx_mapping::builtin("withings", "sleep-get").unwrap().to_owned()] {
        let (status, said) = api.post(&format!("{AT}validate/"), &json!({"document": text})).await;
        assert_eq!(status, 200, "{said}");
        assert!(!said["examples"].as_array().unwrap().is_empty(), "{said}");
    }
    assert_eq!(api.get(GETMEAS).await["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_version_that_is_taken_is_refused_with_the_next_free_one() {
    let api = Api::new().await;
    let refused = async |version: u32, text: String| {
        let (status, said) = api.post(AT, &json!({"document": text})).await;
        assert!(said["detail"].as_str().unwrap().contains(&format!("version {version}")), "{said}");
        (status, said["hint"].as_str().unwrap().to_owned())
    };
    assert_eq!(refused(1, document(1)).await, (422, "write `version: 1000`".into()));
    api.save(1005).await;
    assert_eq!(refused(999, document(999)).await, (422, "write `version: 1006`".into()));
    assert_eq!(refused(1004, document(1004)).await, (409, "write `version: 1006`".into()));
    let other = document(1005).replace("Weight of", "The weight of");
    assert_eq!(refused(1005, other).await, (409, "write `version: 1006`".into()));
}
