use std::collections::BTreeMap;

use super::*;
use crate::tests::{context, fixture, getmeas};

fn mapping(record: &str) -> Mapping {
    Mapping::parse(crate::builtin("withings", record).unwrap()).unwrap()
}

fn survey(mapping: &Mapping, pages: &[&str]) -> Survey {
    let mut survey = Survey::default();
    for page in pages {
        mapping.survey(page.as_bytes(), &context(), &mut survey).unwrap();
    }
    survey
}

/// Times read of times seen, by path.
fn uses(survey: &Survey) -> BTreeMap<&str, String> {
    survey.fields().map(|(path, uses)| (path, format!("{}/{}", uses.read, uses.seen))).collect()
}

const DAYS: &str = "{mapping: sample/days, version: 3, system: days, extract: {each: days, skip: [{when: hidden, reason: \
    hidden}, {when: never, reason: never}], id: day, time: from_unix(at), items: {at: items, key: type, number: value, \
    skip: [{when: old, reason: old}], ignore: {8: aside, 9: not-here}}, readings: [{kind: steps, value: {number: steps}}, \
    {kind: weight, value: {item: 1}}, {kind: height, value: {item: 2}}]}, observe: {steps: {category: activity, code: \
    {local: {measure: steps}}, value: {unit: '{steps}'}}, weight: {category: exam, code: {local: {measure: weight}}, \
    value: {unit: kg}}, height: {category: exam, code: {local: {measure: height}}, value: {unit: cm}}}}";

#[test]
fn fields_are_told_by_path_with_how_often_they_were_read() {
    let days = Mapping::parse(DAYS).unwrap_or_else(|e| panic!("{e}"));
    let page = r#"{"status": 0, "odd name": 1, "\u001b[31m": 1, "": 2, "2nd": 3, "12": {"x": 4}, "none": [], "no": {},
        "days": [
            {"day": "a", "at": 1, "steps": 12, "mood": "good"},
            {"day": "b", "at": 1, "hidden": true, "steps": 13},
            {"day": "c", "at": 1, "mood": null, "deep": [[1, 2], [{"y": 3}]],
             "items": [{"type": 1, "value": 70, "unit": "kg"}, {"type": 7, "value": 2}, {"type": 8, "value": 3}]}]}"#;
    let survey = survey(&days, &[page]);
    let expected = [
        ("\"\"", "0/1"),
        ("\"2nd\"", "0/1"),
        ("\"\\u001b[31m\"", "0/1"),
        ("\"odd name\"", "0/1"),
        ("days[].at", "2/3"),
        ("days[].day", "2/3"),
        ("days[].deep[][]", "0/2"),
        ("days[].deep[][].y", "0/1"),
        ("days[].hidden", "1/1"),
        ("days[].items[].type", "3/3"),
        ("days[].items[].unit", "0/1"),
        ("days[].items[].value", "1/3"),
        ("days[].mood", "0/2"),
        ("days[].steps", "1/2"),
        ("no", "0/1"),
        ("none", "0/1"),
        ("status", "0/1"),
        ("{n}.x", "0/1"),
    ];
    let expected: BTreeMap<&str, String> = expected.iter().map(|(p, u)| (*p, (*u).to_owned())).collect();
    assert_eq!(uses(&survey), expected);
    let never = survey.never_read().collect::<Vec<_>>();
    assert_eq!(never.len(), 12);
    assert!(never.contains(&("days[].mood", 2)) && !never.iter().any(|(path, _)| *path == "days[].hidden"));
}

#[test]
fn rules_are_told_that_never_fire_and_what_none_takes() {
    let days = Mapping::parse(DAYS).unwrap_or_else(|e| panic!("{e}"));
    let pages = [
        r#"{"days": [{"day": "a", "at": 1, "steps": 12}, {"day": "b", "at": 1, "hidden": true}]}"#,
        r#"{"days": [{"day": "c", "at": 1, "items": [{"type": 1, "value": 70}, {"type": 7}, {"type": 8}, {"type": "x"}]},
                     {"day": "d", "at": 1}, {"day": "e", "at": 1, "steps": "many"}]}"#,
    ];
    let survey = survey(&days, &pages);
    assert_eq!((survey.pages(), survey.records(), survey.observations()), (2, 5, 2));
    assert_eq!(survey.kinds().collect::<Vec<_>>(), [("steps", 1), ("weight", 1), ("height", 0)]);
    assert_eq!(survey.never_fired().collect::<Vec<_>>(), ["height"]);
    assert_eq!(survey.idle_reasons().collect::<Vec<_>>(), ["never", "not-here", "old"]);
    let left_out =
        [("aside", 1), ("empty", 1), ("hidden", 1), ("unmapped", 1), ("unmapped:7", 1), ("unreadable", 1)];
    assert_eq!(survey.left_out().collect::<Vec<_>>(), left_out);
    assert_eq!(survey.unmatched().collect::<Vec<_>>(), [("empty", 1), ("unmapped", 1), ("unmapped:7", 1)]);
}

#[test]
fn samples_in_lists_and_by_time_count_as_read() {
    let ecg = r#"{"list": {"deviceid": "d", "model": 93, "ecg": {"signalid": 48, "afib": 0}, "timestamp": 1594159644},
        "get": {"signal": [12, 15, -3], "sampling_frequency": 300, "wearposition": 1, "model": 93, "heart_rate": 64}}"#;
    let told = survey(&mapping("heart-get"), &[ecg]);
    assert_eq!(uses(&told)["get.signal[]"], "3/3");
    let expected = ["get.wearposition", "list.ecg.afib", "list.model"];
    assert_eq!(told.never_read().map(|(path, _)| path).collect::<Vec<_>>(), expected);

    let night = r#"{"body": {"model": 32, "series": [{"startdate": 1618691453, "state": 0, "enddate": 1618691573,
        "hash_deviceid": "h", "hr": {"1618691513": 71, "1618691453": 70}, "withings_index": {"1618691453": 3},
        "unheard_of": {"1618691453": 3}}]}}"#;
    let told = survey(&mapping("sleep-get"), &[night]);
    let uses = uses(&told);
    assert_eq!(uses["body.series[].hr.{n}"], "2/2");
    assert_eq!(uses["body.series[].withings_index.{n}"], "1/1");
    assert_eq!(uses["body.series[].unheard_of.{n}"], "0/1");
}

#[test]
fn what_getmeas_does_not_read_of_a_recorded_page() {
    let page = fixture("getmeas-sheet.json");
    let told = survey(&getmeas(), &[&page, &page]);
    let mapped = getmeas().map(page.as_bytes(), &context()).unwrap();
    assert_eq!(told.records(), 2 * mapped.records);
    assert_eq!(told.observations(), 2 * u64::try_from(mapped.observations.len()).unwrap());
    let uses = uses(&told);
    for path in ["body.timezone", "body.measuregrps[].grpid", "body.measuregrps[].measures[].value"] {
        assert!(!uses[path].starts_with("0/"), "{path} {}", uses[path]);
    }
    assert!(told.never_read().any(|(path, _)| path == "status"));
    for secret in ["95", "118", "2024", "51e8d0e7"] {
        assert!(!format!("{told:?}").contains(secret), "{secret}");
    }
}

#[test]
fn a_page_that_cannot_be_mapped_adds_nothing() {
    let mut told = Survey::default();
    for page in ["{", r#"{"body": {"measuregrps": 5}}"#] {
        getmeas().survey(page.as_bytes(), &context(), &mut told).unwrap_err();
    }
    assert_eq!((told.pages(), told.fields().count(), told.left_out().count()), (0, 0, 0));
    assert_eq!(told.never_fired().count(), getmeas().kinds().count());
}

#[test]
fn names_of_a_page_are_bounded() {
    let members = (0..6_000).map(|n| format!(r#""m{n}": 1"#)).collect::<Vec<_>>().join(",");
    let page = format!(r#"{{"{}": 1, {members}}}"#, "x".repeat(10_000));
    let told = survey(&getmeas(), &[&page]);
    assert_eq!((told.fields().count(), told.untold_fields()), (5_000, 1_001));
    assert!(told.fields().all(|(path, _)| path.len() < 80));
}
