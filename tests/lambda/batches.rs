//! Batches: what is done, what comes again, and what becomes a dead letter.

use aws_sdk_sqs::types::{QueueAttributeName as Attribute, SendMessageBatchRequestEntry};
use ohx_tests::deployment::KEYRING;
use ohx_tests::lambda::{ACCOUNT, Lambda};
use ohx_tests::{services, until};
use serde_json::{Value, json};

use super::{sqs, world};

const UNKNOWN: &str = "019a2f3c-5d10-7a44-9c1e-3b7f0a6e2d51";

/// A link was connected, as `oauth` says it.
fn connected(id: &str, link: &str) -> String {
    json!({
        "specversion": "1.0", "id": id, "type": "org.openhealthexchange.link.connected.v1",
        "source": "/functions/oauth", "subject": link, "time": "2026-11-20T08:15:02Z", "partitionkey": link,
        "priority": "low", "datacontenttype": "application/json",
        "data": { "provider": "withings", "again": true },
    })
    .to_string()
}

/// A message as an event source mapping hands it over.
fn record(id: &str, body: &str, received: u32, delay: Option<&str>) -> Value {
    let delay = delay.map(|delay| json!({ "delay": { "stringValue": delay, "dataType": "Number" } }));
    json!({
        "messageId": id, "receiptHandle": "gone", "body": body,
        "attributes": { "ApproximateReceiveCount": received.to_string(), "SentTimestamp": "4102444800000" },
        "messageAttributes": delay.unwrap_or(json!({})), "md5OfBody": "", "eventSource": "aws:sqs",
        "eventSourceARN": format!("arn:aws:sqs:us-east-1:{ACCOUNT}:t-nightly-low"), "awsRegion": "us-east-1",
    })
}

fn failures(answer: &Value) -> Vec<&str> {
    let items = answer["batchItemFailures"].as_array().expect("a partial batch response");
    let mut ids: Vec<_> = items.iter().map(|item| item["itemIdentifier"].as_str().expect("an id")).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_message_changes_nothing_for_its_neighbours() {
    let (_outside, deployment, _person, link) = world().await;
    deployment.settled(&link).await;

    // What Lambda is told of each.
    let batch = json!({ "Records": [
        record("done", &connected("1", &link), 1, None),
        record("unreadable", "{", 1, None),
        record("refused", &connected("2", UNKNOWN), 1, None),
        record("early", &connected("3", &link), 1, Some("86400000")),
        // The database was away for hours: neither delivered nor kept until now.
        record("patient", &connected("8", &link), 90, None),
        record("used-up", &connected("4", &link), 97, None),
    ]});
    let answer = deployment.lambda().invoke("nightly", &batch).await.expect("an answer");
    assert_eq!(failures(&answer), ["early"], "{answer}");
    let letters = deployment.list("/api/publishers/dead-letters/").await;
    let mut keys: Vec<_> = letters.as_array().unwrap().iter().map(|l| l["key"].as_str().unwrap()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["2", "4", "entry-unreadable"], "{letters}");

    // And by the queue: all three are settled, each at its first attempt.
    let base = services::sqs_url();
    let client = sqs().await;
    let queue = format!("{base}/{}-nightly-low", deployment.setting("OHX_SQS_PREFIX").unwrap());
    let bodies =
        [connected("5", &link), "no event".to_owned(), connected("6", UNKNOWN), connected("7", &link)];
    let entries = bodies.into_iter().enumerate().map(|(id, body)| {
        SendMessageBatchRequestEntry::builder().id(id.to_string()).message_body(body).build().unwrap()
    });
    client.send_message_batch().queue_url(&queue).set_entries(Some(entries.collect())).send().await.unwrap();
    let counts = [
        Attribute::ApproximateNumberOfMessages,
        Attribute::ApproximateNumberOfMessagesNotVisible,
        Attribute::ApproximateNumberOfMessagesDelayed,
    ];
    until("the queue is empty", 60, async || {
        let mut ask = client.get_queue_attributes().queue_url(&queue);
        for count in &counts {
            ask = ask.attribute_names(count.clone());
        }
        let answer = ask.send().await.unwrap();
        let all = answer.attributes().unwrap();
        counts.iter().all(|count| all.get(count).is_some_and(|n| n == "0")).then_some(())
    })
    .await;
    let letters = deployment.list("/api/publishers/dead-letters/").await;
    let letters = letters.as_array().unwrap();
    assert_eq!(letters.len(), 5, "{letters:?}");
    assert!(letters.iter().all(|letter| letter["key"] == "4" || letter["attempts"] == 1), "{letters:?}");
}

/// Nothing is lost while the database is away: what was not handled and could not be kept comes again.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_everything_comes_again() {
    let mut environment: std::collections::BTreeMap<String, String> = services::sqs().into_iter().collect();
    let settings = [
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing"),
        ("OHX_BUS", "sqs"),
        ("OHX_KEYS", KEYRING),
        ("OHX_PUBLIC_URL", "https://ohx.test"),
        ("OHX_IDENTIFIER_BASE", "https://ohx.test/ns"),
    ];
    environment.extend(settings.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let folder = tempfile::tempdir().unwrap();
    let lambda = Lambda::new(&environment);
    lambda.deploy("nightly", &environment, folder.path()).await;
    let batch = json!({ "Records": [
        record("first", &connected("1", UNKNOWN), 1, None),
        record("used-up", &connected("2", UNKNOWN), 13, None),
    ]});
    let answer = lambda.invoke("nightly", &batch).await.expect("an answer");
    assert_eq!(failures(&answer), ["first", "used-up"], "{answer}");
    // A ping that fails is told, so that Lambda tries again.
    let ping = json!({ "detail-type": "Scheduled Event", "id": "1" });
    let failed = lambda.invoke("nightly", &ping).await.expect_err("it cannot have worked");
    assert!(failed["errorMessage"].is_string(), "{failed}");
    // Batches of other services are not taken for events.
    let mut other = record("x", "{}", 1, None);
    other["eventSource"] = "aws:kinesis".into();
    assert!(lambda.invoke("nightly", &json!({ "Records": [other] })).await.is_err());
}
