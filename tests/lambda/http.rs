//! HTTP on Lambda: function URLs and a stage of API Gateway.

use std::collections::BTreeMap;

use ohx_tests::deployment::{API_KEY, KEYRING};
use ohx_tests::lambda::Lambda;
use ohx_tests::outside::http;
use ohx_tests::services;

/// A deployment with an empty database, whose addresses answer all the same.
async fn front() -> (Lambda, tempfile::TempDir) {
    let mut environment: BTreeMap<String, String> = services::sqs().into_iter().collect();
    let settings = [
        ("DATABASE_URL", services::database().await),
        ("OHX_BUS", "sqs".to_owned()),
        ("OHX_KEYS", KEYRING.to_owned()),
        ("OHX_API_KEY", API_KEY.to_owned()),
        ("OHX_PUBLIC_URL", "https://ohx.test/prod".to_owned()),
        ("OHX_IDENTIFIER_BASE", "https://ohx.test/ns".to_owned()),
    ];
    environment.extend(settings.map(|(name, value)| (name.to_owned(), value)));
    let folder = tempfile::tempdir().unwrap();
    let lambda = Lambda::new(&environment);
    for function in ["api", "webhook", "metrics"] {
        lambda.deploy(function, &environment, folder.path()).await;
    }
    (lambda, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_url_and_a_stage_answer_alike() {
    let (lambda, _folder) = front().await;
    for (api, webhook) in [
        (lambda.url("api").await, lambda.url("webhook").await),
        (lambda.gateway("api").await, lambda.gateway("webhook").await),
    ] {
        let types = http().get(format!("{api}/api/base/provider-types/"));
        let refused = types.try_clone().unwrap().send().await.unwrap();
        assert_eq!(refused.status(), 401, "{api}");
        assert!(refused.headers()["content-type"].to_str().unwrap().starts_with("application/problem+json"));
        let shown = types.bearer_auth(API_KEY).send().await.unwrap();
        assert_eq!(shown.status(), 200);
        let shown: serde_json::Value = shown.json().await.unwrap();
        assert!(shown.to_string().contains("withings"), "{shown}");

        // A body that is no text comes as base64, and is refused for what it is, not for how it came.
        let body = vec![0xff_u8; 100];
        let note = http().post(format!("{api}/api/transformers/mappings/validate/")).bearer_auth(API_KEY);
        let refused = note.header("content-type", "application/json").body(body).send().await.unwrap();
        assert_eq!(refused.status(), 400, "{}", refused.text().await.unwrap());

        // Providers try an address before they accept it.
        let there = http().get(format!("{webhook}/webhook/withings/x/y")).send().await.unwrap();
        assert_eq!(there.status(), 200);
        let nobody = http().get(format!("{webhook}/nothing/")).send().await.unwrap();
        assert_eq!(nobody.status(), 404);
    }
}

/// Neither the schema nor the queues are there yet: what is asked says so, and answers.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_answer_at_a_function_url() {
    let (lambda, _folder) = front().await;
    let shown = http().get(format!("{}/metrics", lambda.url("metrics").await)).send().await.unwrap();
    assert_eq!(shown.status(), 200);
    assert_eq!(shown.headers()["content-type"], "text/plain; version=0.0.4");
    let shown = shown.text().await.unwrap();
    for part in ["database", "broker"] {
        let line = format!("ohx_metrics_collection_errors_total{{part=\"{part}\"}} 1");
        assert!(shown.contains(&line), "{shown}");
    }
}
