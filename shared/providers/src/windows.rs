//! Cutting a long stretch of time into windows that a provider takes.

use std::time::Duration;

use ohx_domain::{Instant, Interval};

use crate::RecordSpec;

impl RecordSpec {
    /// Cuts an interval into windows of at most [`RecordSpec::max_window`], the latest first: a person who waits wants
    /// recent readings. Together they are the interval, no more and no less; the cuts between them fall on whole
    /// multiples of [`RecordSpec::align`].
    pub fn windows(&self, interval: Interval) -> impl Iterator<Item = Interval> + use<> {
        let (longest, align) = (self.max_window, self.align);
        let mut end = interval.end;
        std::iter::from_fn(move || {
            let earliest = end.checked_sub(longest).unwrap_or(Instant::MIN);
            let start = if earliest <= interval.start {
                interval.start
            } else {
                align
                    .and_then(|step| next_multiple(earliest, step))
                    .filter(|at| *at < end)
                    .unwrap_or(earliest)
            };
            let window = Interval::new(start, end)?;
            end = start;
            Some(window)
        })
    }
}

/// The first whole multiple of `step` since the Unix epoch that is not before `at`; `None` without one.
fn next_multiple(at: Instant, step: Duration) -> Option<Instant> {
    let step = i128::try_from(step.as_nanos()).ok().filter(|step| *step > 0)?;
    let before = at.as_nanosecond().div_euclid(step) * step;
    let next = if before == at.as_nanosecond() { before } else { before + step };
    Instant::from_nanosecond(next).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3600;

    fn spec(longest: u64, align: Option<u64>) -> RecordSpec {
        RecordSpec {
            record: "steps".parse().unwrap(),
            scope: "s",
            max_window: Duration::from_secs(longest),
            align: align.map(Duration::from_secs),
            changes: false,
            overlap: Duration::ZERO,
        }
    }

    fn at(millis: i64) -> Instant {
        Instant::from_millisecond(millis).unwrap()
    }

    #[test]
    fn cuts_fall_on_whole_hours() {
        let interval = Interval::new(at(90_500), at(50 * HOUR * 1000 + 250)).unwrap();
        let windows: Vec<_> = spec(23 * 3600, Some(3600)).windows(interval).collect();
        let hours = [28 * HOUR * 1000, 5 * HOUR * 1000].map(at);
        let expected = [(hours[0], interval.end), (hours[1], hours[0]), (interval.start, hours[1])];
        assert_eq!(windows.iter().map(|w| (w.start, w.end)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_window_shorter_than_the_step_is_still_cut() {
        let interval = Interval::new(at(0), at(10_000)).unwrap();
        assert_eq!(spec(4, Some(3600)).windows(interval).count(), 3);
        assert_eq!(spec(4, None).windows(interval).count(), 3);
        assert_eq!(spec(10, Some(3600)).windows(interval).collect::<Vec<_>>(), [interval]);
    }

    proptest! {
        #[test]
        fn windows_are_the_interval_again(
            start in -10_000_000_000_i64..10_000_000_000_000, length in 1_i64..40_000_000_000,
            longest in 1_000_u64..4_000_000, align in prop::option::of(1_u64..100_000)
        ) {
            let interval = Interval::new(at(start), at(start + length)).unwrap();
            let spec = spec(longest, align);
            // Cutting on multiples costs less than half of a window, where a multiple is less than that.
            let pieces = length.unsigned_abs() / (longest * 500) + 2;
            let mut end = interval.end;
            let mut count = 0;
            for window in spec.windows(interval) {
                prop_assert_eq!(window.end, end);
                prop_assert!(window.end <= window.start + spec.max_window);
                let step = align.unwrap_or(1);
                let cut = window.start != interval.start && step < longest / 2;
                prop_assert!(!cut || align.is_none() || window.start.as_second().unsigned_abs().is_multiple_of(step));
                end = window.start;
                count += 1;
                prop_assert!(count <= pieces || step >= longest / 2, "{count} windows");
            }
            prop_assert_eq!(end, interval.start);
        }

        /// Whatever the interval and the step, the cutting ends.
        #[test]
        fn extremes_are_cut_too(align in prop::option::of(any::<u64>())) {
            let ends = [(Instant::MIN, Instant::MIN + Duration::from_secs(9)), (Instant::MAX - Duration::from_secs(9), Instant::MAX)];
            for (start, end) in ends {
                let interval = Interval::new(start, end).unwrap();
                prop_assert!(spec(4, align).windows(interval).count() <= 10);
            }
        }
    }
}
