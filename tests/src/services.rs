//! PostgreSQL, Redis and SQS, as `tests/with-services` started them.

use sqlx::Connection as _;

fn started(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run this through tests/with-services --sqs, or make test")
    })
}

/// A database of one test's own. It goes with the server.
pub async fn database() -> String {
    let server = started("OHX_TEST_POSTGRES_URL");
    let name = format!("t{:016x}", rand::random::<u64>());
    let mut connection = sqlx::PgConnection::connect(&server).await.expect("the test PostgreSQL answers");
    let create = format!("CREATE DATABASE {name}");
    sqlx::query(sqlx::AssertSqlSafe(create)).execute(&mut connection).await.expect("a database");
    let mut url: url::Url = server.parse().expect("a URL");
    url.set_path(&name);
    url.to_string()
}

/// The Redis server, and key names of one test's own.
pub fn redis() -> (String, String) {
    (started("OHX_TEST_REDIS_URL"), format!("t{:016x}", rand::random::<u64>()))
}

/// What the queues' URLs begin with in the emulated SQS, which emulates AWS Lambda as well.
pub fn sqs_url() -> String {
    started("OHX_TEST_SQS_URL")
}

/// The settings for the emulated SQS, with queue names of one test's own.
pub fn sqs() -> [(String, String); 5] {
    [
        ("SQS_QUEUE_URL", sqs_url()),
        ("OHX_SQS_PREFIX", format!("t{:016x}", rand::random::<u64>())),
        ("AWS_REGION", started("AWS_REGION")),
        ("AWS_ACCESS_KEY_ID", started("AWS_ACCESS_KEY_ID")),
        ("AWS_SECRET_ACCESS_KEY", started("AWS_SECRET_ACCESS_KEY")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}
