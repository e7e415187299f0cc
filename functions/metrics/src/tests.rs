//! The text, the keeping, and parts that do not answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use ohx_bus::{Bus, BusError, Depth, QueueDepth};
use ohx_domain::{LinkState, ManualClock};
use ohx_events::{Event, Function, Priority};
use ohx_store::{Configuration as _, Freshness, Night, OpenWork, Outcomes, Prediction};
use ohx_store_sqlite::SqliteStore;

use super::*;

fn at(second: i64) -> Instant {
    Instant::from_second(1_790_000_000 + second).unwrap()
}

/// Everything that can be there, and letters of functions that there are not.
fn everything() -> (Snapshot, Depth) {
    let withings: ohx_domain::ProviderName = "withings".parse().unwrap();
    let snapshot = Snapshot {
        providers: vec![withings.clone(), "google".parse().unwrap()],
        ehrs: [("clinic".to_owned(), true), ("ward".to_owned(), false)].into(),
        retired: ["google".to_owned()].into(),
        links: vec![(withings.clone(), LinkState::Active, 7), (withings.clone(), LinkState::Pending, 1)],
        freshness: vec![Freshness {
            provider: withings.clone(),
            within: [1, 0, 2, 0, 0, 0, 0, 1],
            beyond: 3,
            sum: Duration::from_secs(2_600_000),
        }],
        gaps: vec![(withings.clone(), 2)],
        open: vec![OpenWork { provider: withings.clone(), requests: 4, oldest: at(-90) }],
        letters: vec![("publish".to_owned(), 5), ("mail\"er".to_owned(), 1), ("mailbox".to_owned(), 1)],
        outcomes: vec![Outcomes { provider: withings.clone(), outcome: "created".to_owned(), resources: 11 }],
        night: Some(Night {
            started: at(-3600),
            completed: Some(at(-3590)),
            predicted: vec![Prediction { provider: withings, calls: 14, finish: at(-3000) }],
        }),
    };
    let queue = QueueDepth { queued: 3, in_hand: 2, oldest: Some(Duration::from_millis(1500)) };
    let idle = QueueDepth::default();
    let queues = [((Function::Fetch, Priority::High), queue), ((Function::Fetch, Priority::Low), idle)];
    (snapshot, Depth { queues: queues.into(), delayed: 6 })
}

/// The samples of a text, each by its name and labels. Panics where it is not in the text format: a family is declared once,
/// before its samples, which stand together; no sample is there twice.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let (mut all, mut declared) = (BTreeMap::new(), BTreeSet::new());
    let (mut family, mut kind) = (String::new(), String::new());
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split_once(' ').expect("a help text").0.to_owned();
            assert!(declared.insert(family.clone()), "{family} is declared twice");
        } else if let Some(shown) = line.strip_prefix("# TYPE ") {
            let (name, of) = shown.split_once(' ').unwrap();
            assert_eq!(name, family, "its type stands behind its help");
            kind = of.to_owned();
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let name = sample.split('{').next().unwrap();
            let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(suffixes.iter().any(|end| name == format!("{family}{end}")), "{line} under {family}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert_eq!(kind == "counter", family.ends_with("_total"), "{family} is a {kind}");
            assert_eq!(all.insert(sample.to_owned(), value.parse().unwrap()), None, "{sample} twice");
        }
    }
    all
}

fn shown() -> String {
    let (snapshot, depth) = everything();
    let mut families = Families::default();
    snapshot.show(at(0), &mut families);
    broker::show(&depth, &mut families);
    families.text()
}

#[test]
fn what_is_known_is_shown() {
    let text = shown();
    let samples = samples(&text);
    for (sample, value) in [
        ("ohx_links{provider=\"withings\",state=\"active\"}", 7.0),
        ("ohx_link_freshness_seconds_bucket{provider=\"withings\",le=\"3600\"}", 1.0),
        ("ohx_link_freshness_seconds_bucket{provider=\"withings\",le=\"43200\"}", 3.0),
        ("ohx_link_freshness_seconds_bucket{provider=\"withings\",le=\"2592000\"}", 4.0),
        ("ohx_link_freshness_seconds_bucket{provider=\"withings\",le=\"+Inf\"}", 7.0),
        ("ohx_link_freshness_seconds_count{provider=\"withings\"}", 7.0),
        ("ohx_link_freshness_seconds_sum{provider=\"withings\"}", 2_600_000.0),
        ("ohx_coverage_gap_links{provider=\"withings\"}", 2.0),
        ("ohx_coverage_gap_links{provider=\"google\"}", 0.0),
        ("ohx_open_requests{provider=\"withings\"}", 4.0),
        ("ohx_open_requests{provider=\"google\"}", 0.0),
        ("ohx_oldest_open_request_age_seconds{provider=\"withings\"}", 90.0),
        ("ohx_dead_letters{function=\"publish\"}", 5.0),
        ("ohx_dead_letters{function=\"fetch\"}", 0.0),
        ("ohx_dead_letters{function=\"other\"}", 2.0),
        ("ohx_readings_total{provider=\"withings\",outcome=\"created\"}", 11.0),
        ("ohx_readings_total{provider=\"google\",outcome=\"rejected\"}", 0.0),
        ("ohx_queue_events{function=\"fetch\",priority=\"high\"}", 5.0),
        ("ohx_queue_lag_events{function=\"fetch\",priority=\"high\"}", 3.0),
        ("ohx_queue_delayed_events", 6.0),
        ("ohx_queue_oldest_event_age_seconds{function=\"fetch\",priority=\"high\"}", 1.5),
        ("ohx_nightly_last_start_timestamp_seconds", 1_789_996_400.0),
        ("ohx_nightly_last_completion_timestamp_seconds", 1_789_996_410.0),
        ("ohx_nightly_predicted_finish_timestamp_seconds{provider=\"withings\"}", 1_789_997_000.0),
        ("ohx_nightly_predicted_calls{provider=\"withings\"}", 14.0),
        ("ohx_provider_retired{provider=\"google\"}", 1.0),
        ("ohx_provider_retired{provider=\"withings\"}", 0.0),
        ("ohx_ehr_paused{ehr=\"clinic\"}", 1.0),
        ("ohx_ehr_paused{ehr=\"ward\"}", 0.0),
    ] {
        assert_eq!(samples.get(sample), Some(&value), "{sample} in\n{text}");
    }
    // What is not known is not there, rather than 0.
    assert!(!text.contains("ohx_queue_oldest_event_age_seconds{function=\"fetch\",priority=\"low\"}"));
    assert!(!text.contains("ohx_oldest_open_request_age_seconds{provider=\"google\"}"));
}

/// Labels are few, and what they say comes from the configuration or the program.
#[test]
fn labels_are_bounded() {
    let known = ["provider", "state", "le", "function", "priority", "outcome", "ehr", "part"];
    for sample in samples(&shown()).keys() {
        let Some((_, labels)) = sample.split_once('{') else { continue };
        for label in labels.trim_end_matches('}').split("\",") {
            let name = label.split('=').next().unwrap();
            assert!(known.contains(&name), "{sample}");
        }
    }
}

#[test]
fn nothing_known_is_nothing_shown() {
    let mut families = Families::default();
    Snapshot::default().show(at(0), &mut families);
    let samples = samples(&families.text());
    assert!(samples.keys().all(|sample| sample.starts_with("ohx_dead_letters")), "{samples:?}");
}

/// A broker that counts how often it was asked, and may be away.
#[derive(Default)]
struct Asked {
    times: AtomicU64,
    away: bool,
}

#[async_trait]
impl Bus for Asked {
    async fn publish(&self, _: Vec<Event>) -> Result<(), BusError> {
        Err(BusError::Closed)
    }

    async fn publish_after(&self, _: Event, _: Duration) -> Result<(), BusError> {
        Err(BusError::Closed)
    }

    async fn ping(&self) -> Result<(), BusError> {
        if self.away { Err(BusError::Closed) } else { Ok(()) }
    }

    async fn depth(&self) -> Result<Option<Depth>, BusError> {
        let times = self.times.fetch_add(1, Ordering::Relaxed);
        // Others get the chance to ask meanwhile.
        tokio::task::yield_now().await;
        self.ping().await?;
        Ok(Some(Depth { delayed: times, ..Depth::default() }))
    }
}

async fn store(migrated: bool) -> SharedStore {
    let store = SqliteStore::open("sqlite::memory:").await.unwrap();
    if migrated {
        store.migrate().await.unwrap();
    }
    Arc::new(store)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_together_or_soon_after_gets_one_reading() {
    let (bus, clock) = (Arc::new(Asked::default()), Arc::new(ManualClock::new(at(0))));
    let collector =
        Collector::new(store(true).await, Some(bus.clone()), clock.clone(), Duration::from_secs(15));
    let collector = Arc::new(collector);
    let more = collector.more();
    let all: Vec<_> = (0..20).map(|_| tokio::spawn(more())).collect();
    for one in all {
        assert!(one.await.unwrap().contains("ohx_queue_delayed_events 0\n"));
    }
    clock.advance(Duration::from_millis(14_999));
    assert!(collector.text().await.contains("ohx_queue_delayed_events 0\n"));
    assert_eq!(bus.times.load(Ordering::Relaxed), 1);
    clock.advance(Duration::from_millis(1));
    assert!(collector.text().await.contains("ohx_queue_delayed_events 1\n"), "a new one");
}

#[tokio::test]
async fn what_does_not_answer_is_absent_and_counted() {
    let keep = Duration::ZERO;
    let collector = |store, away| {
        let bus = Arc::new(Asked { away, ..Asked::default() });
        Collector::new(store, Some(bus), Arc::new(ManualClock::new(at(0))), keep)
    };
    let errors = |text: &str| {
        let samples = samples(text);
        ["database", "broker"]
            .map(|part| samples[&format!("ohx_metrics_collection_errors_total{{part=\"{part}\"}}")])
    };
    let without_broker = collector(store(true).await, true);
    for n in 1..=2 {
        let text = without_broker.text().await;
        assert!(text.contains("ohx_dead_letters{") && !text.contains("ohx_queue"), "{text}");
        assert_eq!(errors(&text), [0.0, f64::from(n)]);
    }
    assert_eq!(without_broker.ready()().await, Ok(()));
    // A database without our tables refuses every question.
    let text = collector(store(false).await, false).text().await;
    assert!(text.contains("ohx_queue_delayed_events") && !text.contains("ohx_dead_letters{"), "{text}");
    assert_eq!(errors(&text), [1.0, 0.0]);
    let neither = collector(store(false).await, true).text().await;
    assert_eq!(errors(&neither), [1.0, 1.0]);
}

#[test]
fn settings_say_how_long_and_which_broker() {
    let settings = |pairs: &[(&str, &str)]| Settings::from_pairs(pairs.iter().copied());
    assert_eq!(kept(&settings(&[])).unwrap(), KEPT);
    assert_eq!(kept(&settings(&[("OHX_METRICS_KEPT_SECONDS", "60")])).unwrap(), Duration::from_secs(60));
    let wrong = kept(&settings(&[("OHX_METRICS_KEPT_SECONDS", "a while")])).unwrap_err();
    assert!(wrong.to_string().starts_with("OHX_METRICS_KEPT_SECONDS is wrong"), "{wrong}");
    // A broker that is somebody else's is not needed, nor is its address.
    assert!(bus(&settings(&[("OHX_BUS", "http")])).unwrap().is_none());
    assert!(bus(&settings(&[("K_SINK", "http://broker")])).unwrap().is_none());
    let wrong = bus(&settings(&[("OHX_BUS", "redis")])).err().unwrap();
    assert!(wrong.to_string().starts_with("REDIS_URL is not set"), "{wrong}");
}
