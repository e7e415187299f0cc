//! Fixture pages in, exact Observations out. The fixtures are in `tests/fixtures/withings`: `<name>.json` is a page,
//! `<name>.expected.json` what must come of it, to the digit.

use std::path::PathBuf;

use ohx_domain::{Sensitive, account_pseudonym};

use super::*;
use crate::json::Node;

pub(crate) fn getmeas() -> Mapping {
    Mapping::parse(builtin("withings", "getmeas").unwrap()).unwrap_or_else(|e| panic!("{e}"))
}

pub(crate) fn context() -> Context {
    let provider = "withings".parse().unwrap();
    let subject = "Patient/p1".parse().unwrap();
    let account = account_pseudonym(&provider, &Sensitive::new("363".to_owned()), &subject);
    Context {
        identifier_base: "https://ohx.example/ns/".to_owned(),
        provider,
        account,
        subject,
        covers: None,
    }
}

pub(crate) fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/withings").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

pub(crate) fn mapped(name: &str) -> Mapped {
    getmeas().map(fixture(name).as_bytes(), &context()).unwrap()
}

/// JSON text without the blanks between its tokens: what is compared is every character but the layout.
fn compact(text: &str) -> String {
    let mut out = String::new();
    let (mut within, mut escaped) = (false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if within => escaped = true,
            '"' => within = !within,
            c if c.is_whitespace() && !within => continue,
            _ => {}
        }
        out.push(c);
    }
    out
}

/// Everything that came out, as JSON text.
fn told(mapped: &Mapped) -> String {
    let text = |t: &str| serde_json::to_string(t).unwrap();
    let optional = |t: Option<&String>| t.map_or("null".to_owned(), |t| text(t));
    let observation = |o: &MappedObservation| {
        let device = o.device.as_ref().map_or("null".to_owned(), |d| {
            let (id, model, model_id) =
                (text(&d.id), optional(d.model.as_ref()), optional(d.model_id.as_ref()));
            format!(r#"{{"id":{id},"model":{model},"model_id":{model_id}}}"#)
        });
        let issued = o.issued.map_or("null".to_owned(), |at| text(&at.to_string()));
        let (kind, taken) = (text(&o.kind), text(&o.taken.to_string()));
        let resource = o.resource.get();
        format!(
            r#"{{"kind":{kind},"taken":{taken},"issued":{issued},"device":{device},"resource":{resource}}}"#
        )
    };
    let observations = mapped.observations.iter().map(observation).collect::<Vec<_>>().join(",");
    let skipped = serde_json::to_string(&mapped.skipped).unwrap();
    format!(r#"{{"records":{},"skipped":{skipped},"observations":[{observations}]}}"#, mapped.records)
}

fn comes_out_as_written(name: &str) {
    let got = told(&mapped(&format!("{name}.json")));
    let expected = compact(&fixture(&format!("{name}.expected.json")));
    let same = got.chars().zip(expected.chars()).take_while(|(a, b)| a == b).count();
    let rest = |t: &str| t.chars().skip(same.saturating_sub(60)).take(160).collect::<String>();
    assert!(got == expected, "{name} differs here:\ngot      {}\nexpected {}", rest(&got), rest(&expected));
}

/// One line an Observation: what is behind the account in its identifier, its values, and what is special.
fn lines(mapped: &Mapped) -> Vec<String> {
    let line = |o: &MappedObservation| {
        let (_, identity) = o.identifier.value.split_once('.').unwrap();
        let resource = Node::parse(o.resource.get().as_bytes()).unwrap();
        let mut line = identity.to_owned();
        for quantity in quantities(&resource) {
            let (Some(Node::Number(value)), Some(Node::Text(code))) =
                (quantity.get("value"), quantity.get("code"))
            else {
                panic!("no quantity")
            };
            line += &format!(" {value} {code}");
        }
        if let Some(device) = &o.device {
            line += &format!(" by {}", device.id);
        }
        if resource.get("note").is_some() {
            line += " noted";
        }
        line
    };
    mapped.observations.iter().map(line).collect()
}

fn quantities<'n>(resource: &'n Node<'n>) -> Vec<&'n Node<'n>> {
    match resource.get("component") {
        Some(Node::Array(components)) => components.iter().map(|c| c.get("valueQuantity").unwrap()).collect(),
        _ => vec![resource.get("valueQuantity").unwrap()],
    }
}

fn skipped(mapped: &Mapped) -> Vec<(&str, u64)> {
    mapped.skipped.iter().map(|(reason, count)| (reason.as_str(), *count)).collect()
}

#[test]
fn the_built_in_documents_are_sound_and_their_examples_hold() {
    for (provider, record, text) in BUILT_IN {
        let mapping = Mapping::parse(text).unwrap_or_else(|e| panic!("{provider}/{record}: {e}"));
        assert_eq!(mapping.name(), format!("{provider}/{record}"));
        assert!(mapping.version() < 1000, "the program's own");
        mapping.check_examples().unwrap_or_else(|e| panic!("{e}"));
    }
    assert!(builtin("withings", "nosuch").is_none());
}

#[test]
fn an_example_that_does_not_hold_is_reported() {
    let text = builtin("withings", "getmeas").unwrap();
    for (from, to, said) in [
        ("\"value\": 95.850", "\"value\": 95.85", "[0].valueQuantity.value is 95.850, expected 95.85"),
        ("skipped: { \"unmapped:18\": 1 }", "skipped: {}", "skipped: {\"unmapped:18\": 1}, expected {}"),
        (
            "{\"value\": 64, \"type\": 11, \"unit\": 0}",
            "{}",
            "1 Observations came out (blood-pressure), 2 are expected",
        ),
        ("\"text\": \"Body weight\"", "\"txt\": 1", "[0].code.txt is missing"),
    ] {
        assert!(text.contains(from), "{from}");
        let error = Mapping::parse(&text.replace(from, to)).unwrap().check_examples().unwrap_err();
        assert!(error.what.starts_with(said), "{error}");
    }
}

#[test]
fn the_page_of_the_documentation_comes_out_to_the_digit() {
    comes_out_as_written("getmeas-sheet");
}

#[test]
fn every_kind_of_a_body_scan_comes_out_to_the_digit() {
    comes_out_as_written("getmeas-body-scan");
}

#[test]
fn cuffs_come_out_to_the_digit() {
    comes_out_as_written("getmeas-cuff");
}

#[test]
fn attributions_decide_what_is_taken_and_what_is_noted() {
    let mapped = mapped("getmeas-attrib.json");
    let expected = [
        "8000.body-weight 70.00 kg by d0",
        "8002.body-weight 70.02 kg noted",
        "8003.body-weight 70.03 kg by d0",
        "8005.body-weight 70.05 kg by d0",
        "8007.body-weight 70.07 kg by d0",
        "8008.body-weight 70.08 kg by d0",
        "8015.body-weight 70.15 kg by d0",
        "8017.body-weight 70.17 kg by d0",
        "8099.body-weight 70.99 kg by d0",
        "8101.body-weight 71.01 kg noted",
        "8104.body-weight 71.04 kg by d0",
        "8105.body-weight 71.05 kg by d0",
    ];
    assert_eq!(lines(&mapped), expected);
    assert_eq!(skipped(&mapped), [("account-creation", 1), ("ambiguous-user", 2), ("objective", 2)]);
    assert_eq!(mapped.records, 17);
}

#[test]
fn one_bad_value_loses_nothing_else() {
    let mapped = mapped("getmeas-oddities.json");
    let expected = [
        "9001.body-temperature 36.600 Cel by h9001",
        "9002.oxygen-saturation 97.2 %",
        "9009.body-height 175 cm",
        "9010.body-weight 72.10 kg",
    ];
    assert_eq!(lines(&mapped), expected);
    let expected = [
        ("conflicting", 2),
        // Groups without measures.
        ("empty", 2),
        ("generic-temperature", 1),
        ("no-unit", 1),
        ("out-of-range", 3),
        ("unmapped", 1),
        ("unmapped:18", 1),
        ("unmapped:8", 1),
        // Six measures, three items that are none, three groups without id or time, a list that is none, and three
        // groups that are none.
        ("unreadable", 16),
    ];
    assert_eq!(skipped(&mapped), expected);
    assert_eq!(mapped.records, 13);
    // The zone is unknown: UTC, and it says so.
    assert!(
        mapped.observations[0].resource.get().contains("\"effectiveDateTime\":\"2024-01-08T07:46:41+00:00\"")
    );
    let device = mapped.observations[0].device.clone().unwrap();
    assert_eq!((device.model.as_deref(), device.model_id.as_deref()), (None, Some("71")));
}

#[test]
fn of_repeated_readings_the_latest_stays() {
    let mapped = mapped("getmeas-repeated.json");
    assert_eq!(lines(&mapped), ["1.body-weight 70.50 kg by d1", "2.body-weight 70.10 kg by d1"]);
    assert_eq!(skipped(&mapped), [("repeated", 2)]);
}

#[test]
fn pages_without_records() {
    assert_eq!(skipped(&mapped("getmeas-empty.json")), []);
    let map = |page: &str| getmeas().map(page.as_bytes(), &context());
    for page in ["{}", "{\"status\":0,\"body\":[]}", "{\"body\":{\"measuregrps\":null}}", "[]", "1"] {
        assert_eq!(skipped(&map(page).unwrap()), [("no-records", 1)], "{page}");
    }
    let error = map("{\"body\":{\"measuregrps\":\"none\"}}").unwrap_err();
    assert_eq!(error, MapError::NotRecords { mapping: "withings/getmeas".into(), found: "string" });
    let cut = "{\"body\":{\"measuregrps\":[{\"grpid\":4711";
    let error = map(cut).unwrap_err();
    assert!(matches!(error, MapError::Unreadable { at, .. } if at == cut.len()));
    assert!(!error.to_string().contains("4711"));
    assert!(matches!(map(&" ".repeat(MAX_PAGE_BYTES + 1)), Err(MapError::TooLarge { .. })));
}

#[test]
fn a_digest_tells_what_a_reading_says_and_nothing_else() {
    let digest = |from: &str, to: &str| {
        let page = r#"{"body":{"timezone":"Europe/Berlin","measuregrps":[{"grpid":1,"attrib":0,"date":1704600000,"modified":1704600010,"deviceid":"d1","model":"M","measures":[{"value":7000,"type":1,"unit":-2}]}]}}"#;
        assert!(page.contains(from), "{from}");
        getmeas().map(page.replace(from, to).as_bytes(), &context()).unwrap().observations[0].digest.clone()
    };
    let same = digest("", "");
    for (from, to) in [
        ("1704600010", "1704609999"),
        ("Europe/Berlin", "Asia/Tokyo"),
        ("\"M\"", "\"N\""),
        ("7000", "\"7000\""),
    ] {
        assert_eq!(digest(from, to), same, "{to}");
    }
    for (from, to) in [
        ("7000", "7001"),
        ("-2", "-1"),
        ("1704600000", "1704600001"),
        ("d1", "d2"),
        ("\"attrib\":0", "\"attrib\":2"),
    ] {
        assert_ne!(digest(from, to), same, "{to}");
    }
    let other = builtin("withings", "getmeas").unwrap().replace("version: 1\n", "version: 2\n");
    let page = fixture("getmeas-sheet.json");
    let (one, two) = (getmeas(), Mapping::parse(&other).unwrap());
    let all = |m: &Mapping| m.map(page.as_bytes(), &context()).unwrap().observations;
    for (one, two) in all(&one).iter().zip(all(&two)) {
        assert_eq!((&one.digest, &one.identifier), (&two.digest, &two.identifier));
        assert_ne!(one.resource.get(), two.resource.get());
    }
}

#[test]
fn nothing_prints_a_value() {
    let mapped = mapped("getmeas-sheet.json");
    let shown = format!("{mapped:?} {:?} {:?}", mapped.observations, mapped.observations[0].device);
    for secret in ["95.854", "118", "2024", "51e8d0e7", "digest"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[test]
fn a_base_with_odd_characters_stays_json() {
    let context = Context { identifier_base: "https://x.example/\"\\\n/ns".into(), ..context() };
    let mapped = getmeas().map(fixture("getmeas-sheet.json").as_bytes(), &context).unwrap();
    assert_eq!(mapped.observations.len(), 7);
    let resource: serde_json::Value = serde_json::from_str(mapped.observations[0].resource.get()).unwrap();
    assert_eq!(resource["identifier"][0]["system"], mapped.observations[0].identifier.system.as_str());
}

#[test]
fn a_mapping_is_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>(_: &T) {}
    shared(&getmeas());
}

#[test]
fn one_record_becomes_a_bounded_number_of_observations() {
    let measure = |position: u16| format!(r#"{{"type":11,"value":60,"unit":0,"position":{position}}}"#);
    let measures = (0..300).map(measure).collect::<Vec<_>>().join(",");
    let group = format!(r#"{{"grpid":1,"date":1704600000,"measures":[{measures}]}}"#);
    let page =
        format!(r#"{{"body":{{"measuregrps":[{group},{}]}}}}"#, group.replace("\"grpid\":1", "\"grpid\":2"));
    let mapped = getmeas().map(page.as_bytes(), &context()).unwrap();
    assert_eq!((mapped.observations.len(), skipped(&mapped)), (400, vec![("over-limit", 200)]));
}

#[test]
fn a_record_may_have_its_values_itself_and_come_without_a_list() {
    let text = "{mapping: sample/days, version: 3, system: days, extract: {each: days, id: day, time: from_unix(at), \
        readings: [{kind: steps, value: {number: steps}}]}, observe: {steps: {category: activity, \
        code: {loinc: [41950-7], local: {measure: steps}}, value: {unit: '{steps}', range: [0, 200000]}}}}";
    let mapping = Mapping::parse(text).unwrap_or_else(|e| panic!("{e}"));
    let map = |page: &str| mapping.map(page.as_bytes(), &context()).unwrap();
    let one = map(r#"{"days": {"day": "2024-01-07", "at": 1704582000, "steps": 1209}}"#);
    assert_eq!(lines(&one), ["2024-01-07.steps 1209 {steps}"]);
    assert!(!one.observations[0].resource.get().contains("issued"));
    let more = map(
        r#"{"days": [{"day": "a", "at": 1, "steps": "12"}, {"day": "b", "at": 1}, {"day": "c", "at": 1, "steps": []}, {"day": "d.e", "at": 1, "steps": 3}]}"#,
    );
    assert_eq!(lines(&more), ["a.steps 12 {steps}"]);
    assert_eq!(skipped(&more), [("empty", 1), ("unreadable", 2)]);
}

#[test]
fn the_sample_of_the_documentation_holds() {
    let text = include_str!("../../../docs/mapping.md");
    let (_, sample) = text.split_once("```yaml\n").unwrap();
    let (sample, _) = sample.split_once("```").unwrap();
    Mapping::parse(sample)
        .unwrap_or_else(|e| panic!("{e}"))
        .check_examples()
        .unwrap_or_else(|e| panic!("{e}"));
    for (function, ..) in crate::expr::functions::FUNCTIONS {
        assert!(text.contains(&format!("`{function}")), "{function} is not documented");
    }
}

#[test]
fn an_id_that_comes_again_and_again_costs_no_more() {
    // Each time at another position: a search through those before would take minutes.
    let group = |n: u32| {
        format!(
            r#"{{"grpid":1,"date":1704600000,"measures":[{{"type":11,"value":60,"unit":0,"position":{n}}}]}}"#
        )
    };
    let groups = (0..60_000).map(group).collect::<Vec<_>>().join(",");
    let page = format!(r#"{{"body":{{"measuregrps":[{groups},{}]}}}}"#, group(7));
    let mapped = getmeas().map(page.as_bytes(), &context()).unwrap();
    assert_eq!((mapped.observations.len(), skipped(&mapped)), (60_000, vec![("repeated", 1)]));
}
