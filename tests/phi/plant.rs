//! The search over real places: once nothing was found, a canary is planted in each of them, and has to be.

use std::io::Write as _;
use std::sync::Arc;

use ohx_domain::{Clock as _, SystemClock};
use ohx_store::{DeadLetter, SharedStore};
use ohx_tests::deployment::{Deployment, Shape};
use ohx_tests::outside::http;

use crate::canary::Search;
use crate::places::{self, Taps};

const PLANTED: &str = "71.23456789";

/// An export of one span that says `text`.
fn span(text: &str) -> Vec<u8> {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use prost::Message as _;
    let span = Span { name: text.to_owned(), ..Span::default() };
    let scope = ScopeSpans { spans: vec![span], ..ScopeSpans::default() };
    let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource] }.encode_to_vec()
}

/// The store of a deployment; through the tap where there is one, as its functions reach it.
pub async fn store(deployment: &Deployment) -> SharedStore {
    let url = deployment.setting("DATABASE_URL").expect("a database");
    match url.starts_with("postgres") {
        true => Arc::new(ohx_store_postgres::PostgresStore::connect(url).unwrap()),
        false => Arc::new(ohx_store_sqlite::SqliteStore::open(url).await.unwrap()),
    }
}

/// Plants, gathers again in the same way, and looks.
pub async fn found(deployment: &Deployment, taps: &Taps, shape: Shape, search: &Search) {
    let mut planted = vec![places::LOGS, places::ANSWERS, places::FILES];
    let write = |name: &str, text: &str| {
        let path = deployment.folder().join(name);
        let mut file = std::fs::File::options().append(true).create(true).open(path).unwrap();
        writeln!(file, "{text}").unwrap();
    };
    write(&format!("{}.log", deployment.processes[0].name), &format!("{{\"message\":\"weight {PLANTED}\"}}"));
    write("ohx.yaml", &format!("# {PLANTED}"));
    // A dead letter is in the database, and in an answer of the API.
    let letter = DeadLetter {
        key: "planted".into(),
        event_type: "test".into(),
        function: "publish".into(),
        link: None,
        request: None,
        reason: format!("planted {PLANTED}"),
        attempts: 1,
        at: SystemClock.now(),
    };
    store(deployment).await.bury(&letter).await.unwrap();
    match &taps.postgres {
        Some(_) => planted.extend([places::ROWS, places::POSTGRES_WIRE]),
        None => planted.push(places::SQLITE),
    }
    if let Some((_, _, prefix)) = &taps.redis {
        let client = redis::Client::open(deployment.setting("REDIS_URL").unwrap()).unwrap();
        let mut redis = client.get_multiplexed_async_connection().await.unwrap();
        let key = format!("{prefix}:planted");
        let add = redis::cmd("XADD").arg(key).arg("*").arg("data").arg(PLANTED).query_async(&mut redis).await;
        let _id: String = add.unwrap();
        planted.extend([places::REDIS, places::REDIS_WIRE]);
    }
    if taps.sqs.is_some() {
        let url = deployment.setting("SQS_QUEUE_URL").unwrap();
        // What the emulator makes of it is of no consequence: it was sent.
        let _answer = http().post(url).body(format!("{{\"MessageBody\":\"{PLANTED}\"}}")).send().await;
        planted.push(places::SQS_WIRE);
    }
    let endpoint = deployment.setting("OTEL_EXPORTER_OTLP_ENDPOINT").unwrap();
    let answer = http().post(format!("{endpoint}/v1/traces")).body(span(PLANTED)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    planted.push(places::SPANS);
    let places = places::all(shape, deployment, taps).await;
    for sort in planted {
        let in_sort = || places.iter().filter(|place| place.sort == sort);
        let hits = in_sort().flat_map(|place| search.hits(&place.name, &place.bytes)).count();
        assert!(hits > 0, "planted in {sort}, and not found there ({} places)", in_sort().count());
    }
    // A metric cannot be planted from outside; that they were read can be seen.
    let mut metrics = places.iter().filter(|place| place.sort == places::METRICS);
    assert!(metrics.any(|place| place.bytes.windows(4).any(|w| w == b"ohx_")), "metrics were read");
}
