//! The API's description: kept, linted, and held against what the function does.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use axum::extract::Request;
use ohx_runtime::serve::serve_on;
use tokio::net::TcpListener;

use crate::{Api, KEY};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A program that `tests/needs` has installed into `target`.
fn program(path: &str) -> PathBuf {
    let program = root().join("target").join(path);
    assert!(program.exists(), "{path} is missing: run make test, or tests/needs spectral schemathesis");
    program
}

fn run(command: &mut Command) {
    let done = command.output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{said}\n{errors}");
}

#[test]
fn the_kept_description_is_what_the_code_says() {
    let kept = std::fs::read_to_string(root().join("docs/openapi.json")).unwrap_or_default();
    assert!(
        kept == ohx_api::openapi(),
        "docs/openapi.json is not up to date: cargo run -p ohx -- openapi >docs/openapi.json"
    );
}

#[tokio::test]
async fn it_is_served_without_a_key() {
    let api = Api::new().await;
    let request = http::Request::builder().uri("/api/openapi.json").body(axum::body::Body::empty()).unwrap();
    let (status, _, served) = api.send(request).await;
    assert_eq!((status, served["openapi"].as_str().unwrap().get(..3)), (200, Some("3.1")));
}

#[test]
fn spectral_finds_nothing() {
    let file = root().join("docs/openapi.json");
    run(Command::new(program("spectral/node_modules/.bin/spectral"))
        .args(["lint", "--fail-severity", "warn", "--ruleset"])
        .arg(root().join("tests/api/spectral.yaml"))
        .arg(file));
}

/// The function itself on a port, fed with what its description allows and with what it does not: never a 5xx, and every answer
/// as described.
#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_nothing() {
    let api = Api::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/openapi.json", listener.local_addr().unwrap());
    // A second for each call: the fuzzer is never faster than a caller may be, and 429 hides nothing.
    let clock = api.clock.clone();
    let router = api.router.clone().layer(axum::middleware::map_request(move |request: Request| {
        clock.advance(Duration::from_secs(1));
        std::future::ready(request)
    }));
    let serving = tokio::spawn(serve_on(listener, router, std::future::pending()));
    let fuzzed = tokio::task::spawn_blocking(move || {
        run(Command::new(program("schemathesis/bin/schemathesis"))
            .current_dir(root().join("target"))
            .args(["--config-file"])
            .arg(root().join("tests/api/schemathesis.toml"))
            .args(["run", &url, "--header", &format!("Authorization: Bearer {KEY}")]));
    });
    fuzzed.await.unwrap();
    serving.abort();
}
