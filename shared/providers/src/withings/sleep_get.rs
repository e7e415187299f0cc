//! Nights in detail: stages, and what was measured each minute of them.
//!
//! An interval belongs to the window that it begins in. Whether one that reaches over a bound is answered whole, cut or
//! not at all is not documented; so the calls ask for two hours more on both sides and leave out what begins there. An
//! interval that was cut would have another beginning, and be taken for another one.

use ohx_domain::{Instant, Interval};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::call::{Caller, malformed};
use super::list::{Listed, Shape};
use super::range::second;
use crate::loose::Number;
use crate::wire::object;
use crate::{Page, PageToken, ProviderError};

/// Intervals in no order; parts are cut between them.
pub(super) const SHAPE: Shape = Shape { call: "sleep get", list: "series", head: &["model"], single: false };
const FIELDS: &[&str] = &[
    "hr",
    "rr",
    "snoring",
    "sdnn_1",
    "rmssd",
    "hrv_quality",
    "mvt_score",
    "chest_movement_rate",
    "withings_index",
    "breathing_sounds",
];

const HOUR: i64 = 3600;
/// An answer holds 24 hours from its beginning, silently.
const LONGEST: i64 = 24 * HOUR;
const MARGIN: i64 = 2 * HOUR;
const STEP: i64 = LONGEST - 2 * MARGIN;

/// Reads one step of the window.
pub(super) async fn fetch(
    caller: &Caller<'_>,
    window: &Interval,
    page: Option<&PageToken>,
) -> Result<Page, ProviderError> {
    let (start, end, more) = step(window, page);
    let (from, to) = ((start - MARGIN).max(0).to_string(), (end + MARGIN).max(1).to_string());
    let form = [("action", "get"), ("startdate", from.as_str()), ("enddate", to.as_str())];
    let answer = caller.post_for("v2/sleep", &form, FIELDS, SHAPE.call).await?;
    let mut page = read(answer.success(SHAPE.call)?, start, end)?;
    page.next = more.then(|| PageToken(end.to_string()));
    Ok(page)
}

/// What is read at once, in seconds, and whether the window goes on after it.
fn step(window: &Interval, page: Option<&PageToken>) -> (i64, i64, bool) {
    let (from, until) = (second(window.start).0, second(window.end).1);
    let start = page.and_then(|token| token.0.parse().ok()).unwrap_or(from).clamp(from, until - 1);
    let end = until.min(start + STEP);
    (start, end, end < until)
}

#[derive(Deserialize)]
struct Begun {
    startdate: Number,
}

/// The intervals that begin from `start` to before `end`, and those that do not say when.
fn read(body: Option<&RawValue>, start: i64, end: i64) -> Result<Page, ProviderError> {
    if Instant::from_second(start).is_err() {
        return Err(malformed(SHAPE.call, "a window beyond the calendar".into()));
    }
    let mut listed = Listed::read(&SHAPE, body, 0)?;
    listed.records.retain(|interval| {
        let begun: Result<Begun, _> = object(interval.get().as_bytes());
        begun.map_or(true, |begun| (start..end).contains(&begun.startdate.0))
    });
    listed.page()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window(start: i64, end: i64) -> Interval {
        Interval::new(Instant::from_second(start).unwrap(), Instant::from_second(end).unwrap()).unwrap()
    }

    fn body(records: &[String]) -> Box<RawValue> {
        RawValue::from_string(format!(r#"{{"model":32,"series":[{}]}}"#, records.join(","))).unwrap()
    }

    #[test]
    fn an_interval_belongs_to_the_window_it_begins_in() {
        let records = [99, 100, 199, 200].map(|at| format!(r#"{{"startdate":{at},"enddate":250}}"#));
        let odd =
            [r#"{"startdate":"150"}"#, r#"{"state":0}"#, r#"{"startdate":"later"}"#, "[]"].map(String::from);
        let page = read(Some(&body(&[records.as_slice(), &odd].concat())), 100, 200).unwrap();
        let expected = [&records[1..3], &odd].concat().join(",");
        let text = page.parts[0].text.reveal().get();
        assert_eq!(text, format!(r#"{{"status":0,"body":{{"model":32,"series":[{expected}]}}}}"#));
        assert_eq!((page.records, page.parts.len()), (6, 1));
    }

    #[test]
    fn an_answer_never_covers_more_than_24_hours() {
        let (start, end, more) = step(&window(1_000_000, 1_000_000 + 30 * HOUR), None);
        assert_eq!((end - start + 2 * MARGIN, more), (24 * HOUR, true));
    }

    proptest! {
        /// Every interval that begins in the window is in exactly one step, as it was written.
        #[test]
        fn steps_hold_every_interval_once(
            start in 0_i64..4_000_000_000, length in 1_i64..500_000, begun in prop::collection::vec(-90_000_i64..600_000, 0..60)
        ) {
            let window = window(start, start + length);
            let records: Vec<String> = begun
                .iter()
                .enumerate()
                .map(|(n, at)| format!(r#"{{ "startdate" : {}, "n":{n}, "hr":{{"1":70.10}} }}"#, start + at))
                .collect();
            let (mut out, mut page) = (Vec::new(), None);
            loop {
                let (from, to, more) = step(&window, page.as_ref());
                for part in read(Some(&body(&records)), from, to).unwrap().parts {
                    #[derive(Deserialize)]
                    struct Opened { body: Inside }
                    #[derive(Deserialize)]
                    struct Inside { series: Vec<Box<RawValue>> }
                    let opened: Opened = serde_json::from_str(part.text.reveal().get()).unwrap();
                    out.extend(opened.body.series.iter().map(|r| r.get().to_owned()));
                }
                if !more {
                    break;
                }
                page = Some(PageToken(to.to_string()));
            }
            let mut wanted: Vec<String> = records
                .iter()
                .zip(&begun)
                .filter(|(_, at)| (0..length).contains(*at))
                .map(|(record, _)| record.clone())
                .collect();
            out.sort();
            wanted.sort();
            prop_assert_eq!(out, wanted);
        }
    }
}
