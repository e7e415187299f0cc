//! How far a link's history is: counts for the patient's own page.

use ohx_domain::{Counts, LinkId, SyncReason};
use ohx_store::{History, Requested, Ticket, TicketKind};

use crate::rig::Rig;
use crate::samples::{at, created, new_request, whole_run, window};

crate::promises!(
    of_a_link_without_requests_nothing_is_known,
    the_history_is_what_was_asked_for_since_the_consent,
    an_address_of_a_page_is_good_until_it_ends,
);

async fn of_a_link_without_requests_nothing_is_known(rig: Rig) {
    let known = rig.store.history_of_link(LinkId::new(), at(0)).await.unwrap();
    assert_eq!(known, History::default());
}

async fn the_history_is_what_was_asked_for_since_the_consent(rig: Rig) {
    let (link, another) = (LinkId::new(), LinkId::new());
    let mut ids = Vec::new();
    for (link, reason, asked) in [
        (link, SyncReason::Backfill, 5),
        (link, SyncReason::Backfill, 10),
        (link, SyncReason::Reconnect, 11),
        (link, SyncReason::Backfill, 12),
        (link, SyncReason::Nightly, 13),
        (another, SyncReason::Backfill, 14),
    ] {
        let new = new_request(link, window(0, 10), reason);
        assert_eq!(rig.store.request(&new, at(asked)).await.unwrap(), Requested::Created);
        ids.push(new.id);
    }
    let since = async |seconds| rig.other.history_of_link(link, at(seconds)).await.unwrap();
    assert_eq!(since(10).await, History { requests: 3, open: 3, ..History::default() });
    // What was asked for before the consent, and for other reasons, is not history; but it arrives.
    whole_run(&*rig.store, ids[0], None, Vec::new()).await;
    whole_run(&*rig.store, ids[4], None, Vec::new()).await;
    let before = since(10).await;
    assert_eq!((before.requests, before.open, before.counts), (3, 3, Counts::default()));
    assert_eq!(before.last_published, Some(at(3)));
    whole_run(&*rig.store, ids[1], None, Vec::new()).await;
    rig.store.fail(ids[2], "given up", at(4)).await.unwrap();
    let now = since(10).await;
    assert_eq!((now.requests, now.open, now.failed, now.counts), (3, 1, 1, created(1)));
    assert_eq!(since(5).await.counts, created(2));
}

async fn an_address_of_a_page_is_good_until_it_ends(rig: Rig) {
    let ticket = Ticket { digest: [9; 32], kind: TicketKind::Page, link: LinkId::new(), expires_at: at(100) };
    rig.store.put_ticket(&ticket, at(0)).await.unwrap();
    let peek = async |kind, now| rig.other.peek_ticket(&[9; 32], kind, at(now)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(peek(TicketKind::Page, 99).await, Some(ticket.link));
    }
    assert_eq!(peek(TicketKind::Connect, 1).await, None);
    assert_eq!(peek(TicketKind::Page, 100).await, None);
}
