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
                ("DATABASE_URL", "postgres://ohx@127.0.0.1:1/ohx"),
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
        ("DATABASE_URL", Some("sqlite://hushhush.db")),
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
