//! Samples of the day: steps, pulse, oxygen, variability, by the second they begin at.
//!
//! An answer holds 24 hours at most and says nothing where it was cut, so that a longer window is read in steps. It is
//! widened to whole hours of UTC, and parts are cut between hours: a mapping that gathers the samples of an hour finds
//! them in one part, which says so.

use std::collections::BTreeMap;
use std::fmt;

use ohx_domain::{Instant, Interval};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::call::{Caller, malformed};
use super::list::{Name, fields, part};
use super::range::{self, second};
use crate::wire::{is_empty_list, object, position};
use crate::{Page, PageToken, Part, ProviderError};

const CALL: &str = "measure getintradayactivity";
const FIELDS: &[&str] = &[
    "steps",
    "elevation",
    "calories",
    "distance",
    "stroke",
    "pool_lap",
    "duration",
    "heart_rate",
    "spo2_auto",
    "rmssd",
    "sdnn1",
    "hrv_quality",
    "core_body_temperature",
    "rr",
    "chest_movement_rate",
];

const HOUR: i64 = 3600;
/// What is asked for at once. With the second that the uncertain bounds cost it stays below 24 hours.
const STEP: i64 = 23 * HOUR;
/// The most text in one part, in bytes; an hour is never cut. A sample becomes several resources, each larger than
/// itself, so that it is less than for other records.
const MAX_TEXT: usize = 200 * 1024;

/// Reads one step of the window.
pub(super) async fn fetch(
    caller: &Caller<'_>,
    window: &Interval,
    page: Option<&PageToken>,
) -> Result<Page, ProviderError> {
    let step = Step::of(window, page);
    let asked = Interval { start: instant(step.start)?, end: instant(step.end)? };
    let range = range::seconds(&asked);
    let mut form = vec![("action", "getintradayactivity")];
    form.extend(range.iter().map(|(name, second)| (*name, second.as_str())));
    let answer = caller.post_for("v2/measure", &form, FIELDS, CALL).await?;
    read(answer.success(CALL)?, &step)
}

fn instant(second: i64) -> Result<Instant, ProviderError> {
    Instant::from_second(second).map_err(|_| malformed(CALL, "a window beyond the calendar".into()))
}

/// Whole hours that are read at once, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    start: i64,
    end: i64,
    /// Whether the window goes on after it.
    more: bool,
}

impl Step {
    fn of(window: &Interval, page: Option<&PageToken>) -> Self {
        let from = second(window.start).0.div_euclid(HOUR) * HOUR;
        let until = -(-second(window.end).1).div_euclid(HOUR) * HOUR;
        let start = page.and_then(|token| token.0.parse().ok()).unwrap_or(from).clamp(from, until - HOUR);
        let end = until.min(start + STEP);
        Self { start, end, more: end < until }
    }
}

/// A map's entries as they were written, however often a name comes.
struct Entries<'a>(Vec<(Name<'a>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Every;

        impl<'de> Visitor<'de> for Every {
            type Value = Vec<(Name<'de>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(entries)
            }
        }

        deserializer.deserialize_map(Every).map(Entries)
    }
}

/// Cuts an answer into parts of whole hours.
fn read(body: Option<&RawValue>, step: &Step) -> Result<Page, ProviderError> {
    let series = fields(CALL, body)?.remove("series").filter(|raw| raw.get() != "null");
    let Entries(entries) = match series {
        Some(raw) if !is_empty_list(raw) => {
            object(raw.get().as_bytes()).map_err(|problem| malformed(CALL, problem))?
        }
        _ => Entries(Vec::new()),
    };
    let mut hours: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    let mut strays = Vec::new();
    let mut records = 0;
    for (key, sample) in entries {
        let at = key.0.trim().parse::<i64>().ok();
        // What lies on the outer bounds was not meant: its own hour is asked for by itself, or was not wanted.
        if at.is_some_and(|at| at == step.start - 1 || at == step.end) {
            continue;
        }
        records += 1;
        let name = serde_json::to_string(&key.0).map_err(|e| malformed(CALL, position(&e)))?;
        let entry = format!("{name}:{}", sample.get());
        match at {
            Some(at) if (step.start..step.end).contains(&at) => {
                hours.entry(at.div_euclid(HOUR) * HOUR).or_default().push(entry);
            }
            // An answer to another question is still a reading.
            _ => strays.push(entry),
        }
    }
    let mut parts = Vec::new();
    let (mut run, mut text, mut from) = (Vec::new(), 0, step.start);
    for (hour, samples) in hours {
        let length: usize = samples.iter().map(|sample| sample.len() + 1).sum();
        if !run.is_empty() && text + length > MAX_TEXT {
            parts.push(series_part(&std::mem::take(&mut run), Some((from, hour)))?);
            (text, from) = (0, hour);
        }
        text += length;
        run.extend(samples);
    }
    if !run.is_empty() {
        parts.push(series_part(&run, Some((from, step.end)))?);
    }
    for samples in strays.chunks(500) {
        parts.push(series_part(samples, None)?);
    }
    let next = step.more.then(|| PageToken(step.end.to_string()));
    Ok(Page { parts, records, next, as_of: None })
}

fn series_part(samples: &[String], covers: Option<(i64, i64)>) -> Result<Part, ProviderError> {
    let covers = match covers {
        Some((start, end)) => Interval::new(instant(start)?, instant(end)?),
        None => None,
    };
    part(CALL, String::new(), "series", ['{', '}'], samples.iter().map(String::as_str), covers)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const START: i64 = 1_700_000_000 / HOUR * HOUR;

    fn step(hours: i64) -> Step {
        Step { start: START, end: START + hours * HOUR, more: false }
    }

    fn body(series: &str) -> Box<RawValue> {
        RawValue::from_string(format!(r#"{{"series":{series}}}"#)).unwrap()
    }

    fn window(start: i64, end: i64) -> Interval {
        Interval::new(Instant::from_second(start).unwrap(), Instant::from_second(end).unwrap()).unwrap()
    }

    /// The samples of a part, each as it was written.
    fn samples(part: &Part) -> Vec<(i64, String)> {
        let page: serde_json::Value = serde_json::from_str(part.text.reveal().get()).unwrap();
        assert_eq!(page["status"], 0);
        let text = part.text.reveal().get();
        let series = &text[text.find("\"series\":").unwrap() + 9..text.len() - 2];
        let Entries(entries) = serde_json::from_str(series).unwrap();
        entries.iter().map(|(key, raw)| (key.0.parse().unwrap(), raw.get().to_owned())).collect()
    }

    #[test]
    fn windows_are_whole_hours_and_long_ones_are_read_in_steps() {
        let short = Step::of(&window(START + 59, START + 61), None);
        assert_eq!(short, Step { start: START, end: START + HOUR, more: false });
        assert_eq!(Step::of(&window(START, START + HOUR), None), step(1));
        assert_eq!(Step::of(&window(START, START + 23 * HOUR), None), step(23));
        let long = window(START + 1, START + 50 * HOUR);
        let mut token = None;
        let mut seen = Vec::new();
        loop {
            let step = Step::of(&long, token.as_ref());
            seen.push((step.start - START) / HOUR..(step.end - START) / HOUR);
            token = Some(PageToken(step.end.to_string()));
            if !step.more {
                break;
            }
        }
        assert_eq!(seen, [0..23, 23..46, 46..50]);
        // A token of another window cannot lead astray.
        for odd in ["0", "99999999999999", "x"] {
            let step = Step::of(&window(START, START + HOUR), Some(&PageToken(odd.into())));
            assert_eq!((step.start, step.end), (START, START + HOUR), "{odd}");
        }
    }

    #[test]
    fn nothing_is_written_in_several_ways() {
        let empty = ["[]", "{}", "null", "[ ]", "{ }"].map(body);
        let bare = ["[]", "{}", r#"{"more":false}"#].map(|text| RawValue::from_string(text.into()).unwrap());
        for body in empty.iter().chain(&bare) {
            let page = read(Some(body), &step(23)).unwrap();
            assert!(page.parts.is_empty() && page.records == 0 && page.next.is_none());
        }
        for wrong in ["[1]", "7", "\"95854\"", "[[]]"].map(body) {
            let error = read(Some(&wrong), &step(23)).unwrap_err();
            assert!(!error.to_string().contains("95854"), "{error}");
        }
        assert!(read(None, &step(23)).is_err());
    }

    #[test]
    fn bounds_belong_to_their_neighbours_and_strays_are_kept_without_a_claim() {
        let series = format!(
            r#"{{"{}":{{"n":1}},"{}":{{"n":2}},"{}":{{"n":3}},"{}":{{"n":4}},"soon":{{"n":5}},"{}":{{"n":6}}}}"#,
            START - 1,
            START,
            START + HOUR - 1,
            START + HOUR,
            START + 9 * HOUR
        );
        let page = read(Some(&body(&series)), &step(1)).unwrap();
        assert_eq!(page.records, 4);
        let text: Vec<_> = page.parts.iter().map(|p| p.text.reveal().get()).collect();
        assert!(text[0].contains(r#""n":2"#) && text[0].contains(r#""n":3"#), "{text:?}");
        assert!(text[1].contains(r#""soon":{"n":5}"#) && text[1].contains(r#""n":6"#), "{text:?}");
        assert_eq!(
            page.parts.iter().map(|p| p.covers).collect::<Vec<_>>(),
            [Some(window(START, START + HOUR)), None]
        );
    }

    #[test]
    fn a_name_that_comes_twice_is_two_samples() {
        let page = read(
            Some(&body(&format!(
                r#"{{"{START}":{{"n":1}},"\u00{:x}{}":{{"n":2}}}}"#,
                0x31,
                &START.to_string()[1..]
            ))),
            &step(1),
        )
        .unwrap();
        assert_eq!(
            samples(&page.parts[0]),
            [(START, r#"{"n":1}"#.to_owned()), (START, r#"{"n":2}"#.to_owned())]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// None lost, none doubled, none altered; every hour in one part; and the parts cover the whole step.
        #[test]
        fn parts_hold_every_sample_and_cover_the_step(
            found in prop::collection::btree_map(0_i64..23 * HOUR, (any::<u64>(), 0_usize..2_000), 0..300), hours in 1_i64..24
        ) {
            let step = step(hours);
            let mut texts: Vec<(i64, String)> = found
                .iter()
                .filter(|(at, _)| **at < hours * HOUR)
                .map(|(at, (n, pad))| (START + at, format!(r#"{{ "heart_rate" : {n}.50, "x":"{}" }}"#, "é".repeat(*pad))))
                .collect();
            // The wire knows no order.
            texts.sort_by_key(|(at, _)| at.wrapping_mul(0x1e37_79b9_7f4a_7c15));
            let series: Vec<String> = texts.iter().map(|(at, text)| format!(r#""{at}" : {text}"#)).collect();
            let page = read(Some(&body(&format!("{{{}}}", series.join(",")))), &step).unwrap();
            prop_assert_eq!(page.records, texts.len() as u64);
            let mut out = Vec::new();
            let mut covered = START;
            for part in &page.parts {
                let covers = part.covers.unwrap();
                prop_assert_eq!(covers.start.as_second(), covered);
                covered = covers.end.as_second();
                prop_assert_eq!(covered % HOUR, 0);
                let samples = samples(part);
                prop_assert!(samples.iter().all(|(at, _)| covers.contains(Instant::from_second(*at).unwrap())));
                let hours: BTreeSet<i64> = samples.iter().map(|(at, _)| at / HOUR).collect();
                let length: usize = samples.iter().map(|(_, text)| text.len()).sum();
                prop_assert!(hours.len() == 1 || length <= MAX_TEXT);
                out.extend(samples);
            }
            prop_assert!(texts.is_empty() || covered == step.end);
            out.sort();
            texts.sort();
            prop_assert_eq!(out, texts);
        }

        /// Steps follow one another without a gap, and together they hold the window.
        #[test]
        fn steps_hold_the_window(start in -100_000_000_i64..4_000_000_000, length in 1_i64..10_000_000) {
            let window = window(start, start + length);
            let mut step = Step::of(&window, None);
            prop_assert!(step.start <= start && start < step.start + HOUR);
            loop {
                prop_assert!(step.start < step.end && step.end - step.start < 24 * HOUR);
                if !step.more {
                    break;
                }
                let next = Step::of(&window, Some(&PageToken(step.end.to_string())));
                prop_assert_eq!(next.start, step.end);
                step = next;
            }
            prop_assert!(start + length <= step.end && step.end < start + length + HOUR);
        }

        #[test]
        fn no_body_panics(text in r#"[\[\]{}:,"a-z0-9 ]{0,40}"#) {
            if let Ok(raw) = RawValue::from_string(format!(r#"{{"series":{text}}}"#))
                && let Err(error) = read(Some(&raw), &step(2))
            {
                prop_assert!(error.to_string().starts_with("withings answered measure getintradayactivity with"));
            }
        }
    }
}
