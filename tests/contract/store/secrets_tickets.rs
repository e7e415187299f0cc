//! Tickets: used once, and only in time.

use ohx_domain::LinkId;
use ohx_store::{StoreError, Ticket, TicketKind};

use crate::rig::Rig;
use crate::samples::{at, at_micros};

crate::promises!(
    a_ticket_is_good_once,
    looking_at_a_ticket_does_not_use_it,
    a_ticket_ends_at_its_instant,
    a_ticket_is_good_for_one_thing,
    a_ticket_is_stored_once,
    expired_tickets_are_removed_on_the_way,
    of_many_takers_one_has_it,
    tickets_may_be_put_from_everywhere,
);

fn ticket(digest: u8, expires: i64) -> Ticket {
    Ticket { digest: [digest; 32], kind: TicketKind::State, link: LinkId::new(), expires_at: at(expires) }
}

async fn a_ticket_is_good_once(rig: Rig) {
    let (first, second) = (ticket(1, 100), ticket(2, 100));
    rig.store.put_ticket(&first, at(0)).await.unwrap();
    rig.store.put_ticket(&second, at(0)).await.unwrap();
    assert_eq!(rig.other.take_ticket(&[1; 32], TicketKind::State, at(1)).await.unwrap(), Some(first.link));
    assert_eq!(rig.store.take_ticket(&[1; 32], TicketKind::State, at(1)).await.unwrap(), None);
    assert_eq!(rig.other.peek_ticket(&[1; 32], TicketKind::State, at(1)).await.unwrap(), None);
    assert_eq!(rig.store.take_ticket(&[2; 32], TicketKind::State, at(1)).await.unwrap(), Some(second.link));
}

async fn looking_at_a_ticket_does_not_use_it(rig: Rig) {
    let ticket = ticket(1, 100);
    rig.store.put_ticket(&ticket, at(0)).await.unwrap();
    for _ in 0..2 {
        let seen = rig.other.peek_ticket(&[1; 32], TicketKind::State, at(99)).await.unwrap();
        assert_eq!(seen, Some(ticket.link));
    }
    assert_eq!(rig.store.take_ticket(&[1; 32], TicketKind::State, at(99)).await.unwrap(), Some(ticket.link));
}

async fn a_ticket_ends_at_its_instant(rig: Rig) {
    let ticket = ticket(1, 100);
    rig.store.put_ticket(&ticket, at(0)).await.unwrap();
    assert_eq!(rig.store.peek_ticket(&[1; 32], TicketKind::State, at(100)).await.unwrap(), None);
    assert_eq!(rig.store.take_ticket(&[1; 32], TicketKind::State, at(100)).await.unwrap(), None);
    let just_before = at_micros(100_000_000 - 1);
    assert_eq!(
        rig.store.take_ticket(&[1; 32], TicketKind::State, just_before).await.unwrap(),
        Some(ticket.link)
    );
}

async fn a_ticket_is_good_for_one_thing(rig: Rig) {
    rig.store.put_ticket(&ticket(1, 100), at(0)).await.unwrap();
    assert_eq!(rig.store.take_ticket(&[1; 32], TicketKind::Connect, at(1)).await.unwrap(), None);
    assert_eq!(rig.store.peek_ticket(&[1; 32], TicketKind::Connect, at(1)).await.unwrap(), None);
    assert_eq!(rig.store.take_ticket(&[9; 32], TicketKind::State, at(1)).await.unwrap(), None);
    assert!(rig.store.take_ticket(&[1; 32], TicketKind::State, at(1)).await.unwrap().is_some());
}

async fn a_ticket_is_stored_once(rig: Rig) {
    let first = ticket(1, 100);
    rig.store.put_ticket(&first, at(0)).await.unwrap();
    assert!(matches!(rig.store.put_ticket(&ticket(1, 200), at(0)).await, Err(StoreError::Conflict { .. })));
    assert_eq!(rig.store.take_ticket(&[1; 32], TicketKind::State, at(1)).await.unwrap(), Some(first.link));
}

async fn expired_tickets_are_removed_on_the_way(rig: Rig) {
    rig.store.put_ticket(&ticket(1, 100), at(0)).await.unwrap();
    rig.store.put_ticket(&ticket(2, 101), at(0)).await.unwrap();
    rig.store.put_ticket(&ticket(3, 200), at(100)).await.unwrap();
    // A clock that went back would still see what is only expired.
    assert!(rig.store.peek_ticket(&[1; 32], TicketKind::State, at(0)).await.unwrap().is_none());
    assert!(rig.store.peek_ticket(&[2; 32], TicketKind::State, at(0)).await.unwrap().is_some());
    // Also where it is the same again.
    let again = ticket(2, 300);
    rig.store.put_ticket(&again, at(150)).await.unwrap();
    assert_eq!(rig.store.peek_ticket(&[2; 32], TicketKind::State, at(150)).await.unwrap(), Some(again.link));
}

async fn of_many_takers_one_has_it(rig: Rig) {
    for round in 0..10 {
        let ticket = ticket(round, 100);
        rig.store.put_ticket(&ticket, at(0)).await.unwrap();
        let taken = rig
            .at_once(16, |store, _| async move {
                store.take_ticket(&[round; 32], TicketKind::State, at(1)).await.unwrap()
            })
            .await;
        assert_eq!(taken.into_iter().flatten().collect::<Vec<_>>(), [ticket.link]);
    }
}

async fn tickets_may_be_put_from_everywhere(rig: Rig) {
    // Each also cleans up after the round before: no two may stand in each other's way.
    for round in 0_u8..8 {
        let now = i64::from(round) * 10;
        rig.at_once(16, |store, i| {
            let ticket = ticket(round * 16 + u8::try_from(i).unwrap(), now + 10);
            async move { store.put_ticket(&ticket, at(now)).await.unwrap() }
        })
        .await;
    }
}
