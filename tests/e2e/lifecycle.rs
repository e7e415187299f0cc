//! Starting, stopping, probes, access.

use std::collections::BTreeMap;

use ohx_tests::deployment::{API_KEY, Deployment, Shape};
use ohx_tests::outside::{Outside, http};
use ohx_tests::process::Process;

#[tokio::test(flavor = "multi_thread")]
async fn every_function_has_probes_and_metrics_and_ends_on_sigterm() {
    let outside = Outside::start().await;
    let mut deployment = Deployment::start(Shape::ManyProcesses, &outside).await;
    for process in &mut deployment.processes {
        let get = |path: &str| http().get(format!("{}{path}", process.url())).send();
        assert_eq!(get("/livez").await.unwrap().status(), 200, "{}", process.name);
        assert_eq!(get("/nothing-here").await.unwrap().status(), 404, "{}", process.name);
        let metrics = get("/metrics").await.unwrap().text().await.unwrap();
        assert!(metrics.contains("# TYPE ohx_http_requests_total counter"), "{}: {metrics}", process.name);
        assert_eq!(process.terminate().await, Some(0), "{}: {}", process.name, process.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_wants_its_key() {
    let outside = Outside::start().await;
    let deployment = Deployment::start(Shape::OneProcess, &outside).await;
    let url = format!("{}/api/base/provider-links/", deployment.api());
    for key in [None, Some(""), Some("wrong"), Some(&API_KEY[1..])] {
        let mut request = http().get(&url);
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 401);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    let (status, problem) = deployment
        .post(
            "/api/base/provider-links/",
            &serde_json::json!({"provider": "none", "ehr": "clinic", "patient": "Patient/1"}),
        )
        .await;
    assert_eq!(status, 422);
    assert!(problem["detail"].as_str().unwrap().contains("provider app none is not configured"), "{problem}");
    let (status, problem) = deployment
        .post(
            "/api/base/provider-links/",
            &serde_json::json!({"provider": "withings", "ehr": "clinic", "patient": "p 1"}),
        )
        .await;
    assert_eq!(status, 422);
    assert!(problem["detail"].as_str().unwrap().contains("a patient reference must be"), "{problem}");
}

/// One line that names the setting, exit code 2, and no value of a secret.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_setting_stops_the_start_with_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let good = || {
        BTreeMap::from(
            [
                ("DATABASE_URL", "sqlite::memory:"),
                ("OHX_BUS", "redis"),
                ("REDIS_URL", "redis://127.0.0.1:1"),
                ("OHX_KEYS", "k1:c2l4dGVlbiBieXRlcyBhbmQgc2l4dGVlbiBtb3JlISE="),
                ("OHX_API_KEY", API_KEY),
                ("OHX_PUBLIC_URL", "https://ohx.test"),
                ("OHX_IDENTIFIER_BASE", "https://ohx.test/ns"),
                ("RUST_LOG", "off"),
            ]
            .map(|(k, v)| (k.to_owned(), v.to_owned())),
        )
    };
    let cases = [
        ("DATABASE_URL", Some("mysql://u:hushhush@h/d")),
        ("DATABASE_URL", None),
        ("OHX_BUS", Some("carrier-pigeon")),
        ("REDIS_URL", None),
        ("OHX_KEYS", None),
        ("OHX_KEYS", Some("k1:hushhush")),
        ("OHX_API_KEY", Some("hushhush")),
        ("OHX_PUBLIC_URL", Some("ohx.test")),
        ("OHX_IDENTIFIER_BASE", None),
    ];
    for (case, (name, value)) in cases.into_iter().enumerate() {
        let mut environment = good();
        match value {
            Some(value) => environment.insert(name.to_owned(), value.to_owned()),
            None => environment.remove(name),
        };
        let folder = folder.path().join(case.to_string());
        std::fs::create_dir(&folder).unwrap();
        let mut process = Process::start("ohx-api", &[], &environment, &folder);
        assert_eq!(process.wait(), Some(2), "{name}={value:?}: {}", process.log());
        let said = process.log();
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(name), "{name}={value:?}: {said}");
        assert!(!said.contains("hushhush"), "{said}");
    }
}

/// The same binary on AWS Lambda: a runtime API in small hands it one HTTP API event, and gets the answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_function_answers_on_lambda() {
    use axum::Json;
    use axum::extract::State;
    use axum::http::StatusCode;
    use axum::routing::{get, post};
    use tokio::sync::mpsc;

    let (answered, mut answers) = mpsc::channel::<serde_json::Value>(1);
    let next = async || {
        let event = serde_json::json!({
            "version": "2.0", "routeKey": "$default", "rawPath": "/livez", "rawQueryString": "",
            "headers": {"host": "lambda.test", "accept": "*/*"},
            "requestContext": {"accountId": "1", "apiId": "a", "domainName": "lambda.test", "domainPrefix": "l", "requestId": "r",
                "routeKey": "$default", "stage": "$default", "time": "21/Nov/2026:00:00:00 +0000", "timeEpoch": 1,
                "http": {"method": "GET", "path": "/livez", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "test"}},
            "isBase64Encoded": false
        });
        let headers = [
            ("lambda-runtime-aws-request-id", "r1"),
            ("lambda-runtime-deadline-ms", "4000000000000"),
            ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-central-1:1:function:ohx"),
        ];
        (headers, Json(event))
    };
    let respond = async |State(answered): State<mpsc::Sender<serde_json::Value>>, body: String| {
        let _full_after_the_first = answered.try_send(serde_json::from_str(&body).unwrap_or_default());
        StatusCode::ACCEPTED
    };
    let api = axum::Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(respond))
        .with_state(answered);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, api).await });

    let folder = tempfile::tempdir().unwrap();
    let environment = [
        ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
        ("AWS_LAMBDA_FUNCTION_NAME", "ohx-api"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "s"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "g"),
        ("DATABASE_URL", "sqlite::memory:"),
        ("OHX_BUS", "http"),
        ("K_SINK", "http://127.0.0.1:1"),
        ("OHX_KEYS", "k1:c2l4dGVlbiBieXRlcyBhbmQgc2l4dGVlbiBtb3JlISE="),
        ("OHX_API_KEY", API_KEY),
        ("OHX_PUBLIC_URL", "https://ohx.test"),
        ("OHX_IDENTIFIER_BASE", "https://ohx.test/ns"),
    ];
    let environment = environment.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let process = Process::start("ohx-api", &[], &environment, folder.path());
    let answer = tokio::time::timeout(std::time::Duration::from_secs(20), answers.recv()).await;
    let answer = answer.unwrap_or_else(|_| panic!("no answer: {}", process.log())).unwrap();
    assert_eq!(answer["statusCode"], 200, "{answer}");
}
