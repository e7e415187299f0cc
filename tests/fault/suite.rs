//! Many worlds: each on a thread of its own, some at the same time.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::check::{Finding, Tally};
use crate::journal::{Journal, Kind};
use crate::plan::{Carrier, Plan};
use crate::through_redis;
use crate::world::World;

/// What became of a world.
pub struct Report {
    pub seed: u64,
    pub world: String,
    pub findings: Vec<Finding>,
    pub tally: Tally,
    pub faults: Vec<(Kind, String)>,
    pub counts: BTreeMap<Kind, u64>,
    /// What the world itself failed with, where it did.
    pub failed: Option<String>,
    pub took: Duration,
}

impl Report {
    /// Whether everything was as it should be.
    pub fn is_good(&self) -> bool {
        self.findings.is_empty() && self.failed.is_none()
    }

    /// Everything that somebody needs who looks for the cause.
    pub fn tell(&self) -> String {
        let mut told = format!("OHX_FAULT_SEED={} ({})\n", self.seed, self.world);
        for (kind, step) in &self.faults {
            told += &format!("    {step}: {kind}\n");
        }
        if let Some(failed) = &self.failed {
            told += &format!("  the world failed: {failed}\n");
        }
        for finding in &self.findings {
            told += &format!("  {finding}\n");
        }
        told
    }
}

/// One world, from its beginning to its end, on this thread.
pub fn one(plan: Plan) -> Report {
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let world = format!(
        "{:?}, {:?}, {:?}, {:?}, {} at once, {} steps",
        plan.carrier, plan.database, plan.strategy, plan.links, plan.at_once, plan.steps
    );
    let seed = plan.seed;
    let journal = std::cell::RefCell::new(Journal::default());
    let life = async {
        let world = World::begin(plan).await;
        *journal.borrow_mut() = world.journal.clone();
        match world.plan.carrier {
            Carrier::Redis => through_redis::live(world).await,
            Carrier::InProcess | Carrier::Broker => {
                world.live().await;
                world.recovers().await
            }
        }
    };
    let lived = std::panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(life)));
    runtime.shutdown_timeout(Duration::from_secs(1));
    let (result, failed) = match lived {
        Ok(result) => (result, None),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            (Default::default(), Some(text.unwrap_or_else(|| "a panic without words".to_owned())))
        }
    };
    let ((findings, tally), journal) = (result, journal.into_inner());
    let (faults, counts) = (journal.all(), journal.counts());
    Report { seed, world, findings, tally, faults, counts, failed, took: began.elapsed() }
}

/// How many worlds live at the same time: most of them wait for something, most of the time.
fn at_once() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from) * 6
}

/// The worlds of these seeds, until none is left or `until` is over; `seen` is told of each.
pub fn many(
    seeds: impl Fn(u64) -> Option<u64> + Sync,
    until: Option<Instant>,
    seen: impl Fn(&Report) + Sync,
) -> Vec<Report> {
    let next = AtomicU64::new(0);
    let reports = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..at_once() {
            scope.spawn(|| {
                while until.is_none_or(|until| Instant::now() < until) {
                    let Some(seed) = seeds(next.fetch_add(1, Ordering::SeqCst)) else { break };
                    let report = one(Plan::of(seed));
                    seen(&report);
                    reports.lock().expect("no panic meanwhile").push(report);
                }
            });
        }
    });
    reports.into_inner().expect("no panic meanwhile")
}

/// Faults by kind, over all worlds.
pub fn by_kind<'a>(reports: impl IntoIterator<Item = &'a Report>) -> BTreeMap<Kind, u64> {
    let mut counts = BTreeMap::new();
    for (kind, count) in reports.into_iter().flat_map(|report| &report.counts) {
        *counts.entry(*kind).or_default() += count;
    }
    counts
}

fn chosen() -> Option<Vec<u64>> {
    let text = std::env::var("OHX_FAULT_SEED").ok()?;
    Some(
        text.split(',')
            .map(|seed| seed.trim().parse().expect("OHX_FAULT_SEED is a number, or several"))
            .collect(),
    )
}

/// The seeds of CI are the same each time; `make soak` takes fresh ones.
#[test]
fn every_reading_arrives_once_in_two_hundred_worlds() {
    let count: u64 = std::env::var("OHX_FAULT_SEEDS").ok().map_or(200, |n| n.parse().expect("a number"));
    let replayed = chosen();
    let began = Instant::now();
    let seeds = |n: u64| match &replayed {
        Some(chosen) => chosen.get(n as usize).copied(),
        None => (n < count).then_some(n + 1),
    };
    let loud = std::env::var_os("OHX_FAULT_TELL").is_some();
    let reports = many(seeds, None, |report| {
        if loud || !report.is_good() {
            println!("{} took {:?}, {:?}", report.tell(), report.took, report.tally);
        }
    });
    for (kind, count) in by_kind(&reports) {
        println!("{count:>7}  {kind}");
    }
    let readings: usize = reports.iter().map(|report| report.tally.readings).sum();
    let mut took: Vec<(Duration, u64)> = reports.iter().map(|report| (report.took, report.seed)).collect();
    took.sort_unstable();
    println!(
        "{} worlds, {readings} readings, {:?}; the longest {:?}",
        reports.len(),
        began.elapsed(),
        took.last()
    );
    let bad: Vec<&Report> = reports.iter().filter(|report| !report.is_good()).collect();
    let seeds: Vec<u64> = bad.iter().map(|report| report.seed).collect();
    assert!(
        bad.is_empty(),
        "{} of {} worlds did not end well, see above: {seeds:?}",
        bad.len(),
        reports.len()
    );
}
