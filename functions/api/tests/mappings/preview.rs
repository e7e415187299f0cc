//! What becomes of a page, of which nothing is kept.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{AT, Api, document};

/// 72.10 kg, and a value that is out of range; a field that nobody reads.
const PAGE: &str = r#"{"body": {"timezone": "Europe/Vienna", "measuregrps": [
    {"grpid": 1, "date": 1704700000, "category": 1, "shoe": "blue", "measures": [{"type": 1, "value": 7210, "unit": -2}]},
    {"grpid": 2, "date": 1704700100, "category": 1, "measures": [{"type": 1, "value": 90210, "unit": -1}]}]}}"#;

#[tokio::test]
async fn a_preview_says_what_becomes_of_a_page_and_keeps_nothing() {
    let api = Api::new().await;
    api.save(1000).await;
    let before = api.rows().await;
    let (status, kind, text) = api
        .answer(
            Method::POST,
            &format!("{AT}preview/"),
            format!("{{\"mapping\": \"withings/getmeas\", \"version\": 1000, \"compare_with\": \"builtin\", \"page\": {PAGE}}}"),
        )
        .await;
    assert_eq!((status, kind.as_str()), (StatusCode::OK, "application/json; version=1"), "{text}");
    // To the last digit: text is looked at, because a JSON reader might see 72.1.
    assert!(text.contains("\"value\":72.10,"), "{text}");
    let said: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&said["mapping"], &said["version"], &said["records"]),
        (&json!("withings/getmeas"), &json!(1000), &json!(2))
    );
    assert_eq!((&said["made"], said["observations"].as_array().unwrap().len()), (&json!(1), 1));
    let shown = &said["observations"][0];
    assert_eq!(
        (&shown["kind"], &shown["resource"]["resourceType"]),
        (&json!("body-weight"), &json!("Observation"))
    );
    assert_eq!(shown["resource"]["subject"]["reference"], "Patient/example");
    assert_eq!(shown["resource"]["code"]["text"], "Weight of the body");
    assert_eq!(shown["identifier"]["system"], "https://ohx.test/ns/withings/getmeas");
    assert_eq!(said["left_out"], json!({"out-of-range": 1}));
    assert_eq!(said["never_read"], json!({"body.measuregrps[].shoe": 1}));
    let compared = &said["compared"];
    assert_eq!(
        (&compared["with"], &compared["differ"], &compared["unchanged"]),
        (&json!(1), &json!(1), &json!({}))
    );
    let reading = &compared["readings"][0];
    assert_eq!((&reading["change"], &reading["before"]), (&json!("changed"), &reading["after"]));
    assert_eq!(
        reading["changes"],
        json!([{"path": "code.text", "before": "Body weight", "after": "Weight of the body"}])
    );

    // A draft, whose examples need not hold yet, and a kind that is called otherwise: the EHR would have it twice.
    let draft = document(1).replace("body-weight", "weight");
    let page: Value = serde_json::from_str(PAGE).unwrap();
    let (status, said) = api
        .post(&format!("{AT}preview/"), &json!({"document": draft, "compare_with": 1000, "page": page}))
        .await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(said["compared"]["readings"][0]["change"], "identity-changed");
    assert_eq!(said["compared"]["with"], 1000);
    assert_eq!(api.rows().await, before);
}

#[tokio::test]
async fn a_preview_that_cannot_be_made_says_why_without_the_page() {
    let api = Api::new().await;
    let wrong = document(1).replacen("value: { unit: kg,", "value: { unit: kgs,", 1);
    let (mapping, version) = ("withings/getmeas", "builtin");
    for (body, status, part) in [
        (json!({"document": wrong, "page": {}}), 422, "kgs"),
        (json!({"mapping": mapping, "page": {}}), 422, "a mapping and its version"),
        (
            json!({"document": document(1), "mapping": mapping, "version": version, "page": {}}),
            422,
            "a document, or",
        ),
        (json!({"mapping": mapping, "version": 1003, "page": {}}), 422, "no version 1003"),
        (json!({"mapping": "withings/getmood", "version": version, "page": {}}), 422, "withings/getmeas"),
        (
            json!({"mapping": mapping, "version": version, "compare_with": 1003, "page": {}}),
            422,
            "no version 1003",
        ),
        (
            json!({"mapping": mapping, "version": version, "page": "{\"value\": 77.125}"}),
            422,
            "a JSON object",
        ),
        (
            json!({"mapping": mapping, "version": version, "page": {"body": {"measuregrps": "77.125"}}}),
            422,
            "no records",
        ),
        (
            json!({"mapping": mapping, "version": version, "page": {}, "compare_with": "77.125"}),
            422,
            "line 1",
        ),
        (json!({"mapping": mapping, "version": version}), 422, "line 1"),
    ] {
        let (got, said) = api.post(&format!("{AT}preview/"), &body).await;
        assert_eq!(got, status, "{body}: {said}");
        assert!(said["detail"].as_str().unwrap().contains(part), "{part}: {said}");
        assert!(!said.to_string().contains("77.125"), "{said}");
    }
    let (status, _, text) =
        api.answer(Method::POST, &format!("{AT}preview/"), " ".repeat((2 << 20) + 1)).await;
    assert_eq!(status, 413, "{text}");
}
