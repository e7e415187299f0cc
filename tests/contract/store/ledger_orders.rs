//! Whatever the order and the repetitions: a request completes at the step that makes one of its runs whole.

use std::collections::BTreeSet;

use ohx_domain::{LinkId, RequestState, RunId};
use ohx_store::{Acknowledgement, Progress, Store};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};
use tokio::runtime::Handle;

use crate::rig::Rig;
use crate::samples::{ack, at, created, record, requested, span, window};

crate::promises!(a_request_completes_exactly_when_one_run_is_whole);

/// How a run cut what it read: for each part, into how many pieces.
type Cut = Vec<u32>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Fetched { run: usize },
    Acknowledged { run: usize, part: u32, piece: u32 },
}

/// Every step of a run.
fn steps(run: usize, cut: &Cut) -> Vec<Step> {
    let pieces = cut.iter().zip(0..).flat_map(move |(pieces, part)| {
        (0..*pieces).map(move |piece| Step::Acknowledged { run, part, piece })
    });
    std::iter::once(Step::Fetched { run }).chain(pieces).collect()
}

/// Two runs, and some of their steps: each perhaps lost, perhaps repeated, in any order.
fn history() -> impl Strategy<Value = (Vec<Cut>, Vec<Step>)> {
    let cut = prop::collection::vec(1_u32..=3, 0..4);
    prop::collection::vec(cut, 2).prop_flat_map(|cuts| {
        let all: Vec<_> = cuts.iter().enumerate().flat_map(|(run, cut)| steps(run, cut)).collect();
        let twice: Vec<_> = all.iter().chain(&all).copied().collect();
        let most = twice.len();
        (Just(cuts), prop::sample::subsequence(twice, most / 3..=most).prop_shuffle())
    })
}

/// Plays a history against a new request, and holds every answer against the model.
async fn play(store: &dyn Store, cuts: &[Cut], history: &[Step]) {
    let (link, runs) = (LinkId::new(), [RunId::new(), RunId::new()]);
    let id = requested(store, link, window(0, 1000)).await;
    store.begin_fetch(id, at(0)).await.unwrap();
    let mut seen = BTreeSet::new();
    let mut done = None;
    let mut counted = 0;
    for step in history {
        let answer = match *step {
            Step::Fetched { run } => {
                let parts = u32::try_from(cuts[run].len()).unwrap();
                store.fetched(id, runs[run], parts, None, at(1)).await.unwrap()
            }
            Step::Acknowledged { run, part, piece } => {
                let pieces = cuts[run][usize::try_from(part).unwrap()];
                let holes = vec![at(100 * i64::try_from(run).unwrap() + i64::from(part * 10 + piece))];
                let ack = Acknowledgement { piece, pieces, holes, ..ack(id, runs[run], part) };
                store.acknowledge(&ack, at(1)).await.unwrap()
            }
        };
        if done.is_some() {
            assert_eq!(answer, Progress::AlreadyDone, "{step:?}");
            continue;
        }
        counted += u64::from(seen.insert(*step) && !matches!(step, Step::Fetched { .. }));
        done = (0..2).find(|run| steps(*run, &cuts[*run]).iter().all(|s| seen.contains(s)));
        let expected = if done.is_some() { Progress::Completed } else { Progress::Open };
        assert_eq!(answer, expected, "{step:?}");
    }
    let request = store.request_by_id(id).await.unwrap().unwrap();
    assert_eq!(request.counts, created(counted));
    assert_eq!(request.state == RequestState::Published, done.is_some());
    let mut expected = ohx_domain::Intervals::new();
    if let Some(run) = done {
        expected.insert(span(0, 1000));
        for step in steps(run, &cuts[run]) {
            if let Step::Acknowledged { part, piece, .. } = step {
                let hole = 100 * i64::try_from(run).unwrap() + i64::from(part * 10 + piece);
                expected.remove(span(hole, hole + 1));
            }
        }
    }
    assert_eq!(store.coverage(link, &record()).await.unwrap().published, expected);
}

async fn a_request_completes_exactly_when_one_run_is_whole(rig: Rig) {
    let result = tokio::task::block_in_place(|| {
        let mut runner =
            TestRunner::new(Config { cases: 150, failure_persistence: None, ..Config::default() });
        runner.run(&history(), |(cuts, history)| {
            Handle::current().block_on(play(&*rig.store, &cuts, &history));
            Ok(())
        })
    });
    if let Err(TestError::Fail(why, (cuts, history))) = result {
        panic!("{why}\n{cuts:?}\n{history:?}");
    }
    result.unwrap();
}
