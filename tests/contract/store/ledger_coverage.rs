//! What counts as covered once a request is complete.

use ohx_domain::{Instant, Intervals, LinkId, Query, RunId};
use ohx_store::{Acknowledgement, Coverage, Progress};

use crate::rig::Rig;
use crate::samples::{ack, at, at_micros, record, requested, since, span, whole_run, window};

crate::promises!(
    nothing_is_covered_at_first,
    a_window_is_covered_once_it_is_complete,
    nothing_is_known_of_later_than_the_providers_clock,
    windows_add_up,
    a_refused_reading_leaves_a_hole_of_one_second,
    a_hole_tears_what_was_covered_before,
    only_the_holes_of_the_complete_run_count,
    holes_are_filled_by_reading_again,
    since_moves_the_cursor,
    the_cursor_never_moves_back,
    a_gap_before_since_stays_visible,
    without_the_providers_clock_the_cursor_stays,
    a_window_does_not_move_the_cursor,
    the_cursor_is_set_once,
    records_and_links_are_apart,
    times_before_1970_are_covered_too,
);

async fn coverage(rig: &Rig, link: LinkId) -> Coverage {
    rig.other.coverage(link, &record()).await.unwrap()
}

async fn published(rig: &Rig, link: LinkId) -> Intervals {
    coverage(rig, link).await.published
}

/// Asks, and completes it.
async fn done(rig: &Rig, link: LinkId, query: Query, until: Option<Instant>, holes: Vec<Instant>) {
    let id = requested(&*rig.store, link, query).await;
    whole_run(&*rig.store, id, until, holes).await;
}

fn spans(spans: &[(i64, i64)]) -> Intervals {
    spans.iter().map(|(start, end)| span(*start, *end)).collect()
}

async fn nothing_is_covered_at_first(rig: Rig) {
    assert_eq!(coverage(&rig, LinkId::new()).await, Coverage::default());
}

async fn a_window_is_covered_once_it_is_complete(rig: Rig) {
    let (link, run) = (LinkId::new(), RunId::new());
    let id = requested(&*rig.store, link, window(10, 20)).await;
    rig.store.begin_fetch(id, at(0)).await.unwrap();
    rig.store.fetched(id, run, 2, None, at(1)).await.unwrap();
    rig.store.acknowledge(&ack(id, run, 0), at(1)).await.unwrap();
    assert_eq!(coverage(&rig, link).await, Coverage::default());
    rig.store.acknowledge(&ack(id, run, 1), at(1)).await.unwrap();
    assert_eq!(coverage(&rig, link).await, Coverage { published: spans(&[(10, 20)]), ..Coverage::default() });
}

async fn nothing_is_known_of_later_than_the_providers_clock(rig: Rig) {
    for (until, expected) in [
        (15, spans(&[(10, 15)])),
        (20, spans(&[(10, 20)])),
        (99, spans(&[(10, 20)])),
        (10, spans(&[])),
        (5, spans(&[])),
    ] {
        let link = LinkId::new();
        done(&rig, link, window(10, 20), Some(at(until)), Vec::new()).await;
        assert_eq!(published(&rig, link).await, expected, "{until}");
    }
    // Also where the parts came before it was known.
    let (link, run) = (LinkId::new(), RunId::new());
    let id = requested(&*rig.store, link, window(10, 20)).await;
    rig.store.acknowledge(&ack(id, run, 0), at(1)).await.unwrap();
    rig.store.fetched(id, RunId::new(), 9, Some(at(18)), at(1)).await.unwrap();
    assert_eq!(rig.store.fetched(id, run, 1, Some(at(13)), at(1)).await.unwrap(), Progress::Completed);
    assert_eq!(published(&rig, link).await, spans(&[(10, 13)]));
}

async fn windows_add_up(rig: Rig) {
    let link = LinkId::new();
    for (start, end, expected) in [
        (10, 20, &[(10, 20)][..]),
        (30, 40, &[(10, 20), (30, 40)]),
        (20, 30, &[(10, 40)]),
        (15, 25, &[(10, 40)]),
    ] {
        done(&rig, link, window(start, end), None, Vec::new()).await;
        assert_eq!(published(&rig, link).await, spans(expected));
    }
}

async fn a_refused_reading_leaves_a_hole_of_one_second(rig: Rig) {
    let link = LinkId::new();
    let holes = vec![at_micros(13_500_000), at(17), at(17), at(18), at(500)];
    done(&rig, link, window(10, 20), None, holes).await;
    let mut expected = spans(&[(10, 17), (19, 20)]);
    expected.remove(ohx_domain::Interval::new(at_micros(13_500_000), at_micros(14_500_000)).unwrap());
    assert_eq!(published(&rig, link).await, expected);
}

async fn a_hole_tears_what_was_covered_before(rig: Rig) {
    let link = LinkId::new();
    done(&rig, link, window(0, 100), None, Vec::new()).await;
    // A late correction of an old reading, which the EHR refuses.
    done(&rig, link, since(90), Some(at(120)), vec![at(5)]).await;
    assert_eq!(published(&rig, link).await, spans(&[(0, 5), (6, 120)]));
}

async fn only_the_holes_of_the_complete_run_count(rig: Rig) {
    let link = LinkId::new();
    let id = requested(&*rig.store, link, window(10, 20)).await;
    let (one, two) = (RunId::new(), RunId::new());
    rig.store.begin_fetch(id, at(0)).await.unwrap();
    rig.store.fetched(id, one, 2, None, at(1)).await.unwrap();
    rig.store.fetched(id, two, 2, None, at(1)).await.unwrap();
    for (run, part, hole) in [(one, 0, 12), (two, 0, 15), (two, 1, 17)] {
        let ack = Acknowledgement { holes: vec![at(hole)], ..ack(id, run, part) };
        rig.store.acknowledge(&ack, at(1)).await.unwrap();
    }
    assert_eq!(published(&rig, link).await, spans(&[(10, 15), (16, 17), (18, 20)]));
}

async fn holes_are_filled_by_reading_again(rig: Rig) {
    let link = LinkId::new();
    done(&rig, link, window(10, 20), None, vec![at(15)]).await;
    done(&rig, link, window(15, 16), None, Vec::new()).await;
    assert_eq!(published(&rig, link).await, spans(&[(10, 20)]));
}

async fn since_moves_the_cursor(rig: Rig) {
    let link = LinkId::new();
    done(&rig, link, since(10), Some(at(20)), Vec::new()).await;
    assert_eq!(
        coverage(&rig, link).await,
        Coverage { published: spans(&[(10, 20)]), cursor: Some(at(20)), reread: None }
    );
    // From the cursor itself, and from before it.
    done(&rig, link, since(20), Some(at(30)), Vec::new()).await;
    done(&rig, link, since(15), Some(at(40)), Vec::new()).await;
    assert_eq!(
        coverage(&rig, link).await,
        Coverage { published: spans(&[(10, 40)]), cursor: Some(at(40)), reread: None }
    );
}

async fn the_cursor_never_moves_back(rig: Rig) {
    let link = LinkId::new();
    rig.store.init_cursor(link, &record(), at(100)).await.unwrap();
    done(&rig, link, since(10), Some(at(20)), Vec::new()).await;
    assert_eq!(
        coverage(&rig, link).await,
        Coverage { published: spans(&[(10, 20)]), cursor: Some(at(100)), reread: None }
    );
}

async fn a_gap_before_since_stays_visible(rig: Rig) {
    let link = LinkId::new();
    rig.store.init_cursor(link, &record(), at(10)).await.unwrap();
    done(&rig, link, Query::Since { since: at_micros(10_000_001) }, Some(at(30)), Vec::new()).await;
    let found = coverage(&rig, link).await;
    assert_eq!(found.cursor, Some(at(10)), "between the cursor and there something may have changed");
    assert!(found.published.contains(at(20)));
}

async fn without_the_providers_clock_the_cursor_stays(rig: Rig) {
    let link = LinkId::new();
    done(&rig, link, window(0, 30), None, Vec::new()).await;
    done(&rig, link, since(10), None, vec![at(5)]).await;
    assert_eq!(
        coverage(&rig, link).await,
        Coverage { published: spans(&[(0, 5), (6, 30)]), ..Coverage::default() }
    );
}

async fn a_window_does_not_move_the_cursor(rig: Rig) {
    let link = LinkId::new();
    done(&rig, link, window(0, 30), Some(at(40)), Vec::new()).await;
    assert_eq!(coverage(&rig, link).await.cursor, None);
}

async fn the_cursor_is_set_once(rig: Rig) {
    let link = LinkId::new();
    done(&rig, link, window(0, 30), None, Vec::new()).await;
    rig.store.init_cursor(link, &record(), at(10)).await.unwrap();
    rig.other.init_cursor(link, &record(), at(99)).await.unwrap();
    assert_eq!(
        coverage(&rig, link).await,
        Coverage { published: spans(&[(0, 30)]), cursor: Some(at(10)), reread: None }
    );
}

async fn records_and_links_are_apart(rig: Rig) {
    let link = LinkId::new();
    done(&rig, link, since(0), Some(at(30)), Vec::new()).await;
    assert_eq!(coverage(&rig, LinkId::new()).await, Coverage::default());
    let other = rig.store.coverage(link, &"getactivity".parse().unwrap()).await.unwrap();
    assert_eq!(other, Coverage::default());
}

async fn times_before_1970_are_covered_too(rig: Rig) {
    let link = LinkId::new();
    done(&rig, link, window(-3_000_000_000, -2_000_000_000), None, vec![at(-2_500_000_000)]).await;
    let expected = spans(&[(-3_000_000_000, -2_500_000_000), (-2_499_999_999, -2_000_000_000)]);
    assert_eq!(published(&rig, link).await, expected);
}
