//! Points into parts: each point the provider's own text, each part a page that could have come alone.

use jiff::Timestamp;
use ohx_domain::{Interval, Sensitive};
use serde_json::value::RawValue;

use super::call::malformed;
use crate::wire::position;
use crate::{Part, ProviderError};

/// The most records in one part.
const MAX_RECORDS: usize = 2_000;
/// The most text in one part, in bytes; a single record may be larger, and so may an hour or a day where those stay
/// whole. Points repeat the same names over and over: sealed, they are a tenth of that.
const MAX_TEXT: usize = 400 * 1024;
/// The same for waveforms, which are digits that do not repeat.
const MAX_WAVEFORMS: usize = 100 * 1024;

/// What stands around the points of a part.
pub(super) struct Frame<'a> {
    pub(super) call: &'a str,
    /// The zone's name.
    pub(super) zone: Option<&'a str>,
    /// The list's name.
    pub(super) list: &'a str,
    /// Whether the points are waveforms.
    pub(super) waveforms: bool,
}

impl Frame<'_> {
    fn part(&self, points: &[&RawValue], covers: Option<Interval>) -> Result<Part, ProviderError> {
        let unreadable = |e: serde_json::Error| malformed(self.call, position(&e));
        let zone = serde_json::to_string(&self.zone).map_err(unreadable)?;
        let texts: Vec<&str> = points.iter().map(|point| point.get()).collect();
        let text = format!(r#"{{"timeZone":{zone},"{}":[{}]}}"#, self.list, texts.join(","));
        let text = RawValue::from_string(text).map_err(unreadable)?;
        Ok(Part { text: Sensitive::new(text), covers })
    }

    /// Parts that claim nothing, in the order of the points.
    pub(super) fn anywhere(&self, points: &[&RawValue]) -> Result<Vec<Part>, ProviderError> {
        let most = if self.waveforms { MAX_WAVEFORMS } else { MAX_TEXT };
        let mut parts = Vec::new();
        let mut rest = points;
        while !rest.is_empty() {
            let mut text = 0;
            let fits = rest.iter().take(MAX_RECORDS).take_while(|point| {
                text += point.get().len() + 1;
                text <= most
            });
            let (cut, after) = rest.split_at(fits.count().max(1));
            parts.push(self.part(cut, None)?);
            rest = after;
        }
        Ok(parts)
    }

    /// Parts that are cut at `edges` only (in order, at least two), and cover what lies between them. A point without a
    /// time, or beyond the edges, is kept in a part that claims nothing.
    pub(super) fn between(
        &self,
        edges: &[Timestamp],
        points: Vec<(Option<Timestamp>, &RawValue)>,
    ) -> Result<Vec<Part>, ProviderError> {
        let (Some(first), Some(last)) = (edges.first().copied(), edges.last().copied()) else {
            return self.anywhere(&points.iter().map(|(_, raw)| *raw).collect::<Vec<_>>());
        };
        let (mut inside, mut strays) = (Vec::new(), Vec::new());
        for (at, raw) in points {
            match at.filter(|at| (first..last).contains(at)) {
                Some(at) => inside.push((at, raw)),
                None => strays.push(raw),
            }
        }
        inside.sort_by_key(|(at, _)| *at);
        let mut parts = Vec::new();
        let (mut from, mut run, mut length) = (first, Vec::new(), 0);
        let mut rest = inside.as_slice();
        for ends in edges.windows(2) {
            let &[start, end] = ends else { continue };
            let (mine, after) = rest.split_at(rest.partition_point(|(at, _)| *at < end));
            rest = after;
            let text: usize = mine.iter().map(|(_, raw)| raw.get().len() + 1).sum();
            if !run.is_empty() && !mine.is_empty() && length + text > MAX_TEXT {
                parts.push(self.part(&std::mem::take(&mut run), Interval::new(from, start))?);
                (from, length) = (start, 0);
            }
            length += text;
            run.extend(mine.iter().map(|(_, raw)| *raw));
        }
        if !run.is_empty() {
            parts.push(self.part(&run, Interval::new(from, last))?);
        }
        parts.extend(self.anywhere(&strays)?);
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FRAME: Frame<'_> =
        Frame { call: "steps", zone: Some("Europe/Vienna"), list: "dataPoints", waveforms: false };

    fn texts(part: &Part) -> Vec<String> {
        let text = part.text.reveal().get();
        let start = r#"{"timeZone":"Europe/Vienna","dataPoints":"#;
        assert!(text.starts_with(start), "{text}");
        let list: Vec<Box<RawValue>> = serde_json::from_str(&text[start.len()..text.len() - 1]).unwrap();
        list.iter().map(|raw| raw.get().to_owned()).collect()
    }

    #[test]
    fn nothing_makes_no_part() {
        let edges = [Timestamp::UNIX_EPOCH, Timestamp::from_second(86_400).unwrap()];
        assert!(FRAME.between(&edges, Vec::new()).unwrap().is_empty());
        assert!(FRAME.anywhere(&[]).unwrap().is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// None lost, none doubled, none altered; every bucket in one part; the parts cover the step without a gap.
        #[test]
        fn every_bucket_is_in_one_part(
            found in prop::collection::vec((prop::option::of(-5_000_i64..90_000), 0_usize..30_000), 0..60), step in 1_i64..30
        ) {
            let bucket = 3_600;
            let at = |s| Timestamp::from_second(s).unwrap();
            let edges: Vec<Timestamp> = (0..=step).map(|n| at(n * bucket)).collect();
            let raws: Vec<(Option<Timestamp>, Box<RawValue>)> = found.iter().enumerate().map(|(n, (second, pad))| {
                let text = format!(r#"{{ "n":{n}.50,"at":{},"x":"{}" }}"#, second.unwrap_or(-1), "é".repeat(*pad));
                (second.map(at), RawValue::from_string(text).unwrap())
            }).collect();
            let parts = FRAME.between(&edges, raws.iter().map(|(at, raw)| (*at, raw.as_ref())).collect()).unwrap();
            let mut out = Vec::new();
            let mut covered = edges[0];
            for part in &parts {
                let held = texts(part);
                let seconds: Vec<i64> = held.iter().map(|text| {
                    let value: serde_json::Value = serde_json::from_str(text).unwrap();
                    value["at"].as_i64().unwrap()
                }).collect();
                if let Some(covers) = part.covers {
                    prop_assert_eq!(covers.start, covered);
                    covered = covers.end;
                    prop_assert!(edges.contains(&covered));
                    prop_assert!(seconds.iter().all(|s| covers.contains(at(*s))));
                    let buckets: std::collections::BTreeSet<i64> = seconds.iter().map(|s| s / bucket).collect();
                    prop_assert!(buckets.len() == 1 || held.iter().map(|t| t.len() + 1).sum::<usize>() <= MAX_TEXT);
                } else {
                    prop_assert!(seconds.iter().all(|s| !(0..step * bucket).contains(s)));
                }
                out.extend(held);
            }
            let inside = parts.iter().any(|part| part.covers.is_some());
            prop_assert!(!inside || covered == edges[edges.len() - 1]);
            let mut texts: Vec<String> = raws.iter().map(|(_, raw)| raw.get().to_owned()).collect();
            out.sort();
            texts.sort();
            prop_assert_eq!(out, texts);
        }
    }
}
