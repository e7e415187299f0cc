//! What each engine promises on its own: addresses, starts without a database, one database in memory.

use std::time::Duration;

use ohx_domain::{LinkId, LinkState};
use ohx_store::{Configuration, Ledger, Links, Secrets, StoreError, Ticket, TicketKind};
use ohx_store_postgres::PostgresStore;
use ohx_store_sqlite::SqliteStore;

use crate::rig::{Database, Engine};
use crate::samples::{at, consent, pending, requested, whole_run, window};

#[tokio::test]
async fn a_postgres_address_is_checked_and_not_repeated() {
    for url in ["mysql://me:geheim@host/db", "postgres://me:geheim@host:port/db", "geheim", ""] {
        let error = PostgresStore::connect(url).unwrap_err();
        assert!(matches!(error, StoreError::Address { .. }), "{error}");
        assert!(error.to_string().contains("postgres://user:password@host:port/database"), "{error}");
        assert!(!format!("{error} {error:?}").contains("geheim"));
    }
}

#[tokio::test]
async fn a_process_starts_without_postgres() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("postgres://me:geheim@127.0.0.1:{unused}/db");
    let store = tokio::time::timeout(Duration::from_secs(1), async { PostgresStore::connect(&url) }).await;
    let store = store.expect("at once").expect("an address");
    let (ping, migrate) = tokio::join!(store.ping(), store.migrate());
    for error in [ping.unwrap_err(), migrate.unwrap_err()] {
        assert!(matches!(error, StoreError::Unavailable(_)), "not a schema that does not fit: {error}");
        assert!(!format!("{error} {error:?}").contains("geheim"));
    }
}

#[tokio::test]
async fn a_process_that_started_first_finds_postgres_later() {
    let database = Database::create(Engine::Postgres).await;
    let server = database.url.parse::<url::Url>().unwrap().socket_addrs(|| None).unwrap()[0];
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut url: url::Url = database.url.parse().unwrap();
    url.set_port(Some(port)).unwrap();
    let store = PostgresStore::connect(url.as_str()).unwrap();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.ping().await }
    });
    // Now it comes up, where there was nothing.
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let proxy = tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = tokio::net::TcpStream::connect(server).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
        }
    });
    waiting.await.unwrap().unwrap();
    store.migrate().await.unwrap();
    store.close().await;
    proxy.abort();
    database.remove().await;
}

#[tokio::test]
async fn a_sqlite_address_is_checked() {
    let error = SqliteStore::open("sqlite://x.db?mode=sideways").await.unwrap_err();
    assert!(matches!(error, StoreError::Address { .. }), "{error}");
    let missing = tempfile::tempdir().unwrap().path().join("gone").join("store.db");
    let error = SqliteStore::open(&format!("sqlite://{}?mode=rwc", missing.display())).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    assert!(error.to_string().contains("store.db"), "it names the file: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sqlite_store_in_memory_is_one_database() {
    let store = SqliteStore::open("sqlite::memory:").await.unwrap();
    store.migrate().await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..16 {
        let store = store.clone();
        tasks.spawn(async move {
            let ticket =
                Ticket { digest: [n; 32], kind: TicketKind::State, link: LinkId::new(), expires_at: at(100) };
            store.put_ticket(&ticket, at(0)).await.unwrap();
            let id = requested(&store, LinkId::new(), window(0, 10)).await;
            whole_run(&store, id, None, Vec::new()).await;
        });
    }
    tasks.join_all().await;
    for n in 0..16 {
        assert!(store.peek_ticket(&[n; 32], TicketKind::State, at(1)).await.unwrap().is_some());
    }
    assert_eq!(store.prune(at(1000)).await.unwrap(), 16);
    // And another store is another database.
    let other = SqliteStore::open("sqlite::memory:").await.unwrap();
    other.migrate().await.unwrap();
    assert!(other.peek_ticket(&[0; 32], TicketKind::State, at(1)).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_processes_may_open_a_new_sqlite_file_at_once() {
    for _ in 0..10 {
        let database = Database::create(Engine::Sqlite).await;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let url = database.url.clone();
            tasks.spawn(async move {
                let store = SqliteStore::open(&url).await?;
                store.migrate().await?;
                store.ping().await
            });
        }
        for result in tasks.join_all().await {
            result.unwrap();
        }
    }
}

#[tokio::test]
async fn a_destroyed_key_is_gone_from_the_sqlite_file() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("store.db").display());
    let store = SqliteStore::open(&url).await.unwrap();
    store.migrate().await.unwrap();
    let on_disk = |secret: &[u8]| {
        std::fs::read_dir(folder.path()).unwrap().any(|file| {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            bytes.windows(secret.len()).any(|w| w == secret)
        })
    };
    let (link, key) = (pending("p1"), b"the wrapped data key".to_vec());
    store.insert_link(&link).await.unwrap();
    store
        .connect(link.id, &ohx_store::Connection { data_key: key.clone(), ..consent(1, 1, 0) })
        .await
        .unwrap();
    assert!(on_disk(&key));
    store.set_link_state(link.id, LinkState::Disconnected, None).await.unwrap();
    assert!(!on_disk(&key));
}
