//! The time of a world: its own, which only goes forward, and what Open Health Exchange's clock shows, which may be off.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ohx_domain::{Clock, Instant};

const SECOND: i64 = 1_000_000;

/// The time of a world: it passes as real time does, or faster, and can be moved.
#[derive(Debug)]
pub struct Time {
    pace: Mutex<Pace>,
    ahead: AtomicI64,
    skew: AtomicI64,
    /// When it last passed for all.
    passed: Mutex<Option<std::time::Instant>>,
}

/// Since when time has passed so many times as fast as real time, and what it was then.
#[derive(Debug, Clone, Copy)]
struct Pace {
    since: std::time::Instant,
    start: i64,
    speed: i64,
}

impl Pace {
    fn now(self) -> i64 {
        self.start + i64::try_from(self.since.elapsed().as_micros()).expect("a short run") * self.speed
    }
}

impl Time {
    pub fn new(start: Instant) -> Arc<Self> {
        let pace = Pace { since: std::time::Instant::now(), start: start.as_microsecond(), speed: 1 };
        let (ahead, skew) = (AtomicI64::new(0), AtomicI64::new(0));
        Arc::new(Self { pace: Mutex::new(pace), ahead, skew, passed: Mutex::default() })
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on time passes so many times as fast.
    pub fn hurry(&self, speed: u32) {
        let mut pace = self.pace();
        *pace = Pace { since: std::time::Instant::now(), start: pace.now(), speed: speed.into() };
    }

    /// The true time: that of providers and EHRs.
    pub fn now(&self) -> Instant {
        self.shifted(0)
    }

    /// What our own clock shows.
    pub fn ours(&self) -> Instant {
        self.shifted(self.skew.load(Ordering::SeqCst))
    }

    fn shifted(&self, by: i64) -> Instant {
        let shown = self.pace().now() + self.ahead.load(Ordering::SeqCst) + by;
        Instant::from_microsecond(shown).expect("a time within the calendar")
    }

    /// Time passes.
    pub fn pass(&self, by: Duration) {
        self.ahead.fetch_add(i64::try_from(by.as_micros()).expect("a short wait"), Ordering::SeqCst);
    }

    /// Time passes for several who wait for it at once: it does so for all of them, and not again before `pause` of real time,
    /// so that whoever is at work gets on meanwhile, however slow the machine is.
    pub fn pass_for_all(&self, by: Duration, pause: Duration) {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        if passed.is_none_or(|passed| passed.elapsed() >= pause) {
            *passed = Some(std::time::Instant::now());
            self.pass(by);
        }
    }

    /// Our own clock is set to be off by so many seconds.
    pub fn be_off(&self, seconds: i64) {
        self.skew.store(seconds * SECOND, Ordering::SeqCst);
    }
}

/// The clock of providers and EHRs.
pub struct TrueClock(pub Arc<Time>);

impl Clock for TrueClock {
    fn now(&self) -> Instant {
        self.0.now()
    }
}

/// The clock of Open Health Exchange.
pub struct OurClock(pub Arc<Time>);

impl Clock for OurClock {
    fn now(&self) -> Instant {
        self.0.ours()
    }
}

#[test]
fn our_clock_can_go_back_and_true_time_cannot() {
    let start: Instant = "2026-03-02T08:00:00Z".parse().unwrap();
    let time = Time::new(start);
    time.be_off(-20);
    assert!(OurClock(time.clone()).now() < start && TrueClock(time.clone()).now() >= start);
    time.pass(Duration::from_secs(3_600));
    assert!(time.ours() >= start + Duration::from_secs(3_580));
}
