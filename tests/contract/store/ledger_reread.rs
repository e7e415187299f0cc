//! Up to when a night has read again what may have come late.

use ohx_domain::{Instant, LinkId, RequestId, SyncId, SyncReason};
use ohx_store::{NewRequest, Requested};

use crate::rig::Rig;
use crate::samples::{at, new_request, record, since, whole_run, window};

crate::promises!(
    a_whole_night_moves_it,
    what_is_on_its_way_holds_it,
    what_was_given_up_holds_it_until_a_whole_night,
    only_nights_and_only_windows_move_it,
    it_never_moves_back,
);

async fn reread(rig: &Rig, link: LinkId) -> Option<Instant> {
    rig.other.coverage(link, &record()).await.unwrap().reread
}

/// Asks for windows in one run of `reason` at `seconds`.
async fn asked<const N: usize>(
    rig: &Rig,
    link: LinkId,
    reason: SyncReason,
    seconds: i64,
    windows: [(i64, i64); N],
) -> [RequestId; N] {
    let sync = SyncId::new();
    let mut ids = [RequestId::new(); N];
    for (id, (start, end)) in ids.iter_mut().zip(windows) {
        let new = NewRequest { sync, ..new_request(link, window(start, end), reason) };
        assert_eq!(rig.store.request(&new, at(seconds)).await.unwrap(), Requested::Created);
        *id = new.id;
    }
    ids
}

async fn done(rig: &Rig, id: RequestId) {
    whole_run(&*rig.store, id, None, Vec::new()).await;
}

async fn a_whole_night_moves_it(rig: Rig) {
    let link = LinkId::new();
    let [first, second] = asked(&rig, link, SyncReason::Nightly, 100, [(10, 20), (20, 100)]).await;
    done(&rig, second).await;
    assert_eq!(reread(&rig, link).await, None, "half a night");
    done(&rig, first).await;
    assert_eq!(reread(&rig, link).await, Some(at(100)));
}

async fn what_is_on_its_way_holds_it(rig: Rig) {
    let link = LinkId::new();
    // Of another reason, from before: the night did not ask for what this one was asking for already.
    let [earlier] = asked(&rig, link, SyncReason::Notification, 90, [(10, 20)]).await;
    let [night] = asked(&rig, link, SyncReason::Nightly, 100, [(20, 100)]).await;
    done(&rig, night).await;
    assert_eq!(reread(&rig, link).await, None);
    done(&rig, earlier).await;
    let [next] = asked(&rig, link, SyncReason::Nightly, 200, [(10, 200)]).await;
    done(&rig, next).await;
    assert_eq!(reread(&rig, link).await, Some(at(200)));
}

async fn what_was_given_up_holds_it_until_a_whole_night(rig: Rig) {
    let link = LinkId::new();
    let [lost, read] = asked(&rig, link, SyncReason::Nightly, 100, [(10, 20), (20, 100)]).await;
    rig.store.fail(lost, "gone", at(101)).await.unwrap();
    done(&rig, read).await;
    assert_eq!(reread(&rig, link).await, None);
    let [next] = asked(&rig, link, SyncReason::Nightly, 200, [(10, 200)]).await;
    done(&rig, next).await;
    assert_eq!(reread(&rig, link).await, Some(at(200)), "an earlier night's failure is made good");
}

async fn only_nights_and_only_windows_move_it(rig: Rig) {
    let link = LinkId::new();
    for reason in SyncReason::ALL.into_iter().filter(|reason| *reason != SyncReason::Nightly) {
        let [id] = asked(&rig, link, reason, 100, [(10, 20)]).await;
        done(&rig, id).await;
    }
    let changes = new_request(link, since(10), SyncReason::Nightly);
    rig.store.request(&changes, at(100)).await.unwrap();
    done(&rig, changes.id).await;
    assert_eq!(reread(&rig, link).await, None);
}

async fn it_never_moves_back(rig: Rig) {
    let link = LinkId::new();
    let [later] = asked(&rig, link, SyncReason::Nightly, 200, [(10, 200)]).await;
    done(&rig, later).await;
    let [earlier] = asked(&rig, link, SyncReason::Nightly, 100, [(10, 100)]).await;
    done(&rig, earlier).await;
    assert_eq!(reread(&rig, link).await, Some(at(200)));
}
