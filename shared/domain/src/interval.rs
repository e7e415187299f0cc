//! Sets of time intervals: the arithmetic of the coverage ledger.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Instant;

/// A half-open interval of time: `start` belongs to it, `end` does not. Never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Interval {
    /// The first instant inside.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub start: Instant,
    /// The first instant after it.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub end: Instant,
}

impl Interval {
    /// The interval from `start` to `end`; `None` where it would be empty.
    pub fn new(start: Instant, end: Instant) -> Option<Self> {
        (start < end).then_some(Self { start, end })
    }

    /// Whether `at` lies inside.
    pub fn contains(&self, at: Instant) -> bool {
        self.start <= at && at < self.end
    }

    /// Whether the whole of `other` lies inside.
    pub fn covers(&self, other: &Interval) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

/// A set of instants, as intervals that are sorted, apart and never empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Intervals(Vec<Interval>);

impl Intervals {
    /// The empty set.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds an interval; what overlaps or touches becomes one.
    pub fn insert(&mut self, add: Interval) {
        let (mut start, mut end) = (add.start, add.end);
        self.0.retain(|i| {
            let apart = i.end < start || end < i.start;
            if !apart {
                start = start.min(i.start);
                end = end.max(i.end);
            }
            apart
        });
        let at = self.0.partition_point(|i| i.end < start);
        self.0.insert(at, Interval { start, end });
    }

    /// Takes an interval out.
    pub fn remove(&mut self, cut: Interval) {
        let pieces = self.0.iter().flat_map(|i| {
            let before = Interval::new(i.start, i.end.min(cut.start));
            let after = Interval::new(i.start.max(cut.end), i.end);
            [before, after]
        });
        self.0 = pieces.flatten().collect();
    }

    /// What of `within` is not in the set, in order.
    pub fn gaps(&self, within: Interval) -> Intervals {
        let mut gaps = Intervals(vec![within]);
        for i in &self.0 {
            gaps.remove(*i);
        }
        gaps
    }

    /// Whether the whole of `interval` is in the set.
    pub fn covers(&self, interval: &Interval) -> bool {
        self.0.iter().any(|i| i.covers(interval))
    }

    /// Whether `at` is in the set.
    pub fn contains(&self, at: Instant) -> bool {
        self.0.iter().any(|i| i.contains(at))
    }

    /// The intervals, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Interval> {
        self.0.iter()
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many separate intervals there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// The storage form, microseconds since the epoch: `start-end,start-end`, empty for the empty set. Instants before
/// 1970 carry a leading `n` in place of the minus sign.
impl fmt::Display for Intervals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, i) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            let text = |at: Instant| at.as_microsecond().to_string().replace('-', "n");
            write!(f, "{comma}{}-{}", text(i.start), text(i.end))?;
        }
        Ok(())
    }
}

/// A stored set of intervals that cannot be read: the database was written by something else.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a stored set of intervals")]
pub struct ParseIntervalsError;

impl FromStr for Intervals {
    type Err = ParseIntervalsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let instant = |text: &str| {
            let micros = text.replace('n', "-").parse().ok()?;
            Instant::from_microsecond(micros).ok()
        };
        let mut set = Intervals::new();
        for piece in text.split(',').filter(|p| !p.is_empty()) {
            let interval = piece
                .split_once('-')
                .and_then(|(start, end)| Interval::new(instant(start)?, instant(end)?))
                .ok_or(ParseIntervalsError)?;
            set.insert(interval);
        }
        Ok(set)
    }
}

impl FromIterator<Interval> for Intervals {
    fn from_iter<I: IntoIterator<Item = Interval>>(iter: I) -> Self {
        let mut set = Self::new();
        iter.into_iter().for_each(|i| set.insert(i));
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> Instant {
        Instant::from_second(second).unwrap()
    }

    fn span() -> impl Strategy<Value = Interval> {
        (-20_i64..60, 1_i64..20).prop_map(|(s, n)| Interval { start: at(s), end: at(s + n) })
    }

    /// The model: the set of whole seconds.
    fn seconds(set: &Intervals) -> BTreeSet<i64> {
        set.iter().flat_map(|i| i.start.as_second()..i.end.as_second()).collect()
    }

    proptest! {
        #[test]
        fn behaves_like_a_set_of_seconds(steps in prop::collection::vec((any::<bool>(), span()), 0..24), within in span()) {
            let mut set = Intervals::new();
            let mut model = BTreeSet::new();
            for (add, i) in steps {
                let range = i.start.as_second()..i.end.as_second();
                if add {
                    set.insert(i);
                    model.extend(range);
                } else {
                    set.remove(i);
                    model.retain(|s| !range.contains(s));
                }
                prop_assert_eq!(&seconds(&set), &model);
                prop_assert!(set.iter().zip(set.iter().skip(1)).all(|(a, b)| a.end < b.start), "sorted and apart");
            }
            let missing: BTreeSet<i64> = (within.start.as_second()..within.end.as_second()).filter(|s| !model.contains(s)).collect();
            prop_assert_eq!(seconds(&set.gaps(within)), missing);
            prop_assert_eq!(set.to_string().parse::<Intervals>().unwrap(), set);
        }
    }
}
