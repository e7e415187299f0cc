//! What the documents of the Google Health API make of pages of the size that there are.

use ohx_domain::Interval;

use super::tests::context;
use super::*;

fn mapping(record: &str) -> Mapping {
    Mapping::parse(builtin("fitbit", record).unwrap()).unwrap_or_else(|e| panic!("{e}"))
}

fn day(date: &str, days: i64) -> Option<Interval> {
    let start: ohx_domain::Instant = format!("{date}T00:00:00Z").parse().unwrap();
    Interval::new(start, ohx_domain::Instant::from_second(start.as_second() + days * 86_400).unwrap())
}

#[test]
fn a_long_electrocardiogram_keeps_every_sample() {
    // A minute at 500 Hz; usual are 30 seconds at 250 Hz.
    let samples: Vec<String> = (0..30_000).map(|n| (n % 2_001 - 1_000).to_string()).collect();
    let page = format!(
        r#"{{"timeZone":null,"dataPoints":[{{"name":"users/me/dataTypes/electrocardiogram/dataPoints/abc","electrocardiogram":{{
        "interval":{{"startTime":"2026-11-20T09:00:00Z","endTime":"2026-11-20T09:00:00Z"}},"samplingFrequencyHertz":500,
        "millivoltsScalingFactor":10922,"waveformSamples":[{}]}}}}]}}"#,
        samples.join(",")
    );
    let mapped = mapping("electrocardiogram").map(page.as_bytes(), &context()).unwrap();
    let text = mapped.observations[0].resource.get();
    let (_, data) = text.split_once("\"data\":\"").unwrap();
    let millivolts: Vec<ohx_domain::decimal::Exact> =
        data.split_once('"').unwrap().0.split(' ').map(|v| v.parse().unwrap()).collect();
    // Six digits lead back to the sample that it was.
    let factor = ohx_domain::decimal::Exact::from(10_922);
    let back: Vec<String> = millivolts.iter().map(|v| (*v * factor).round().to_string()).collect();
    assert_eq!(back, samples);
    assert!(mapped.skipped.is_empty(), "{:?}", mapped.skipped);
}

#[test]
fn a_day_of_minutes_is_one_observation() {
    let minute = |n: i64| {
        let at = |n: i64| ohx_domain::Instant::from_second(1_795_132_800 + n * 60).unwrap();
        format!(
            r#"{{"steps":{{"interval":{{"startTime":"{}","endTime":"{}"}},"count":"{}"}}}}"#,
            at(n),
            at(n + 1),
            n % 100
        )
    };
    let minutes: Vec<String> = (0..1_440).rev().map(minute).collect();
    let page = format!(r#"{{"timeZone":"UTC","dataPoints":[{}]}}"#, minutes.join(","));
    let run = |covers| {
        let mapped = mapping("steps").map(page.as_bytes(), &Context { covers, ..context() }).unwrap();
        (
            mapped.observations.len(),
            mapped.observations.first().map(|o| o.resource.get().to_owned()),
            mapped.skipped,
        )
    };
    let (count, text, skipped) = run(day("2026-11-20", 1));
    assert!((count, skipped.len()) == (1, 0), "{count} {skipped:?}");
    assert!(text.unwrap().contains("\"valueQuantity\":{\"value\":70080,"));
    for covers in [None, day("2026-11-19", 1), day("2026-11-21", 1)] {
        let (count, _, skipped) = run(covers);
        assert_eq!((count, skipped["partial"]), (0, 1_440));
    }
}

/// Both spellings of one user, and a list or a reconciled stream, are the same reading.
#[test]
fn the_id_is_that_of_the_data_point() {
    let id = |named: &str| {
        let page = format!(
            r#"{{"dataPoints":[{{{named}"weight":{{"weightGrams":72100,"sampleTime":{{"physicalTime":"2026-11-20T06:00:00Z"}}}}}}]}}"#
        );
        let mapped = mapping("weight").map(page.as_bytes(), &context()).unwrap();
        let value = &mapped.observations[0].identifier.value;
        value.split_once('.').unwrap().1.to_owned()
    };
    let end = "dataTypes/weight/dataPoints/1763622000000";
    for user in ["me", "111111256096816351"] {
        for name in ["name", "dataPointName"] {
            assert_eq!(id(&format!(r#""{name}":"users/{user}/{end}","#)), "1763622000000.body-weight");
        }
    }
    let unnamed = id("");
    assert_eq!(unnamed, id(r#""name":"","#));
    assert!(unnamed.ends_with(".body-weight") && !unnamed.starts_with('.'), "{unnamed}");
}
