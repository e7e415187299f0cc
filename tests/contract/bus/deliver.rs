//! Calling functions: what does not need an engine.

use std::collections::BTreeMap;

use ohx_bus::deliver::{HttpDeliver, RouterDeliver};
use ohx_bus::{Deliver, Verdict};
use ohx_events::{Function, Priority, types};

use crate::functions::{client, event};

fn reason(verdict: Verdict) -> String {
    match verdict {
        Verdict::Retry { after: None, reason } => reason,
        other => panic!("{other:?} should be a retry"),
    }
}

#[tokio::test]
async fn a_function_that_is_not_there_is_tried_again() {
    let event = event("e", types::SYNC_REQUESTED, Priority::Normal);
    let http = HttpDeliver::new(client(), BTreeMap::new());
    assert!(
        reason(http.deliver(Function::Fetch, &event).await)
            .contains("no URL is configured for the function fetch")
    );
    let router = RouterDeliver::new(BTreeMap::new());
    assert!(
        reason(router.deliver(Function::Fetch, &event).await).contains("fetch does not run in this process")
    );
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_tried_again() {
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let url = format!("http://user:secret@127.0.0.1:{port}/").parse().unwrap();
    let http = HttpDeliver::new(client(), BTreeMap::from([(Function::Fetch, url)]));
    let reason =
        reason(http.deliver(Function::Fetch, &event("e", types::SYNC_REQUESTED, Priority::Normal)).await);
    assert!(reason.starts_with("no connection") && !reason.contains("secret"), "{reason}");
}
