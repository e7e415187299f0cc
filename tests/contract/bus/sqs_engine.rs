//! What only SQS promises: messages that are kept while a function works, and come back from relays that die.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName as Attribute};
use cloudevents::AttributesReader as _;
use ohx_bus::retry::RetryPolicy;
use ohx_bus::{Bus as _, BusError};
use ohx_bus_sqs::{Place, RelayConfig, SqsBus, SqsRelay};
use ohx_domain::{Clock, Instant, ManualClock, SystemClock};
use ohx_events::{Event, Function, Priority, types};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use crate::functions::{Functions, Graves, event, status};
use crate::rig::{Proxy, Transport, deliver_to, quick, until, within};
use crate::sqs_rig::{TestSqs, settled, sqs_config};

fn sync(id: impl ToString) -> Event {
    event(id, types::SYNC_REQUESTED, Priority::Normal)
}

/// A relay in a task of its own.
struct Relay {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Relay {
    async fn start(place: &Place, config: RelayConfig, functions: &Functions, graves: &Arc<Graves>) -> Self {
        Self::with(Arc::new(SystemClock), place, config, functions, graves).await
    }

    async fn with(
        clock: Arc<dyn Clock>,
        place: &Place,
        config: RelayConfig,
        functions: &Functions,
        graves: &Arc<Graves>,
    ) -> Self {
        let relay = SqsRelay::new(place, clock, config).unwrap();
        let deliver = deliver_to(functions, Transport::Router).await;
        let (stop, stopped) = oneshot::channel();
        let graves = graves.clone();
        let shutdown = async move {
            let _: Result<(), _> = stopped.await;
        };
        let policy = RetryPolicy { handed_out: 2, ..quick(2) };
        let task = tokio::spawn(async move { relay.run(deliver, graves, policy, shutdown).await });
        Self { stop, task }
    }

    /// As a node that loses power: nothing is finished, nothing is said.
    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    async fn finish(self) {
        self.stop.send(()).unwrap();
        within(self.task).await.unwrap();
    }
}

/// Messages come back after so many seconds. Where a relay is killed, later than its last listener ends: the emulator
/// would give the message to that.
fn hasty(seconds: u64) -> RelayConfig {
    RelayConfig { visibility: Duration::from_secs(seconds), ..sqs_config() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_kept_for_as_long_as_its_function_works() {
    let sqs = TestSqs::new().await;
    let bus = SqsBus::connect(&sqs.place);
    let graves = Arc::new(Graves::default());
    let slow = Functions::new(|_| async {
        tokio::time::sleep(Duration::from_millis(3500)).await;
        status(200)
    });
    // Two relays: the second would be given whatever the first does not keep.
    let one = Relay::start(&sqs.place, hasty(1), &slow, &graves).await;
    let two = Relay::start(&sqs.place, hasty(1), &slow, &graves).await;
    bus.publish(vec![sync("slow")]).await.unwrap();
    settled(&bus).await;
    assert_eq!(slow.calls().len(), 1);
    one.finish().await;
    two.finish().await;
    sqs.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_relay_takes_over_from_a_killed_one() {
    let sqs = TestSqs::new().await;
    let bus = SqsBus::connect(&sqs.place);
    let graves = Arc::new(Graves::default());
    let hanging = Functions::new(|_| std::future::pending());
    let first = Relay::start(&sqs.place, hasty(3), &hanging, &graves).await;
    bus.publish((0..12).map(sync).collect()).await.unwrap();
    until(async || hanging.calls().len() == 12).await;
    first.kill().await;

    let working = Functions::new(|_| async { status(200) });
    let second = Relay::start(&sqs.place, hasty(3), &working, &graves).await;
    settled(&bus).await;
    let ids: BTreeSet<_> = working.ids().into_iter().collect();
    assert_eq!(ids, (0..12).map(|n| n.to_string()).collect());
    assert_eq!(working.calls().len(), 12);
    assert!(graves.letters().is_empty());
    second.finish().await;
    sqs.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_kills_every_relay_becomes_a_dead_letter() {
    let sqs = TestSqs::new().await;
    let bus = SqsBus::connect(&sqs.place);
    let graves = Arc::new(Graves::default());
    let hanging = Functions::new(|_| std::future::pending());
    bus.publish(vec![sync("killer")]).await.unwrap();
    for n in 1..=2 {
        let relay = Relay::start(&sqs.place, hasty(3), &hanging, &graves).await;
        until(async || hanging.calls().len() == n).await;
        relay.kill().await;
    }
    let last = Relay::start(&sqs.place, hasty(3), &hanging, &graves).await;
    settled(&bus).await;
    assert_eq!(hanging.calls().len(), 2);
    let letters = graves.letters();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].event.id(), letters[0].event.data()), ("killer", None));
    last.finish().await;
    sqs.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_relays_share_the_work() {
    let sqs = TestSqs::new().await;
    let bus = SqsBus::connect(&sqs.place);
    let graves = Arc::new(Graves::default());
    let crews: Vec<_> = (0..3)
        .map(|_| {
            Functions::new(|_| async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                status(200)
            })
        })
        .collect();
    let mut relays = Vec::new();
    for crew in &crews {
        relays.push(Relay::start(&sqs.place, sqs_config(), crew, &graves).await);
    }
    bus.publish((0..300).map(sync).collect()).await.unwrap();
    settled(&bus).await;
    let ids: Vec<_> = crews.iter().flat_map(Functions::ids).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 300);
    assert_eq!(ids.len(), 300, "nothing failed, so nothing was delivered twice");
    let shares: Vec<_> = crews.iter().map(|crew| crew.ids().len()).collect();
    assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
    for relay in relays {
        relay.finish().await;
    }
    sqs.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_buried_and_does_not_come_back() {
    let sqs = TestSqs::new().await;
    let bus = SqsBus::connect(&sqs.place);
    let graves = Arc::new(Graves::default());
    *graves.refusals.lock().unwrap() = 1;
    let url = sqs.url(Function::Fetch, Priority::Normal);
    for body in ["{", r#"{"specversion":"1.0"}"#, "what ever"] {
        sqs.client().await.send_message().queue_url(&url).message_body(body).send().await.unwrap();
    }
    bus.publish(vec![sync("neighbour")]).await.unwrap();
    let working = Functions::new(|_| async { status(200) });
    let relay = Relay::start(&sqs.place, sqs_config(), &working, &graves).await;
    settled(&bus).await;
    assert_eq!(working.ids(), ["neighbour"]);
    // One dead letter was refused.
    assert_eq!(graves.letters().len(), 2);
    assert!(
        graves.letters().iter().all(|letter| letter.event.ty() == "org.openhealthexchange.unreadable.v1")
    );
    relay.finish().await;
    sqs.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_delay_is_put_off_and_counts_as_no_attempt() {
    let sqs = TestSqs::new().await;
    let bus = SqsBus::connect(&sqs.place);
    let graves = Arc::new(Graves::default());
    // As it is after the quarter of an hour that SQS delays by itself: an hour was asked for.
    let delay = MessageAttributeValue::builder().data_type("Number").string_value("3600000").build().unwrap();
    let body = serde_json::to_string(&sync("later")).unwrap();
    let url = sqs.url(Function::Fetch, Priority::Normal);
    let send = sqs.client().await.send_message().queue_url(&url).message_body(body);
    send.message_attributes("delay", delay).send().await.unwrap();

    // Eight seconds before it is due.
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    clock.advance(Duration::from_secs(3592));
    let failing = Functions::new(|_| async { status(503) });
    let relay = Relay::with(clock.clone(), &sqs.place, sqs_config(), &failing, &graves).await;
    until(async || bus.depth().await.unwrap().queues[&(Function::Fetch, Priority::Normal)].in_hand == 1)
        .await;
    clock.advance(Duration::from_secs(8));
    let began = tokio::time::Instant::now();
    settled(&bus).await;
    let calls = failing.calls();
    assert!(
        calls[0].at - began > Duration::from_secs(5),
        "it was delivered early: {:?}",
        calls[0].at - began
    );
    assert_eq!(calls.len(), 2, "two attempts, and being put off was none");
    assert_eq!(graves.letters()[0].attempts, 2);
    relay.finish().await;
    sqs.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_relay_never_settles_ends_among_the_dead() {
    let sqs = TestSqs::new().await;
    let bus = SqsBus::connect(&sqs.place);
    let url = sqs.url(Function::Fetch, Priority::Normal);
    let policy: serde_json::Value =
        serde_json::from_str(&sqs.attribute(&url, Attribute::RedrivePolicy).await).unwrap();
    assert_eq!(policy["maxReceiveCount"], 1000);
    let arn = policy["deadLetterTargetArn"].as_str().unwrap();
    assert!(arn.ends_with(&sqs.place.dead()), "{arn}");
    let dead = sqs.place.url(&sqs.place.dead());
    assert_eq!(sqs.attribute(&dead, Attribute::MessageRetentionPeriod).await, "1209600");

    // With two instead of a thousand, and a relay that dies with each.
    let twice = serde_json::json!({ "deadLetterTargetArn": arn, "maxReceiveCount": 2 }).to_string();
    let change = sqs.client().await.set_queue_attributes().queue_url(&url);
    change.attributes(Attribute::RedrivePolicy, twice).send().await.unwrap();
    bus.publish(vec![sync("stuck")]).await.unwrap();
    let hanging = Functions::new(|_| std::future::pending());
    for n in 1..=2 {
        let relay = Relay::start(&sqs.place, hasty(3), &hanging, &Arc::default()).await;
        until(async || hanging.calls().len() == n).await;
        relay.kill().await;
    }
    let relay = Relay::start(&sqs.place, hasty(3), &hanging, &Arc::default()).await;
    until(async || sqs.attribute(&dead, Attribute::ApproximateNumberOfMessages).await == "1").await;
    assert_eq!(hanging.calls().len(), 2);
    relay.finish().await;
    sqs.client().await.purge_queue().queue_url(dead).send().await.unwrap();
    sqs.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_cuts_long_polls() {
    let sqs = TestSqs::new().await;
    let patient = RelayConfig { wait: Duration::from_secs(20), ..sqs_config() };
    let working = Functions::new(|_| async { status(200) });
    let relay = Relay::start(&sqs.place, patient, &working, &Arc::default()).await;
    SqsBus::connect(&sqs.place).publish(vec![sync("one")]).await.unwrap();
    until(async || working.calls().len() == 1).await;
    let began = tokio::time::Instant::now();
    relay.finish().await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_absent_sqs_is_an_error_and_nothing_is_lost() {
    let sqs = TestSqs::new().await;
    let proxy = Proxy::start(sqs.base.split("://").nth(1).unwrap().split('/').next().unwrap()).await;
    let cut = sqs.at(proxy.address);
    let bus = SqsBus::connect(&cut);
    let graves = Arc::new(Graves::default());
    let gate = Arc::new(Semaphore::new(0));
    let closed = gate.clone();
    let functions = Functions::new(move |call| {
        let gate = closed.clone();
        async move {
            if call.event.id() == "in-hand" {
                gate.acquire().await.unwrap().forget();
            }
            status(200)
        }
    });
    let relay = Relay::start(&cut, sqs_config(), &functions, &graves).await;
    bus.ping().await.unwrap();
    bus.publish(vec![sync("in-hand")]).await.unwrap();
    until(async || functions.calls().len() == 1).await;

    proxy.up.send_replace(false);
    assert!(matches!(within(bus.publish(vec![sync("refused")])).await, Err(BusError::Unavailable(_))));
    assert!(matches!(within(bus.ping()).await, Err(BusError::Unavailable(_))));
    // The delivery ends while SQS is away: it is deleted when SQS is back, not delivered again.
    gate.add_permits(1);
    let elsewhere = SqsBus::connect(&sqs.place);
    elsewhere.publish(vec![sync("meanwhile")]).await.unwrap();

    proxy.up.send_replace(true);
    until(async || bus.publish(vec![sync("again")]).await.is_ok()).await;
    settled(&elsewhere).await;
    assert_eq!(functions.calls_of("in-hand").len(), 1);
    assert_eq!(functions.calls_of("meanwhile").len(), 1);
    assert_eq!(functions.calls_of("again").len(), 1);
    assert!(functions.calls_of("refused").is_empty());
    relay.finish().await;
    sqs.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_that_are_missing_are_named() {
    let sqs = TestSqs::new().await;
    let bus = SqsBus::connect(&sqs.place);
    assert_eq!(bus.missing().await, Vec::<String>::new());
    bus.create().await.unwrap();
    let gone = sqs.url(Function::Fetch, Priority::High);
    sqs.client().await.delete_queue().queue_url(&gone).send().await.unwrap();
    let missing = bus.missing().await;
    assert_eq!(missing.len(), 1);
    assert!(missing[0].contains("-fetch-high") && missing[0].contains("ohx migrate --queues"), "{missing:?}");
    let error = bus.ping().await.unwrap_err().to_string();
    assert!(error.contains("ohx migrate --queues"), "{error}");
    bus.create().await.unwrap();
    bus.ping().await.unwrap();
    sqs.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_gone_does_not_hold_up_the_others() {
    let sqs = TestSqs::new().await;
    let bus = SqsBus::connect(&sqs.place);
    let gone = sqs.url(Function::Fetch, Priority::High);
    sqs.client().await.delete_queue().queue_url(&gone).send().await.unwrap();
    bus.publish((0..80).map(sync).collect()).await.unwrap();
    let functions = Functions::new(|_| async { status(204) });
    let relay = Relay::start(&sqs.place, sqs_config(), &functions, &Arc::new(Graves::default())).await;
    // A pause of up to five seconds before each four of them would take far longer.
    let all = until(async || functions.calls().len() == 80);
    tokio::time::timeout(Duration::from_secs(30), all).await.expect("the other queues flow");
    bus.create().await.unwrap();
    settled(&bus).await;
    relay.finish().await;
    sqs.assert_clean().await;
}

#[test]
fn a_setup_that_cannot_work_is_refused() {
    let place = Place::new("http://127.0.0.1:1/0", "t", Some("us-east-1"), None).unwrap();
    let endless = RelayConfig { wait: Duration::ZERO, ..sqs_config() };
    assert!(SqsRelay::new(&place, Arc::new(ManualClock::new(Instant::UNIX_EPOCH)), endless).is_err());
}
