//! Readings published over time: bars stacked by provider, as SVG, and the same as a table.
//!
//! The picture has no text in it: it takes the width that there is, and text would be stretched with it. Colours are classes,
//! because the content policy stops styles in attributes.

use std::time::Duration;

use jiff::Timestamp;

use super::api::Published;
use crate::words::When;

/// The picture's size in its own units.
pub(super) const WIDTH: u64 = 840;
pub(super) const HEIGHT: u64 = 200;
/// How many providers have a colour of their own.
const COLOURS: usize = 6;
/// The room between two bars.
const GAP: u64 = 3;

pub(super) struct Chart {
    pub(super) bars: Vec<Bar>,
    /// Where the lines are, and what they stand for: the topmost first.
    pub(super) lines: Vec<Line>,
    pub(super) legend: Vec<Name>,
    pub(super) rows: Vec<Row>,
    pub(super) total: u64,
    pub(super) from: When,
    pub(super) middle: When,
}

/// One step of time.
pub(super) struct Bar {
    pub(super) x: u64,
    pub(super) width: u64,
    pub(super) parts: Vec<Part>,
    /// What a pointer on it is told.
    pub(super) says: String,
}

pub(super) struct Part {
    pub(super) class: usize,
    pub(super) y: u64,
    pub(super) height: u64,
}

pub(super) struct Line {
    pub(super) y: u64,
    pub(super) says: u64,
}

pub(super) struct Name {
    pub(super) class: usize,
    pub(super) provider: String,
    pub(super) total: u64,
}

/// A step of time in which something was published.
pub(super) struct Row {
    pub(super) from: When,
    pub(super) counts: Vec<u64>,
    pub(super) total: u64,
}

impl Chart {
    pub(super) fn of(published: &Published) -> Self {
        let Published { from, step_seconds, series } = published;
        let steps = series.iter().map(|s| s.counts.len()).max().unwrap_or(0);
        let at = |place: usize, step: usize| {
            series.get(place).and_then(|s| s.counts.get(step)).copied().unwrap_or(0)
        };
        let total_of = |step: usize| (0..series.len()).map(|place| at(place, step)).sum::<u64>();
        let top = ceiling((0..steps).map(total_of).max().unwrap_or(0));
        let height = |n: u64| if n == 0 { 0 } else { (n * HEIGHT / top).max(1) };
        let begins = |step: usize| begin(*from, *step_seconds, step);
        let mut bars = Vec::with_capacity(steps);
        let mut rows = Vec::new();
        for step in 0..steps {
            let (here, next) = (edge(step, steps), edge(step + 1, steps));
            let mut parts = Vec::new();
            let mut y = HEIGHT;
            for place in 0..series.len() {
                let tall = height(at(place, step)).min(y);
                if tall > 0 {
                    y -= tall;
                    parts.push(Part { class: place % COLOURS, y, height: tall });
                }
            }
            let when = When::from(begins(step));
            let mut says = format!("from {}: {}", when.text, total_of(step));
            if total_of(step) > 0 {
                for (place, one) in series.iter().enumerate().filter(|(place, _)| at(*place, step) > 0) {
                    says.push_str(&format!("\n{}: {}", one.provider, at(place, step)));
                }
                let counts = (0..series.len()).map(|place| at(place, step)).collect();
                rows.push(Row { from: when, counts, total: total_of(step) });
            }
            bars.push(Bar { x: here, width: next.saturating_sub(here + GAP).max(1), parts, says });
        }
        let legend = series.iter().enumerate().map(|(place, one)| Name {
            class: place % COLOURS,
            provider: one.provider.clone(),
            total: one.counts.iter().sum(),
        });
        Self {
            bars,
            lines: [top, top / 2].map(|n| Line { y: HEIGHT - n * HEIGHT / top, says: n }).into(),
            total: series.iter().flat_map(|s| &s.counts).sum(),
            legend: legend.collect(),
            rows,
            from: begins(0).into(),
            middle: begins(steps / 2).into(),
        }
    }
}

fn edge(step: usize, steps: usize) -> u64 {
    let (step, steps) = (u64::try_from(step).unwrap_or(0), u64::try_from(steps.max(1)).unwrap_or(1));
    step * WIDTH / steps
}

fn begin(from: Timestamp, step_seconds: u64, step: usize) -> Timestamp {
    let after = step_seconds.saturating_mul(u64::try_from(step).unwrap_or(0));
    from.checked_add(Duration::from_secs(after)).unwrap_or(from)
}

/// The next of 2, 4, 10, 20, 40, 100, …: half of it is a whole number as well.
fn ceiling(most: u64) -> u64 {
    let mut power = 1_u64;
    loop {
        for step in [2, 4, 10] {
            let Some(ceiling) = power.checked_mul(step) else { return u64::MAX };
            if most <= ceiling {
                return ceiling;
            }
        }
        power = power.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overview::api::Series;

    fn chart(series: &[(&str, &[u64])]) -> Chart {
        let series = series
            .iter()
            .map(|(provider, counts)| Series { provider: (*provider).to_owned(), counts: counts.to_vec() })
            .collect();
        let from = "2026-11-20T00:00:00Z".parse().unwrap();
        Chart::of(&Published { from, step_seconds: 3600, series })
    }

    #[test]
    fn bars_stack_and_fit() {
        let chart = chart(&[("fitbit", &[0, 5, 1]), ("withings", &[0, 4, 0])]);
        assert_eq!((chart.total, chart.bars.len(), chart.rows.len()), (10, 3, 2));
        let parts: Vec<_> = chart.bars[1].parts.iter().map(|p| (p.class, p.y, p.height)).collect();
        assert_eq!(parts, [(0, 100, 100), (1, 20, 80)]);
        assert!(chart.bars.iter().all(|bar| bar.x + bar.width <= WIDTH));
        assert_eq!(chart.rows[0].counts, [5, 4]);
        assert_eq!(chart.rows[0].from.iso, "2026-11-20T01:00:00Z");
        assert_eq!(chart.lines.iter().map(|l| (l.y, l.says)).collect::<Vec<_>>(), [(0, 10), (100, 5)]);
    }

    #[test]
    fn nothing_is_no_bar_and_one_of_many_is_seen() {
        assert_eq!((chart(&[]).total, chart(&[]).bars.len()), (0, 0));
        let chart = chart(&[("a", &[1, 1_000_000])]);
        assert_eq!(chart.bars[0].parts[0].height, 1);
    }

    #[test]
    fn ceilings_are_round() {
        for (most, expected) in [(0, 2), (2, 2), (3, 4), (9, 10), (11, 20), (41, 100), (1310, 2000)] {
            assert_eq!(ceiling(most), expected);
        }
        assert_eq!(ceiling(u64::MAX), u64::MAX);
    }
}
