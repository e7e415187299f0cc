//! Every place where something could rest, read as bytes.

use futures_util::TryStreamExt as _;
use ohx_tests::deployment::{API_KEY, Deployment, Shape};
use ohx_tests::outside::http;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};

use crate::tap::Tap;
use ohx_tests::collector::Collector;

/// A place, with what is in it.
pub struct Place {
    /// Which sort of place, as the report calls it.
    pub sort: &'static str,
    pub name: String,
    pub bytes: Vec<u8>,
}

impl Place {
    /// An answer of the API that was given on the way.
    pub fn answer(name: String, answer: &serde_json::Value) -> Self {
        Self::new(ANSWERS, name, answer.to_string())
    }

    fn new(sort: &'static str, name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { sort, name: name.into(), bytes: bytes.into() }
    }
}

/// What stands between the processes and their database and broker, and where these really are.
#[derive(Default)]
pub struct Taps {
    pub postgres: Option<(Tap, String)>,
    pub redis: Option<(Tap, String, String)>,
    pub sqs: Option<Tap>,
    pub spans: Collector,
}

pub const LOGS: &str = "logs of every process, own targets at TRACE, others at DEBUG";
pub const FILES: &str = "files of the deployment: the configuration that was applied";
pub const SQLITE: &str = "SQLite: the file, its write-ahead log and index";
pub const ROWS: &str = "PostgreSQL: every column of every table";
pub const POSTGRES_WIRE: &str = "PostgreSQL: all that went to it and came back";
pub const REDIS: &str = "Redis: every key and stream";
pub const REDIS_WIRE: &str = "Redis: all that went to it and came back";
pub const SQS_WIRE: &str = "SQS: every message that was sent or received, with its attributes";
pub const METRICS: &str = "/metrics of every function";
pub const SPANS: &str = "spans of every process, as they went to a collector";
pub const ANSWERS: &str =
    "answers of the API: links, coverage, syncs, dead letters, imports, receipts, checks; pages of patients";

/// Reads all of them.
pub async fn all(shape: Shape, deployment: &Deployment, taps: &Taps) -> Vec<Place> {
    let mut places = Vec::new();
    for (name, bytes) in deployment.written() {
        let sort = match () {
            () if name.ends_with(".log") => LOGS,
            () if name.contains("ohx.db") => SQLITE,
            () => FILES,
        };
        places.push(Place::new(sort, name, bytes));
    }
    if let Some((tap, url)) = &taps.postgres {
        places.extend(rows(url).await);
        places.extend(wire(POSTGRES_WIRE, tap));
    }
    if let Some((tap, url, prefix)) = &taps.redis {
        places.extend(keys(url, prefix).await);
        places.extend(wire(REDIS_WIRE, tap));
    }
    if let Some(tap) = &taps.sqs {
        places.extend(wire(SQS_WIRE, tap));
    }
    let spans = taps.spans.bodies();
    assert!(!spans.is_empty(), "the collector was sent spans");
    places.extend(spans.into_iter().map(|body| Place::new(SPANS, "spans", body)));
    for process in &deployment.processes {
        let answer = http().get(format!("{}/metrics", process.url())).send().await.expect("metrics");
        places.push(Place::new(METRICS, &process.name, answer.bytes().await.unwrap()));
    }
    places.extend(answers(deployment).await);
    assert!(shape != Shape::OneProcess || places.iter().any(|p| p.sort == SQLITE), "the file is there");
    places
}

fn wire(sort: &'static str, tap: &Tap) -> Vec<Place> {
    let recorded = tap.recorded().into_iter().enumerate();
    recorded.map(|(n, bytes)| Place::new(sort, format!("{} {n}", tap.address()), bytes)).collect()
}

/// Every table, as PostgreSQL itself writes columns: texts as they are, bytes as they are, and numbers in eight bytes; and once
/// more as text.
async fn rows(url: &str) -> Vec<Place> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let tables =
        sqlx::query("SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert!(tables.len() > 10, "the tables of OHX: {}", tables.len());
    let mut places = Vec::new();
    for table in tables {
        let table: String = table.get(0);
        for format in ["binary", "text"] {
            let copy = format!("COPY (SELECT * FROM \"{table}\") TO STDOUT (FORMAT {format})");
            let rows = connection.copy_out_raw(&copy).await.unwrap();
            let bytes: Vec<u8> = rows
                .try_fold(Vec::new(), async |mut all, piece| {
                    all.extend_from_slice(&piece);
                    Ok(all)
                })
                .await
                .unwrap();
            places.push(Place::new(ROWS, format!("{table}, {format}"), bytes));
        }
    }
    places
}

async fn keys(url: &str, prefix: &str) -> Vec<Place> {
    let client = redis::Client::open(url).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<Vec<u8>> =
        redis::cmd("KEYS").arg(format!("*{prefix}*")).query_async(&mut redis).await.unwrap();
    let mut places = Vec::new();
    for key in keys {
        let kind: String = redis::cmd("TYPE").arg(&key).query_async(&mut redis).await.unwrap();
        let mut command = match kind.as_str() {
            "stream" => redis::cmd("XRANGE"),
            "hash" => redis::cmd("HGETALL"),
            "list" => redis::cmd("LRANGE"),
            "set" => redis::cmd("SMEMBERS"),
            "zset" => redis::cmd("ZRANGE"),
            _ => redis::cmd("GET"),
        };
        command.arg(&key);
        match kind.as_str() {
            "stream" => command.arg("-").arg("+"),
            "list" | "zset" => command.arg(0).arg(-1),
            _ => &mut command,
        };
        let value: redis::Value = command.query_async(&mut redis).await.unwrap_or(redis::Value::Nil);
        let mut bytes = key.clone();
        flatten(&value, &mut bytes);
        places.push(Place::new(REDIS, String::from_utf8_lossy(&key), bytes));
    }
    places
}

fn flatten(value: &redis::Value, into: &mut Vec<u8>) {
    match value {
        redis::Value::BulkString(bytes) => {
            into.push(b'\n');
            into.extend_from_slice(bytes);
        }
        redis::Value::Array(all) | redis::Value::Set(all) => all.iter().for_each(|one| flatten(one, into)),
        redis::Value::Map(pairs) => pairs.iter().for_each(|(name, one)| {
            flatten(name, into);
            flatten(one, into);
        }),
        redis::Value::SimpleString(text) => into.extend_from_slice(text.as_bytes()),
        redis::Value::Int(number) => into.extend_from_slice(number.to_string().as_bytes()),
        _ => {}
    }
}

/// What anybody with the key of the API can ask for. A gateway's token and a connect address are left out: they are answered
/// to whoever asks for just that.
async fn answers(deployment: &Deployment) -> Vec<Place> {
    let mut places = Vec::new();
    let mut ask = async |path: String| {
        let answer =
            http().get(format!("{}{path}", deployment.api())).bearer_auth(API_KEY).send().await.unwrap();
        let bytes = answer.bytes().await.unwrap().to_vec();
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        places.push(Place::new(ANSWERS, path, bytes));
        value
    };
    let lists = [
        "/api/base/providers/",
        "/api/publishers/ehr-endpoints/",
        "/.well-known/jwks.json",
        "/api/transformers/mappings/",
        "/api/nothing/of/the/sort/",
    ];
    for path in lists {
        ask(path.to_owned()).await;
    }
    let texts = |list: &serde_json::Value, name: &str| -> Vec<String> {
        let all = list.as_array().into_iter().flatten();
        all.filter_map(|one| one[name].as_str().map(str::to_owned)).collect()
    };
    let links = ask("/api/base/provider-links/".to_owned()).await;
    for link in texts(&links["items"], "id") {
        ask(format!("/api/base/provider-links/{link}/")).await;
        ask(format!("/api/base/provider-links/{link}/receipt/")).await;
        ask(format!("/api/base/provider-links/{link}/devices/")).await;
        ask(format!("/api/ingestors/coverage/?link={link}")).await;
        ask(format!("/api/ingestors/coverage/why/?link={link}")).await;
    }
    let letters = ask("/api/publishers/dead-letters/".to_owned()).await;
    for letter in texts(&letters["items"], "id") {
        ask(format!("/api/publishers/dead-letters/{letter}/")).await;
    }
    places
}
