//! One span of time, cut where what became of it changes.

use std::collections::BTreeSet;

use ohx_domain::{Instant, Interval, Intervals};
use serde::Serialize;
use utoipa::ToSchema;

/// What became of a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fate {
    /// It is at the EHR.
    Published,
    /// Somebody has asked for it, and that is not done.
    OnItsWay,
    /// It was asked for, and the last request was given up.
    Failed,
    /// It was brought, and the EHR refused what was measured then.
    Refused,
    /// Nobody has asked for it.
    NeverAsked,
    /// It lies before the beginning of the link's history.
    BeforeHistory,
}

/// What a request says of a stretch of time: that it is on its way, has failed, or was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) over: Interval,
    pub(crate) fate: Fate,
}

/// A stretch of time that met one fate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) over: Interval,
    pub(crate) fate: Fate,
    /// The claims that lead to it, by their place in the list.
    pub(crate) claims: Vec<usize>,
}

/// Cuts `wanted`. What is published is published, whatever else was asked; what is on its way is more than what has failed; of
/// failures and refusals the first of the list counts, which is to be the latest.
pub(crate) fn timeline(
    wanted: Interval,
    history_start: Option<Instant>,
    published: &Intervals,
    claims: &[Claim],
) -> Vec<Span> {
    let inside = |at: &Instant| wanted.contains(*at);
    let cuts: BTreeSet<Instant> = published
        .iter()
        .copied()
        .chain(claims.iter().map(|claim| claim.over))
        .flat_map(|interval| [interval.start, interval.end])
        .chain(history_start)
        .filter(inside)
        .chain([wanted.start, wanted.end])
        .collect();
    let mut spans: Vec<Span> = Vec::new();
    for (start, end) in cuts.iter().zip(cuts.iter().skip(1)) {
        let Some(over) = Interval::new(*start, *end) else { continue };
        let (fate, claims) = judge(*start, history_start, published, claims);
        match spans.last_mut() {
            Some(last) if last.fate == fate && last.claims == claims => last.over.end = *end,
            _ => spans.push(Span { over, fate, claims }),
        }
    }
    spans
}

fn judge(
    at: Instant,
    history_start: Option<Instant>,
    published: &Intervals,
    claims: &[Claim],
) -> (Fate, Vec<usize>) {
    if published.contains(at) {
        return (Fate::Published, Vec::new());
    }
    let mine: Vec<(usize, Fate)> = claims
        .iter()
        .enumerate()
        .filter(|(_, claim)| claim.over.contains(at))
        .map(|(place, claim)| (place, claim.fate))
        .collect();
    let of =
        |wanted: Fate| mine.iter().filter(|(_, fate)| *fate == wanted).map(|(place, _)| *place).collect();
    match mine.first() {
        _ if mine.iter().any(|(_, fate)| *fate == Fate::OnItsWay) => (Fate::OnItsWay, of(Fate::OnItsWay)),
        Some((_, latest)) => (*latest, mine.iter().map(|(place, _)| *place).collect()),
        None if history_start.is_some_and(|start| at < start) => (Fate::BeforeHistory, Vec::new()),
        None => (Fate::NeverAsked, Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Instant {
        Instant::from_second(second).unwrap()
    }

    fn over(start: i64, end: i64) -> Interval {
        Interval::new(at(start), at(end)).unwrap()
    }

    fn shown(spans: &[Span]) -> Vec<(i64, i64, Fate, Vec<usize>)> {
        let one = |s: &Span| (s.over.start.as_second(), s.over.end.as_second(), s.fate, s.claims.clone());
        spans.iter().map(one).collect()
    }

    #[test]
    fn a_tuesday_is_cut_where_its_fate_changes() {
        let published: Intervals = [over(10, 20), over(30, 35)].into_iter().collect();
        let claims = [
            Claim { over: over(15, 25), fate: Fate::OnItsWay },
            Claim { over: over(22, 32), fate: Fate::Failed },
            Claim { over: over(31, 40), fate: Fate::Refused },
        ];
        let spans = timeline(over(0, 50), Some(at(5)), &published, &claims);
        assert_eq!(
            shown(&spans),
            [
                (0, 5, Fate::BeforeHistory, vec![]),
                (5, 10, Fate::NeverAsked, vec![]),
                (10, 20, Fate::Published, vec![]),
                (20, 25, Fate::OnItsWay, vec![0]),
                (25, 30, Fate::Failed, vec![1]),
                (30, 35, Fate::Published, vec![]),
                (35, 40, Fate::Refused, vec![2]),
                (40, 50, Fate::NeverAsked, vec![]),
            ]
        );
    }

    #[test]
    fn of_failures_the_latest_counts_and_all_are_told() {
        let claims = [
            Claim { over: over(0, 10), fate: Fate::Refused },
            Claim { over: over(0, 10), fate: Fate::Failed },
        ];
        let spans = timeline(over(0, 10), None, &Intervals::new(), &claims);
        assert_eq!(shown(&spans), [(0, 10, Fate::Refused, vec![0, 1])]);
    }

    /// Every second, by itself, has the fate that the whole says; the spans follow one another without a gap.
    #[test]
    fn spans_tile_what_is_wanted() {
        let mut seed = 1_u64;
        let mut next = |n: i64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            i64::try_from((seed >> 33) % u64::try_from(n).unwrap()).unwrap()
        };
        for _ in 0..300 {
            let mut some = |n: i64| -> Vec<Interval> {
                (0..next(n))
                    .map(|_| {
                        let s = next(60) - 5;
                        over(s, s + 1 + next(20))
                    })
                    .collect()
            };
            let published: Intervals = some(5).into_iter().collect();
            let fates = [Fate::OnItsWay, Fate::Failed, Fate::Refused];
            let claims: Vec<Claim> = some(8)
                .into_iter()
                .zip(fates.into_iter().cycle())
                .map(|(over, fate)| Claim { over, fate })
                .collect();
            let wanted = over(0, 50);
            let spans = timeline(wanted, Some(at(7)), &published, &claims);
            assert_eq!((spans[0].over.start, spans.last().unwrap().over.end), (wanted.start, wanted.end));
            assert!(spans.windows(2).all(|two| two[0].over.end == two[1].over.start));
            assert!(
                spans.windows(2).all(|two| (two[0].fate, &two[0].claims) != (two[1].fate, &two[1].claims))
            );
            for second in 0..50 {
                let span = spans.iter().find(|span| span.over.contains(at(second))).unwrap();
                assert_eq!(
                    (span.fate, span.claims.clone()),
                    judge(at(second), Some(at(7)), &published, &claims)
                );
                assert_eq!(span.fate == Fate::Published, published.contains(at(second)));
            }
        }
    }
}
