//! The SQS of the test run.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName as Attribute;
use ohx_bus_sqs::{Place, RelayConfig, SqsBus};
use ohx_domain::LinkId;
use ohx_events::{Function, Priority};

/// The emulated SQS, under a prefix of one test's own.
pub(crate) struct TestSqs {
    pub(crate) base: String,
    pub(crate) prefix: String,
    pub(crate) place: Place,
}

/// A relay that notices dead ones soon. It listens for a second at a time: the emulator may give a message to a listener
/// that has gone.
pub(crate) fn sqs_config() -> RelayConfig {
    RelayConfig {
        visibility: Duration::from_secs(10),
        wait: Duration::from_secs(1),
        ..RelayConfig::default()
    }
}

impl TestSqs {
    /// With its queues.
    pub(crate) async fn new() -> Self {
        let base = std::env::var("OHX_TEST_SQS_URL")
            .expect("OHX_TEST_SQS_URL is unset: run through tests/with-services --sqs");
        let prefix = format!("t-{}", LinkId::new());
        let place = Place::new(&base, &prefix, Some("us-east-1"), None).unwrap();
        SqsBus::connect(&place).create().await.unwrap();
        Self { base, prefix, place }
    }

    /// The same queues, at another address of the emulator.
    pub(crate) fn at(&self, address: std::net::SocketAddr) -> Place {
        let endpoint = format!("http://{address}");
        Place::new(&self.base, &self.prefix, Some("us-east-1"), Some(&endpoint)).unwrap()
    }

    /// A client that knows nothing of us.
    pub(crate) async fn client(&self) -> Client {
        let endpoint = self.base.rsplit_once('/').unwrap().0.to_owned();
        let config = aws_config::defaults(aws_config::BehaviorVersion::latest()).endpoint_url(endpoint);
        Client::new(&config.load().await)
    }

    pub(crate) fn url(&self, to: Function, priority: Priority) -> String {
        self.place.url(&self.place.name(to, priority))
    }

    pub(crate) async fn attribute(&self, url: &str, name: Attribute) -> String {
        let ask = self.client().await.get_queue_attributes().queue_url(url).attribute_names(name.clone());
        ask.send().await.unwrap().attributes().and_then(|all| all.get(&name)).cloned().unwrap_or_default()
    }

    /// Looks past the crate's own numbers: no message, visible or not, in any queue, nor among the dead.
    pub(crate) async fn assert_clean(&self) {
        let client = self.client().await;
        for name in self.place.names().into_iter().chain([self.place.dead()]) {
            let url = self.place.url(&name);
            let ask = client.get_queue_attributes().queue_url(&url).attribute_names(Attribute::All);
            let answer = ask.send().await.unwrap();
            for (attribute, value) in answer.attributes().unwrap() {
                if attribute.as_str().starts_with("ApproximateNumberOf") {
                    assert_eq!(value, "0", "{name} {attribute:?}");
                }
            }
            client.delete_queue().queue_url(&url).send().await.unwrap();
        }
    }
}

/// Waits until nothing is queued, delayed or in hand. Asks seldom, because each look is fifteen requests, and waits long,
/// because the emulator is slow.
pub(crate) async fn settled(bus: &SqsBus) {
    let looks = async {
        while !bus.depth().await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), looks).await.expect("took too long");
}
