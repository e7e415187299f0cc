//! What each word of the vocabulary does, on small pages.

use ohx_domain::{Instant, Interval};

use super::tests::context;
use super::*;

/// A document of one block and one kind, `heart-rate`, whose extraction and observation are given.
fn document(extract: &str, observe: &str) -> String {
    format!(
        "mapping: sample/rates\nversion: 1\nsystem: rates\ntables:\n  word:\n    system: words\n    codes:\n      \"1\": {{ code: one, text: One }}\n  open:\n    system: \"urn:x:open\"\n    codes:\n      a: {{ code: A, text: Letter A }}\n    other: {{ code: Z, text: Something else }}\nextract:\n{extract}\nobserve:\n  rate:\n    category: activity\n    code: {{ local: {{ measure: rate }}, text: Rate }}\n{observe}\n"
    )
}

fn parsed(extract: &str, observe: &str) -> Mapping {
    Mapping::parse(&document(extract, observe)).unwrap_or_else(|e| panic!("{e}"))
}

fn refused(extract: &str, observe: &str) -> String {
    Mapping::parse(&document(extract, observe)).err().unwrap_or_else(|| panic!("accepted")).what
}

/// Maps a page that covers `hours` from 1970 on.
fn run(mapping: &Mapping, page: &str, hours: i64) -> Mapped {
    let end = Instant::from_second(hours * 3600).unwrap();
    let covers = Interval::new(Instant::UNIX_EPOCH, end);
    mapping.map(page.as_bytes(), &Context { covers, ..context() }).unwrap()
}

/// What stands in an Observation between two texts.
fn between<'o>(mapped: &'o Mapped, at: usize, from: &str, to: &str) -> &'o str {
    let text = mapped.observations[at].resource.get();
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("no {from} in {text}"));
    rest.split_once(to).unwrap_or_else(|| panic!("no {to} in {rest}")).0
}

fn left_out(mapped: &Mapped) -> Vec<(&str, u64)> {
    mapped.skipped.iter().map(|(reason, count)| (reason.as_str(), *count)).collect()
}

const MEMBERS: &str = "  each: people\n  members: rates\n  id: \"join('-', [parent().name, key()])\"\n  time: from_unix(key())\n  device: { id: parent().device }\n";

#[test]
fn records_are_the_members_of_an_object_in_each_element() {
    let mapping = parsed(
        &format!("{MEMBERS}  readings:\n    - {{ kind: rate, value: {{ number: \"@\" }} }}"),
        "    value: { unit: /min }",
    );
    let page = r#"{"people": [{"name": "a", "device": "d", "rates": {"60": 70, "0": "71"}},
        {"name": "b", "rates": []}, {"name": "c"}, {"name": "e", "rates": 5}]}"#;
    let mapped = run(&mapping, page, 1);
    let ids: Vec<_> =
        mapped.observations.iter().map(|o| o.identifier.value.split_once('.').unwrap().1).collect();
    assert_eq!(ids, ["a-60.rate", "a-0.rate"]);
    assert_eq!(between(&mapped, 1, "\"value\":7", ","), "1");
    assert_eq!(between(&mapped, 0, "effectiveDateTime\":\"", "\""), "1970-01-01T00:01:00+00:00");
    assert_eq!(mapped.observations[0].device.as_ref().unwrap().id, "d");
    assert_eq!((mapped.records, left_out(&mapped)), (2, vec![("unreadable", 1)]));
}

#[test]
fn records_are_the_items_of_a_list_in_each_element() {
    let mapping = parsed(
        "  each: days\n  within: samples\n  id: \"join('-', [parent().day, at])\"\n  time: \"from_iso(join('T', [parent().day, at]), page().zone)\"\n  zone: zone\n  readings:\n    - { kind: rate, value: { number: value } }",
        "    value: { unit: /min }",
    );
    let page = r#"{"zone": "Europe/Berlin", "days": [{"day": "2024-07-01", "samples": [{"at": "morning", "value": 1}]},
        {"day": "2024-07-02", "samples": [{"at": "25:00", "value": 1}]}]}"#;
    let mapped = run(&mapping, page, 1);
    assert_eq!(left_out(&mapped), [("unreadable", 2)]);
    let mapping = parsed(
        "  each: days\n  within: samples\n  id: \"join('-', [parent().day, n])\"\n  time: \"from_iso(at, page().zone)\"\n  zone: zone\n  readings:\n    - { kind: rate, value: { number: value } }",
        "    value: { unit: /min }",
    );
    let page = r#"{"zone": "Europe/Berlin", "days": [{"day": "2024-07-01", "samples": [
        {"n": "1", "at": "2024-07-01T08:00:00", "value": 1}, {"n": "2", "at": "2024-07-01T08:00:00-04:00", "value": 2}]}]}"#;
    let mapped = run(&mapping, page, 1);
    assert_eq!(between(&mapped, 0, "effectiveDateTime\":\"", "\""), "2024-07-01T08:00:00+02:00");
    assert_eq!(between(&mapped, 1, "effectiveDateTime\":\"", "\""), "2024-07-01T14:00:00+02:00");
}

#[test]
fn a_code_comes_from_its_table() {
    let extract = |table: &str| {
        format!(
            "  each: rows\n  id: id\n  time: from_unix(`0`)\n  readings:\n    - {{ kind: rate, value: {{ code: {table} }} }}"
        )
    };
    let page = r#"{"rows": [{"id": 1, "c": 1}, {"id": 2, "c": "1"}, {"id": 3, "c": 2}, {"id": 4, "c": []}, {"id": 5}]}"#;
    let mapped = run(&parsed(&extract("c"), "    value: { codes: word }"), page, 1);
    assert_eq!(mapped.observations.len(), 2);
    let concept = between(&mapped, 0, "\"valueCodeableConcept\":", "}}");
    assert_eq!(
        concept,
        r#"{"coding":[{"system":"https://ohx.example/ns/CodeSystem/words","code":"one"}],"text":"One""#
    );
    assert_eq!(left_out(&mapped), [("empty", 1), ("unknown-code", 1), ("unreadable", 1)]);
    let mapped = run(&parsed(&extract("c"), "    value: { codes: open }"), page, 1);
    assert_eq!(mapped.observations.len(), 3);
    assert_eq!(between(&mapped, 2, "\"code\":\"Z\"}],\"text\":\"", "\""), "Something else");
    assert!(refused(&extract("c"), "    value: { codes: nosuch }").contains("no table is called \"nosuch\""));
    assert!(refused(&extract("c"), "    value: { unit: /min }").contains("value is not a code"));
    assert!(refused(&extract("c"), "    value: { unit: /min, codes: word }").contains("remains unclear"));
}

#[test]
fn a_unit_that_the_record_says_decides() {
    let mapping = parsed(
        "  each: rows\n  id: id\n  time: from_unix(`0`)\n  readings:\n    - kind: rate\n      value: { number: v, units: { at: u, is: { kg: kg, lbs: \"[lb_av]\" } } }",
        "    value: { unit: kg, digits: 2 }",
    );
    let page = r#"{"rows": [{"id": 1, "v": 70.5, "u": "kg"}, {"id": 2, "v": "150", "u": "lbs"},
        {"id": 3, "v": 1, "u": "stone"}, {"id": 4, "v": 1}, {"id": 5, "v": 1, "u": ""}]}"#;
    let mapped = run(&mapping, page, 1);
    let value = |at| between(&mapped, at, "\"valueQuantity\":{\"value\":", ",");
    assert_eq!((value(0), value(1)), ("70.5", "68.04"));
    assert_eq!(left_out(&mapped), [("no-unit", 2), ("unknown-unit", 1)]);
}

#[test]
fn samples_lie_at_an_interval_or_at_their_times() {
    let mapping = parsed(
        "  each: \"@\"\n  id: id\n  time: from_unix(`0`)\n  readings:\n    - { kind: rate, value: { samples: { each: list, interval: \"divide(`1000`, hz, `6`)\" } } }",
        "    value: { unit: uV, sampled: ms, range: [-10, 10] }",
    );
    let mapped = run(&mapping, r#"{"id": 1, "hz": 300, "list": [1, "-2", null, 11, 3.50]}"#, 1);
    let text = between(&mapped, 0, "\"dimensions\":1,", "}");
    assert_eq!(text, r#""interval":3.333333,"data":"1 -2 E E 3.50""#);
    assert_eq!(left_out(&mapped), [("out-of-range", 1), ("unreadable", 1)]);
    for (page, reason) in [
        (r#"{"id": 1, "hz": 0, "list": [1]}"#, "unreadable"),
        (r#"{"id": 1, "hz": 300, "list": []}"#, "empty"),
        (r#"{"id": 1, "hz": 300, "list": [null]}"#, "unreadable"),
        (r#"{"id": 1}"#, "empty"),
    ] {
        let mapped = run(&mapping, page, 1);
        assert_eq!((mapped.observations.len(), left_out(&mapped)), (0, vec![(reason, 1)]), "{page}");
    }

    let mapping = parsed(
        "  each: \"@\"\n  id: id\n  period: { start: from_unix(from), end: from_unix(to) }\n  readings:\n    - { kind: rate, value: { samples: { members: at, time: from_unix(key()), number: nonzero(@) } } }",
        "    value: { unit: /min, sampled: s }",
    );
    let page =
        r#"{"id": 1, "from": 60, "to": 120, "at": {"90.5": 71, "60": 70, "61": 0, "62": "x", "soon": 3}}"#;
    let mapped = run(&mapping, page, 1);
    assert_eq!(between(&mapped, 0, "\"dimensions\":1,", "}"), r#""offsets":"0 30.5","data":"70 71""#);
    assert_eq!(
        between(&mapped, 0, "effectivePeriod\":{\"start\":\"", "\"}"),
        "1970-01-01T00:01:00+00:00\",\"end\":\"1970-01-01T00:02:00+00:00"
    );
    assert_eq!(left_out(&mapped), [("unreadable", 2)]);
}

const GATHERED: &str = "  zone: zone\n  each: \"@\"\n  members: rates\n  id: digest(key())\n  time: from_unix(key())\n  readings:\n";

#[test]
fn an_hour_is_gathered_where_the_page_has_all_of_it() {
    let extract = format!(
        "{GATHERED}    - {{ kind: rate, value: {{ number: \"@\" }}, gather: {{ by: hour, as: sampled }} }}"
    );
    let mapping = parsed(&extract, "    value: { unit: /min, sampled: s, range: [30, 200] }");
    let page = r#"{"rates": {"3700": 72, "30": 71, "20": 70, "20.0": 70, "40": 7, "50": 60, "50.0": 61}}"#;
    let mapped = run(&mapping, page, 1);
    assert_eq!(mapped.observations.len(), 1);
    assert_eq!(between(&mapped, 0, "\"dimensions\":1,", "}"), r#""offsets":"20 30","data":"70 71""#);
    assert_eq!(
        between(&mapped, 0, "effectivePeriod\":{", "}"),
        r#""start":"1970-01-01T00:00:00+00:00","end":"1970-01-01T01:00:00+00:00""#
    );
    assert_eq!(left_out(&mapped), [("conflicting", 2), ("out-of-range", 1), ("partial", 1)]);
    // The second hour comes once all of it was read, and is not the first one's.
    let both = run(&mapping, page, 2);
    let ids: Vec<_> =
        both.observations.iter().map(|o| o.identifier.value.split_once('.').unwrap().1).collect();
    assert_eq!(ids, ["0.rate", "3600.rate"]);
    // Nothing is known of what the page covers: nothing is gathered.
    let unknown = mapping.map(page.as_bytes(), &context()).unwrap();
    assert_eq!((unknown.observations.len(), unknown.skipped["partial"]), (0, 6));
}

#[test]
fn a_day_is_summed_up_in_its_zone() {
    let extract = format!(
        "{GATHERED}    - {{ kind: rate, value: {{ number: \"@\" }}, gather: {{ by: day, as: summary }} }}"
    );
    let component = |name: &str, unit: &str| {
        format!("      {name}: {{ code: {{ local: {{ measure: {name} }} }}, unit: {unit} }}\n")
    };
    let observe = format!(
        "    components:\n{}{}{}{}",
        component("minimum", "/min"),
        component("maximum", "/min"),
        component("mean", "/min"),
        component("count", "\"{samples}\"")
    );
    let mapping = parsed(&extract, &observe);
    // In New York the day begins at five in the morning of UTC.
    let page =
        r#"{"zone": "America/New_York", "rates": {"17999": 40, "18000": 60, "50000": 61, "104399": 63}}"#;
    let mapped = run(&mapping, page, 30);
    assert_eq!(mapped.observations.len(), 1);
    let values: Vec<&str> = mapped.observations[0]
        .resource
        .get()
        .split("\"valueQuantity\":{\"value\":")
        .skip(1)
        .map(|v| v.split_once(',').unwrap().0)
        .collect();
    assert_eq!(values, ["60", "63", "61.3", "3"]);
    assert_eq!(between(&mapped, 0, "\"start\":\"", "\""), "1970-01-01T00:00:00-05:00");
    assert_eq!(left_out(&mapped), [("partial", 1)]);
    let nowhere = run(&mapping, &page.replace("America/New_York", "Moon"), 30);
    assert_eq!(left_out(&nowhere), [("no-zone", 4)]);
}

const MINUTES: &str = "  zone: zone\n  each: rows\n  id: digest(from, to)\n  period: { start: from_unix(from), end: from_unix(to) }\n  readings:\n";

#[test]
fn a_day_is_added_up_where_the_page_has_all_of_it() {
    let extract = format!(
        "{MINUTES}    - {{ kind: rate, value: {{ number: v, unit: mm }}, gather: {{ by: day, as: sum }} }}"
    );
    let mapping = parsed(&extract, "    value: { unit: m, range: [0, 10] }");
    // A minute that begins before midnight is of that day. One that comes twice counts once. Two values, or two ends,
    // of what begins at one time are conflicting.
    let page = r#"{"zone": "UTC", "rows": [
        {"from": 0, "to": 60, "v": 0}, {"from": 60, "to": 120, "v": "1500"}, {"from": 60, "to": "120.0", "v": 1500},
        {"from": 120, "to": 180, "v": 0.25}, {"from": 86340, "to": 86460, "v": 1000},
        {"from": 240, "to": 300, "v": 1}, {"from": 240, "to": 300, "v": 2},
        {"from": 360, "to": 420, "v": 5}, {"from": 360, "to": 480, "v": 5},
        {"from": 540, "to": 600, "v": -1}, {"from": 600, "to": 660, "v": 10001},
        {"from": 86400, "to": 86460, "v": 7000}]}"#;
    let mapped = run(&mapping, page, 24);
    assert_eq!(mapped.observations.len(), 1);
    // To the last digit that a part has: 0.000 + 1.500 + 0.00025 + 1.000.
    assert_eq!(between(&mapped, 0, "\"valueQuantity\":{\"value\":", ","), "2.50025");
    assert_eq!(
        between(&mapped, 0, "effectivePeriod\":{", "}"),
        r#""start":"1970-01-01T00:00:00+00:00","end":"1970-01-02T00:00:00+00:00""#
    );
    assert_eq!(left_out(&mapped), [("conflicting", 4), ("out-of-range", 2), ("partial", 1)]);
    let both = run(&mapping, page, 48);
    let ids: Vec<_> =
        both.observations.iter().map(|o| o.identifier.value.split_once('.').unwrap().1).collect();
    assert_eq!(ids, ["1970-01-01.rate", "1970-01-02.rate"]);
    // An hour short of the day: nothing.
    let short = run(&mapping, page, 23);
    assert_eq!((short.observations.len(), short.skipped["partial"]), (0, 10));
    let whole = run(
        &mapping,
        r#"{"zone": "UTC", "rows": [{"from": 0, "to": 60, "v": 6000}, {"from": 60, "to": 120, "v": 6000}]}"#,
        24,
    );
    assert_eq!((whole.observations.len(), left_out(&whole)), (0, vec![("out-of-range", 1)]));
    let nowhere = run(&mapping, r#"{"rows": [{"from": 0, "to": 60, "v": 6000}]}"#, 24);
    assert_eq!(left_out(&nowhere), [("no-zone", 1)]);
}

#[test]
fn each_component_has_its_own_sum() {
    let extract = format!(
        "{MINUTES}    - {{ kind: rate, value: {{ number: v }}, values: {{ low: {{ number: a }}, high: {{ number: b }} }}, gather: {{ by: day, as: sum }} }}"
    );
    let component = |name: &str| {
        format!("      {name}: {{ code: {{ local: {{ measure: {name} }} }}, unit: min, optional: true }}\n")
    };
    let components = format!("    components:\n{}{}", component("low"), component("high"));
    let mapping = parsed(&extract, &format!("    value: {{ unit: min, optional: true }}\n{components}"));
    let values = |mapped: &Mapped| {
        let text = mapped.observations[0].resource.get();
        let values = text.split("\"valueQuantity\":{\"value\":").skip(1);
        values.map(|v| v.split_once(',').unwrap().0.to_owned()).collect::<Vec<_>>()
    };
    // Of two devices at one time in different components, neither contradicts the other.
    let page = r#"{"zone": "UTC", "rows": [{"from": 0, "to": 60, "a": 1}, {"from": 0, "to": 60, "b": 2, "v": 3},
        {"from": 60, "to": 120, "a": "4"}, {"from": 120, "to": 180}]}"#;
    let mapped = run(&mapping, page, 24);
    assert_eq!(values(&mapped), ["3", "5", "2"]);
    assert_eq!(left_out(&mapped), [("empty", 1)]);
    let mapped = run(&mapping, r#"{"zone": "UTC", "rows": [{"from": 0, "to": 60, "b": 2}]}"#, 24);
    assert_eq!(values(&mapped), ["2"]);
    // The value itself must be there.
    let mapping = parsed(&extract, &format!("    value: {{ unit: min }}\n{components}"));
    let mapped = run(&mapping, r#"{"zone": "UTC", "rows": [{"from": 0, "to": 60, "b": 2}]}"#, 24);
    assert_eq!((mapped.observations.len(), left_out(&mapped)), (0, vec![("incomplete", 1)]));
}

#[test]
fn what_is_gathered_must_fit_what_it_becomes() {
    let extract = |into: &str| {
        format!(
            "{GATHERED}    - {{ kind: rate, value: {{ number: \"@\" }}, gather: {{ by: hour, as: {into} }} }}"
        )
    };
    assert!(
        refused(&extract("sampled"), "    value: { unit: /min }").contains("does not become SampledData")
    );
    assert!(refused(&extract("summary"), "    value: { unit: /min }").contains("does not become a summary"));
    assert!(refused(&extract("total"), "    value: { unit: /min }").contains("unknown variant"));
    for not_added_up in ["unit: /min, digits: 2", "unit: /min, sampled: s", "codes: word"] {
        let refused = refused(&extract("sum"), &format!("    value: {{ {not_added_up} }}"));
        assert!(refused.contains("does not become a sum"), "{not_added_up}: {refused}");
    }
    let plain = format!("{GATHERED}    - {{ kind: rate, value: {{ number: \"@\" }} }}");
    assert!(refused(&plain, "    value: { unit: /min, sampled: s }").contains("a number is not SampledData"));
    assert!(
        refused(&plain, "    value: { unit: /min, sampled: h }").contains("no unit of time between samples")
    );
    assert!(refused(&plain, "    value: { unit: /min, digits: 13 }").contains("more than 12 digits"));
    let seconds = format!("{GATHERED}    - {{ kind: rate, value: {{ number: \"@\", unit: s }} }}");
    assert!(refused(&seconds, "    value: { unit: h }").contains("cannot always be written exactly"));
    let when = |when: &str| {
        format!("  each: a\n  id: b\n{when}  readings:\n    - {{ kind: rate, value: {{ number: c }} }}")
    };
    for odd in ["", "  time: a\n  day: b\n", "  period: { start: a, end: b }\n  time: c\n"] {
        assert!(
            refused(&when(odd), "    value: { unit: h }").contains("when it was measured is unclear"),
            "{odd}"
        );
    }
    let both = when("  time: a\n  within: x\n  members: y\n");
    assert!(refused(&both, "    value: { unit: h }").contains("both `within` and `members`"));
}

#[test]
fn blocks_see_the_same_records_once() {
    let block = |kind: &str| {
        format!(
            "  - each: rows\n    id: id\n    time: from_unix(`0`)\n    readings:\n      - {{ kind: {kind}, value: {{ number: {kind} }} }}\n"
        )
    };
    let text = document(
        &format!("{}{}", block("rate"), block("pace")),
        "    value: { unit: /min }\n  pace:\n    category: activity\n    code: { local: { measure: pace } }\n    value: { unit: /min }",
    );
    let mapping = Mapping::parse(&text).unwrap_or_else(|e| panic!("{e}"));
    let mapped = run(&mapping, r#"{"rows": [{"id": 1, "rate": 1}, {"id": 2, "pace": 2}, {"id": 3}]}"#, 1);
    assert_eq!((mapped.records, mapped.observations.len()), (3, 2));
    assert_eq!(left_out(&mapped), [("empty", 1)]);
}

#[test]
fn a_reading_that_may_change_is_preliminary() {
    let mapping = parsed(
        "  each: rows\n  id: id\n  time: from_unix(`0`)\n  preliminary: \"done == `false`\"\n  readings:\n    - { kind: rate, value: { number: v } }",
        "    method: Counted\n    value: { unit: /min }",
    );
    let mapped = run(
        &mapping,
        r#"{"rows": [{"id": 1, "v": 1, "done": false}, {"id": 2, "v": 1, "done": true}, {"id": 3, "v": 1}]}"#,
        1,
    );
    let status: Vec<_> = (0..3).map(|at| between(&mapped, at, "\"status\":\"", "\"")).collect();
    assert_eq!(status, ["preliminary", "final", "final"]);
    assert_eq!(between(&mapped, 0, "\"method\":{\"text\":\"", "\""), "Counted");
    assert_ne!(mapped.observations[0].digest, mapped.observations[1].digest);
    assert_eq!(mapped.observations[1].digest, mapped.observations[2].digest);
}
