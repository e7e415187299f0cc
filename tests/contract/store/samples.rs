//! Samples. Every test says only what it is about.

use std::collections::BTreeMap;

use ohx_domain::{
    Counts, Instant, Interval, Link, LinkId, LinkState, PushState, Query, Record, RequestId, RunId,
    Sensitive, SyncId, SyncReason,
};
use ohx_store::{Acknowledgement, Connection, NewRequest, Progress, Requested, Store};

/// So many seconds after the beginning of the tests' time.
pub(crate) fn at(seconds: i64) -> Instant {
    Instant::from_second(1_750_000_000 + seconds).unwrap()
}

/// So many microseconds after it.
pub(crate) fn at_micros(micros: i64) -> Instant {
    Instant::from_microsecond(1_750_000_000_000_000 + micros).unwrap()
}

pub(crate) fn span(start: i64, end: i64) -> Interval {
    Interval::new(at(start), at(end)).unwrap()
}

pub(crate) fn window(start: i64, end: i64) -> Query {
    Query::Window(span(start, end))
}

pub(crate) fn since(seconds: i64) -> Query {
    Query::Since { since: at(seconds) }
}

pub(crate) fn record() -> Record {
    "getmeas".parse().unwrap()
}

pub(crate) fn pending(patient: &str) -> Link {
    Link {
        id: LinkId::new(),
        provider: "withings".parse().unwrap(),
        ehr: "clinic".parse().unwrap(),
        patient: format!("Patient/{patient}").parse().unwrap(),
        also: Vec::new(),
        state: LinkState::Pending,
        state_reason: None,
        state_code: None,
        state_since: None,
        backfill_days: 30,
        account: None,
        scopes: Vec::new(),
        history_start: None,
        push: PushState::Unknown,
        data_key: None,
        created_at: at(0),
        connected_at: None,
        created_by: None,
        success_url: None,
        error_url: None,
    }
}

/// A consent with the account number `account`; everything sealed is marked with `mark`.
pub(crate) fn consent(account: u8, mark: u8, seconds: i64) -> Connection {
    Connection {
        account: Sensitive::new(format!("user-{account}")),
        account_digest: [account; 32],
        sealed_account: vec![mark, 1],
        scopes: vec!["user.metrics".to_owned(), format!("mark-{mark}")],
        data_key: vec![mark, 2, 0, 255],
        sealed_tokens: vec![mark, 3],
        tokens_expire_at: at(seconds + 10_800),
        at: at(seconds),
        history_start: None,
    }
}

/// A link that is connected with `account`.
pub(crate) async fn connected(store: &dyn Store, patient: &str, account: u8) -> LinkId {
    let link = pending(patient);
    store.insert_link(&link).await.unwrap();
    store.connect(link.id, &consent(account, 7, 10)).await.unwrap();
    link.id
}

pub(crate) fn new_request(link: LinkId, query: Query, reason: SyncReason) -> NewRequest {
    NewRequest { id: RequestId::new(), sync: SyncId::new(), link, record: record(), query, reason }
}

/// A request that was created.
pub(crate) async fn requested(store: &dyn Store, link: LinkId, query: Query) -> RequestId {
    let new = new_request(link, query, SyncReason::Manual);
    assert_eq!(store.request(&new, at(0)).await.unwrap(), Requested::Created);
    new.id
}

pub(crate) fn created(n: u64) -> Counts {
    Counts { created: n, ..Counts::default() }
}

/// The acknowledgement of a part that was not cut, with one resource created.
pub(crate) fn ack(request: RequestId, run: RunId, part: u32) -> Acknowledgement {
    Acknowledgement {
        request,
        run,
        part,
        piece: 0,
        pieces: 1,
        counts: created(1),
        skipped: BTreeMap::new(),
        holes: Vec::new(),
    }
}

/// One whole run of one part, which refuses what was taken at `holes`.
pub(crate) async fn whole_run(store: &dyn Store, id: RequestId, until: Option<Instant>, holes: Vec<Instant>) {
    let run = RunId::new();
    assert!(store.begin_fetch(id, at(1)).await.unwrap().is_some());
    assert_eq!(store.fetched(id, run, 1, until, at(2)).await.unwrap(), Progress::Open);
    let ack = Acknowledgement { holes, ..ack(id, run, 0) };
    assert_eq!(store.acknowledge(&ack, at(3)).await.unwrap(), Progress::Completed);
}
