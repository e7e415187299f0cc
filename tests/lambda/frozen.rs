//! Lambda freezes a process when it asks for the next invocation: by then everything has to be done.

use std::process::Command;
use std::time::Duration;

use ohx_tests::deployment::{Deployment, Shape};
use ohx_tests::outside::Outside;
use ohx_tests::patient::connect;
use ohx_tests::process::{Process, breathe};
use ohx_tests::proxy::{Manner, Proxy};
use ohx_tests::runtime_api::{RuntimeApi, Seen};
use serde_json::json;

use super::PATIENT;

/// A provider is answered in time although the broker is slow, and the event is out before the process may be frozen: nothing
/// has to wait for another invocation, which may never come.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_out_before_the_process_is_frozen() {
    let outside = Outside::start().await.reading(&["getmeas"]);
    let person = outside.person(1, "Ada");
    outside.withings.seed_history(person, 3, 2).unwrap();
    let deployment = Deployment::start(Shape::Sqs, &outside).await;
    let link = connect(&deployment, &outside, PATIENT, "1", 4).await;
    deployment.settled(&link).await;
    outside.agree(person, PATIENT).await;

    // Nobody but our own call tells of this one.
    outside.withings.inject(ohx_sandbox::withings::Fault::LoseNotifications { count: 100 });
    outside.withings.weigh_now(person, "72.10").unwrap();
    let callbacks = outside.withings.callbacks(person);
    let path = callbacks[0].strip_prefix(deployment.public_url()).expect("our address");

    let queues: url::Url = ohx_tests::services::sqs_url().parse().unwrap();
    let proxy = Proxy::before(std::net::SocketAddr::from(([127, 0, 0, 1], queues.port().unwrap()))).await;
    proxy.behave(Manner::Stall);
    let runtime = RuntimeApi::start(Duration::from_secs(30)).await;
    let mut environment = deployment.environment().clone();
    environment.extend(runtime.environment());
    environment.insert("AWS_ENDPOINT_URL_SQS".into(), format!("http://{}", proxy.address()));
    let folder = tempfile::tempdir().unwrap();
    let webhook = Process::start("ohx-webhook", &[], &environment, folder.path());
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let began = tokio::time::Instant::now();
    runtime.invoke(json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
        "headers": { "content-type": "application/x-www-form-urlencoded", "host": "ohx.test" },
        "requestContext": {
            "accountId": "0", "apiId": "x", "domainName": "ohx.test", "requestId": "x", "stage": "$default",
            "http": { "method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7", "userAgent": "" },
            "time": "01/Jan/2026:00:00:00 +0000", "timeEpoch": 1_767_225_600_000_u64,
        },
        "body": format!("userid=1&appli=1&startdate={}&enddate={}", now - 600, now + 1), "isBase64Encoded": false,
    }));
    let seen = runtime.seen(2).await;
    let [Seen::Next(_), Seen::Answer(answered, answer)] = &seen[..] else {
        panic!("{seen:?}: {}", webhook.log());
    };
    assert_eq!(answer["statusCode"], 200, "{answer}: {}", webhook.log());
    let took = answered.duration_since(began);
    assert!(took < Duration::from_secs(3), "the provider was kept waiting: {took:?}");
    breathe(500).await;
    assert_eq!(runtime.seen(2).await.len(), 2, "it may be frozen now, and the event is still in its hands");
    proxy.behave(Manner::Pass);
    let seen = runtime.seen(3).await;
    assert!(matches!(seen[2], Seen::Next(_)), "{seen:?}");
    // From here on it does nothing more.
    let stopped = Command::new("kill").args(["-STOP", &webhook.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    outside.agree(person, PATIENT).await;
}
